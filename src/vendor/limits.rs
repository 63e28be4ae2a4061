//! Reads what an answer's headers say of the rate limits of the key that asked, so that a key near its limit is used less
//! before it answers 429. One pass over the headers, without allocation. What cannot be read says nothing.

pub mod told;

use std::time::{Duration, SystemTime};

use http::HeaderMap;

use crate::vendor::when::wait_until;

/// Limits told apart in one answer; further ones are not looked at. The most seen at a vendor are eight, Anthropic's.
const BUCKETS_MAX: usize = 12;

/// How a vendor's headers begin. What follows is the limit's own name and one of `limit`, `remaining` and `reset`, in
/// whatever order: OpenAI, Groq, Azure, Ark, Fireworks and Cerebras share the first spelling.
const FAMILIES: [&str; 5] = [
    "x-ratelimit-",
    "anthropic-ratelimit-",
    "x-ratelimitbysize-",
    // Mistral's reset lacks the `x-` of its limit and remainder.
    "ratelimitbysize-",
    "x-tokenlimit-",
];

/// What is left of a key's tightest limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Headroom {
    /// 0 to 1.
    pub remaining_share: f32,
    /// When the limit is full again, where the vendor says so.
    pub reset: Option<Duration>,
}

impl Headroom {
    /// The tightest of all limits that the headers state; `None` where they state none.
    pub fn read(headers: &HeaderMap, now: SystemTime) -> Option<Self> {
        let buckets = Buckets::read(headers, now);
        let stated = buckets.all.iter().filter_map(Bucket::headroom);
        stated.min_by(|a, b| a.remaining_share.total_cmp(&b.remaining_share).then(b.reset.cmp(&a.reset)))
    }
}

/// When the limits that are used up will have something left again: for a 429 that names no wait.
pub fn wait_for_exhausted(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let buckets = Buckets::read(headers, now);
    buckets.all.iter().filter(|it| it.remaining == Some(0.0)).filter_map(|it| it.reset).max()
}

/// One limit: requests a day, tokens a minute …
#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Of the header's name without its field; 0 is a free place.
    name: u64,
    limit: Option<f64>,
    remaining: Option<f64>,
    reset: Option<Duration>,
}

impl Bucket {
    fn headroom(&self) -> Option<Headroom> {
        let share = match (self.remaining?, self.limit) {
            // Proxies that know no limit say 0 of 0.
            (_, Some(limit)) if limit <= 0.0 => return None,
            (remaining, Some(limit)) => remaining / limit,
            (0.0, None) => 0.0,
            // Azure names no limit, and a remainder without one is near or far from its end.
            (_, None) => return None,
        };
        Some(Headroom { remaining_share: share.min(1.0) as f32, reset: self.reset })
    }
}

enum Field {
    Limit,
    Remaining,
    Reset,
}

#[derive(Default)]
struct Buckets {
    all: [Bucket; BUCKETS_MAX],
}

impl Buckets {
    fn read(headers: &HeaderMap, now: SystemTime) -> Self {
        let mut buckets = Self::default();
        for (name, value) in headers {
            let Some((bucket, field)) = parse_name(name.as_str()) else { continue };
            let Ok(text) = value.to_str() else { continue };
            buckets.note(bucket, &field, text, now);
        }
        buckets
    }

    fn note(&mut self, name: u64, field: &Field, text: &str, now: SystemTime) {
        let count = || text.trim().parse::<f64>().ok().filter(|it| it.is_finite() && *it >= 0.0);
        let Some(bucket) = self.all.iter_mut().find(|it| it.name == name || it.name == 0) else { return };
        bucket.name = name;
        match field {
            Field::Limit => bucket.limit = count(),
            Field::Remaining => bucket.remaining = count(),
            Field::Reset => bucket.reset = wait_until(text, now),
        }
    }
}

/// Which limit a header speaks of, and what it says of it.
fn parse_name(header: &str) -> Option<(u64, Field)> {
    let (family, rest) =
        FAMILIES.iter().enumerate().find_map(|(at, prefix)| Some((at, header.strip_prefix(prefix)?)))?;
    let words = || rest.split('-');
    let field = words().find_map(|it| match it {
        "limit" => Some(Field::Limit),
        "remaining" => Some(Field::Remaining),
        "reset" => Some(Field::Reset),
        _ => None,
    })?;
    let by_size = matches!(family, 2 | 3);
    let own = words().filter(|it| !matches!(*it, "limit" | "remaining" | "reset"));
    // One reset for the only limit by size there is, that of the minute.
    let own = own.filter(|it| !(by_size && *it == "minute"));
    let family = if by_size { 2 } else { family };
    Some((fingerprint(family, own), field))
}

/// FNV-1a. Two limits whose names collide would be taken for one: a wrong guess at worst, never a fault.
fn fingerprint<'a>(family: usize, words: impl Iterator<Item = &'a str>) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ family as u64;
    for byte in words.flat_map(|it| it.bytes().chain([b'-'])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash.max(1)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    /// 2001-09-09T01:46:40Z.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000)
    }

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn check(lines: &[(&'static str, &str)], expected: Option<(f32, Option<u64>)>) {
        let read = Headroom::read(&headers(lines), now());
        let read = read.map(|it| (it.remaining_share, it.reset.map(|it| it.as_millis() as u64)));
        assert_eq!(read, expected, "{lines:?}");
    }

    #[test]
    fn openai_groq_and_azure_are_read() {
        check(
            &[
                ("x-ratelimit-limit-requests", "100"),
                ("x-ratelimit-remaining-requests", "75"),
                ("x-ratelimit-reset-requests", "1s"),
                ("x-ratelimit-limit-tokens", "40000"),
                ("x-ratelimit-remaining-tokens", "10000"),
                ("x-ratelimit-reset-tokens", "6m0s"),
            ],
            Some((0.25, Some(360_000))),
        );
        check(&[("x-ratelimit-remaining-requests", "3"), ("x-ratelimit-remaining-tokens", "900")], None);
        check(
            &[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20ms")],
            Some((0.0, Some(20))),
        );
        check(&[("x-ratelimit-remaining-tokens", "0")], Some((0.0, None)));
    }

    #[test]
    fn anthropics_fields_stand_behind_the_limits_name() {
        check(
            &[
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-input-tokens-limit", "8000"),
                ("anthropic-ratelimit-input-tokens-remaining", "1000"),
                ("anthropic-ratelimit-input-tokens-reset", "2001-09-09T01:46:50Z"),
                ("anthropic-ratelimit-output-tokens-limit", "8000"),
                ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            ],
            Some((0.125, Some(10_000))),
        );
    }

    #[test]
    fn the_others_are_read() {
        check(
            &[
                ("x-ratelimitbysize-limit-minute", "500000"),
                ("x-ratelimitbysize-remaining-minute", "0"),
                ("ratelimitbysize-reset", "41"),
            ],
            Some((0.0, Some(41_000))),
        );
        check(
            &[
                ("x-ratelimit-limit-tokens-prompt", "100"),
                ("x-ratelimit-remaining-tokens-prompt", "90"),
                ("x-ratelimit-limit-tokens-generated", "100"),
                ("x-ratelimit-remaining-tokens-generated", "50"),
                ("x-ratelimit-over-limit", "no"),
            ],
            Some((0.5, None)),
        );
        check(
            &[
                ("x-ratelimit-limit", "10"),
                ("x-ratelimit-remaining", "10"),
                ("x-tokenlimit-limit", "1000"),
                ("x-tokenlimit-remaining", "500"),
            ],
            Some((0.5, None)),
        );
        check(
            &[
                ("x-ratelimit-limit-tokens-minute", "100"),
                ("x-ratelimit-remaining-tokens-minute", "100"),
                ("x-ratelimit-limit-requests-day", "4"),
                ("x-ratelimit-remaining-requests-day", "1"),
                ("x-ratelimit-reset-requests-day", "33011.38"),
            ],
            Some((0.25, Some(33_011_380))),
        );
    }

    #[test]
    fn garbage_says_nothing() {
        check(&[], None);
        check(&[("x-ratelimit-remaining-requests", "many"), ("x-ratelimit-limit-requests", "10")], None);
        check(&[("x-ratelimit-remaining-requests", "-1"), ("x-ratelimit-limit-requests", "10")], None);
        check(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-limit-requests", "0")], None);
        check(&[("x-ratelimit-remaining-requests", "NaN"), ("x-ratelimit-limit-requests", "10")], None);
        check(
            &[
                ("x-ratelimit-remaining-requests", "50"),
                ("x-ratelimit-limit-requests", "10"),
                ("x-ratelimit-reset-requests", "?"),
            ],
            Some((1.0, None)),
        );
    }

    #[test]
    fn only_a_limit_that_is_used_up_names_the_wait_of_a_429() {
        let lines = [
            ("x-ratelimit-remaining-requests", "7"),
            ("x-ratelimit-reset-requests", "1h"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "7.5s"),
        ];
        assert_eq!(wait_for_exhausted(&headers(&lines), now()), Some(Duration::from_millis(7_500)));
        assert_eq!(wait_for_exhausted(&headers(&lines[..2]), now()), None);
    }

    proptest! {
        #[test]
        fn no_header_is_too_strange(
            lines in proptest::collection::vec(("(x-ratelimit|anthropic-ratelimit|x-tokenlimit|ratelimitbysize)(-(limit|remaining|reset|tokens|é|[a-z]{0,3})){0,4}", "[ -~]{0,24}"), 0..40)
        ) {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(&value)) {
                    headers.append(name, value);
                }
            }
            if let Some(read) = Headroom::read(&headers, now()) {
                prop_assert!((0.0..=1.0).contains(&read.remaining_share));
            }
            wait_for_exhausted(&headers, now());
        }
    }
}
