//! How a record without its turns is written down: JSON that says its form, so that a later release reads it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::money::Money;
use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::record::Meta;

/// The form this release writes. It reads all up to it; a field that is added needs no new one, a field whose meaning
/// changes does.
const FORM: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    form: u32,
    kind: Cow<'a, str>,
    owner: Cow<'a, str>,
    id: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "is_empty")]
    metadata: Cow<'a, BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "str::is_empty")]
    system: Cow<'a, str>,
    ttl_ms: u64,
    created_at: u64,
    updated_at: u64,
    epoch: u64,
    version: u64,
    first: u64,
    turns: u64,
    bytes: u64,
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    /// In pico-dollars.
    #[serde(default)]
    cost: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upstream: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    object: Option<Cow<'a, str>>,
}

fn is_empty(metadata: &BTreeMap<String, String>) -> bool {
    metadata.is_empty()
}

/// What the file holds of `meta`.
pub fn encode(meta: &Meta) -> Vec<u8> {
    fn text(it: &Option<String>) -> Option<Cow<'_, str>> {
        it.as_deref().map(Cow::Borrowed)
    }
    let written = Written {
        form: FORM,
        kind: meta.key.kind.as_str().into(),
        owner: meta.key.owner.to_hex().into(),
        id: meta.key.id.as_str().into(),
        title: text(&meta.title),
        metadata: Cow::Borrowed(&meta.metadata),
        system: Cow::Borrowed(&meta.system),
        ttl_ms: meta.ttl_ms,
        created_at: meta.created_at,
        updated_at: meta.updated_at,
        epoch: meta.epoch,
        version: meta.version,
        first: meta.first,
        turns: meta.turns,
        bytes: meta.bytes,
        input_tokens: meta.input_tokens,
        output_tokens: meta.output_tokens,
        cost: meta.cost.picos(),
        upstream: text(&meta.upstream),
        model: text(&meta.model),
        object: meta.object.as_deref().map(Cow::Borrowed),
    };
    serde_json::to_vec(&written).expect("text and numbers always serialise into memory")
}

/// What [`encode`] wrote; None: something else, or the form of a later release.
pub fn decode(stored: &[u8]) -> Option<Meta> {
    let written: Written = serde_json::from_slice(stored).ok().filter(|it: &Written| it.form <= FORM)?;
    let key = SessionKey {
        kind: Kind::from_word(&written.kind)?,
        owner: Owner::from_hex(&written.owner)?,
        id: SessionId::parse(&written.id)?,
    };
    Some(Meta {
        key,
        title: written.title.map(Cow::into_owned),
        metadata: written.metadata.into_owned(),
        system: written.system.into(),
        ttl_ms: written.ttl_ms,
        created_at: written.created_at,
        updated_at: written.updated_at,
        epoch: written.epoch,
        version: written.version,
        first: written.first,
        turns: written.turns,
        bytes: written.bytes,
        input_tokens: written.input_tokens,
        output_tokens: written.output_tokens,
        cost: Money::from_picos(written.cost),
        upstream: written.upstream.map(Cow::into_owned),
        model: written.model.map(Cow::into_owned),
        object: written.object.map(Into::into),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Meta {
        let key = SessionKey::session(Owner::tenant("shop"), SessionId::parse("a").unwrap());
        Meta {
            title: Some("A \"title\"\n".into()),
            metadata: [("topic".to_owned(), "läuft".to_owned())].into(),
            system: r#"{"role":"system","content":"hm"}"#.into(),
            version: 3,
            first: 4,
            turns: 5,
            bytes: u64::MAX,
            input_tokens: 7,
            output_tokens: 8,
            cost: Money::from_picos(9),
            upstream: Some("a".into()),
            model: Some("m".into()),
            object: Some("{}".into()),
            epoch: 6,
            ..Meta::new(key, 1_000, 2)
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let plain = Meta::new(full().key, 0, 1);
        for meta in [full(), plain] {
            assert_eq!(decode(&encode(&meta)), Some(meta));
        }
    }

    #[test]
    fn fields_of_a_later_release_do_no_harm_and_its_forms_are_not_guessed_at() {
        let with = |more: &str| {
            let text = String::from_utf8(encode(&full())).unwrap();
            decode(text.replacen(r#"{"form":1"#, more, 1).as_bytes())
        };
        assert_eq!(with(r#"{"form":1,"new":[1]"#), Some(full()));
        assert_eq!(with(r#"{"form":2"#), None);
        assert_eq!(decode(b"{}"), None);
    }
}
