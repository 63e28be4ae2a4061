//! What a session holds, in the messages of the earlier service.

use serde::Serialize;
use serde_json::Value;

use crate::edge::chat_api::picture;
use crate::price::calendar::describe;
use crate::session::items;
use crate::session::turn::Turn;

/// Characters of a session's last message in the list.
const SHOWN_CHARACTERS: usize = 50;

/// One message as the earlier service told it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Message {
    pub role: String,
    pub content: String,
    /// Unix time, in seconds.
    pub timestamp: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_data: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
}

/// What people said to each other in `turn`; what tools said is none of it.
pub fn messages(turn: &Turn) -> Vec<Message> {
    let list = [b"[", &items::messages(turn)[..], b"]"].concat();
    let stored: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
    stored.iter().filter_map(|it| message(it, turn)).collect()
}

/// With the time of the turn's question or of its answer: those are the times a turn has.
fn message(stored: &Value, turn: &Turn) -> Option<Message> {
    let role = stored["role"].as_str().filter(|it| ["user", "assistant"].contains(it))?;
    let at = turn.asked_at.filter(|_| role == "user").unwrap_or(turn.at);
    let mut message = Message { role: role.to_owned(), timestamp: seconds(at), ..Message::default() };
    match &stored["content"] {
        Value::String(text) => message.content.push_str(text),
        Value::Array(parts) => parts.iter().for_each(|it| message.take(it)),
        _ => {}
    }
    if message.content.is_empty() {
        message.content.push_str(stored["refusal"].as_str().unwrap_or_default());
    }
    (!message.content.is_empty() || message.image_data.is_some()).then_some(message)
}

impl Message {
    /// A part of its content. There was room for one picture only.
    fn take(&mut self, part: &Value) {
        self.content.push_str(part["text"].as_str().or(part["refusal"].as_str()).unwrap_or_default());
        let picture = part["image_url"]["url"].as_str().and_then(picture::parts);
        if let (Some((kind, data)), None) = (picture, &self.image_data) {
            (self.image_type, self.image_data) = (Some(kind.to_owned()), Some(data.to_owned()));
        }
    }
}

/// A session in the list of a user's.
#[derive(Debug, PartialEq, Serialize)]
pub struct Listed {
    pub session_id: String,
    pub last_message: String,
    pub last_timestamp: f64,
    /// The same as `2026-12-01 10:00:00`, in UTC.
    pub last_time: String,
}

impl Listed {
    /// `last`: the newest turn, if it has one; `at`: when it changed last, in milliseconds.
    pub fn new(session_id: String, last: Option<&Turn>, at: u64) -> Self {
        let last_message = last.and_then(|it| messages(it).pop()).map(|it| beginning(&it.content));
        Self {
            session_id,
            last_message: last_message.unwrap_or_default(),
            last_timestamp: seconds(at),
            last_time: written(at),
        }
    }
}

fn beginning(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// Unix time in milliseconds as seconds.
fn seconds(at: u64) -> f64 {
    at as f64 / 1_000.0
}

/// Unix time in milliseconds as date and time, in UTC.
fn written(at: u64) -> String {
    let text = describe(at / 1_000);
    match text.split_once('T') {
        Some((date, time)) => format!("{date} {}", time.trim_end_matches('Z')),
        None => format!("{text} 00:00:00"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(messages: &str) -> Turn {
        Turn { at: 1_764_583_200_250, messages: messages.to_owned().into(), ..Turn::default() }
    }

    #[test]
    fn a_turn_is_told_in_the_earlier_services_messages() {
        let told = messages(&turn(
            r#"{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lG"}}]},
               {"role":"assistant","content":null,"tool_calls":[{"id":"c"}]},{"role":"tool","tool_call_id":"c","content":"t"},
               {"role":"assistant","content":"a cat","reasoning_content":"hm"},{"role":"assistant","refusal":"no"}"#,
        ));
        let shown = serde_json::to_value(&told).unwrap();
        let expected = serde_json::json!([
            {"role": "user", "content": "what?", "timestamp": 1_764_583_200.25, "image_data": "R0lG", "image_type": "image/gif"},
            {"role": "assistant", "content": "a cat", "timestamp": 1_764_583_200.25},
            {"role": "assistant", "content": "no", "timestamp": 1_764_583_200.25},
        ]);
        assert_eq!(shown, expected);
        assert_eq!(messages(&turn("no json")), []);
        let asked = Turn {
            asked_at: Some(1_764_583_100_000),
            ..turn(r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"}"#)
        };
        let times: Vec<f64> = messages(&asked).iter().map(|it| it.timestamp).collect();
        assert_eq!(times, [1_764_583_100.0, 1_764_583_200.25]);
    }

    #[test]
    fn a_session_is_listed_by_the_beginning_of_its_last_message() {
        let check = |said: &str, shown: &str| {
            let message = serde_json::json!({"role": "assistant", "content": said}).to_string();
            let turn = turn(&message);
            let listed = Listed::new("s".into(), Some(&turn), turn.at);
            assert_eq!(listed.last_message, shown);
            assert_eq!(listed.last_time, "2025-12-01 10:00:00");
        };
        check("short", "short");
        check(&"你".repeat(50), &"你".repeat(50));
        check(&"你".repeat(51), &("你".repeat(50) + "..."));
        assert_eq!(Listed::new("s".into(), None, 0).last_time, "1970-01-01 00:00:00");
    }
}
