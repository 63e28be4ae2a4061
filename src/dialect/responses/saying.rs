//! What an answer says, put into items: the words, thoughts and calls of [`Making`], with the events that tell each of them.

use super::making::{Making, TextPart};
use super::output::{Body, CallKind, Status, Words, write_all, write_text_part};
use super::seal::tagged;
use super::shell;
use crate::api::fields::{Fields, elements};
use crate::api::ink::Ink;
use crate::dialect::arguments::unwrapped;
use crate::dialect::cited::Cited;
use crate::dialect::json::Json;
use crate::dialect::prompt::Seal;
use crate::dialect::whole::Whole;

impl Making {
    pub(super) fn say(&mut self, text: &str, is_refusal: bool, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let (index, part) = self.words(is_refusal, out);
        if !is_refusal {
            std::mem::take(&mut self.uncited).iter().for_each(|it| self.cite(it, out));
            self.chars += text.chars().count() as u64;
        }
        let logprobs = if is_refusal { Vec::new() } else { std::mem::take(&mut self.logprobs) };
        let kind = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.tell_of(index, kind, out, |it, _| {
            it.number_field("content_index", part as u64);
            it.text_field("delta", text);
            if !is_refusal {
                write_all(it.key("logprobs").open(b'['), &logprobs);
            }
        });
        if let Some(words) = self.last_words(index) {
            words.text.push_str(text);
            words.logprobs.extend(logprobs);
        }
    }

    /// The message and its part that words of this kind go into; begun where there is none.
    fn words(&mut self, is_refusal: bool, out: &mut Vec<u8>) -> (usize, usize) {
        let open = self.open.filter(|it| matches!(self.items[*it].body, Body::Message(_)));
        let index = open.unwrap_or_else(|| {
            self.close_open(None, out);
            self.close_calls(false, None, out);
            let index = self.add(Body::Message(Vec::new()), None, out);
            self.open = Some(index);
            index
        });
        if self.last_words(index).is_none_or(|it| it.is_refusal != is_refusal) {
            self.end_words(index, out);
            if let Body::Message(words) = &mut self.items[index].body {
                if !is_refusal {
                    self.texts.push(TextPart { item: index, part: words.len(), start: self.chars });
                }
                words.push(Words { is_refusal, ..Words::default() });
            }
            self.tell_words(index, "response.content_part.added", out);
        }
        let Body::Message(words) = &self.items[index].body else { return (index, 0) };
        (index, words.len().saturating_sub(1))
    }

    fn tell_words(&mut self, index: usize, kind: &str, out: &mut Vec<u8>) {
        self.tell_of(index, kind, out, |it, body| {
            let Body::Message(words) = body else { return };
            it.number_field("content_index", words.len().saturating_sub(1) as u64);
            words.last().into_iter().for_each(|words| words.write(it.key("part").open(b'{')));
        });
    }

    /// Ends the part that is being said, if there is one.
    fn end_words(&mut self, index: usize, out: &mut Vec<u8>) {
        let rest = std::mem::take(&mut self.logprobs);
        let Some(words) = self.last_words(index) else { return self.logprobs = rest };
        words.logprobs.extend(rest);
        let (kind, field) = match words.is_refusal {
            true => ("response.refusal.done", "refusal"),
            false => ("response.output_text.done", "text"),
        };
        self.tell_of(index, kind, out, |it, body| {
            let Body::Message(words) = body else { return };
            let Some(last) = words.last() else { return };
            it.number_field("content_index", (words.len() - 1) as u64);
            it.text_field(field, &last.text);
            if !last.is_refusal {
                write_all(it.key("logprobs").open(b'['), &last.logprobs);
            }
        });
        self.tell_words(index, "response.content_part.done", out);
    }

    /// Adds a citation to the text that it is of. Where that was told to its end, only the whole response has it; of an
    /// answer without a text it is left out.
    pub(super) fn cite(&mut self, citation: &Json, out: &mut Vec<u8>) {
        let Some(TextPart { item: index, part, start }) = self.cited(citation) else {
            return self.uncited.push(citation.clone());
        };
        let Body::Message(words) = &mut self.items[index].body else { return };
        let is_open = self.open == Some(index) && part + 1 == words.len();
        let number = words[part].cite(citation, start);
        if !is_open {
            return;
        }
        self.tell_of(index, "response.output_text.annotation.added", out, |it, body| {
            let Body::Message(words) = body else { return };
            it.number_field("content_index", part as u64);
            it.number_field("annotation_index", number as u64);
            it.raw_field("annotation", words[part].annotations[number].get());
        });
    }

    /// The text in which the place of a citation begins; of one without a place, the last.
    fn cited(&self, citation: &Json) -> Option<TextPart> {
        let place = Cited::read(citation).and_then(|it| it.place);
        let before =
            place.map_or(self.texts.len(), |it| self.texts.partition_point(|text| text.start <= it.0));
        self.texts.get(before.checked_sub(1)?).copied()
    }

    /// Takes in chat's `logprobs` object; they are told with the text that comes next, or where it ends.
    pub(super) fn weigh(&mut self, logprobs: &Json) {
        let fields = Fields::read(logprobs.get());
        let tokens = fields.as_ref().and_then(|it| elements(it.value("content")?)).unwrap_or_default();
        self.logprobs.extend(tokens.into_iter().map(Json::from));
    }

    pub(super) fn think(
        &mut self,
        text: &str,
        is_summary: bool,
        starts: bool,
        id: Option<&str>,
        out: &mut Vec<u8>,
    ) {
        let open = self.open.filter(|it| match &self.items[*it].body {
            Body::Reasoning { sealed, .. } => {
                let is_same = id.is_some_and(|id| id == self.items[*it].id);
                sealed.is_none() && (is_same || !starts)
            }
            _ => false,
        });
        let index = open.unwrap_or_else(|| self.begin_reasoning(id, out));
        if text.is_empty() {
            return;
        }
        let Body::Reasoning { summary, content, .. } = &mut self.items[index].body else { return };
        // The part that was told last goes on, unless another thought begins.
        let goes_on = !starts && self.thought == Some(is_summary);
        let number = if is_summary { summary.len() } else { content.len() };
        let number = if goes_on { number.saturating_sub(1) } else { number };
        if !goes_on {
            self.end_thought(index, out);
            self.begin_thought(index, is_summary, number, out);
        }
        let (kind, list) = names(is_summary, "delta");
        self.tell_of(index, kind, out, |it, _| {
            it.number_field(list, number as u64);
            it.text_field("delta", text);
        });
        if let Some(part) = self.thought_text(index, is_summary) {
            part.push_str(text);
        }
    }

    fn begin_reasoning(&mut self, id: Option<&str>, out: &mut Vec<u8>) -> usize {
        self.close_open(None, out);
        self.close_calls(false, None, out);
        let body = Body::Reasoning { summary: Vec::new(), content: Vec::new(), sealed: None };
        let index = self.add(body, id, out);
        self.open = Some(index);
        index
    }

    fn thought_text(&mut self, index: usize, is_summary: bool) -> Option<&mut String> {
        match &mut self.items[index].body {
            Body::Reasoning { summary, .. } if is_summary => summary.last_mut(),
            Body::Reasoning { content, .. } => content.last_mut(),
            _ => None,
        }
    }

    fn begin_thought(&mut self, index: usize, is_summary: bool, number: usize, out: &mut Vec<u8>) {
        if let Body::Reasoning { summary, content, .. } = &mut self.items[index].body {
            if is_summary { summary } else { content }.push(String::new());
        }
        self.thought = Some(is_summary);
        let (kind, list) = names(is_summary, "added");
        self.tell_of(index, kind, out, |it, _| {
            it.number_field(list, number as u64);
            write_text_part(it.key("part").open(b'{'), part_kind(is_summary), "");
        });
    }

    fn end_thought(&mut self, index: usize, out: &mut Vec<u8>) {
        let Some(is_summary) = self.thought.take() else { return };
        let last = |body: &Body| -> (usize, String) {
            let Body::Reasoning { summary, content, .. } = body else { return Default::default() };
            let texts = if is_summary { summary } else { content };
            (texts.len().saturating_sub(1), texts.last().cloned().unwrap_or_default())
        };
        let (kind, list) = names(is_summary, "done");
        self.tell_of(index, kind, out, |it, body| {
            let (number, text) = last(body);
            it.number_field(list, number as u64);
            it.text_field("text", &text);
        });
        let (kind, list) = names(is_summary, "part");
        self.tell_of(index, kind, out, |it, body| {
            let (number, text) = last(body);
            it.number_field(list, number as u64);
            write_text_part(it.key("part").open(b'{'), part_kind(is_summary), &text);
        });
    }

    pub(super) fn seal(&mut self, seal: &Seal, out: &mut Vec<u8>) {
        let is_open = |it: &usize| matches!(self.items[*it].body, Body::Reasoning { sealed: None, .. });
        let open = self.open.filter(is_open);
        let index = open.unwrap_or_else(|| self.begin_reasoning(None, out));
        if let Body::Reasoning { sealed, .. } = &mut self.items[index].body {
            *sealed = Some(tagged(seal));
        }
    }

    pub(super) fn call(&mut self, call: u32, id: &str, name: &str, is_custom: bool, out: &mut Vec<u8>) {
        self.close_open(None, out);
        self.close_calls(false, None, out);
        let kind = match (is_custom, self.echo.is_custom(name)) {
            (true, _) => CallKind::Custom,
            (false, true) => CallKind::Wrapped,
            (false, false) if self.echo.has_shell && name == shell::NAME => CallKind::Shell,
            (false, false) => CallKind::Function,
        };
        let body = Body::Call {
            call_id: id.into(),
            name: name.into(),
            arguments: String::new(),
            kind,
            whole: Whole::default(),
        };
        let index = self.add(body, None, out);
        self.calls.push((call, index));
    }

    pub(super) fn go_on(&mut self, call: u32, arguments: &str, out: &mut Vec<u8>) {
        // A call that ended takes no more: what follows whole arguments can but be space.
        let Some(index) = self.calls.iter().find(|it| it.0 == call).map(|it| it.1) else { return };
        let Body::Call { arguments: all, kind, whole, .. } = &mut self.items[index].body else { return };
        if arguments.is_empty() {
            return;
        }
        all.push_str(arguments);
        whole.push(arguments);
        let kind = match kind {
            CallKind::Function => "response.function_call_arguments.delta",
            CallKind::Custom => "response.custom_tool_call_input.delta",
            CallKind::Wrapped | CallKind::Shell => return,
        };
        self.tell_of(index, kind, out, |it, _| _ = it.text_field("delta", arguments));
    }

    /// Ends the message or the reasoning that is open; `cut` names an item within which the answer broke off.
    pub(super) fn close_open(&mut self, cut: Option<usize>, out: &mut Vec<u8>) {
        let Some(index) = self.open.take() else { return };
        self.end_words(index, out);
        self.end_thought(index, out);
        self.close(index, cut, out);
    }

    fn close(&mut self, index: usize, cut: Option<usize>, out: &mut Vec<u8>) {
        self.items[index].status = if cut == Some(index) { Status::Incomplete } else { Status::Completed };
        self.tell_item("response.output_item.done", index, out);
    }

    /// Ends calls: all, or those whose arguments are whole, so that a client may begin with them.
    pub(super) fn close_calls(&mut self, all: bool, cut: Option<usize>, out: &mut Vec<u8>) {
        for (call, index) in std::mem::take(&mut self.calls) {
            match all || is_whole(&self.items[index].body) {
                true => self.close_call(index, cut, out),
                false => self.calls.push((call, index)),
            }
        }
    }

    fn close_call(&mut self, index: usize, cut: Option<usize>, out: &mut Vec<u8>) {
        if let Body::Call { kind: kind @ CallKind::Wrapped, arguments, .. } = &mut self.items[index].body {
            *kind = CallKind::Custom;
            *arguments = unwrapped(std::mem::take(arguments));
            self.tell_of(index, "response.custom_tool_call_input.delta", out, |it, body| {
                let Body::Call { arguments, .. } = body else { return };
                it.text_field("delta", arguments);
            });
        }
        let Body::Call { kind, .. } = &self.items[index].body else { return };
        let (kind, field) = match kind {
            CallKind::Shell => return self.close(index, cut, out),
            CallKind::Function => ("response.function_call_arguments.done", "arguments"),
            _ => ("response.custom_tool_call_input.done", "input"),
        };
        self.tell_of(index, kind, out, |it, body| {
            let Body::Call { arguments, name, kind, .. } = body else { return };
            if *kind == CallKind::Function {
                it.text_field("name", name);
            }
            it.text_field(field, arguments);
        });
        self.close(index, cut, out);
    }
}

/// Names of an event about a piece of reasoning, and of the number that says which.
fn names(is_summary: bool, what: &str) -> (&'static str, &'static str) {
    match (is_summary, what) {
        (true, "added") => ("response.reasoning_summary_part.added", "summary_index"),
        (true, "delta") => ("response.reasoning_summary_text.delta", "summary_index"),
        (true, "done") => ("response.reasoning_summary_text.done", "summary_index"),
        (true, _) => ("response.reasoning_summary_part.done", "summary_index"),
        (false, "added") => ("response.content_part.added", "content_index"),
        (false, "delta") => ("response.reasoning_text.delta", "content_index"),
        (false, "done") => ("response.reasoning_text.done", "content_index"),
        (false, _) => ("response.content_part.done", "content_index"),
    }
}

fn part_kind(is_summary: bool) -> &'static str {
    if is_summary { "summary_text" } else { "reasoning_text" }
}

/// Whether nothing can be added to the arguments of a call: a JSON object that is closed.
fn is_whole(body: &Body) -> bool {
    let Body::Call { arguments, kind, whole, .. } = body else { return true };
    *kind != CallKind::Custom && arguments.starts_with('{') && whole.is_whole()
}
