//! What legacy clients send and get.

use bytes::Bytes;

use super::Completions;
use crate::api::usage::Usage;
use crate::dialect::answer::{Answer, Choice, Finish, Reason};
use crate::dialect::event::Event;
use crate::dialect::json::Json;
use crate::dialect::prompt::{Message, Part, Prompt, Role};
use crate::dialect::{Aside, ClientDialect, ErrorSaid, Frame, write_all};

fn read(body: &str) -> Result<Prompt, (String, String)> {
    let read = Completions.read_prompt(body.as_bytes(), &Aside::default());
    read.map_err(|it| (it.param.clone().unwrap_or_default(), it.message.clone()))
}

#[test]
fn a_text_is_asked_for_as_one_message() {
    let check = |prompt: &str| {
        let body = format!(
            r#"{{"model":"m","prompt":{prompt},"max_tokens":9,"logprobs":2,"best_of":2,"n":2,"echo":false,"suffix":null,"x":1}}"#
        );
        let expected = Prompt {
            model: "m".to_owned(),
            messages: vec![Message { role: Role::User, parts: vec![Part::text("Once")], name: None }],
            output_max: Some(9),
            logprobs: Some(true),
            top_logprobs: Some(2),
            n: Some(2),
            extra: vec![("x".to_owned(), Json::parse("1").unwrap())],
            ..Prompt::default()
        };
        assert_eq!(read(&body), Ok(expected), "{prompt}");
    };
    check(r#""Once""#);
    check(r#"["Once"]"#);
}

#[test]
fn what_chat_cannot_say_is_refused_by_name() {
    let check = |fields: &str, param: &str, says: &str| {
        let (named, message) = read(&format!("{{{fields}}}")).unwrap_err();
        assert_eq!(named, param, "{fields}");
        assert!(message.contains(says), "{message}");
    };
    check(r#""prompt":["a","b"]"#, "prompt", "several");
    check(r#""prompt":[1,2]"#, "prompt", "tokens");
    check(r#""prompt":[[1,2]]"#, "prompt", "tokens");
    check(r#""prompt":[]"#, "prompt", "string");
    check(r#""prompt":[{}]"#, "prompt", "string");
    check(r#""prompt":7"#, "prompt", "string");
    check(r#""model":"m""#, "prompt", "missing");
    check(r#""prompt":"a","suffix":"b""#, "suffix", "behind");
    check(r#""prompt":"a","echo":true"#, "echo", "leave it out");
    check(r#""best_of":3,"n":2,"prompt":"a""#, "best_of", "`n`");
    check(r#""prompt":"a","messages":[]"#, "messages", "prompt");
    check(r#""prompt":"a","logprobs":true"#, "logprobs", "number");
}

fn frame() -> Frame {
    Frame {
        id: "0f".to_owned(),
        created: 7,
        asked: Bytes::from_static(br#"{"model":"m"}"#),
        aside: Aside::default(),
    }
}

const LOGPROBS: &str = r#"{"content":[{"token":"é","logprob":-0.5,"bytes":[],"top_logprobs":[{"token":"é","logprob":-0.5}]},{"token":"b","logprob":-1}]}"#;
const LEGACY: &str =
    r#"{"tokens":["é","b"],"token_logprobs":[-0.5,-1],"top_logprobs":[{"é":-0.5},{}],"text_offset":[0,1]}"#;

#[test]
fn the_answer_is_its_text() {
    let choice = Choice {
        index: 0,
        parts: vec![Part::text("éb"), Part::Refusal("!".to_owned())],
        finish: Some(Finish::from(Reason::Length)),
        logprobs: Json::parse(LOGPROBS),
    };
    let usage = Some(Usage { input: 1, output: 2, ..Usage::default() });
    let answer = Answer { choices: vec![choice], usage, ..Answer::default() };
    let body = String::from_utf8(Completions.write_answer(&answer, &frame())).unwrap();
    let expected = format!(
        r#"{{"id":"cmpl-0f","object":"text_completion","created":7,"model":"m","choices":[{{"text":"éb!","index":0,"logprobs":{LEGACY},"finish_reason":"length"}}],"usage":{{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}}}"#
    );
    assert_eq!(body, expected);
}

#[test]
fn chunks_carry_text_and_end_as_openai_ends_them() {
    let head = r#"data: {"id":"i","object":"text_completion","created":7,"model":"m","choices":["#;
    let begin = Event::Begin { id: Some("i".to_owned()), model: Some("m".to_owned()), created: None };
    let check = |events: Vec<Event>, expected: &[String]| {
        let told: Vec<_> = events.into_iter().map(Event::told).collect();
        let mut out = Vec::new();
        write_all(&mut *Completions.encoder(&frame()), &told, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expected.concat());
    };
    check(
        vec![
            begin.clone(),
            Event::Logprobs(Json::parse(LOGPROBS).unwrap()),
            Event::Text("éb".to_owned()),
            Event::CallGoesOn { call: 0, arguments: "{".to_owned() },
            Event::Finish(Finish::from(Reason::ToolCalls)),
            Event::Usage(Usage { input: 1, ..Usage::default() }),
            Event::End,
        ],
        &[
            format!(
                "{head}{{\"text\":\"éb\",\"index\":0,\"logprobs\":{LEGACY},\"finish_reason\":null}}]}}\n\n"
            ),
            format!(
                "{head}{{\"text\":\"\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"stop\"}}]}}\n\n"
            ),
            format!(
                "{head}],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":0,\"total_tokens\":1}}}}\n\n"
            ),
            "data: [DONE]\n\n".to_owned(),
        ],
    );
    let error =
        ErrorSaid { message: "no".to_owned(), error_type: "server_error".to_owned(), ..Default::default() };
    let told = r#"data: {"error":{"message":"no","type":"server_error","param":null,"code":null}}"#;
    check(vec![begin, Event::Failed(error), Event::End], &[format!("{told}\n\n")]);
}
