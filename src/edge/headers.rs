//! Which headers pass, both ways. Lists of what may pass, not of what may not: a header nobody thought of stays here.

use std::net::IpAddr;
use std::time::SystemTime;

use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version};

use crate::edge::cors::permits;
use crate::edge::options::CorsOptions;
use crate::error::{Error, Kind, Origin};
use crate::vendor::when::retry_after;

/// The upstream that a call is for, or that answered it.
pub const X_TOLLGATE_UPSTREAM: HeaderName = HeaderName::from_static("x-tollgate-upstream");

/// Request headers that vendors know; all others are the client's own business, its key, cookies and forwarding
/// headers above all.
const TO_VENDOR: [HeaderName; 7] = [
    header::ACCEPT,
    header::ACCEPT_LANGUAGE,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::RANGE,
    header::USER_AGENT,
];

/// The same for names that the standard set does not know, and for families of names.
const TO_VENDOR_PREFIXES: [&str; 10] = [
    "openai-beta",
    "anthropic-beta",
    "anthropic-version",
    "idempotency-key",
    "http-referer",
    "x-title",
    "x-grok-conv-id",
    "x-dashscope-",
    "x-client-request-id",
    "x-idempotency-key",
];

/// Answer headers that mean something to a client.
const TO_CLIENT: [HeaderName; 10] = [
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_RANGE,
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
    header::RETRY_AFTER,
];

const TO_CLIENT_PREFIXES: [&str; 14] = [
    "x-request-id",
    "request-id",
    "x-ratelimit-",
    "x-ratelimitbysize-",
    "x-tokenlimit-",
    "ratelimit",
    "anthropic-ratelimit-",
    "openai-processing-ms",
    "openai-version",
    "openai-model",
    "retry-after-ms",
    "x-should-retry",
    "x-generation-id",
    "x-trace-id",
];

/// The part of a client's headers that may leave. What `Connection` names is hop-by-hop (RFC 9110, section 7.6.1) and
/// goes first, so that a client cannot use it to take away what the gateway adds.
pub fn to_vendor(headers: &HeaderMap) -> HeaderMap {
    let hops = named_by_connection(headers);
    passing(headers, &TO_VENDOR, &TO_VENDOR_PREFIXES, |name| {
        !hops.iter().any(|it| it.eq_ignore_ascii_case(name.as_str()))
    })
}

/// The part of a vendor's headers that clients may see.
pub fn to_client(headers: &HeaderMap) -> HeaderMap {
    passing(headers, &TO_CLIENT, &TO_CLIENT_PREFIXES, |_| true)
}

/// The part of a failed answer's headers that clients may see: limits, waits and ids, but nothing of its body, which
/// may not be the one the client gets. A wait in a form that nobody could read is none.
pub fn of_failure(headers: &HeaderMap) -> HeaderMap {
    let readable = retry_after(headers, SystemTime::now()).is_some();
    let also = |name: &HeaderName| readable || !name.as_str().starts_with("retry-after");
    passing(headers, &[header::RETRY_AFTER], &TO_CLIENT_PREFIXES, also)
}

/// Room made at once: what an SDK sends, and what a vendor answers of interest, with the gateway's own.
const HEADERS_USUAL: usize = 8;

fn passing(
    headers: &HeaderMap,
    names: &[HeaderName],
    prefixes: &[&str],
    also: impl Fn(&HeaderName) -> bool,
) -> HeaderMap {
    let mut passed = HeaderMap::with_capacity(HEADERS_USUAL);
    for (name, value) in headers {
        let known = names.contains(name) || prefixes.iter().any(|it| name.as_str().starts_with(it));
        if known && also(name) {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

fn named_by_connection(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(header::CONNECTION).iter().filter_map(|it| it.to_str().ok());
    values.flat_map(|it| it.split(',')).map(str::trim).filter(|it| !it.is_empty()).collect()
}

/// Refuses headers larger than `bytes_max`. hyper has a bound of its own, on its buffer, behind this one.
pub fn check_size(headers: &HeaderMap, bytes_max: usize) -> Result<(), Error> {
    let bytes: usize =
        headers.iter().map(|(name, value)| name.as_str().len() + value.len() + FRAMING_BYTES).sum();
    if bytes <= bytes_max {
        return Ok(());
    }
    let message =
        format!("The request headers are larger than {bytes_max} bytes (`limits.header_bytes_max`).");
    Err(Error::bad_request(message)
        .status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
        .code("request_headers_too_large"))
}

/// Colon, space and line end of a header line.
const FRAMING_BYTES: usize = 4;

/// Refuses a request whose host is missing, doubled or no host (RFC 9112, section 3.2), and protocols we do not speak.
pub fn check(version: Version, uri: &Uri, headers: &HeaderMap) -> Result<(), Error> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let first = hosts.next();
    if hosts.next().is_some() {
        return Err(Error::bad_request("The request has more than one Host header.").code("invalid_host"));
    }
    match first {
        None if version == Version::HTTP_11 => {
            return Err(Error::bad_request("The request has no Host header.").code("invalid_host"));
        }
        Some(host) if !is_host(host) => {
            return Err(Error::bad_request("The Host header is not a host.").code("invalid_host"));
        }
        _ => {}
    }
    if uri.authority().is_some_and(|it| it.as_str().contains('@')) {
        return Err(
            Error::bad_request("The request target must not hold user information.").code("invalid_host")
        );
    }
    let upgrade = headers.get(header::UPGRADE).map_or(&b""[..], HeaderValue::as_bytes);
    if upgrade.eq_ignore_ascii_case(b"websocket") {
        return Err(Error::bad_request("The gateway does not serve WebSockets; use the HTTP endpoints.")
            .status(StatusCode::NOT_IMPLEMENTED)
            .code("upgrade_not_supported"));
    }
    Ok(())
}

/// Refuses what a web page could send to a gateway that asks for no key, because only this machine reaches it: a name
/// that was made to point here (DNS rebinding), and a page of an origin that CORS does not permit.
pub fn check_local(uri: &Uri, headers: &HeaderMap, cors: Option<&CorsOptions>) -> Result<(), Error> {
    let host =
        headers.get(header::HOST).and_then(|it| it.to_str().ok()).or(uri.authority().map(|it| it.as_str()));
    let local = host.is_none_or(|it| it.is_empty() || is_loopback_name(it));
    let foreign = headers.get(header::ORIGIN).is_some_and(|it| !permits(cors, it));
    if local && !foreign {
        return Ok(());
    }
    let message = match local {
        true => "This page's origin may not call the gateway; list it in `cors.origins`.",
        false => {
            "A gateway without client keys answers to loopback names only; set `clients`, or `auth: off`."
        }
    };
    Err(Error::new(Kind::Unauthorized, Origin::Client, message)
        .status(StatusCode::FORBIDDEN)
        .code(if local { "origin_not_allowed" } else { "host_not_allowed" }))
}

fn is_loopback_name(authority: &str) -> bool {
    let Ok(authority) = authority.parse::<Authority>() else { return false };
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

fn is_host(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    // An HTTP/1.0 client may send an empty one.
    bytes.iter().all(|it| it.is_ascii_alphanumeric() || b"-._~:[]%".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        map
    }

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn nothing_of_the_clients_own_reaches_a_vendor() {
        let passed = to_vendor(&headers(&[
            ("authorization", "Bearer client"),
            ("api-key", "client"),
            ("x-api-key", "client"),
            ("cookie", "a=b"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-amzn-oidc-data", "jwt"),
            ("openai-organization", "org"),
            ("te", "trailers"),
            ("connection", "close, openai-beta"),
            ("openai-beta", "assistants=v2"),
            ("content-type", "application/json"),
            ("user-agent", "sdk"),
        ]));
        assert_eq!(names(&passed), ["content-type", "user-agent"]);
    }

    #[test]
    fn clients_see_limits_and_ids_and_not_the_vendors_own() {
        let passed = to_client(&headers(&[
            ("x-request-id", "r"),
            ("x-ratelimit-remaining-requests", "9"),
            ("retry-after", "2"),
            ("set-cookie", "a=b"),
            ("server", "cloud"),
            ("openai-organization", "org"),
            ("transfer-encoding", "chunked"),
            ("content-length", "7"),
            ("content-type", "application/json"),
        ]));
        assert_eq!(
            names(&passed),
            ["content-type", "retry-after", "x-ratelimit-remaining-requests", "x-request-id"]
        );
    }

    #[test]
    fn a_host_is_needed_once_and_whole() {
        let uri = Uri::from_static("/v1/models");
        for (pairs, fine) in [
            (&[("host", "gateway:8080")][..], true),
            (&[("host", "[::1]:80")], true),
            (&[], false),
            (&[("host", "a"), ("host", "b")], false),
            (&[("host", "a#b")], false),
            (&[("host", "a/../b")], false),
            (&[("host", "user@a")], false),
            (&[("host", "a"), ("upgrade", "websocket")], false),
        ] {
            assert_eq!(check(Version::HTTP_11, &uri, &headers(pairs)).is_ok(), fine, "{pairs:?}");
        }
        assert!(check(Version::HTTP_2, &uri, &headers(&[])).is_ok());
    }

    #[test]
    fn a_gateway_without_keys_answers_to_this_machine_only() {
        let cors = CorsOptions { origins: vec!["https://app.example".into()] };
        for (pairs, fine) in [
            (&[("host", "127.0.0.1:8080")][..], true),
            (&[("host", "[::1]:8080")], true),
            (&[("host", "localhost")], true),
            (&[("host", "evil.example")], false),
            (&[("host", "localhost.evil.example")], false),
            (&[("host", "localhost"), ("origin", "https://evil.example")], false),
            (&[("host", "localhost"), ("origin", "https://app.example")], true),
        ] {
            let checked = check_local(&Uri::from_static("/v1/models"), &headers(pairs), Some(&cors));
            assert_eq!(checked.is_ok(), fine, "{pairs:?}");
        }
    }
}
