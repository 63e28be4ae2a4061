//! What every endpoint shares: the call at hand, its pace and faults, and the two ways to end it, [`Answer`] and
//! [`Refusal`]. No I/O.

use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    Sim, TOKENS_MAX,
    stream::{Cut, SimBody},
};

/// One call: its number in hexadecimal, the second it arrived, and the vendor it came to.
pub(super) struct Call<'a> {
    pub sim: &'a Sim,
    pub id: &'a str,
    pub created: u64,
}

/// How fast and how long this call answers, and whether its stream breaks off.
pub(super) struct Pace {
    pub first: Duration,
    pub gap: Duration,
    pub tokens: usize,
    pub cut: Option<Cut>,
}

impl Pace {
    /// How long a whole answer of so many tokens takes.
    pub fn whole(&self, tokens: usize) -> Duration {
        self.first + self.gap.saturating_mul(tokens.saturating_sub(1) as u32)
    }
}

pub(super) struct Answer {
    pub status: StatusCode,
    pub content_type: &'static str,
    pub body: SimBody,
    /// To let pass before the head of the answer is sent.
    pub wait: Duration,
}

impl Answer {
    pub fn json(body: impl Into<Bytes>, wait: Duration) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "application/json",
            body: SimBody::Whole(body.into()),
            wait,
        }
    }

    pub fn value(value: &Value, wait: Duration) -> Self {
        Self::json(value.to_string(), wait)
    }
}

pub(super) enum Refusal {
    Error { status: StatusCode, code: Option<&'static str>, param: Option<&'static str>, message: String },
    Hang,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self::Error { status, code: None, param: None, message: message.into() }
    }

    pub fn invalid(param: Option<&'static str>, message: impl Into<String>) -> Self {
        Self::Error { status: StatusCode::BAD_REQUEST, code: None, param, message: message.into() }
    }

    pub fn model_not_found(model: &str) -> Self {
        Self::Error {
            status: StatusCode::NOT_FOUND,
            code: Some("model_not_found"),
            param: Some("model"),
            message: format!("The simulated vendor has no model `{model}`."),
        }
    }

    fn simulated(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let code = match status {
            StatusCode::UNAUTHORIZED => Some("invalid_api_key"),
            StatusCode::TOO_MANY_REQUESTS => Some("rate_limit_exceeded"),
            _ => None,
        };
        let message = format!("Simulated failure with status {}.", status.as_u16());
        Self::Error { status, code, param: None, message }
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::invalid(None, format!("The request body cannot be read: {error}."))
    }
}

/// The error form that OpenAI documents.
pub(super) fn error_body(
    status: StatusCode,
    code: Option<&str>,
    param: Option<&str>,
    message: &str,
) -> String {
    let kind = match status {
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::UNAUTHORIZED => "authentication_error",
        _ if status.is_server_error() => "server_error",
        _ => "invalid_request_error",
    };
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}}).to_string()
}

impl Call<'_> {
    /// Decides the fate of a call from the end of its model's name and from the configured shares.
    pub fn admit(&self, model: &str) -> Result<Pace, Refusal> {
        let options = &self.sim.options;
        let mut pace = Pace {
            first: Duration::from_millis(options.first_token_ms),
            gap: gap(options.tokens_per_s),
            tokens: options.tokens,
            cut: None,
        };
        if options.cut_share > 0.0 && fastrand::f64() < options.cut_share {
            pace.cut = Some(Cut::Midway);
        }
        let mut status = None;
        // From the right, up to the first part that is no ending: `ft:gpt-4o:acme` is a plain name.
        for ending in model.rsplit(':') {
            if let Some(asked) = number(ending, "fail-").filter(|it| (400..=599).contains(it)) {
                status = Some(asked as u16);
            } else if let Some(asked) = number(ending, "tokens-").filter(|it| (1..=TOKENS_MAX).contains(it)) {
                pace.tokens = asked;
            } else {
                match ending {
                    "cut" => pace.cut = Some(Cut::After(3)),
                    "hang" => return Err(Refusal::Hang),
                    "slow" => pace.gap = gap(1),
                    _ => break,
                }
            }
        }
        if model.starts_with("missing") {
            return Err(Refusal::model_not_found(model));
        }
        if status.is_none() && options.fail_share > 0.0 && fastrand::f64() < options.fail_share {
            status = Some(options.fail_status);
        }
        match status {
            Some(status) => Err(Refusal::simulated(status)),
            None => Ok(pace),
        }
    }
}

fn gap(tokens_per_s: u64) -> Duration {
    Duration::from_nanos(1_000_000_000_u64.checked_div(tokens_per_s).unwrap_or(0))
}

fn number(ending: &str, name: &str) -> Option<usize> {
    ending.strip_prefix(name)?.parse().ok()
}
