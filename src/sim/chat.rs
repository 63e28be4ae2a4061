//! Chat completions, and the completions that came before them. JSON is written directly: these are the calls that
//! benchmarks make.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    call::{Answer, Call, Pace, Refusal},
    reply::{Heard, Pieces, fill, prose, text},
    stream::{Segment, SimBody, Stream},
};

/// Most answers to one question.
const CHOICES_MAX: usize = 8;

#[derive(Deserialize)]
struct Ask<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(borrow)]
    tools: Option<Vec<Tool<'a>>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    #[serde(borrow)]
    response_format: Option<Format<'a>>,
    n: Option<usize>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    parameters: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Format<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    json_schema: Option<Schema<'a>>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(borrow)]
    schema: Option<&'a RawValue>,
}

struct Reply {
    said: Said,
    finish: &'static str,
    tokens: usize,
}

enum Said {
    Text(Pieces),
    Tools(Vec<ToolCall>),
}

struct ToolCall {
    id: String,
    /// As JSON, quotes included.
    name: String,
    arguments: Pieces,
}

/// What surrounds the choices of an answer, or of every event of it. `model` and `usage` are JSON.
struct Sheet {
    id: String,
    created: u64,
    model: String,
    usage: String,
    include_usage: bool,
}

pub(super) fn chat(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Ask = serde_json::from_slice(body)?;
    let pace = call.admit(&ask.model)?;
    let choices = choices(ask.n)?;
    if ask.messages.is_empty() {
        return Err(Refusal::invalid(Some("messages"), "`messages` must not be empty."));
    }
    // Written compactly, the list is its messages, a comma or bracket after each, and the opening bracket.
    let prompt_bytes = ask.messages.iter().map(|it| it.get().len() + 1).sum::<usize>() + 1;
    let reply = compose(call, &ask, &pace)?;
    let sheet = Sheet {
        id: format!("chatcmpl-{}", call.id),
        created: call.created,
        model: Value::from(&*ask.model).to_string(),
        usage: usage(prompt_bytes, reply.tokens * choices),
        include_usage: wants_usage(&ask.stream_options),
    };
    if ask.stream == Some(true) {
        return Ok(streamed(chat_segments(&sheet, reply, choices), &pace));
    }
    let wait = pace.whole(reply.tokens);
    let (content, calls) = match &reply.said {
        Said::Text(pieces) => (format!("\"{}\"", pieces.whole()), String::new()),
        Said::Tools(calls) => {
            let calls: Vec<String> = calls.iter().map(|it| it.render(&it.arguments.whole())).collect();
            ("null".to_owned(), format!(r#","tool_calls":[{}]"#, calls.join(",")))
        }
    };
    let choices = (0..choices).map(|index| {
        let finish = reply.finish;
        format!(
            r#"{{"index":{index},"message":{{"role":"assistant","content":{content},"refusal":null{calls}}},"logprobs":null,"finish_reason":"{finish}"}}"#
        )
    });
    Ok(Answer::json(sheet.whole("chat.completion", &choices.collect::<Vec<_>>().join(",")), wait))
}

fn compose(call: &Call<'_>, ask: &Ask<'_>, pace: &Pace) -> Result<Reply, Refusal> {
    let heard = Heard::from_messages(&ask.messages)?;
    let limit = ask.max_completion_tokens.or(ask.max_tokens).unwrap_or(usize::MAX).max(1);
    let tools = ask.chosen_tools();
    if !tools.is_empty() && heard.role != "tool" {
        return call_tools(call, &tools);
    }
    let json = match ask.response_format.as_ref().map(|it| (&*it.kind, &it.json_schema)) {
        Some(("json_schema", Some(Schema { schema: Some(schema) }))) => fill(schema, true)?,
        Some(("json_object", _)) => {
            json!({"answer": prose(&heard.text, pace.tokens).collect::<Vec<_>>().join(" ")})
        }
        _ => return Ok(Reply::prose(&heard.text, pace.tokens, limit)),
    };
    let (pieces, complete) = Pieces::of(&json.to_string(), limit);
    let tokens = pieces.count();
    Ok(Reply { said: Said::Text(pieces), finish: if complete { "stop" } else { "length" }, tokens })
}

fn call_tools(call: &Call<'_>, tools: &[&Function<'_>]) -> Result<Reply, Refusal> {
    let mut calls = Vec::with_capacity(tools.len());
    for (index, tool) in tools.iter().enumerate() {
        let filled = tool.parameters.map(|schema| fill(schema, false)).transpose()?;
        let arguments = filled.filter(Value::is_object).unwrap_or_else(|| json!({}));
        calls.push(ToolCall {
            id: format!("call_{}{index}", call.id),
            name: Value::from(&*tool.name).to_string(),
            arguments: Pieces::of(&arguments.to_string(), usize::MAX).0,
        });
    }
    let tokens = calls.iter().map(|it| it.arguments.count()).sum();
    Ok(Reply { said: Said::Tools(calls), finish: "tool_calls", tokens })
}

impl<'a> Ask<'a> {
    /// The tool that the client insists on, or the first two it offers.
    fn chosen_tools(&self) -> Vec<&Function<'a>> {
        let functions = self.tools.iter().flatten().filter_map(|it| it.function.as_ref());
        let choice = self.tool_choice.as_ref();
        if choice.is_some_and(|it| it == "none") {
            return Vec::new();
        }
        if let Some(name) = choice.and_then(|it| it["function"]["name"].as_str()) {
            return functions.filter(|it| it.name == name).take(1).collect();
        }
        functions.take(if self.parallel_tool_calls == Some(false) { 1 } else { 2 }).collect()
    }
}

impl Reply {
    fn prose(echo: &str, tokens: usize, limit: usize) -> Self {
        let finish = if limit < tokens { "length" } else { "stop" };
        let tokens = tokens.min(limit);
        Self { said: Said::Text(Pieces::prose(echo, tokens)), finish, tokens }
    }
}

impl ToolCall {
    fn render(&self, arguments: &str) -> String {
        let Self { id, name, .. } = self;
        format!(r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":"{arguments}"}}}}"#)
    }
}

impl Sheet {
    fn open(&self, object: &str) -> String {
        let Self { id, created, model, .. } = self;
        format!(
            r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"sim","choices":["#
        )
    }

    fn whole(&self, object: &str, choices: &str) -> String {
        format!(r#"{}{choices}],"usage":{}}}"#, self.open(object), self.usage)
    }

    /// What opens and closes the events of a stream around its one choice.
    fn frame(&self, object: &str) -> (String, &'static str) {
        let close = if self.include_usage { "],\"usage\":null}\n\n" } else { "]}\n\n" };
        (format!("data: {}", self.open(object)), close)
    }

    fn close(&self, open: &str, segments: &mut Vec<Segment>) {
        if self.include_usage {
            segments.push(Segment::Event(format!("{open}],\"usage\":{}}}\n\n", self.usage).into()));
        }
        segments.push(Segment::Event(Bytes::from_static(b"data: [DONE]\n\n")));
    }
}

fn chat_segments(sheet: &Sheet, reply: Reply, choices: usize) -> Vec<Segment> {
    let (open, close) = sheet.frame("chat.completion.chunk");
    let mut segments = Vec::with_capacity(choices * 3 + 2);
    let rest = r#","logprobs":null,"finish_reason":null}"#;
    for index in 0..choices {
        let delta = format!(r#"{open}{{"index":{index},"delta":{{"#);
        let content = if matches!(reply.said, Said::Text(_)) { r#""""# } else { "null" };
        segments.push(Segment::Event(
            format!(r#"{delta}"role":"assistant","content":{content},"refusal":null}}{rest}{close}"#).into(),
        ));
        match &reply.said {
            Said::Text(pieces) => segments.push(Segment::Pieces {
                before: format!(r#"{delta}"content":""#).into(),
                pieces: pieces.clone(),
                after: format!(r#""}}{rest}{close}"#).into(),
                number: None,
            }),
            Said::Tools(calls) => {
                for (slot, tool) in calls.iter().enumerate() {
                    let delta = format!(r#"{delta}"tool_calls":[{{"index":{slot},"#);
                    let head = &tool.render("")[1..];
                    segments.push(Segment::Token(format!(r#"{delta}{head}]}}{rest}{close}"#).into()));
                    segments.push(Segment::Pieces {
                        before: format!(r#"{delta}"function":{{"arguments":""#).into(),
                        pieces: tool.arguments.clone(),
                        after: format!(r#""}}}}]}}{rest}{close}"#).into(),
                        number: None,
                    });
                }
            }
        }
        let finish = reply.finish;
        segments.push(Segment::Event(
            format!(r#"{delta}}},"logprobs":null,"finish_reason":"{finish}"}}{close}"#).into(),
        ));
    }
    sheet.close(&open, &mut segments);
    segments
}

#[derive(Deserialize)]
struct Completion<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    prompt: Option<&'a RawValue>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<usize>,
    max_tokens: Option<usize>,
}

pub(super) fn complete(call: &Call<'_>, body: &Bytes) -> Result<Answer, Refusal> {
    let ask: Completion = serde_json::from_slice(body)?;
    let pace = call.admit(&ask.model)?;
    let choices = choices(ask.n)?;
    // Only a single prompt is echoed; lists of prompts and tokens get the greeting.
    let prompt = ask.prompt.filter(|it| it.get().starts_with('"')).map(text).transpose()?.unwrap_or_default();
    let limit = ask.max_tokens.unwrap_or(usize::MAX).max(1);
    let (finish, tokens) = (if limit < pace.tokens { "length" } else { "stop" }, limit.min(pace.tokens));
    let pieces = Pieces::prose(&prompt, tokens);
    let sheet = Sheet {
        id: format!("cmpl-{}", call.id),
        created: call.created,
        model: Value::from(&*ask.model).to_string(),
        usage: usage(ask.prompt.map_or(0, |it| it.get().len()), tokens * choices),
        include_usage: wants_usage(&ask.stream_options),
    };
    let after = |index: usize, finish: &str| {
        format!(r#"","index":{index},"logprobs":null,"finish_reason":{finish}}}"#)
    };
    let finish = format!("\"{finish}\"");
    if ask.stream != Some(true) {
        let text = pieces.whole();
        let choices: Vec<String> =
            (0..choices).map(|index| format!(r#"{{"text":"{text}{}"#, after(index, &finish))).collect();
        return Ok(Answer::json(sheet.whole("text_completion", &choices.join(",")), pace.whole(tokens)));
    }
    let (open, close) = sheet.frame("text_completion");
    let mut segments = Vec::with_capacity(choices * 2 + 2);
    for index in 0..choices {
        let before = format!(r#"{open}{{"text":""#);
        let end = format!("{before}{}{close}", after(index, &finish));
        let after = format!("{}{close}", after(index, "null")).into();
        segments.push(Segment::Pieces { before: before.into(), pieces: pieces.clone(), after, number: None });
        segments.push(Segment::Event(end.into()));
    }
    sheet.close(&open, &mut segments);
    Ok(streamed(segments, &pace))
}

/// A stream answers at once; its tokens come when they are due.
pub(super) fn streamed(segments: Vec<Segment>, pace: &Pace) -> Answer {
    Answer {
        content_type: "text/event-stream; charset=utf-8",
        body: SimBody::Stream(Box::new(Stream::new(segments, pace))),
        ..Answer::json(Bytes::new(), Duration::ZERO)
    }
}

fn choices(n: Option<usize>) -> Result<usize, Refusal> {
    match n.unwrap_or(1) {
        n @ 1..=CHOICES_MAX => Ok(n),
        n => Err(Refusal::invalid(Some("n"), format!("`n` must be within 1 and {CHOICES_MAX}, not {n}."))),
    }
}

fn wants_usage(options: &Option<StreamOptions>) -> bool {
    options.as_ref().is_some_and(|it| it.include_usage == Some(true))
}

fn usage(prompt_bytes: usize, completion: usize) -> String {
    let prompt = prompt_bytes.div_ceil(4);
    let total = prompt + completion;
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0}}}}"#
    )
}
