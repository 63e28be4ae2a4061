//! Chat completions. JSON is written directly: these are the calls that benchmarks make.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    call::{Answer, Call, Refusal},
    chat_messages::hear,
    reply::Pieces,
    stream::Segment,
    talk::{Ask, Choice, End, Form, Reply, Said, Tool, ToolCall, Usage},
    voice::unnamed,
};

/// Most answers to one question.
const CHOICES_MAX: usize = 8;
/// What nobody knows, where a model's name asks for it.
const EXTRA: &str = r#","x_sim":{"note":[1.0,null]}"#;

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow)]
    messages: Vec<&'a RawValue>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    tools: Option<Vec<Value>>,
    tool_choice: Option<Value>,
    parallel_tool_calls: Option<bool>,
    response_format: Option<Value>,
    n: Option<usize>,
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    reasoning_effort: Option<Value>,
    reasoning: Option<Value>,
    thinking: Option<Value>,
    enable_thinking: Option<bool>,
}

#[derive(Deserialize)]
pub(super) struct StreamOptions {
    include_usage: Option<bool>,
}

/// What surrounds the choices of an answer, or of every event of it. `model`, `usage` and `extra` are JSON.
pub(super) struct Sheet {
    pub id: String,
    pub created: u64,
    pub model: String,
    pub usage: String,
    pub include_usage: bool,
    pub extra: &'static str,
}

/// `deployment` is the model where the path names it, as Azure's do.
pub(super) fn chat(call: &Call<'_>, body: &Bytes, deployment: Option<&str>) -> Result<Answer, Refusal> {
    let asked: Asked = serde_json::from_slice(body)?;
    let model = deployment.unwrap_or(&asked.model);
    if model.is_empty() {
        return Err(Refusal::invalid(Some("model"), "you must provide a model parameter"));
    }
    let pace = call.admit(model)?;
    let choices = choices(asked.n)?;
    let reply = asked.read()?.reply(call, &pace);
    let sheet = Sheet {
        id: format!("chatcmpl-{}", call.id),
        created: call.created,
        model: Value::from(model).to_string(),
        usage: usage(reply.usage, choices),
        include_usage: wants_usage(&asked.stream_options),
        extra: if pace.extra { EXTRA } else { "" },
    };
    if asked.stream == Some(true) {
        return Ok(Answer::streamed(segments(&sheet, reply, choices), &pace, late));
    }
    let wait = pace.whole(reply.usage.output);
    let (message, finish) = (message(&reply), finish(reply.end));
    let choices: Vec<String> = (0..choices)
        .map(|index| {
            format!(
                r#"{{"index":{index},"message":{{"role":"assistant",{message}}},"logprobs":null,"finish_reason":"{finish}"}}"#
            )
        })
        .collect();
    Ok(Answer::json(sheet.whole("chat.completion", &choices.join(",")), wait))
}

/// The members of a whole message.
fn message(reply: &Reply) -> String {
    let thought = match &reply.thought {
        Some(thought) => format!(r#","reasoning_content":"{}""#, thought.whole()),
        None => String::new(),
    };
    match &reply.said {
        Said::Text(pieces) if reply.end == End::Refused => {
            format!(r#""content":null,"refusal":"{}"{thought}"#, pieces.whole())
        }
        Said::Text(pieces) => format!(r#""content":"{}","refusal":null{thought}"#, pieces.whole()),
        Said::Calls(calls) => {
            let calls: Vec<String> = calls.iter().map(|it| rendered(it, &it.arguments.whole())).collect();
            format!(r#""content":null,"refusal":null{thought},"tool_calls":[{}]"#, calls.join(","))
        }
    }
}

impl Asked<'_> {
    fn read(&self) -> Result<Ask, Refusal> {
        if self.messages.is_empty() {
            return Err(Refusal::invalid(Some("messages"), "`messages` must not be empty."));
        }
        let mut ask = hear(&self.messages)?;
        // Written compactly, the list is its messages, a comma or bracket after each, and the opening bracket.
        ask.prompt_bytes = self.messages.iter().map(|it| it.get().len() + 1).sum::<usize>() + 1;
        for tool in self.tools.iter().flatten().filter_map(|it| it.get("function")) {
            let Some(name) = tool["name"].as_str() else {
                return Err(Refusal::invalid(Some("tools"), "A function has no name."));
            };
            ask.tools.push(Tool { name: name.to_owned(), schema: tool.get("parameters").cloned() });
        }
        ask.choice = match &self.tool_choice {
            Some(choice) if choice == "none" => Choice::Barred,
            Some(choice) => {
                choice["function"]["name"].as_str().map_or(Choice::Free, |it| Choice::Named(it.to_owned()))
            }
            None => Choice::Free,
        };
        ask.one_tool = self.parallel_tool_calls == Some(false);
        ask.limit = self.max_completion_tokens.or(self.max_tokens);
        ask.form = form(self.response_format.as_ref());
        ask.thinks = self.thinks()?;
        Ok(ask)
    }

    /// Vendors spell it in their own ways; none takes two at once.
    fn thinks(&self) -> Result<bool, Refusal> {
        let ways = [
            self.reasoning_effort.as_ref().map(|it| it != "none"),
            self.reasoning.as_ref().map(|it| it["effort"] != "none" && it["enabled"] != false),
            self.thinking.as_ref().map(|it| it["type"] != "disabled"),
            self.enable_thinking,
        ];
        match ways.iter().flatten().count() {
            0 | 1 => Ok(ways.into_iter().flatten().any(|it| it)),
            _ => {
                Err(Refusal::invalid(Some("reasoning_effort"), "Reasoning is asked for in two ways at once."))
            }
        }
    }
}

fn form(format: Option<&Value>) -> Form {
    let Some(format) = format else { return Form::Prose };
    match (format["type"].as_str(), format["json_schema"].get("schema")) {
        (Some("json_schema"), Some(schema)) => Form::Schema(schema.clone()),
        (Some("json_object"), _) => Form::Object,
        _ => Form::Prose,
    }
}

fn finish(end: End) -> &'static str {
    match end {
        End::Stop | End::Refused => "stop",
        End::Length => "length",
        End::Calls => "tool_calls",
    }
}

fn rendered(call: &ToolCall, arguments: &str) -> String {
    let (id, name) = (&call.id, Value::from(call.name.as_str()));
    format!(r#"{{"id":"{id}","type":"function","function":{{"name":{name},"arguments":"{arguments}"}}}}"#)
}

fn late() -> Bytes {
    unnamed(&serde_json::json!({"error": {"message": "Simulated failure within the stream.",
        "type": "server_error", "param": null, "code": null}}))
}

impl Sheet {
    fn open(&self, object: &str) -> String {
        let Self { id, created, model, .. } = self;
        format!(
            r#"{{"id":"{id}","object":"{object}","created":{created},"model":{model},"system_fingerprint":"sim","choices":["#
        )
    }

    pub fn whole(&self, object: &str, choices: &str) -> String {
        format!(r#"{}{choices}],"usage":{}{}}}"#, self.open(object), self.usage, self.extra)
    }

    /// What opens and closes the events of a stream around its one choice.
    pub fn frame(&self, object: &str) -> (String, String) {
        let usage = if self.include_usage { r#","usage":null"# } else { "" };
        (format!("data: {}", self.open(object)), format!("]{usage}{}}}\n\n", self.extra))
    }

    pub fn close(&self, open: &str, segments: &mut Vec<Segment>) {
        if self.include_usage {
            segments.push(Segment::Event(format!("{open}],\"usage\":{}}}\n\n", self.usage).into()));
        }
        segments.push(Segment::Event(Bytes::from_static(b"data: [DONE]\n\n")));
    }
}

fn segments(sheet: &Sheet, reply: Reply, choices: usize) -> Vec<Segment> {
    let (open, close) = sheet.frame("chat.completion.chunk");
    let mut segments = Vec::with_capacity(choices * 3 + 2);
    let rest = r#","logprobs":null,"finish_reason":null}"#;
    let said_in = if reply.end == End::Refused { "refusal" } else { "content" };
    for index in 0..choices {
        let delta = format!(r#"{open}{{"index":{index},"delta":{{"#);
        let content = if matches!(reply.said, Said::Text(_)) { r#""""# } else { "null" };
        segments.push(Segment::Event(
            format!(r#"{delta}"role":"assistant","content":{content},"refusal":null}}{rest}{close}"#).into(),
        ));
        let pieces = |before: String, pieces: &Pieces, after: &str| Segment::Pieces {
            before: format!("{delta}{before}").into(),
            pieces: pieces.clone(),
            after: format!("{after}{rest}{close}").into(),
            number: None,
        };
        if let Some(thought) = &reply.thought {
            segments.push(pieces(r#""reasoning_content":""#.into(), thought, r#""}"#));
        }
        match &reply.said {
            Said::Text(text) => segments.push(pieces(format!(r#""{said_in}":""#), text, r#""}"#)),
            Said::Calls(calls) => {
                for (slot, tool) in calls.iter().enumerate() {
                    let place = format!(r#""tool_calls":[{{"index":{slot},"#);
                    let head = &rendered(tool, "")[1..];
                    segments.push(Segment::Token(format!(r#"{delta}{place}{head}]}}{rest}{close}"#).into()));
                    let before = format!(r#"{place}"function":{{"arguments":""#);
                    segments.push(pieces(before, &tool.arguments, r#""}}]}"#));
                }
            }
        }
        let finish = finish(reply.end);
        segments.push(Segment::Event(
            format!(r#"{delta}}},"logprobs":null,"finish_reason":"{finish}"}}{close}"#).into(),
        ));
    }
    sheet.close(&open, &mut segments);
    segments
}

pub(super) fn choices(n: Option<usize>) -> Result<usize, Refusal> {
    match n.unwrap_or(1) {
        n @ 1..=CHOICES_MAX => Ok(n),
        n => Err(Refusal::invalid(Some("n"), format!("`n` must be within 1 and {CHOICES_MAX}, not {n}."))),
    }
}

pub(super) fn wants_usage(options: &Option<StreamOptions>) -> bool {
    options.as_ref().is_some_and(|it| it.include_usage == Some(true))
}

pub(super) fn usage(usage: Usage, choices: usize) -> String {
    let Usage { prompt, cached, kept: _, output, thought } = usage;
    let (completion, thought) = (output * choices, thought * choices);
    let total = prompt + completion;
    format!(
        r#"{{"prompt_tokens":{prompt},"completion_tokens":{completion},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached}}},"completion_tokens_details":{{"reasoning_tokens":{thought}}}}}"#
    )
}
