//! Tells a client what its vendor says of rate limits in the client's own dialect: OpenAI's `x-ratelimit-…` with spans, or
//! Anthropic's `anthropic-ratelimit-…` with times (RFC 3339). Google's clients know no such headers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::dialect::Dialect;
use crate::vendor::when::wait_until;

const OPENAI: &str = "x-ratelimit-";
const ANTHROPIC: &str = "anthropic-ratelimit-";

/// The limits that both have, and the fields of each.
const LIMITS: [&str; 2] = ["requests", "tokens"];
const FIELDS: [&str; 3] = ["limit", "remaining", "reset"];

/// Puts the limits among `headers` into the words of a client of `dialect`. Those that are in them already stay.
pub fn retell(dialect: Dialect, headers: &mut HeaderMap, now: SystemTime) {
    let (own, foreign) = match dialect {
        Dialect::Anthropic => (ANTHROPIC, OPENAI),
        Dialect::Gemini => return drop_all(headers, &[OPENAI, ANTHROPIC]),
        _ => (OPENAI, ANTHROPIC),
    };
    if !headers.keys().any(|it| it.as_str().starts_with(foreign)) {
        return;
    }
    for limit in LIMITS {
        for field in FIELDS {
            let Some(value) = headers.get(name(foreign, limit, field)) else { continue };
            let value = match field {
                "reset" => reset(dialect, value, now),
                _ => Some(value.clone()),
            };
            let told = name(own, limit, field).parse::<HeaderName>().ok().zip(value);
            if let Some((name, value)) = told {
                headers.entry(name).or_insert(value);
            }
        }
    }
    drop_all(headers, &[foreign]);
}

fn name(family: &str, limit: &str, field: &str) -> String {
    match family {
        ANTHROPIC => format!("{family}{limit}-{field}"),
        _ => format!("{family}{field}-{limit}"),
    }
}

fn reset(dialect: Dialect, value: &HeaderValue, now: SystemTime) -> Option<HeaderValue> {
    let wait = wait_until(value.to_str().ok()?, now)?;
    let text = match dialect {
        Dialect::Anthropic => rfc_3339(now + wait),
        // `6m0s` and `1.5s` are both understood; plain seconds are the simplest of Go's spans.
        _ => format!("{}s", wait.as_millis() as f64 / 1_000.0),
    };
    HeaderValue::try_from(text).ok()
}

fn drop_all(headers: &mut HeaderMap, families: &[&str]) {
    let is_one = |it: &&HeaderName| families.iter().any(|family| it.as_str().starts_with(family));
    let names: Vec<HeaderName> = headers.keys().filter(is_one).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// `2026-11-23T11:14:02Z`, rounded up: coming back early is refused again.
fn rfc_3339(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let seconds = since.as_millis().div_ceil(1_000) as u64;
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    // Years that begin with March, in eras of 400 years, so that leap days come last.
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march / 146_097, from_march % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2001-09-09T01:46:40Z.
    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    fn check(dialect: Dialect, lines: &[(&'static str, &str)], expected: &[(&str, &str)]) {
        let named = |it: &(&'static str, &str)| (HeaderName::from_static(it.0), it.1.parse().unwrap());
        let mut headers: HeaderMap = lines.iter().map(named).collect();
        retell(dialect, &mut headers, now());
        let mut told: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        told.sort_unstable();
        assert_eq!(told, expected, "{lines:?}");
    }

    #[test]
    fn limits_are_told_in_the_clients_words() {
        let openai = [
            ("retry-after", "7"),
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-reset-requests", "1m30s"),
        ];
        let anthropic = [
            ("anthropic-ratelimit-requests-limit", "100"),
            ("anthropic-ratelimit-requests-reset", "2001-09-09T01:48:10Z"),
            ("anthropic-ratelimit-tokens-remaining", "9"),
            ("retry-after", "7"),
        ];
        check(Dialect::Anthropic, &openai, &anthropic);
        check(Dialect::Chat, &openai, &openai);
        check(Dialect::Anthropic, &anthropic, &anthropic);
        check(Dialect::Gemini, &openai, &[("retry-after", "7")]);
        let back = [
            ("retry-after", "7"),
            ("x-ratelimit-limit-requests", "100"),
            ("x-ratelimit-remaining-tokens", "9"),
            ("x-ratelimit-reset-requests", "90s"),
        ];
        check(Dialect::Responses, &anthropic, &back);
        check(Dialect::Chat, &[("anthropic-ratelimit-requests-reset", "?")], &[]);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        let check =
            |seconds: u64, text: &str| assert_eq!(rfc_3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        check(0, "1970-01-01T00:00:00Z");
        check(951_782_400, "2000-02-29T00:00:00Z");
        check(1_795_478_399, "2026-11-23T23:59:59Z");
        check(4_107_542_400, "2100-03-01T00:00:00Z");
    }
}
