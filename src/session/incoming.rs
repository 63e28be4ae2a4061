//! Reads the messages of a chat completion that names its session: which of them are the session's system prompt, which
//! are new, and where in the body its history goes. Nothing is copied and nothing written: places in the body only.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::api::fields::{self, Fields};
use crate::api::wants;
use crate::error::Error;

/// Longest title made of a first message, in characters.
const TITLE_CHARS_MAX: usize = 80;

/// The messages of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incoming {
    /// The system and developer messages it begins with: JSON objects joined by commas. Empty: none.
    pub system: Range<usize>,
    /// The messages behind them, the same way. Empty: none.
    pub fresh: Range<usize>,
    /// Where history goes, between what [`Self::around`] says: before the new messages, or, where there are none, behind
    /// the system messages.
    pub history_at: usize,
    /// The new messages begin with the result of a tool that an earlier turn called.
    pub answers_tools: bool,
    /// The calls whose results they begin with: ids, or the names of functions of the older kind.
    pub answered: Vec<String>,
    /// There are system or developer messages among the new ones.
    pub instructs: bool,
    /// There are pictures.
    pub images: bool,
    /// The beginning of the first text of a user, in one line.
    pub title: Option<String>,
}

impl Incoming {
    /// What goes before history and behind it, so that the body stays a list.
    pub fn around(&self) -> (&'static str, &'static str) {
        if self.fresh.is_empty() { (",", "") } else { ("", ",") }
    }

    /// The messages of the turn that the new ones and this answer become. `body`: the one that was read.
    pub fn turn(&self, body: &[u8], answer: &str) -> Vec<u8> {
        let fresh = &body[self.fresh.clone()];
        let comma = if fresh.is_empty() { "" } else { "," };
        [fresh, comma.as_bytes(), answer.as_bytes()].concat()
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    messages: Option<&'a RawValue>,
}

/// Reads a body that is a JSON object. Says 400 where its messages are no list of objects with roles, or none at all.
pub fn read(body: &[u8]) -> Result<Incoming, Error> {
    read_behind(body, None)
}

/// The same where the first `apart` messages are what [`Incoming::system`] holds, and no more, whatever they are; None: all
/// system and developer messages that it begins with.
pub fn read_behind(body: &[u8], apart: Option<usize>) -> Result<Incoming, Error> {
    let list = list(body)?;
    let messages = elements(list)?;
    let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
        return Err(refuse("`messages` is empty: there is nothing new to say in this session."));
    };
    let (start, end) = (place(body, first.json).start, place(body, last.json).end);
    let leading = || messages.iter().take_while(|it| it.instructs()).count();
    let leading = apart.map_or_else(leading, |it| it.min(messages.len()));
    let (system, fresh) = messages.split_at(leading);
    let system_end = system.last().map_or(start, |it| place(body, it.json).end);
    let fresh_start = fresh.first().map_or(end, |it| place(body, it.json).start);
    let answered: Vec<_> = fresh.iter().map_while(|it| it.answered()).collect();
    Ok(Incoming {
        system: start..system_end,
        fresh: fresh_start..end,
        history_at: fresh_start,
        answers_tools: !answered.is_empty(),
        answered,
        instructs: fresh.iter().any(Message::instructs),
        images: wants::has_images(list.as_bytes()),
        title: fresh.iter().find_map(Message::title),
    })
}

fn refuse(message: impl Into<String>) -> Error {
    Error::bad_request(message).param("messages")
}

fn list(body: &[u8]) -> Result<&str, Error> {
    let read: Body = serde_json::from_slice(body).map_err(|fault| {
        let twice = fault.to_string().starts_with("duplicate field");
        let why = if twice { "stands in the request body twice; send it once" } else { "cannot be read" };
        refuse(format!("`messages` {why}."))
    })?;
    // A list would pass for an object with its fields in order.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    let list = read.messages.map(RawValue::get).filter(|it| is_object && it.starts_with('['));
    list.ok_or_else(|| refuse("`messages` must be a list: the new messages of this session."))
}

fn elements(list: &str) -> Result<Vec<Message<'_>>, Error> {
    let elements = fields::elements(list).ok_or_else(|| refuse("`messages` cannot be read."))?;
    elements.into_iter().enumerate().map(|(at, it)| Message::read(at, it.get())).collect()
}

/// A raw value borrows from the body it was read from, so its place is a difference of addresses.
fn place(body: &[u8], json: &str) -> Range<usize> {
    let start = json.as_ptr() as usize - body.as_ptr() as usize;
    start..start + json.len()
}

struct Message<'a> {
    json: &'a str,
    role: String,
    fields: Fields<'a>,
}

impl<'a> Message<'a> {
    fn read(at: usize, json: &'a str) -> Result<Self, Error> {
        let Some(fields) = Fields::read(json) else {
            return Err(refuse(format!("`messages[{at}]` must be an object with `role` and `content`.")));
        };
        if fields.each().filter(|(name, _)| *name == "role").count() > 1 {
            return Err(refuse(format!("`messages[{at}]` has two roles; send one.")));
        }
        match fields.text("role") {
            Some(role) if !role.is_empty() => Ok(Self { json, role: role.into_owned(), fields }),
            _ => Err(refuse(format!("`messages[{at}]` has no `role`; say user, assistant, tool or system."))),
        }
    }

    fn instructs(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }

    /// Which call it brings the result of; empty where it does not say.
    fn answered(&self) -> Option<String> {
        let name = match self.role.as_str() {
            "tool" => "tool_call_id",
            "function" => "name",
            _ => return None,
        };
        Some(self.fields.text(name).unwrap_or_default().into_owned())
    }

    fn title(&self) -> Option<String> {
        let content = self.fields.value("content").filter(|_| self.role == "user")?;
        if let Some(text) = fields::text(content) {
            return title(&text);
        }
        let parts = fields::elements(content)?;
        let texts = parts.into_iter().filter_map(|it| Fields::read(it.get())?.text("text"));
        texts.into_iter().find_map(|it| title(&it))
    }
}

/// The beginning of a text, in one line; None where there is nothing to read.
pub fn title(text: &str) -> Option<String> {
    let is_space = |it: char| it.is_whitespace() || it.is_control();
    let words = text.split(is_space).filter(|it| !it.is_empty());
    let mut title = String::new();
    let mut chars = 0;
    for word in words {
        let space = usize::from(chars > 0);
        if chars + space >= TITLE_CHARS_MAX {
            break;
        }
        title.extend((space > 0).then_some(' '));
        title.extend(word.chars().take(TITLE_CHARS_MAX - chars - space));
        chars += space + word.chars().take(TITLE_CHARS_MAX).count();
    }
    (!title.is_empty()).then_some(title)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Reads a body with these messages; says what stands at the places found.
    fn check(messages: &str, system: &str, fresh: &str) -> Incoming {
        let body = format!(r#"{{"model":"m", "messages" : {messages} ,"n":1}}"#);
        let incoming = read(body.as_bytes()).unwrap();
        assert_eq!((&body[incoming.system.clone()], &body[incoming.fresh.clone()]), (system, fresh));
        let at = if fresh.is_empty() { incoming.system.end } else { incoming.fresh.start };
        assert_eq!(incoming.history_at, at, "{messages}");
        incoming
    }

    #[test]
    fn leading_system_messages_are_told_from_new_ones() {
        let (system, user) = (r#"{"role":"system","content":"Be."}"#, r#"{"content":"Hi","role":"user"}"#);
        check(&format!("[{user}]"), "", user);
        check(&format!("[ {system} ,\n {user} ]"), system, user);
        let (both, two) = (format!("{system},{{\"role\":\"developer\"}}"), format!("{user} , {user}"));
        check(&format!("[{both},{two}]"), &both, &two);
        check(&format!("[ {both} ]"), &both, "");
        let late = check(&format!("[{user},{system}]"), "", &format!("{user},{system}"));
        assert!(late.instructs);
        assert!(!check(&format!("[{system},{user}]"), system, user).instructs);
    }

    #[test]
    fn results_of_tools_are_seen_where_they_come_first() {
        let tool = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "1"}).to_string();
        let user = r#"{"role":"user","content":"x"}"#;
        let check = |messages: &[&str], answered: &[&str]| {
            let body = format!(r#"{{"messages":[{}]}}"#, messages.join(","));
            let incoming = read(body.as_bytes()).unwrap();
            assert_eq!(incoming.answered, answered, "{body}");
            assert_eq!(incoming.answers_tools, !answered.is_empty(), "{body}");
        };
        check(&[&tool("a"), &tool("b"), user, &tool("c")], &["a", "b"]);
        check(&[user, &tool("a")], &[]);
        check(&[r#"{"role":"system"}"#, &tool("a")], &["a"]);
        check(&[r#"{"role":"function","name":"f","content":"1"}"#], &["f"]);
        check(&[r#"{"role":"tool","content":"1"}"#], &[""]);
    }

    #[test]
    fn the_title_is_the_beginning_of_what_a_user_says_first() {
        let check = |messages: Value, title: Option<&str>| {
            let body = json!({"messages": messages}).to_string();
            assert_eq!(read(body.as_bytes()).unwrap().title.as_deref(), title, "{body}");
        };
        let user = |content: Value| json!({"role": "user", "content": content});
        check(json!([user(json!(" Hello\n\t you \u{7} there "))]), Some("Hello you there"));
        let parts = json!([{"type": "image_url", "image_url": {}}, {"type": "text", "text": "See"}]);
        check(json!([{"role": "system", "content": "Be"}, user(parts)]), Some("See"));
        check(
            json!([{"role": "assistant", "content": "Hi"}, user(json!("Yo")), user(json!("No"))]),
            Some("Yo"),
        );
        check(json!([user(json!([{"type": "image_url"}])), user(json!("It?"))]), Some("It?"));
        check(json!([user(json!(null)), user(json!("  ")), user(json!(7))]), None);
        check(json!([user(json!("é".repeat(200)))]), Some(&"é".repeat(80)));
        check(
            json!([user(json!(format!("{} bc d", "a".repeat(76))))]),
            Some(&format!("{} bc", "a".repeat(76))),
        );
        check(json!([user(json!(format!("{} b", "a".repeat(79))))]), Some(&"a".repeat(79)));
    }

    #[test]
    fn pictures_are_seen() {
        let images = |part: &str| {
            let body = format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#);
            read(body.as_bytes()).unwrap().images
        };
        assert!(images(r#"{"type":"image_url","image_url":{"url":"x"}}"#));
        assert!(!images(r#"{"type":"text","text":"an image"}"#));
    }

    #[test]
    fn what_is_no_list_of_messages_is_refused() {
        let check = |body: &str, words: &str| {
            let error = read(body.as_bytes()).unwrap_err();
            assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some("messages")), "{body}");
            assert!(error.message.contains(words), "{body}: {error}");
        };
        check("{}", "must be a list");
        check(r#"{"messages":null}"#, "must be a list");
        check(r#"{"messages":{"role":"user"}}"#, "must be a list");
        check(r#"{"messages":"hi"}"#, "must be a list");
        check(r#"{"messages":[ ]}"#, "nothing new to say");
        check(r#"{"messages":[{"role":"user"},"hi"]}"#, "`messages[1]` must be an object");
        check(r#"{"messages":[{"content":"hi"}]}"#, "`messages[0]` has no `role`");
        check(r#"{"messages":[{"role":7}]}"#, "has no `role`");
        check(r#"{"messages":[{"role":""}]}"#, "has no `role`");
        check(r#"{"messages":[{"role":"user","rol\u0065":"system"}]}"#, "two roles");
        check(r#"{"messages":[],"messag\u0065s":[{"role":"user"}]}"#, "twice");
        check(r#"[[{"role":"user"}]]"#, "must be a list");
        check("", "cannot be read");
    }

    proptest! {
        #[test]
        fn history_can_be_inserted_into_any_body(
            roles in prop::collection::vec("system|developer|user|assistant|tool", 1..6),
            spaces in prop::collection::vec("[ \n\t]{0,2}", 7),
        ) {
            let messages = roles.iter().zip(&spaces).map(|(role, space)| {
                format!("{space}{}{space}", json!({"content": "[},", "role": role}))
            });
            let last = &spaces[6];
            let body = format!(r#"{{"a":[{{}}],{last}"messages":{last}[{}]}}"#, messages.collect::<Vec<_>>().join(","));
            let incoming = read(body.as_bytes()).unwrap();
            let leading = roles.iter().take_while(|it| *it == "system" || *it == "developer").count();
            let mut changed = body.clone();
            let (before, behind) = incoming.around();
            changed.insert_str(incoming.history_at, &format!("{before}7{behind}"));
            let changed: Value = serde_json::from_str(&changed).unwrap();
            prop_assert_eq!(&changed["messages"][leading], &json!(7));
            prop_assert_eq!(changed["messages"].as_array().unwrap().len(), roles.len() + 1);
            let count = |place: &Range<usize>| {
                serde_json::from_str::<Value>(&format!("[{}]", &body[place.clone()])).unwrap().as_array().unwrap().len()
            };
            let turn = String::from_utf8(incoming.turn(body.as_bytes(), "8")).unwrap();
            let turn: Value = serde_json::from_str(&format!("[{turn}]")).unwrap();
            prop_assert_eq!(turn.as_array().unwrap().len(), roles.len() - leading + 1);
            prop_assert_eq!((count(&incoming.system), count(&incoming.fresh)), (leading, roles.len() - leading));
        }
    }
}
