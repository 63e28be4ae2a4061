//! Temporary access keys of AWS: web identity (STS), container credentials, and the instance metadata service, version 2.
//! The exchanges are those of AWS's documents: "AssumeRoleWithWebIdentity", "Container credential provider", "Use IMDS".

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, Uri};
use serde::Deserialize;

use crate::names::Secret;
use crate::price::calendar;
use crate::upstream::credential::exchange::{Exchange, below, tag, token_in};
use crate::upstream::credential::spec::{AwsKeys, AwsSource, Held};
use crate::upstream::credential::{Fresh, Shown};

/// Life of a session with the instance metadata service, in seconds: longer than any two requests are apart.
const METADATA_SESSION_S: &str = "60";

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

pub(super) async fn fetch(source: &AwsSource, exchange: &Exchange<'_>) -> Result<Fresh, String> {
    match source {
        AwsSource::Fixed(keys) => Ok(fixed(keys)),
        AwsSource::WebIdentity { role_arn, session_name, token_file, sts } => {
            let token = token_in(token_file).await?;
            let fields = [
                ("Action", "AssumeRoleWithWebIdentity"),
                ("Version", "2011-06-15"),
                ("RoleArn", role_arn),
                ("RoleSessionName", session_name),
                ("WebIdentityToken", token.reveal()),
            ];
            assumed(&exchange.post_form(sts, &fields).await?)
        }
        AwsSource::Container { url, token } => {
            let token = match token {
                Some(Held::Text(token)) => Some(token.clone()),
                Some(Held::File(path)) => Some(token_in(path).await?),
                None => None,
            };
            let headers: Vec<_> = token.iter().map(|it| ("authorization", it.reveal())).collect();
            stated(&exchange.local(Method::GET, url.clone(), &headers).await?)
        }
        AwsSource::Instance { base } => instance(base, exchange).await,
    }
}

pub(super) fn fixed(keys: &AwsKeys) -> Fresh {
    Fresh { shown: Shown::Aws(keys.clone()), expires: None }
}

async fn instance(base: &Uri, exchange: &Exchange<'_>) -> Result<Fresh, String> {
    let life = [("x-aws-ec2-metadata-token-ttl-seconds", METADATA_SESSION_S)];
    let session = exchange.local(Method::PUT, below(base, "/latest/api/token")?, &life).await?;
    let session = String::from_utf8_lossy(&session);
    let shown = [("x-aws-ec2-metadata-token", session.trim())];
    let roles = exchange.local(Method::GET, below(base, ROLES)?, &shown).await?;
    let roles = String::from_utf8_lossy(&roles);
    let role = roles.lines().next().map(str::trim).filter(|it| !it.is_empty());
    let role = role.ok_or("the instance has no role")?;
    stated(&exchange.local(Method::GET, below(base, &format!("{ROLES}{role}"))?, &shown).await?)
}

/// As containers and instances tell it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stated {
    access_key_id: String,
    secret_access_key: String,
    token: Option<String>,
    expiration: Option<String>,
}

fn stated(body: &Bytes) -> Result<Fresh, String> {
    let it: Stated = serde_json::from_slice(body).map_err(|_| "the answer holds no access key".to_owned())?;
    let expires = it.expiration.as_deref().map(moment).transpose()?;
    let session = it.token.map(Secret::from);
    let (id, secret) = (it.access_key_id.into(), it.secret_access_key.into());
    Ok(Fresh { shown: Shown::Aws(AwsKeys { id, secret, session }), expires })
}

/// As STS tells it, in XML.
fn assumed(body: &Bytes) -> Result<Fresh, String> {
    let text = String::from_utf8_lossy(body);
    let field = |name| tag(&text, name).map(str::trim).ok_or("the answer holds no access key");
    let (id, secret) = (field("AccessKeyId")?.into(), field("SecretAccessKey")?.into());
    let keys = AwsKeys { id, secret, session: Some(field("SessionToken")?.into()) };
    Ok(Fresh { shown: Shown::Aws(keys), expires: Some(moment(field("Expiration")?)?) })
}

/// The moment of `2026-12-01T10:00:00Z`, perhaps with a fraction of a second, which is dropped.
pub(super) fn moment(text: &str) -> Result<SystemTime, String> {
    let whole = text.split_once('.').map(|(whole, _)| format!("{whole}Z"));
    let seconds = calendar::moment(whole.as_deref().unwrap_or(text));
    seconds
        .and_then(|it| UNIX_EPOCH.checked_add(Duration::from_secs(it)))
        .ok_or_else(|| "the answer has no time of expiry that can be read".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(fresh: Fresh) -> (String, String, Option<String>, Option<u64>) {
        let Shown::Aws(keys) = fresh.shown else { panic!("no access key") };
        let seconds = fresh.expires.map(|it| it.duration_since(UNIX_EPOCH).unwrap().as_secs());
        let text = |it: &Secret| it.reveal().to_owned();
        (text(&keys.id), text(&keys.secret), keys.session.as_ref().map(text), seconds)
    }

    #[test]
    fn an_answer_of_sts_is_read() {
        let xml = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA1</AccessKeyId>\n<SecretAccessKey>a/b+c</SecretAccessKey><SessionToken>t==</SessionToken><Expiration>2026-12-01T10:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        let read = keys(assumed(&Bytes::from(xml)).unwrap());
        assert_eq!(read, ("ASIA1".into(), "a/b+c".into(), Some("t==".into()), Some(1_796_119_200)));
        assert!(assumed(&Bytes::from("<Error/>")).is_err());
    }

    #[test]
    fn an_answer_of_a_container_or_an_instance_is_read() {
        let json = r#"{"Code":"Success","Type":"AWS-HMAC","AccessKeyId":"A","SecretAccessKey":"S","Token":"T","Expiration":"2026-12-01T10:00:00.123Z"}"#;
        let read = keys(stated(&Bytes::from(json)).unwrap());
        assert_eq!(read, ("A".into(), "S".into(), Some("T".into()), Some(1_796_119_200)));
        assert!(stated(&Bytes::from(r#"{"Code":"Failed"}"#)).is_err());
        let odd = r#"{"AccessKeyId":"A","SecretAccessKey":"S","Expiration":"soon"}"#;
        assert!(stated(&Bytes::from(odd)).is_err());
    }
}
