//! Makes the chat completion that a message of the earlier service means.

use bytes::Bytes;
use serde::Serialize;

use crate::edge::chat_api::picture::Picture;
use crate::edge::chat_api::spec::Sampling;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: [Message<'a>; 2],
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: Url },
}

#[derive(Serialize)]
struct Url {
    url: String,
}

/// The body of a streamed completion: the role's prompt, which becomes the session's, and the new message.
pub fn body(model: &str, system: &str, text: &str, picture: Option<&Picture>, sampling: Sampling) -> Bytes {
    let content = match picture {
        None => Content::Text(text),
        Some(picture) => {
            let text = (!text.is_empty()).then_some(Part::Text { text });
            let picture = Part::ImageUrl { image_url: Url { url: picture.to_data_uri() } };
            Content::Parts(text.into_iter().chain([picture]).collect())
        }
    };
    let request = Request {
        model,
        messages: [
            Message { role: "system", content: Content::Text(system) },
            Message { role: "user", content },
        ],
        stream: true,
        max_tokens: sampling.max_tokens,
        temperature: sampling.temperature,
    };
    serde_json::to_vec(&request).expect("text and finite numbers always serialise").into()
}

/// The message of an assistant, as a turn keeps it.
pub fn assistant(text: &str) -> Bytes {
    let message = Message { role: "assistant", content: Content::Text(text) };
    serde_json::to_vec(&message).expect("text always serialises").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_streamed_completion() {
        let check = |body: Bytes, expected: &str| assert_eq!(body, expected.as_bytes());
        let none = Sampling::default();
        check(
            body("smart", "Be \"kind\".", "hi", None, none),
            r#"{"model":"smart","messages":[{"role":"system","content":"Be \"kind\"."},{"role":"user","content":"hi"}],"stream":true}"#,
        );
        let picture = Picture { kind: "image/gif", bytes: b"GIF89a".to_vec() };
        let some = Sampling { max_tokens: Some(9), temperature: Some(0.5) };
        check(
            body("a/b", "S", "what?", Some(&picture), some),
            r#"{"model":"a/b","messages":[{"role":"system","content":"S"},{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlh"}}]}],"stream":true,"max_tokens":9,"temperature":0.5}"#,
        );
        check(assistant("Hello!"), r#"{"role":"assistant","content":"Hello!"}"#);
    }
}
