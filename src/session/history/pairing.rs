//! Sees to it that every call of a tool has its result and every result its call, for vendors refuse a conversation
//! where one is missing; and that no assistant's message is empty, for the same reason.
//!
//! Calls without a result (the turn was cut, or its client went on without them) are left out of their message, which
//! goes if nothing else is in it. So are results without a call, and a second result of the same call.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::api::fields::{self, Fields};
use crate::session::history::order::{self, Links};
use crate::session::turn::Turn;

/// Turns as a vendor takes them.
pub(super) struct PairedTurns<'a> {
    pub(super) turns: Vec<Paired<'a>>,
    /// The new messages answer calls of the last turn.
    pub(super) is_answered: bool,
}

/// One turn.
pub(super) struct Paired<'a> {
    /// Which of the turns it is.
    pub(super) number: usize,
    /// Its messages, joined by commas; borrowed where nothing was changed.
    pub(super) text: Cow<'a, str>,
    /// It stands without those before it.
    pub(super) begins_group: bool,
}

struct Message<'a> {
    json: &'a str,
    fields: Fields<'a>,
    role: Cow<'a, str>,
}

/// One call in an assistant's message.
struct Call<'a> {
    /// What its result names: its id, or its function's name in the older kind.
    key: Cow<'a, str>,
    json: &'a str,
    /// Its arguments are a JSON text, or nothing.
    is_whole: bool,
}

/// The turns whose messages are `read`, before new messages that begin with the results of `answered`.
pub(super) fn paired<'a>(turns: &[Turn], read: &'a [Bytes], answered: &[String]) -> PairedTurns<'a> {
    let messages: Vec<Vec<Message>> =
        read.iter().zip(turns).map(|(it, turn)| Message::of_turn(it, turn)).collect();
    let links: Vec<Links> = messages.iter().zip(turns).map(|(it, turn)| links(it, turn)).collect();
    let order = order::order(&links, answered.first());
    let flat: Vec<(usize, &Message)> =
        order.iter().flat_map(|number| messages[*number].iter().map(move |it| (*number, it))).collect();
    let mut kept = Kept { forms: Vec::with_capacity(flat.len()), is_answered: false };
    let mut at = 0;
    while at < flat.len() {
        at = kept.take(&flat, at, turns, answered);
    }
    let mut forms = kept.forms.into_iter();
    let turns = order.iter().map(|number| {
        let own: Vec<_> = forms.by_ref().take(messages[*number].len()).collect();
        paired_turn(*number, &read[*number], own, links[*number].answers.is_none())
    });
    PairedTurns { turns: turns.collect(), is_answered: kept.is_answered }
}

/// Whether these messages are taken as they are, wherever they stand: no tool is called or answered, and every assistant
/// says something.
pub(super) fn is_plain(messages: &Bytes) -> bool {
    let messages = Message::read_all(messages);
    !messages.is_empty() && messages.iter().all(Message::is_plain)
}

fn links(messages: &[Message], turn: &Turn) -> Links {
    let calls = messages.last().map(Message::calls).unwrap_or_default();
    Links {
        calls: calls.into_iter().map(|it| it.key.into_owned()).collect(),
        answers: messages.first().and_then(Message::answers).map(Cow::into_owned),
        is_complete: turn.state.is_complete(),
    }
}

fn paired_turn<'a>(
    number: usize,
    read: &'a Bytes,
    forms: Vec<Option<Cow<'a, str>>>,
    begins: bool,
) -> Paired<'a> {
    let is_same = forms.iter().all(|it| matches!(it, Some(Cow::Borrowed(_))));
    let text = match (is_same, str::from_utf8(read)) {
        (true, Ok(text)) if !forms.is_empty() => Cow::Borrowed(text.trim_ascii()),
        _ => Cow::Owned(forms.into_iter().flatten().collect::<Vec<_>>().join(",")),
    };
    Paired { number, begins_group: begins && !text.is_empty(), text }
}

/// What becomes of each message; None: it goes.
struct Kept<'a> {
    forms: Vec<Option<Cow<'a, str>>>,
    is_answered: bool,
}

impl<'a> Kept<'a> {
    /// Takes the message at `at` and the results behind it; returns where the next one stands.
    fn take(
        &mut self,
        flat: &[(usize, &Message<'a>)],
        at: usize,
        turns: &[Turn],
        answered: &[String],
    ) -> usize {
        let (turn, message) = flat[at];
        let answers: Vec<_> = flat[at + 1..].iter().map_while(|(_, it)| it.answers()).collect();
        if message.role != "assistant" {
            let goes = message.role.is_empty() || message.answers().is_some();
            self.forms.push((!goes).then_some(Cow::Borrowed(message.json)));
            return at + 1;
        }
        let end = at + 1 + answers.len();
        let mut open: HashSet<Cow<str>> = answers.iter().cloned().collect();
        if end == flat.len() {
            open.extend(answered.iter().map(|it| Cow::Borrowed(it.as_str())));
        }
        let is_complete = turns[turn].state.is_complete();
        let calls = message.calls();
        let keeps = |it: &Call| open.contains(&it.key) && (is_complete || it.is_whole);
        let mut called: HashSet<&str> =
            calls.iter().filter(|it| keeps(it)).map(|it| it.key.as_ref()).collect();
        self.is_answered |= end == flat.len() && answered.iter().any(|it| called.contains(it.as_str()));
        self.forms.push(message.with_calls(&calls, keeps));
        for (answer, (_, result)) in answers.iter().zip(&flat[at + 1..]) {
            let is_first = called.remove(answer.as_ref());
            self.forms.push(is_first.then_some(Cow::Borrowed(result.json)));
        }
        end
    }
}

impl<'a> Message<'a> {
    /// Of a turn that is taken as it is all is one message, which is nobody's call and nobody's result.
    fn of_turn(messages: &'a Bytes, turn: &Turn) -> Vec<Self> {
        match str::from_utf8(messages) {
            Ok(json) if turn.plain && !turn.items => {
                vec![Self { json, fields: Fields::default(), role: Cow::Borrowed("user") }]
            }
            _ => Self::read_all(messages),
        }
    }

    fn is_plain(&self) -> bool {
        let calls = || self.fields.value("tool_calls").or(self.fields.value("function_call"));
        match self.role.as_ref() {
            "" | "tool" | "function" => false,
            "assistant" => calls().is_none() && self.says_something(),
            _ => true,
        }
    }

    /// What cannot be read has no role, and goes: it would spoil the whole conversation.
    fn read_all(messages: &'a Bytes) -> Vec<Self> {
        let joined = str::from_utf8(messages).ok().and_then(fields::joined);
        let read = |json: &'a str| {
            let fields = Fields::read(json).unwrap_or_default();
            Self { json, role: fields.text("role").unwrap_or_default(), fields }
        };
        joined.unwrap_or_default().into_iter().map(read).collect()
    }

    /// Which call it brings the result of.
    fn answers(&self) -> Option<Cow<'a, str>> {
        match self.role.as_ref() {
            "tool" => Some(self.fields.text("tool_call_id").unwrap_or_default()),
            "function" => Some(self.fields.text("name").unwrap_or_default()),
            _ => None,
        }
    }

    fn listed(&self) -> Vec<&'a RawValue> {
        self.fields.value("tool_calls").and_then(fields::elements).unwrap_or_default()
    }

    /// Its calls. Of two with one id the first: the result would be that of either.
    fn calls(&self) -> Vec<Call<'a>> {
        if self.role != "assistant" {
            return Vec::new();
        }
        let tools = self.listed().into_iter().filter_map(|it| {
            let call = Fields::read(it.get())?;
            let function = call.value("function").and_then(Fields::read).unwrap_or_default();
            let key = call.text("id").unwrap_or_default();
            Some(Call { key, json: it.get(), is_whole: is_whole(&function) })
        });
        let function = self.fields.value("function_call").and_then(|json| {
            let call = Fields::read(json)?;
            Some(Call { key: call.text("name")?, json, is_whole: is_whole(&call) })
        });
        let mut seen = HashSet::new();
        tools.chain(function).filter(|it| seen.insert(it.key.clone())).collect()
    }

    /// An assistant's message with those of its calls that are kept; None: nothing is left of it.
    fn with_calls(&self, calls: &[Call<'a>], keeps: impl Fn(&Call) -> bool) -> Option<Cow<'a, str>> {
        let kept: Vec<&str> = calls.iter().filter(|it| keeps(it)).map(|it| it.json).collect();
        let function = self.fields.value("function_call");
        let all = self.listed().len() + usize::from(function.is_some());
        let is_empty_list = all == 0 && self.fields.value("tool_calls").is_some();
        if kept.is_empty() && !self.says_something() {
            return None;
        }
        if kept.len() == all && !is_empty_list {
            return Some(Cow::Borrowed(self.json));
        }
        let function = function.filter(|it| kept.contains(it));
        let tools: Vec<&str> = kept.into_iter().filter(|it| Some(*it) != function).collect();
        let list = (!tools.is_empty()).then(|| format!("[{}]", tools.join(",")));
        let message = self.fields.with("tool_calls", list.as_deref());
        let fields = Fields::read(&message)?;
        Some(Cow::Owned(fields.with("function_call", function)))
    }

    /// Whether it says anything but calls, and but what was thought before.
    fn says_something(&self) -> bool {
        ["content", "refusal", "audio", "images"]
            .iter()
            .any(|it| self.fields.value(it).is_some_and(is_filled))
    }
}

fn is_filled(json: &str) -> bool {
    match fields::text(json) {
        Some(text) => !text.trim().is_empty(),
        None => !matches!(json, "[]" | "{}"),
    }
}

/// Whether the arguments of a function can be read, or there are none.
fn is_whole(function: &Fields) -> bool {
    let arguments = function.text("arguments").unwrap_or_default();
    arguments.trim().is_empty() || serde_json::from_str::<IgnoredAny>(&arguments).is_ok()
}
