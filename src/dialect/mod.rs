//! The wire formats that clients and vendors speak, each read into and written from one meaning: [`prompt`] for what is
//! asked, [`answer`] for what is answered, whole or in [`event`]s. Pure, no I/O; knows no vendor, only what a target
//! wants of its dialect ([`terms`]).
//!
//! The gateway itself works on chat completions: what comes in another dialect is put into that form, with the fields
//! that [`chat`] adds for what OpenAI's own do not say, and out of it again. So a dialect knows no other one, and with
//! each one that is added all pairs work. What one side cannot say is named in [`loss`], never lost silently.
//! Where both sides speak the same dialect nothing of this runs: bytes are forwarded.

pub mod answer;
pub mod anthropic;
pub mod arguments;
pub mod chat;
pub mod cited;
pub mod claude;
pub mod cohere;
pub mod completions;
pub mod converse;
pub mod event;
pub mod functions;
pub mod gemini;
pub mod ids;
pub mod json;
pub mod loss;
pub mod orphans;
pub mod prompt;
pub mod read;
pub mod responses;
pub mod seal;
pub mod sources;
pub mod sse;
pub mod terms;
#[cfg(test)]
mod tests;
pub mod tool_names;
pub mod whole;

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::Fields;
use crate::api::ink::Ink;
use crate::error::Error;
use answer::Answer;
use event::{Event, Told};
use loss::Losses;
use prompt::Prompt;
use terms::Terms;

/// Makes of the list below all that depends on which dialects there are.
macro_rules! dialects {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $clients:expr, $vendors:expr, $seals:expr;)+) => {
        /// A wire format for asking a model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Dialect {
            $($(#[$doc])* $name,)+
        }

        impl Dialect {
            pub const ALL: [Dialect; [$($word),+].len()] = [$(Self::$name),+];

            /// The dialect as clients speak it; none where none may.
            pub fn of_clients(self) -> Option<&'static dyn ClientDialect> {
                match self {
                    $(Self::$name => $clients,)+
                }
            }

            /// The dialect as vendors speak it; none where none does, or where it is only forwarded.
            pub fn of_vendors(self) -> Option<&'static dyn VendorDialect> {
                match self {
                    $(Self::$name => $vendors,)+
                }
            }

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// The format that its seals have in a chat completion (`reasoning_details[].format`); none where it has none
            /// of its own.
            pub fn seals(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => $seals,)+
                }
            }
        }
    };
}

// A dialect, its name, who reads and writes it for clients and for vendors, and the format of its seals.
dialects! {
    /// OpenAI's `/chat/completions`.
    Chat = "chat", Some(&chat::Chat), Some(&chat::Chat), None;
    /// OpenAI's `/completions`, of clients only.
    Completions = "completions", Some(&completions::Completions), None, None;
    /// OpenAI's `/responses`.
    Responses = "responses", Some(&responses::Responses), Some(&responses::Responses), Some("openai-responses-v1");
    /// Anthropic's `/v1/messages`.
    Anthropic = "anthropic", Some(&anthropic::Anthropic), Some(&anthropic::Anthropic), Some("anthropic-claude-v1");
    /// Google's `models/{model}:generateContent`.
    Gemini = "gemini", Some(&gemini::Gemini), Some(&gemini::Gemini), Some("google-gemini-v1");
    /// Bedrock's `/model/{id}/converse`, of vendors only.
    Converse = "converse", None, Some(&converse::Converse), Some("bedrock-converse-v1");
    /// Cohere's `/v2/chat`, of vendors only.
    Cohere = "cohere", None, Some(&cohere::Cohere), Some("cohere-chat-v2");
}

/// What it takes to serve clients of a dialect.
pub trait ClientDialect: Sync {
    /// Reads a request. What stands outside the body, such as Gemini's model and wish for a stream, comes with `aside`.
    /// A request that cannot be understood is a 400 that names its field (`param`).
    fn read_prompt(&self, body: &[u8], aside: &Aside) -> Result<Prompt, Error>;

    /// Writes a whole answer.
    fn write_answer(&self, answer: &Answer, frame: &Frame) -> Vec<u8>;

    /// Writes a streamed one.
    fn encoder(&self, frame: &Frame) -> Box<dyn Encoder>;

    /// An error's body, for an answer that has none of its own to forward.
    fn write_error(&self, error: &ErrorSaid) -> Vec<u8>;
}

/// What it takes to ask vendors of a dialect.
pub trait VendorDialect: Sync {
    /// Where a request goes below the base URL, such as `/messages`; `model` is the vendor's name for it, not escaped.
    fn path(&self, model: &str, stream: bool) -> String;

    /// Writes a request for the target that `terms` describe. What the dialect has no words for goes to `losses`.
    /// An error is a 400 for what no request can be made of, such as arguments that are no JSON.
    fn write_prompt(&self, prompt: &Prompt, terms: &Terms, losses: &mut Losses) -> Result<Vec<u8>, Error>;

    /// Reads a whole answer.
    fn read_answer(&self, body: &[u8]) -> Result<Answer, NoAnswer>;

    /// Reads a streamed one.
    fn decoder(&self) -> Box<dyn Decoder>;
}

/// What a request says outside its body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aside {
    /// The model, where the path names it.
    pub model: Option<String>,
    /// A stream is wanted, where the path says so.
    pub stream: bool,
}

/// What an answer is written into, besides what was answered.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// The id of the answer where its vendor gave it none, without a prefix: 32 lower-case hex digits.
    pub id: String,
    /// Unix time in seconds, where the vendor stated none.
    pub created: u64,
    /// The client's request, of which some dialects repeat parts.
    pub asked: Bytes,
    pub aside: Aside,
}

impl Frame {
    /// The model that the vendor named, or else the client.
    pub fn model(&self, told: Option<&str>) -> String {
        let asked = || Fields::of_bytes(&self.asked)?.text("model").map(Cow::into_owned);
        let named = told.map(str::to_owned).or_else(|| self.aside.model.clone());
        named.or_else(asked).unwrap_or_default()
    }
}

/// An answer or event that does not say what its dialect must; the vendor failed.
#[derive(Debug, PartialEq)]
pub struct Unreadable(pub &'static str);

/// Why a whole body is no answer.
#[derive(Debug, PartialEq)]
pub enum NoAnswer {
    Unreadable(&'static str),
    /// The vendor says that it failed.
    Failed(ErrorSaid),
}

impl From<Unreadable> for NoAnswer {
    fn from(why: Unreadable) -> Self {
        Self::Unreadable(why.0)
    }
}

impl NoAnswer {
    /// What is to be told of it.
    pub fn why(&self) -> &str {
        match self {
            Self::Unreadable(why) => why,
            Self::Failed(said) => &said.message,
        }
    }
}

/// What is said of an error, in OpenAI's terms, which every error of the gateway has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ErrorSaid {
    /// The HTTP status it has, or would have had.
    pub status: u16,
    pub message: String,
    /// OpenAI's `type`, such as `invalid_request_error`.
    pub error_type: String,
    pub code: Option<String>,
    pub param: Option<String>,
    /// When to ask again, for dialects that say so in an error's body.
    pub retry_after: Option<Duration>,
}

/// A 400 for a prompt of which nothing is left that a vendor would answer.
fn says_nothing() -> Error {
    Error::bad_request("messages must hold something to answer, such as a text.").param("messages")
}

impl ErrorSaid {
    /// One of that status, with the type that goes with it.
    fn of(status: u16, message: impl Into<String>) -> Self {
        let error_type = match status {
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        Self { status, message: message.into(), error_type: error_type.into(), ..Self::default() }
    }

    /// Writes OpenAI's `{"error":{…}}`.
    fn write(&self, out: &mut Vec<u8>) {
        out.open(b'{').key("error").open(b'{').text_field("message", &self.message);
        out.text_field("type", &self.error_type).text_or_null("param", self.param.as_deref());
        out.text_or_null("code", self.code.as_deref()).close(b'}').close(b'}');
    }
}

/// Reads the events of one stream. An event comes whole: framing is not its business.
pub trait Decoder: Send + Sync {
    /// `name` is the event's name (`event:` of SSE, `:event-type` of AWS), empty where it has none. Errors that the
    /// vendor tells in its stream become [`Event::Failed`].
    fn read(&mut self, name: &str, data: &[u8], told: &mut Vec<Told>) -> Result<(), Unreadable>;

    /// The stream is over. Where the dialect has no event for that, and the answer is complete, [`Event::End`] is told
    /// here; nothing is where it broke off.
    fn end(&mut self, told: &mut Vec<Told>);
}

/// Writes the events of one stream, framed as SSE.
pub trait Encoder: Send + Sync {
    /// Adds what `told` is in this dialect to `out`; perhaps nothing.
    fn write(&mut self, told: &Told, out: &mut Vec<u8>);

    /// The stream ends here for want of an answer's end: an error in this dialect. Nothing is written behind it.
    fn fail(&mut self, error: &ErrorSaid, out: &mut Vec<u8>);
}

/// Writes every event of `told` in turn.
pub fn write_all(encoder: &mut dyn Encoder, told: &[Told], out: &mut Vec<u8>) {
    for it in told {
        match &it.event {
            Event::Failed(error) => encoder.fail(error, out),
            _ => encoder.write(it, out),
        }
    }
}
