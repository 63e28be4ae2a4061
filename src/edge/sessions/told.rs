//! What a client is told of a session.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::api::money::Money;
use crate::edge::sessions::reply::raw;
use crate::session::clock::now_ms;
use crate::session::items::objects;
use crate::session::record::Meta;

#[derive(Serialize)]
pub struct Told<'a> {
    id: &'a str,
    object: &'static str,
    title: Option<&'a str>,
    metadata: &'a BTreeMap<String, String>,
    model: Option<&'a str>,
    upstream: Option<&'a str>,
    turns: u64,
    first_turn: u64,
    usage: Usage,
    /// None: tokens were used at a price that nobody knew.
    cost_usd: Option<String>,
    created_at: u64,
    updated_at: u64,
    ttl_s: u64,
    expires_in: Option<u64>,
    /// Only where one session is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<Vec<Box<RawValue>>>,
}

#[derive(Serialize)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    total_tokens: u64,
}

impl<'a> Told<'a> {
    /// As a list shows it.
    pub fn of(meta: &'a Meta) -> Self {
        let tokens = meta.input_tokens.saturating_add(meta.output_tokens);
        let ends_at = meta.updated_at.saturating_add(meta.ttl_ms);
        Self {
            id: meta.key.id.as_str(),
            object: "session",
            title: meta.title.as_deref(),
            metadata: &meta.metadata,
            model: meta.model.as_deref(),
            upstream: meta.upstream.as_deref(),
            turns: meta.turns,
            first_turn: meta.first,
            usage: Usage {
                input_tokens: meta.input_tokens,
                output_tokens: meta.output_tokens,
                total_tokens: tokens,
            },
            cost_usd: (meta.cost > Money::ZERO || tokens == 0).then(|| meta.cost.to_string()),
            created_at: meta.created_at / 1_000,
            updated_at: meta.updated_at / 1_000,
            ttl_s: meta.ttl_ms / 1_000,
            expires_in: (meta.ttl_ms > 0).then(|| ends_at.saturating_sub(now_ms()) / 1_000),
            system: None,
        }
    }

    /// As it is shown alone.
    pub fn whole(meta: &'a Meta) -> Self {
        Self { system: Some(objects(meta.system.as_bytes())), ..Self::of(meta) }
    }

    pub fn entry(&self) -> (String, Box<RawValue>) {
        (self.id.to_owned(), raw(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::key::{Owner, SessionId, SessionKey};

    #[test]
    fn what_was_used_at_no_known_price_is_not_said_to_be_free() {
        let key = SessionKey::session(Owner::tenant("a"), SessionId::parse("s").unwrap());
        let check = |input_tokens: u64, picos: u64, cost_usd: Option<&str>| {
            let cost = Money::from_picos(picos);
            let meta = Meta { input_tokens, cost, ..Meta::new(key.clone(), 0, 1) };
            assert_eq!(Told::of(&meta).cost_usd.as_deref(), cost_usd);
        };
        check(0, 0, Some("0"));
        check(5, 0, None);
        check(5, 1_000_000_000_000, Some("1"));
    }
}
