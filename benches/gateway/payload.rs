//! The requests that the load generator sends. What the vendor should do stands at the start of the body, in fields that a
//! gateway has no reason to touch.

use std::net::SocketAddr;
use std::time::Duration;

/// Prose with the escapes that prompts really have, so that a scanner is not measured on one endless plain string.
const PROSE: &str =
    "The quick onyx goblin said \\\"jump over the lazy dwarf\\\", then wrote it down.\\nCafé, naïve, 東京: ";

/// How a streamed answer should come.
#[derive(Clone, Copy)]
pub struct Pace {
    pub events: usize,
    pub between: Duration,
}

/// A chat call whose body is `body_bytes` long, as an SDK would send it.
pub fn chat(host: SocketAddr, body_bytes: usize, pace: Option<Pace>) -> Vec<u8> {
    let body = body(body_bytes, pace);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: OpenAI/Python 2.0.0\r\nauthorization: Bearer bench\r\n\
         x-stainless-lang: python\r\nx-stainless-retry-count: 0\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

pub fn livez(host: SocketAddr) -> Vec<u8> {
    format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
}

fn body(body_bytes: usize, pace: Option<Pace>) -> Vec<u8> {
    let orders = pace.map_or(String::new(), |it| {
        let between_us = it.between.as_micros();
        format!(r#""stream":true,"bench_events":{},"bench_between_us":{between_us},"#, it.events)
    });
    let mut body =
        format!(r#"{{"model":"gpt-bench",{orders}"temperature":0.7,"messages":[{{"role":"user","content":""#);
    let ending = r#""}]}"#;
    while body.len() + PROSE.len() + ending.len() <= body_bytes {
        body.push_str(PROSE);
    }
    body.extend(std::iter::repeat_n('.', body_bytes.saturating_sub(body.len() + ending.len())));
    body.push_str(ending);
    body.into_bytes()
}
