//! Reads when a vendor wants to be asked again, in the spellings vendors have for it: seconds, milliseconds, Go's `6m0s`,
//! HTTP dates, RFC 3339, seconds since 1970. Garbage, negative and past values are no wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, header};
use serde_json::Value;

/// A vendor's wait beyond this is not believed: one hostile hint must not bench a key for ever.
pub const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// A plain number beyond this is no span but a time, in seconds or, from a thousand times that on, milliseconds since 1970.
const EPOCH_SECONDS_MIN: f64 = 1e9;

/// What the headers say: `retry-after-ms`, Azure's `x-ms-retry-after-ms`, then `retry-after` in seconds or as an HTTP date
/// (RFC 9110, section 10.2.3).
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let ms = |name: &str| text(name)?.parse::<f64>().ok().and_then(|it| seconds(it / 1000.0));
    if let Some(wait) = ms("retry-after-ms").or_else(|| ms("x-ms-retry-after-ms")) {
        return Some(wait);
    }
    let wait = text(header::RETRY_AFTER.as_str())?;
    match wait.parse::<f64>() {
        Ok(value) => seconds(value),
        Err(_) => {
            let date = httpdate::parse_http_date(wait).ok()?;
            date.duration_since(now).ok().map(|it| it.min(WAIT_MAX))
        }
    }
}

/// Google's `google.rpc.RetryInfo` among the details of an error object.
pub fn retry_info(error: &Value) -> Option<Duration> {
    let details = error.get("details")?.as_array()?;
    let is_info = |it: &&Value| it["@type"].as_str().is_some_and(|it| it.ends_with("google.rpc.RetryInfo"));
    span(details.iter().find(is_info)?["retryDelay"].as_str()?)
}

/// How long from `now` until what `text` names: a span, or a time in one of its spellings.
pub fn wait_until(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Some(number) = text.parse::<f64>().ok().filter(|it| *it >= EPOCH_SECONDS_MIN) {
        let since = if number >= EPOCH_SECONDS_MIN * 1000.0 { number / 1000.0 } else { number };
        let now = now.duration_since(UNIX_EPOCH).ok()?;
        return seconds(since - now.as_secs_f64());
    }
    span(text).or_else(|| seconds(rfc_3339(text)? - now.duration_since(UNIX_EPOCH).ok()?.as_secs_f64()))
}

fn seconds(value: f64) -> Option<Duration> {
    let is_wait = value.is_finite() && value >= 0.0;
    is_wait.then(|| Duration::from_secs_f64(value.min(WAIT_MAX.as_secs_f64())))
}

/// `20ms`, `34.4s`, `6m0s`, `1h2m`, `1d`, or plain seconds.
fn span(text: &str) -> Option<Duration> {
    if let Ok(plain) = text.parse() {
        return seconds(plain);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let unit_at = rest.find(|it: char| !it.is_ascii_digit() && it != '.')?;
        let (number, behind) = rest.split_at(unit_at);
        let unit_end = behind.find(|it: char| !it.is_alphabetic()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        let factor = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum += number.parse::<f64>().ok()? * factor;
        rest = behind;
    }
    (!text.is_empty()).then(|| seconds(sum)).flatten()
}

/// Seconds since 1970 of `2026-11-23T11:14:02Z`, with a fraction and an offset as RFC 3339 allows them.
fn rfc_3339(text: &str) -> Option<f64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let zone_at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(zone_at);
    let mut date = date.splitn(3, '-').map(|it| it.parse::<u16>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.splitn(3, ':').map(|it| it.parse::<f64>().ok().filter(|it| (0.0..61.0).contains(it)));
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let offset = match zone {
        "Z" | "z" => 0.0,
        other => {
            let (hours, minutes) = other.get(1..)?.split_once(':')?;
            let minutes =
                hours.parse::<u8>().ok().map(f64::from)? * 60.0 + f64::from(minutes.parse::<u8>().ok()?);
            if other.starts_with('-') { -minutes * 60.0 } else { minutes * 60.0 }
        }
    };
    let days = days_since_1970(i64::from(year), i64::from(month), i64::from(day));
    Some(days as f64 * 86_400.0 + hour * 3_600.0 + minute * 60.0 + second - offset)
}

/// Days of the Gregorian calendar, counted in years that begin with March, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2001-09-09T01:46:40Z.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    #[test]
    fn retry_after_is_read_in_every_form_and_garbage_is_ignored() {
        for (name, value, expected) in [
            ("retry-after", "2", Some(2_000)),
            ("retry-after", "0.5", Some(500)),
            ("retry-after-ms", "250", Some(250)),
            ("x-ms-retry-after-ms", "750", Some(750)),
            ("retry-after", "Sun, 09 Sep 2001 01:46:50 GMT", Some(10_000)),
            ("retry-after", "Sun, 09 Sep 2001 01:46:30 GMT", None),
            ("retry-after", "-3", None),
            ("retry-after", "soon", None),
            ("retry-after", "NaN", None),
            ("retry-after", "", None),
            ("retry-after", "1e300", Some(86_400_000)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(retry_after(&headers, now()), expected.map(Duration::from_millis), "{value}");
        }
    }

    #[test]
    fn a_reset_is_a_span_or_a_time() {
        for (text, ms) in [
            ("1s", Some(1_000)),
            ("6m0s", Some(360_000)),
            ("20ms", Some(20)),
            ("1h2m3.5s", Some(3_723_500)),
            ("1d", Some(86_400_000)),
            ("59.3", Some(59_300)),
            ("0", Some(0)),
            ("2001-09-09T01:46:50Z", Some(10_000)),
            ("2001-09-09T01:46:50.250Z", Some(10_250)),
            ("2001-09-09T03:46:50+02:00", Some(10_000)),
            ("1000000007", Some(7_000)),
            ("1000000007500", Some(7_500)),
            ("2001-09-09T01:46:30Z", None),
            ("999999999999999999999999", Some(86_400_000)),
            ("-5", None),
            ("s", None),
            ("5x", None),
            ("5sm", None),
            ("2001-13-09T01:46:30Z", None),
            ("2001-09-09T01:46:30", None),
            ("2001-09-09T99:99:99Z", None),
            ("", None),
        ] {
            let wait = wait_until(text, now()).map(|it| it.as_secs_f64() * 1000.0);
            assert_eq!(wait.map(f64::round), ms.map(f64::from), "{text}");
        }
    }

    #[test]
    fn google_names_its_wait_in_the_error() {
        let check = |details: &str, ms: Option<u64>| {
            let error: Value = serde_json::from_str(&format!(r#"{{"details":{details}}}"#)).unwrap();
            assert_eq!(retry_info(&error), ms.map(Duration::from_millis), "{details}");
        };
        let info = |delay: &str| {
            format!(
                r#"[{{"@type":"type.googleapis.com/google.rpc.QuotaFailure"}},{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":{delay}}}]"#
            )
        };
        check(&info(r#""34.4s""#), Some(34_400));
        check(&info(r#""0s""#), Some(0));
        check(&info(r#""soon""#), None);
        check(&info("7"), None);
        check("[]", None);
        check("{}", None);
    }
}
