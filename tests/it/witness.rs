//! The simulated vendor as witness of the translations: it was written without them, refuses what real vendors refuse,
//! and demands its thoughts back unchanged. What is written for a vendor must be taken by it, and what it says be
//! understood, whole and streamed alike.

mod spoken;

use bytes::Bytes;
use http::Method;
use tollgate::dialect::answer::Answer;
use tollgate::dialect::chat::Chat;
use tollgate::dialect::loss::Losses;
use tollgate::dialect::prompt::Part;
use tollgate::dialect::terms::{Terms, Thinking};
use tollgate::dialect::{Aside, ClientDialect, Dialect, Frame, VendorDialect};
use tollgate::sim::{SimOptions, serve};

use crate::support::client::{open, request};
use spoken::{Said, streamed};

const VENDORS: [Dialect; 5] =
    [Dialect::Responses, Dialect::Anthropic, Dialect::Gemini, Dialect::Converse, Dialect::Cohere];

/// A simulated vendor in this process, at full speed.
struct Witness {
    to: std::net::SocketAddr,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Witness {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let options = SimOptions { first_token_ms: 0, tokens_per_s: 0, ..SimOptions::default() };
        Self { to, server: tokio::spawn(serve(listener, options)) }
    }

    /// Asks in a vendor's dialect; the body of what must be a success.
    async fn ask(&self, dialect: Dialect, model: &str, body: &str, stream: bool) -> Bytes {
        let path = vendor(dialect).path(model, stream);
        let version = match dialect {
            Dialect::Anthropic => ("anthropic-version", "2023-06-01"),
            _ => ("accept", "*/*"),
        };
        let asked = request(self.to, Method::POST, &path, &[version], body.to_owned());
        let answer = open(self.to, asked).await.rest().await;
        assert_eq!(answer.status.as_u16(), 200, "{}: {}\nto {body}", dialect.as_str(), answer.text());
        answer.body
    }

    /// What the vendor answers to a chat, the same whole and streamed.
    async fn answer(&self, dialect: Dialect, terms: &Terms, chat: &str) -> Answer {
        let body = self.ask(dialect, &terms.model, &written(dialect, terms, chat, false), false).await;
        let answer = vendor(dialect).read_answer(&body);
        let answer = answer.unwrap_or_else(|it| panic!("{}: {it:?}", dialect.as_str()));
        let stream = self.ask(dialect, &terms.model, &written(dialect, terms, chat, true), true).await;
        let (mut whole, mut streamed) = (Said::of(&answer), streamed(dialect, &stream));
        if dialect == Dialect::Responses {
            // Sealed with the id of a thought, which each answer has its own of.
            assert_eq!(whole.seals.len(), streamed.seals.len(), "{}", terms.model);
            whole.seals.clear();
            streamed.seals.clear();
        }
        assert_eq!(streamed, whole, "{}: {}", dialect.as_str(), terms.model);
        answer
    }
}

fn vendor(dialect: Dialect) -> &'static dyn VendorDialect {
    dialect.of_vendors().expect("vendors speak it")
}

fn terms(model: &str, thinking: Thinking) -> Terms {
    Terms { model: model.into(), thinking, ..Terms::default() }
}

fn written(dialect: Dialect, terms: &Terms, chat: &str, stream: bool) -> String {
    let prompt = Chat.read_prompt(chat.as_bytes(), &Aside::default());
    let mut prompt = prompt.unwrap_or_else(|it| panic!("{it:?}"));
    prompt.stream = stream;
    let body = vendor(dialect).write_prompt(&prompt, terms, &mut Losses::default());
    String::from_utf8(body.unwrap_or_else(|it| panic!("{}: {it:?}", dialect.as_str()))).unwrap()
}

fn chat(messages: &[&str], more: &str) -> String {
    format!(r#"{{"model":"m","messages":[{}]{more}}}"#, messages.join(","))
}

const SYSTEM: &str = r#"{"role":"system","content":"Be brief."}"#;
const USER: &str = r#"{"role":"user","content":"How is the weather in Köln?"}"#;
const TOOLS: &str = r#","tools":[
    {"type":"function","function":{"name":"weather","description":"Tells it.","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"],"additionalProperties":false}}},
    {"type":"function","function":{"name":"clock","parameters":{"type":"object","properties":{}}}}]"#;

#[tokio::test]
async fn every_vendor_is_understood_whole_and_streamed() {
    let witness = Witness::start().await;
    for dialect in VENDORS {
        for model in ["m", "m:think", "m:extra", "m:cached", "m:tokens-3"] {
            let answer =
                witness.answer(dialect, &terms(model, Thinking::Usual), &chat(&[SYSTEM, USER], "")).await;
            let said = Said::of(&answer);
            assert!(said.text.starts_with("Hello from the"), "{} {model}: {said:?}", dialect.as_str());
        }
    }
}

#[tokio::test]
async fn calls_and_thoughts_come_back_as_each_vendor_demands() {
    let witness = Witness::start().await;
    let effort = format!(r#"{TOOLS},"reasoning_effort":"high""#);
    for (dialect, thinking) in [
        (Dialect::Responses, Thinking::Usual),
        (Dialect::Anthropic, Thinking::Usual),
        (Dialect::Anthropic, Thinking::Budget),
        (Dialect::Gemini, Thinking::Effort),
        (Dialect::Gemini, Thinking::Budget),
        (Dialect::Converse, Thinking::Usual),
        (Dialect::Converse, Thinking::Budget),
        (Dialect::Cohere, Thinking::Usual),
    ] {
        for more in [TOOLS, &effort] {
            let terms = terms("m", thinking);
            let answer = witness.answer(dialect, &terms, &chat(&[SYSTEM, USER], more)).await;
            let (message, ids) = in_chat(&answer);
            let results = [
                format!(r#"{{"role":"tool","tool_call_id":"{}","content":"12"}}"#, ids[0]),
                format!(r#"{{"role":"tool","tool_call_id":"{}","content":"late"}}"#, ids[1]),
            ];
            let turn = chat(&[SYSTEM, USER, &message, &results[0], &results[1]], more);
            let said = Said::of(&witness.answer(dialect, &terms, &turn).await);
            assert!(said.text.starts_with("Seen: 2 tool results."), "{}: {said:?}", dialect.as_str());
        }
    }
}

#[tokio::test]
async fn pictures_are_seen_and_schemas_kept_to() {
    let witness = Witness::start().await;
    let image = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo="}}"#;
    let user = format!(r#"{{"role":"user","content":[{{"type":"text","text":"what?"}},{image},{image}]}}"#);
    let format = r#","response_format":{"type":"json_schema","json_schema":{"name":"s","strict":true,"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}}}"#;
    for dialect in VENDORS {
        let terms = Terms { json_schema: Some(true), ..terms("m", Thinking::Usual) };
        let said = Said::of(&witness.answer(dialect, &terms, &chat(&[&user], "")).await);
        assert!(said.text.starts_with("Seen: 2 images."), "{}: {said:?}", dialect.as_str());
        let said = Said::of(&witness.answer(dialect, &terms, &chat(&[USER], format)).await);
        assert_eq!(said.text, r#"{"a":1}"#, "{}", dialect.as_str());
    }
}

/// The assistant's message as chat has it, and the ids of its calls.
fn in_chat(answer: &Answer) -> (String, Vec<String>) {
    let asked = Bytes::from_static(b"{}");
    let frame = Frame { id: "0".repeat(32), created: 1, asked, aside: Aside::default() };
    let body: serde_json::Value = serde_json::from_slice(&Chat.write_answer(answer, &frame)).unwrap();
    let ids = answer.choices[0].parts.iter().filter_map(|it| match it {
        Part::Call(call) => Some(call.id.clone()),
        _ => None,
    });
    (body["choices"][0]["message"].to_string(), ids.collect())
}
