//! OAuth's answers: an access token and how long it lives (RFC 6749, section 5.1), in the spellings of Google and Microsoft.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde::Deserialize;

use crate::upstream::credential::aws::moment;
use crate::upstream::credential::{Fresh, Shown};

/// Life of a token whose answer does not say it, in seconds.
const LIFE_USUAL_S: u64 = 300;

/// Longest life believed in, in seconds.
const LIFE_MAX_S: u64 = 24 * 60 * 60;

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<Seconds>,
}

/// A number, or, of Azure's metadata service, its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Number(u64),
    Text(String),
}

/// The token in `body`, which came `now`.
pub(super) fn granted(body: &Bytes, now: SystemTime) -> Result<Fresh, String> {
    let it: Granted =
        serde_json::from_slice(body).map_err(|_| "the answer holds no access token".to_owned())?;
    let life = match it.expires_in {
        Some(Seconds::Number(seconds)) => seconds,
        Some(Seconds::Text(text)) => text.parse().unwrap_or(LIFE_USUAL_S),
        None => LIFE_USUAL_S,
    };
    let expires = now + Duration::from_secs(life.min(LIFE_MAX_S));
    Ok(Fresh { shown: Shown::token(it.access_token.into())?, expires: Some(expires) })
}

/// As Google tells it of a service account that was taken on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Impersonated {
    access_token: String,
    expire_time: String,
}

pub(super) fn impersonated(body: &Bytes) -> Result<Fresh, String> {
    let it: Impersonated =
        serde_json::from_slice(body).map_err(|_| "the answer holds no access token".to_owned())?;
    Ok(Fresh { shown: Shown::token(it.access_token.into())?, expires: Some(moment(&it.expire_time)?) })
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn seconds(fresh: Result<Fresh, String>) -> Option<u64> {
        Some(fresh.ok()?.expires?.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn the_life_of_a_token_is_read_in_each_spelling() {
        let check = |body: &'static str, expected: Option<u64>| {
            assert_eq!(seconds(granted(&Bytes::from(body), UNIX_EPOCH)), expected, "{body}");
        };
        check(r#"{"access_token":"t","expires_in":3599,"token_type":"Bearer"}"#, Some(3_599));
        check(r#"{"access_token":"t","expires_in":"3599"}"#, Some(3_599));
        check(r#"{"access_token":"t"}"#, Some(300));
        check(r#"{"access_token":"t","expires_in":99999999999}"#, Some(86_400));
        check(r#"{"access_token":"t\n"}"#, None);
        check(r#"{"error":"no"}"#, None);
        check("no", None);
        let taken_on = r#"{"accessToken":"t","expireTime":"1970-01-02T00:00:01Z"}"#;
        assert_eq!(seconds(impersonated(&Bytes::from(taken_on))), Some(86_401));
    }
}
