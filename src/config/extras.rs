//! Completes what goes with every request to an upstream besides its key: headers and query parameters.

use std::collections::BTreeMap;
use std::str::FromStr;

use http::{HeaderName, HeaderValue};

use crate::names::Secret;
use crate::upstream::options::UpstreamOptions;
use crate::upstream::spec::Manners;
use crate::vendor::catalogue::CatalogueEntry;

use super::access::style;
use super::load::Draft;
use super::places;

/// Headers that frame a message or belong to one connection: a client of ours sets them itself.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];

/// The operator's headers, marked sensitive.
pub(super) fn headers(draft: &mut Draft, id: &str, own: &UpstreamOptions) -> Vec<(HeaderName, HeaderValue)> {
    let mut headers = Vec::new();
    for (name, value) in &own.headers {
        let option = ["headers", name.as_str()];
        let Ok(parsed) = HeaderName::from_str(name) else {
            draft.upstream_fault(id, &option, "this is no header name");
            continue;
        };
        if FRAMING.contains(&parsed.as_str()) {
            draft.upstream_fault(id, &option, &format!("`{parsed}` is set by the gateway itself"));
            continue;
        }
        match HeaderValue::from_str(value.reveal()) {
            Ok(value) if value.is_empty() => {}
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.push((parsed, value));
            }
            Err(_) => {
                let message = format!("the value of header `{parsed}` holds characters that no header may");
                draft.upstream_fault(id, &option, &message);
            }
        }
    }
    headers
}

/// What the catalogue says of requests to the vendor.
pub(super) fn manners(own: &UpstreamOptions, vendor: &CatalogueEntry) -> Manners {
    let header = |(name, value): (&String, &String)| Some((name.parse().ok()?, value.parse().ok()?));
    Manners {
        auth: style(own, vendor),
        headers: vendor.headers.iter().filter_map(header).collect(),
        path: vendor.path.clone(),
        stream_path: vendor.stream_path.clone(),
        body: vendor.body.clone().into_iter().collect(),
        probe_lists: vendor.probe_lists,
    }
}

/// `a=b&c=d`, with everything but unreserved characters (RFC 3986) escaped: the vendor's, and the operator's over it.
pub(super) fn query(
    draft: &mut Draft,
    id: &str,
    own: &UpstreamOptions,
    vendor: &CatalogueEntry,
) -> Option<Secret> {
    let escape = |text: &str| -> String {
        let escape_one = |byte: u8| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(escape_one).collect()
    };
    let mut all: BTreeMap<&str, Secret> = BTreeMap::new();
    for (name, value) in vendor.query.iter().filter(|(name, _)| !own.query.contains_key(*name)) {
        if let Some(value) = places::filled(draft, id, own, vendor, value) {
            all.insert(name, value.into());
        }
    }
    all.extend(own.query.iter().map(|(name, value)| (name.as_str(), value.clone())));
    all.retain(|_, value| !value.reveal().is_empty());
    let pairs: Vec<_> =
        all.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value.reveal()))).collect();
    (!pairs.is_empty()).then(|| pairs.join("&").into())
}
