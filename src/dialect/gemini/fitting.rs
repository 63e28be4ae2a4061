//! A client's own request, of which a vendor that speaks Gemini too does not take everything: Vertex refuses ids of calls
//! and knows tiers by other words. Everything else stays as the client wrote it.

use std::collections::HashMap;
use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::{names, reading};
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::loss::Losses;
use crate::dialect::terms::Terms;

/// The parts that have ids.
const CALL: &str = "functionCall";
const RESULT: &str = "functionResponse";

static ID: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"id\""));
/// How the field of the tier begins in either spelling.
static TIER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"service"));

/// The request as the target takes it; None where that is as it is, or it is none, which is its vendor's to refuse.
pub fn fitted(body: &[u8], terms: &Terms, losses: &mut Losses) -> Option<Vec<u8>> {
    let drops_ids = !terms.call_ids && ID.find(body).is_some();
    let drops_tier = !terms.service_tiers && TIER.find(body).is_some();
    if !drops_ids && !drops_tier {
        return None;
    }
    let fields = Fields::of_bytes(body)?;
    let mut out = String::with_capacity(body.len());
    out.open(b'{');
    for (name, value) in fields.each() {
        if drops_ids && names::is(name, "contents") {
            out.member(name, &Anonymous::default().contents(value));
        } else if drops_tier && names::is(name, "serviceTier") {
            let is_lost = reading::tier(&fields).is_some_and(|it| it != "default");
            losses.add_if(is_lost, "service_tier");
        } else {
            out.member(name, value);
        }
    }
    out.close(b'}');
    Some(out.into_bytes())
}

/// Takes the ids out of a conversation. Then the order of results alone tells those of one name apart.
#[derive(Default)]
struct Anonymous {
    /// The places of calls by their ids; of calls of one id, the last one's.
    calls: HashMap<String, usize>,
    count: usize,
}

/// A part, and where it is a result the place of its call.
#[derive(Default)]
struct Written {
    json: String,
    call: Option<usize>,
}

impl Anonymous {
    /// A list of contents, or one by itself.
    fn contents(&mut self, json: &str) -> String {
        match elements(json) {
            Some(contents) => listed(contents.iter().map(|it| self.content(it.get()))),
            None => self.content(json),
        }
    }

    fn content(&mut self, json: &str) -> String {
        let content = Fields::read(json).unwrap_or_default();
        match content.each().filter(|(name, _)| names::is(name, "parts")).last() {
            Some((name, parts)) => content.with(name, Some(&self.parts(parts))),
            None => json.to_owned(),
        }
    }

    /// Results change places among themselves alone.
    fn parts(&mut self, json: &str) -> String {
        let Some(parts) = elements(json) else { return self.part(json).json };
        let mut parts: Vec<Written> = parts.iter().map(|it| self.part(it.get())).collect();
        let places: Vec<usize> = (0..parts.len()).filter(|at| parts[*at].call.is_some()).collect();
        let mut results: Vec<Written> = places.iter().map(|at| std::mem::take(&mut parts[*at])).collect();
        results.sort_by_key(|it| it.call);
        for (at, result) in places.into_iter().zip(results) {
            parts[at] = result;
        }
        listed(parts.into_iter().map(|it| it.json))
    }

    fn part(&mut self, json: &str) -> Written {
        let part = Fields::read(json).unwrap_or_default();
        let of_tools = |name: &str| names::known(name, &[CALL, RESULT]);
        let found =
            part.each().filter_map(|(name, value)| Some((name, of_tools(name)?, Fields::read(value)?)));
        let Some((name, kind, inner)) = found.last() else {
            return Written { json: json.to_owned(), call: None };
        };
        let id = names::text(&inner, "id").unwrap_or_default();
        let json = part.with(name, Some(&inner.with("id", None)));
        if kind == RESULT {
            return Written { json, call: Some(self.calls.get(id.as_ref()).copied().unwrap_or(usize::MAX)) };
        }
        self.calls.insert(id.into_owned(), self.count);
        self.count += 1;
        Written { json, call: None }
    }
}

fn listed(values: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    out.open(b'[');
    values.for_each(|it| _ = out.raw(&it));
    out.close(b']');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vertex_gets_neither_ids_nor_tiers() {
        let check = |body: &str, expected: Option<&str>, lost: &[&str]| {
            let terms = Terms { call_ids: false, service_tiers: false, ..Terms::default() };
            let mut losses = Losses::default();
            let told = fitted(body.as_bytes(), &terms, &mut losses).map(|it| String::from_utf8(it).unwrap());
            assert_eq!(
                (told.as_deref(), losses.names()),
                (expected, lost.iter().map(|it| (*it).into()).collect::<Vec<_>>().as_slice()),
                "{body}"
            );
            assert_eq!(fitted(body.as_bytes(), &Terms::default(), &mut losses), None, "{body}");
        };
        check(r#"{ "contents":[{"parts":[{"text":"x"}]}]}"#, None, &[]);
        check(r#"["id"]"#, None, &[]);
        check(r#"{"contents":{"parts":{"text":"\"id\""}} ,"n":1.50}"#, None, &[]);
        check(
            r#"{ "contents":[{"role":"model","parts":[{"functionCall":{"id":"a","name":"f","args":{"id": 1.0}},"thoughtSignature":"s"}, {"functionCall":{"name":"f","id":"b"}}]},{"parts":[{"text":"t"},{"functionResponse":{"id":"b","name":"f","response":{"n":2}}},{"text":"u"},{"function_response":{"id":"a","name":"f","response":{"id":"1"}}}]}],"x":1.50}"#,
            Some(
                r#"{"contents":[{"role":"model","parts":[{"functionCall":{"name":"f","args":{"id": 1.0}},"thoughtSignature":"s"},{"functionCall":{"name":"f"}}]},{"parts":[{"text":"t"},{"function_response":{"name":"f","response":{"id":"1"}}},{"text":"u"},{"functionResponse":{"name":"f","response":{"n":2}}}]}],"x":1.50}"#,
            ),
            &[],
        );
        let one = r#"{"contents":{"parts":{"functionResponse":{"id":"b","name":"f"}}}}"#;
        check(one, Some(r#"{"contents":{"parts":{"functionResponse":{"name":"f"}}}}"#), &[]);
        // Answers to calls that are not there stay where they are.
        let strange = r#"{"contents":[7,{"parts":[8,{"functionResponse":{"id":"b"}},{"functionResponse":{"id":"a"}}]}]}"#;
        check(
            strange,
            Some(r#"{"contents":[7,{"parts":[8,{"functionResponse":{}},{"functionResponse":{}}]}]}"#),
            &[],
        );
        check(r#"{"contents":[],"serviceTier":"flex"}"#, Some(r#"{"contents":[]}"#), &["service_tier"]);
        check(r#"{"service_tier":"STANDARD","a":1}"#, Some(r#"{"a":1}"#), &[]);
    }
}
