//! How a turn that waits is written down: one line of JSON, a line feed, and the turn as every store writes it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::record::{Append, Window};
use crate::session::turn::Turn;

/// All of an [`Append`] and its key, but the turn.
#[derive(Serialize, Deserialize)]
struct Head {
    kind: String,
    owner: String,
    id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    system: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    ttl_ms: u64,
    turns_max: u64,
    bytes_max: u64,
    compress_bytes_min: usize,
}

/// What waits on disk.
pub fn encode(key: &SessionKey, append: &Append) -> Vec<u8> {
    let head = Head {
        kind: key.kind.as_str().to_owned(),
        owner: key.owner.to_hex(),
        id: key.id.as_str().to_owned(),
        epoch: append.epoch,
        system: append.system.as_deref().map(str::to_owned),
        title: append.title.clone(),
        ttl_ms: append.ttl_ms,
        turns_max: append.bounds.turns_max,
        bytes_max: append.bounds.bytes_max,
        compress_bytes_min: append.compress_bytes_min,
    };
    let mut bytes = serde_json::to_vec(&head).expect("text and numbers always serialise into memory");
    bytes.push(b'\n');
    bytes.extend_from_slice(&append.turn.encode(append.compress_bytes_min));
    bytes
}

/// What [`encode`] wrote; None: something else.
pub fn decode(stored: &Bytes) -> Option<(SessionKey, Append)> {
    let line = memchr::memchr(b'\n', stored)?;
    let head: Head = serde_json::from_slice(&stored[..line]).ok()?;
    let key = SessionKey {
        kind: Kind::from_word(&head.kind)?,
        owner: Owner::from_hex(&head.owner)?,
        id: SessionId::parse(&head.id)?,
    };
    let append = Append {
        turn: Turn::decode(&stored.slice(line + 1..))?,
        epoch: head.epoch,
        system: head.system.map(Into::into),
        title: head.title,
        ttl_ms: head.ttl_ms,
        bounds: Window { turns_max: head.turns_max, bytes_max: head.bytes_max },
        compress_bytes_min: head.compress_bytes_min,
    };
    Some((key, append))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_waits_is_read_as_it_was_written() {
        let check = |epoch: Option<u64>, system: Option<&str>, title: Option<&str>, messages: String| {
            let key = SessionKey::session(Owner::tenant("shop"), SessionId::parse("chat-1").unwrap());
            let append = Append {
                turn: Turn { id: "req_1".into(), at: 9, messages: messages.into(), ..Turn::default() },
                epoch,
                system: system.map(Into::into),
                title: title.map(str::to_owned),
                ttl_ms: 5,
                bounds: Window { turns_max: 3, bytes_max: u64::MAX },
                compress_bytes_min: 1_000,
            };
            let stored = Bytes::from(encode(&key, &append));
            assert_eq!(decode(&stored), Some((key, append)));
        };
        check(None, None, None, String::new());
        check(
            Some(u64::MAX),
            Some("{\"role\":\"system\",\n\"content\":\"x\"}"),
            Some("a\nb"),
            "{},\n{}".into(),
        );
        check(Some(0), Some(""), None, "abc".repeat(1_000));
    }

    #[test]
    fn what_is_no_turn_is_none() {
        let head = r#"{"kind":"session","owner":"zz","id":"a","ttl_ms":0,"turns_max":1,"bytes_max":1,"compress_bytes_min":0}"#;
        for stored in ["", "\n", "{}\n{}\n", &format!("{head}\n{{}}\n")] {
            assert_eq!(decode(&Bytes::copy_from_slice(stored.as_bytes())), None, "{stored}");
        }
    }
}
