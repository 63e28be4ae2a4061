//! The completions that came before chat: one prompt, one text.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    call::{Answer, Call, Refusal},
    chat::{Sheet, StreamOptions, choices, usage, wants_usage},
    reply::Pieces,
    stream::Segment,
    talk::Usage,
    voice::unnamed,
};

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
    let prompt: String = ask.prompt.and_then(|it| serde_json::from_str(it.get()).ok()).unwrap_or_default();
    let limit = ask.max_tokens.unwrap_or(usize::MAX).max(1);
    let (finish, tokens) = (if limit < pace.tokens { "length" } else { "stop" }, limit.min(pace.tokens));
    let pieces = Pieces::prose("", &prompt, tokens);
    let prompt_tokens = ask.prompt.map_or(0, |it| it.get().len().div_ceil(4));
    let used = Usage { prompt: prompt_tokens, cached: 0, kept: 0, output: tokens, thought: 0 };
    let sheet = Sheet {
        id: format!("cmpl-{}", call.id),
        created: call.created,
        model: Value::from(&*ask.model).to_string(),
        usage: usage(used, choices),
        include_usage: wants_usage(&ask.stream_options),
        extra: "",
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
    let late = || unnamed(&serde_json::json!({"error": {"message": "Simulated failure within the stream."}}));
    Ok(Answer::streamed(segments, &pace, late))
}
