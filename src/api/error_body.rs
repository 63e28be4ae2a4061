//! The OpenAI error object, written for clients.

use serde::Serialize;

use crate::error::Error;

#[derive(Serialize)]
struct Envelope<'a> {
    error: Fields<'a>,
}

#[derive(Serialize)]
struct Fields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// `{"error":{"message","type","param","code"}}`, the body of every refusal.
pub fn error_json(error: &Error) -> Vec<u8> {
    let envelope = Envelope {
        error: Fields {
            message: &error.message,
            r#type: &error.error_type,
            param: error.param.as_deref(),
            code: error.code.as_deref(),
        },
    };
    serde_json::to_vec(&envelope).expect("text and options always serialise")
}

/// The same as one SSE event: the in-band end of a stream that failed after it began.
pub fn error_event(error: &Error) -> Vec<u8> {
    let mut event = b"data: ".to_vec();
    event.extend_from_slice(&error_json(error));
    event.extend_from_slice(b"\n\n");
    event
}
