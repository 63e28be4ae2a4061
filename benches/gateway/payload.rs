//! The requests that the load generator sends. What the vendor should do stands at the start of the body, in fields that a
//! gateway has no reason to touch.

use std::net::SocketAddr;
use std::time::Duration;

use crate::vendor;

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
    request(host, "", &body(body_bytes, pace))
}

/// The same conversation for every call: one more question after `turns` turns, which the client sends along, or which
/// stand in the session it names.
pub fn talk(host: SocketAddr, turns: usize, session: Option<&str>, pace: Option<Pace>) -> Vec<u8> {
    let header = session.map_or(String::new(), |it| format!("x-session-id: {it}\r\n"));
    request(host, &header, talk_body(if session.is_some() { 0 } else { turns }, pace).as_bytes())
}

/// Body of such a call with `turns` turns in it.
pub fn talk_body(turns: usize, pace: Option<Pace>) -> String {
    let question = message("user", &format!("{PROSE}And what does that say of the dog?"));
    let answer = message("assistant", &vendor::brief_answer());
    let history = format!("{question},{answer},").repeat(turns);
    let orders = orders(pace);
    format!(
        r#"{{"model":"gpt-bench",{orders}"bench_brief":true,"temperature":0.7,"messages":[{history}{question}]}}"#
    )
}

fn message(role: &str, text: &str) -> String {
    format!(r#"{{"role":"{role}","content":"{text}"}}"#)
}

fn request(host: SocketAddr, header: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\n\
         content-type: application/json\r\nuser-agent: OpenAI/Python 2.0.0\r\nauthorization: Bearer bench\r\n\
         x-stainless-lang: python\r\nx-stainless-retry-count: 0\r\n{header}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn livez(host: SocketAddr) -> Vec<u8> {
    format!("GET /livez HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes()
}

fn body(body_bytes: usize, pace: Option<Pace>) -> Vec<u8> {
    let orders = orders(pace);
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

fn orders(pace: Option<Pace>) -> String {
    pace.map_or(String::new(), |it| {
        let between_us = it.between.as_micros();
        format!(r#""stream":true,"bench_events":{},"bench_between_us":{between_us},"#, it.events)
    })
}
