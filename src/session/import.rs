//! Takes over the chats of the earlier chat service, once: its messages become turns of sessions of the same names, each
//! user's apart. A session that is there already stays as it is, so the import can be repeated.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer};
use serde_json::json;
use serde_json::value::RawValue;

use crate::names::Secret;
use crate::session::heard::tokens;
use crate::session::key::{Owner, SessionId, SessionKey};
use crate::session::record::Meta;
use crate::session::redis::earlier::{Earlier, Found};
use crate::session::redis::options::RedisOptions;
use crate::session::store::{Store, StoreFault};
use crate::session::turn::{Turn, TurnState};

/// Characters of a title, which is the beginning of the first message.
const TITLE_CHARACTERS_MAX: usize = 80;

/// What became of the chats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    pub sessions: u64,
    pub turns: u64,
    pub messages: u64,
    /// Sessions that were there already. Redis may tell one twice, which is there the second time.
    pub there: u64,
    /// Messages that are none.
    pub unreadable: u64,
    /// Sessions that could not be taken, and why.
    pub refused: Vec<String>,
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for refused in &self.refused {
            writeln!(f, "refused: {refused}")?;
        }
        let Self { sessions, turns, messages, there, unreadable, refused } = self;
        write!(
            f,
            "imported {sessions} sessions ({turns} turns of {messages} messages), there already {there}, refused {}, \
             unreadable messages {unreadable}",
            refused.len()
        )
    }
}

/// How sessions are made.
pub struct Making {
    /// Whose they become: each user's are that user's of this owner ([`Owner::user`]).
    pub owner: Owner,
    /// From now on; 0: never.
    pub ttl_ms: u64,
    pub compress_bytes_min: usize,
}

/// The Redis of the earlier service.
pub fn source(url: &Secret, options: &RedisOptions) -> Result<Earlier, String> {
    Earlier::new(url, options).map_err(|it| it.message)
}

/// `done` is what became of the sessions so far, also where a store fails.
pub async fn import(
    from: &Earlier,
    to: &Store,
    making: &Making,
    done: &mut Imported,
) -> Result<(), StoreFault> {
    let mut cursor: Option<String> = None;
    loop {
        let (found, next) = from.scan(cursor.as_deref()).await?;
        for found in found {
            take(from, to, making, &found, done).await?;
        }
        match next {
            Some(next) => cursor = Some(next),
            None => return Ok(()),
        }
    }
}

async fn take(
    from: &Earlier,
    to: &Store,
    making: &Making,
    found: &Found,
    done: &mut Imported,
) -> Result<(), StoreFault> {
    let named = SessionId::parse(&found.session).filter(|_| !found.user.is_empty());
    let Some(id) = named else {
        let name: String = found.session.chars().take(128).collect();
        done.refused
            .push(format!("session {name:?}: its id is not 1 to 128 letters, digits, `-`, `_`, `.` or `:`"));
        return Ok(());
    };
    let stored = from.messages(found).await?;
    let mut read: Vec<Message> = stored.iter().filter_map(|it| Message::read(it)).collect();
    settle_times(
        &mut read,
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| it.as_millis() as u64),
    );
    done.unreadable += (stored.len() - read.len()) as u64;
    let turns = turns(&read);
    let (Some(first), Some(last)) = (read.first(), read.last()) else { return Ok(()) };
    let key = SessionKey::session(making.owner.user(&found.user), id);
    let mut meta = Meta::new(key, making.ttl_ms, first.at);
    meta.updated_at = last.at;
    meta.title = title(&read);
    match to.create(&meta, &turns, making.compress_bytes_min).await? {
        true => {
            done.sessions += 1;
            done.turns += turns.len() as u64;
            done.messages += read.len() as u64;
        }
        false => done.there += 1,
    }
    Ok(())
}

/// One message as the service wrote it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
struct Message {
    role: String,
    content: String,
    /// Unix time, in milliseconds; 0: not known.
    #[serde(default, rename = "timestamp", deserialize_with = "milliseconds")]
    at: u64,
    #[serde(default)]
    image_data: Option<String>,
    #[serde(default)]
    image_type: Option<String>,
}

impl Message {
    /// None where it is not one, or says nothing.
    fn read(stored: &[u8]) -> Option<Self> {
        let message: Self = serde_json::from_slice(stored).ok()?;
        let is_said = ["user", "assistant"].contains(&message.role.as_str());
        (is_said && (!message.content.is_empty() || message.has_image())).then_some(message)
    }

    fn has_image(&self) -> bool {
        self.role == "user" && self.image_data.as_ref().is_some_and(|it| !it.is_empty())
    }

    /// As OpenAI writes it.
    fn to_json(&self) -> String {
        let Some(data) = self.image_data.as_ref().filter(|_| self.has_image()) else {
            return json!({ "role": self.role, "content": self.content }).to_string();
        };
        // It may be a format alone, or be missing.
        let kind = self.image_type.as_deref().filter(|it| !it.is_empty()).unwrap_or("jpeg");
        let kind = kind.strip_prefix("image/").unwrap_or(kind);
        let url = match data.starts_with("data:") {
            true => data.clone(),
            false => format!("data:image/{kind};base64,{data}"),
        };
        let text = (!self.content.is_empty()).then(|| json!({ "type": "text", "text": self.content }));
        let image = json!({ "type": "image_url", "image_url": { "url": url } });
        let parts: Vec<_> = text.into_iter().chain([image]).collect();
        json!({ "role": self.role, "content": parts }).to_string()
    }
}

/// Seconds, perhaps in quotes; 0 where they are no time.
fn milliseconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let said = Box::<RawValue>::deserialize(deserializer)?;
    let seconds: Option<f64> = said.get().trim_matches('"').parse().ok();
    Ok(seconds.map_or(0, |it| (it * 1_000.0) as u64))
}

/// Gives those without a time that of the message before, or else of the next one. Nothing was said after `now`.
fn settle_times(messages: &mut [Message], now: u64) {
    let mut known = messages.iter().map(|it| it.at).find(|it| *it > 0).unwrap_or(now);
    for message in messages {
        if message.at > 0 {
            known = message.at;
        }
        message.at = known.min(now);
    }
}

/// A turn begins where a user speaks after an assistant. One nobody answered is incomplete. Of the times of its messages it
/// keeps those of the first question and of the last message.
fn turns(messages: &[Message]) -> Vec<Turn> {
    let begins = |before: &Message, next: &Message| before.role == "assistant" && next.role == "user";
    let of_one = messages.chunk_by(|before, next| !begins(before, next));
    of_one.enumerate().map(|(number, said)| turn(number, said)).collect()
}

fn turn(number: usize, said: &[Message]) -> Turn {
    let messages = said.iter().map(Message::to_json).collect::<Vec<_>>().join(",");
    let last = said.last();
    let is_answered = last.is_some_and(|it| it.role == "assistant");
    Turn {
        id: format!("import_{number}"),
        at: last.map_or(0, |it| it.at),
        asked_at: said.iter().find(|it| it.role == "user").map(|it| it.at),
        state: if is_answered { TurnState::Complete } else { TurnState::Incomplete },
        tokens: tokens(messages.as_bytes()),
        images: said.iter().any(Message::has_image),
        messages: messages.into(),
        ..Turn::default()
    }
}

fn title(messages: &[Message]) -> Option<String> {
    let first = messages.iter().find(|it| it.role == "user" && !it.content.is_empty())?;
    Some(first.content.chars().take(TITLE_CHARACTERS_MAX).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(stored: &[&str]) -> Vec<Message> {
        stored.iter().filter_map(|it| Message::read(it.as_bytes())).collect()
    }

    #[test]
    fn messages_become_turns() {
        let read = read(&[
            r#"{"role":"assistant","content":"Welcome!","timestamp":1.5,"image_data":null,"image_type":null}"#,
            r#"{"role":"user","content":"one","timestamp":2}"#,
            r#"{"role":"user","content":"what?","timestamp":3,"image_data":"R0lG","image_type":"image/gif"}"#,
            r#"{"role":"assistant","content":"","timestamp":3}"#,
            r#"{"role":"assistant","content":"a cat","timestamp":4}"#,
            r#"{"role":"user","content":"and?","timestamp":5.25}"#,
            r#"{"role":"system","content":"x"}"#,
            "nothing",
        ]);
        let turns = turns(&read);
        let told: Vec<_> =
            turns.iter().map(|it| (it.id.as_str(), it.asked_at, it.at, it.state, it.images)).collect();
        let expected = [
            ("import_0", None, 1_500, TurnState::Complete, false),
            ("import_1", Some(2_000), 4_000, TurnState::Complete, true),
            ("import_2", Some(5_250), 5_250, TurnState::Incomplete, false),
        ];
        assert_eq!(told, expected);
        assert_eq!(turns[2].messages, r#"{"content":"and?","role":"user"}"#.as_bytes());
        let list = [b"[", &turns[1].messages[..], b"]"].concat();
        let messages: serde_json::Value = serde_json::from_slice(&list).unwrap();
        assert_eq!(messages[1]["content"][1]["image_url"]["url"], "data:image/gif;base64,R0lG");
        assert_eq!(
            (messages[0]["content"].as_str(), messages[2]["content"].as_str()),
            (Some("one"), Some("a cat"))
        );
        assert_eq!(title(&read).as_deref(), Some("one"));
    }

    #[test]
    fn every_message_has_a_time_that_can_be_meant() {
        let check = |timestamps: &[&str], expected: &[u64]| {
            let stored = |it: &&str| format!(r#"{{"role":"user","content":"a"{it}}}"#);
            let stored: Vec<String> = timestamps.iter().map(stored).collect();
            let mut read = read(&stored.iter().map(String::as_str).collect::<Vec<_>>());
            settle_times(&mut read, 9_000);
            assert_eq!(read.iter().map(|it| it.at).collect::<Vec<_>>(), expected, "{timestamps:?}");
        };
        check(&["", r#","timestamp":2.5"#, "", r#","timestamp":4"#], &[2_500, 2_500, 2_500, 4_000]);
        check(
            &[r#","timestamp":1e30"#, r#","timestamp":1e999"#, r#","timestamp":3"#],
            &[9_000, 9_000, 3_000],
        );
        check(&[r#","timestamp":"3.5""#, r#","timestamp":null"#, r#","timestamp":-1"#], &[3_500; 3]);
        check(&[r#","timestamp":"yesterday""#, r#","timestamp":"NaN""#], &[9_000; 2]);
    }

    #[test]
    fn a_format_alone_or_none_is_a_media_type_too() {
        let check = |more: &str, url: &str| {
            let stored = format!(r#"{{"role":"user","content":"","image_data":"AA=="{more}}}"#);
            let message = Message::read(stored.as_bytes()).unwrap();
            assert!(message.to_json().contains(url), "{}", message.to_json());
        };
        check(r#","image_type":"png""#, "data:image/png;base64,AA==");
        check(r#","image_type":null"#, "data:image/jpeg;base64,AA==");
        check("", "data:image/jpeg;base64,AA==");
    }
}
