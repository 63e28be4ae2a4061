//! One call as the dispatcher needs it, and the HTTP request it becomes for a target.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};
use serde_json::{Map, Value};

use crate::api::edit::Edits;
use crate::api::request::{RequestScan, field_place};
use crate::error::{Error, Kind, Origin};
use crate::route::table::Route;
use crate::route::target::Target;
use crate::session::history::Fitted;
use crate::telemetry::EndpointKind;
use crate::upstream::Upstream;
use crate::upstream::past::Past;
use crate::upstream::payload::{Outgoing, Payload};
use crate::vendor::models::Prefill;
use crate::vendor::prefill;
use crate::vendor::said::Said;
use crate::vendor::stream::StreamShape;

/// What a client asked for, whoever will serve it.
pub struct Call {
    pub method: Method,
    /// Below the base URL, query included: `/chat/completions?x=1`.
    pub path: String,
    /// The client's headers that may leave.
    pub headers: HeaderMap,
    pub body: CallBody,
    pub kind: EndpointKind,
    /// How a stream of answers is read.
    pub shape: StreamShape,
    /// Whether the answer is JSON whenever it is no stream: HTML or an error object inside a 200 is then a failure.
    pub answers_json: bool,
    /// Ask the vendor for usage where the client did not, and take the extra chunk out of the stream.
    pub wants_usage: bool,
    /// What was said of the answer already, by a target that broke off: the one asked goes on from there.
    pub said: Option<Box<Said>>,
    /// What was said before in its session.
    pub past: Option<Arc<Past>>,
}

/// The client's body.
pub enum CallBody {
    /// JSON, held whole, with what was read of it.
    Json { body: Bytes, scan: RequestScan },
    /// A form, of which `head` is held up to and including the value of its `model` field, at `model`; the rest
    /// may still be coming in.
    Form { head: Bytes, model: std::ops::Range<usize>, rest: Payload },
    /// Anything else, or nothing: passed through.
    Plain(Payload),
}

impl CallBody {
    /// Whether another attempt could still send all of it.
    pub fn is_whole(&self) -> bool {
        match self {
            CallBody::Json { .. } => true,
            CallBody::Form { rest, .. } | CallBody::Plain(rest) => rest.is_whole(),
        }
    }
}

/// The body for one target, and whether usage was injected into it.
pub struct Encoded {
    pub payload: Payload,
    /// Where it goes, below the upstream's host, if not to the usual path.
    base: Option<String>,
    pub usage_injected: bool,
}

impl Call {
    /// The body as `target` should get it: the client's bytes but for the values that must differ.
    /// `model` is the name the client asked of the route.
    pub fn encode(&self, route: &Route, target: &Target, upstream: &Upstream, model: &str) -> Encoded {
        let name = target.model_for(model);
        match &self.body {
            CallBody::Json { body, scan } => {
                let mut edit = BodyEdit { body, scan, edits: Edits::default(), added: Vec::new(), spent: 0 };
                edit.instruct(route, self.kind);
                if let Some(past) = &self.past {
                    edit.go_back(past, &past.fitted(target, name));
                }
                let base = self.said.as_ref().map(|said| {
                    let form = target.facts(name).prefill;
                    edit.go_on(said, form);
                    prefill::base_path(form, &upstream.base_path).into_owned()
                });
                // It is the gateway that stores.
                if let Some(store) = &scan.store {
                    edit.edits.replace(store.clone(), "false");
                }
                edit.model(name);
                edit.fill_in(route, self.kind);
                let asks =
                    self.wants_usage && self.shape == StreamShape::Chunks && upstream.spec.stream_usage;
                let usage_injected = asks && scan.stream && edit.ask_for_usage();
                Encoded { payload: Payload::held(edit.apply()), usage_injected, base }
            }
            CallBody::Form { head, model: place, rest } => {
                let mut edits = Edits::default();
                if head[place.clone()] != *name.as_bytes() {
                    edits.replace(place.clone(), Bytes::copy_from_slice(name.as_bytes()));
                }
                Encoded { payload: rest.with_pieces(edits.apply(head)), usage_injected: false, base: None }
            }
            CallBody::Plain(payload) => {
                Encoded { payload: payload.again(), usage_injected: false, base: None }
            }
        }
    }

    /// The same call once more, if its body is held: no byte of it is copied.
    pub fn again(&self) -> Option<Self> {
        let CallBody::Json { body, scan } = &self.body else { return None };
        Some(Self {
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            body: CallBody::Json { body: body.clone(), scan: scan.clone() },
            said: None,
            past: self.past.clone(),
            ..*self
        })
    }

    /// Whether the client named a model.
    pub fn names_model(&self) -> bool {
        !matches!(self.body, CallBody::Plain(_))
    }

    /// Whether the client asked for a stream of events.
    pub fn streams(&self) -> bool {
        matches!(&self.body, CallBody::Json { scan, .. } if scan.stream)
    }
}

/// The changes to one JSON body.
struct BodyEdit<'a> {
    body: &'a Bytes,
    scan: &'a RequestScan,
    edits: Edits,
    /// Fields put in front of the client's, as `"name":value`.
    added: Vec<String>,
    /// Tokens of the answer that exist already, and are taken off its bound.
    spent: u64,
}

impl BodyEdit<'_> {
    fn model(&mut self, name: &str) {
        match (&self.scan.model, &self.scan.null_model) {
            (Some((asked, _)), _) if asked == name => {}
            (Some((_, place)), _) | (None, Some(place)) => self.edits.replace(place.clone(), json_text(name)),
            (None, None) if name.is_empty() => {}
            (None, None) => self.add("model", &json_text(name)),
        }
    }

    fn add(&mut self, name: &str, value: &str) {
        self.added.push(format!("{}:{value}", json_text(name)));
    }

    fn has(&self, name: &str) -> bool {
        field_place(self.body, name).is_some()
    }

    /// The route's system prompt. Made before all other edits: it stands before whatever else goes to the same place.
    fn instruct(&mut self, route: &Route, kind: EndpointKind) {
        match &route.system {
            Some(system) if kind == EndpointKind::Chat => self.put_first(system),
            Some(system) if kind == EndpointKind::Responses && !self.has("instructions") => {
                self.add("instructions", &json_text(system));
            }
            _ => {}
        }
    }

    /// What the route fills in where the client said nothing, in the words of the endpoint. Scans the body again, but
    /// only for routes that fill in anything.
    fn fill_in(&mut self, route: &Route, kind: EndpointKind) {
        let responses = kind == EndpointKind::Responses;
        if !responses && !matches!(kind, EndpointKind::Chat | EndpointKind::Completions) {
            return;
        }
        for (name, value) in &route.defaults {
            let is_limit = OUTPUT_LIMITS.contains(&name.as_str());
            let said = if is_limit { OUTPUT_LIMITS.iter().any(|it| self.has(it)) } else { self.has(name) };
            if !said {
                let less = if is_limit { less(value, self.spent) } else { None };
                let value = less.as_deref().map_or(&value[..], str::as_bytes);
                let name = if is_limit && responses { "max_output_tokens" } else { name };
                self.add(name, &String::from_utf8_lossy(value));
            }
        }
    }

    /// Puts what was said behind the client's messages, in the vendor's form, and asks for that much less.
    fn go_on(&mut self, said: &Said, form: Option<Prefill>) {
        let Some(messages) = field_place(self.body, "messages") else { return };
        let Some(beginning) = prefill::beginning(form, &said.content, &said.reasoning) else { return };
        self.edits.insert(messages.end - 1, format!(",{beginning}"));
        self.spent = said.tokens();
        for place in OUTPUT_LIMITS.iter().filter_map(|it| field_place(self.body, it)) {
            if let Some(less) = less(&self.body[place.clone()], self.spent) {
                self.edits.replace(place, less);
            }
        }
    }

    /// Puts what was said before in front of the client's own messages.
    fn go_back(&mut self, past: &Past, fitted: &Fitted) {
        if fitted.pieces.is_empty() {
            return;
        }
        let (before, behind) = past.around;
        self.edits.insert(past.at, before);
        for piece in &fitted.pieces {
            self.edits.insert(past.at, piece.clone());
        }
        self.edits.insert(past.at, behind);
    }

    /// Puts the system prompt before the client's messages.
    fn put_first(&mut self, system: &str) {
        let place = field_place(self.body, "messages").filter(|it| self.body[it.start] == b'[');
        let Some(messages) = place else { return };
        let inner = &self.body[messages.start + 1..messages.end - 1];
        let comma = if inner.iter().all(u8::is_ascii_whitespace) { "" } else { "," };
        let message = format!(r#"{{"role":"system","content":{}}}"#, json_text(system));
        // A call that brings it already needs it once.
        if !inner.trim_ascii_start().starts_with(message.as_bytes()) {
            self.edits.insert(messages.start + 1, message + comma);
        }
    }

    /// Asks for the usage of a stream, unless the client did or wrote something that cannot be added to.
    fn ask_for_usage(&mut self) -> bool {
        let Some(place) = &self.scan.stream_options else {
            self.add("stream_options", r#"{"include_usage":true}"#);
            return true;
        };
        let options = serde_json::from_slice::<Option<Map<String, Value>>>(&self.body[place.clone()]);
        let Ok(options) = options else { return false };
        let mut options = options.unwrap_or_default();
        if options.get("include_usage") == Some(&Value::Bool(true)) {
            return false;
        }
        options.insert("include_usage".into(), true.into());
        self.edits.replace(place.clone(), Value::Object(options).to_string());
        true
    }

    fn apply(mut self) -> Vec<Bytes> {
        if !self.added.is_empty() {
            let comma = if self.scan.is_empty { "" } else { "," };
            self.edits.insert(self.scan.first_field, self.added.join(",") + comma);
        }
        self.edits.apply(self.body)
    }
}

/// Names of one and the same bound; vendors refuse a request that has two of them.
const OUTPUT_LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// The bound that a route gives answers whose client gives none, in tokens.
pub fn output_default(route: &Route) -> Option<u64> {
    let limits = route.defaults.iter().filter(|(name, _)| OUTPUT_LIMITS.contains(&name.as_str()));
    limits.filter_map(|(_, value)| serde_json::from_slice(value).ok()).min()
}

/// A bound without the tokens that are spent, at least 1; none where it stays as it is written.
fn less(bound: &[u8], spent: u64) -> Option<String> {
    let bound: u64 = serde_json::from_slice(bound).ok().filter(|_| spent > 0)?;
    Some(bound.saturating_sub(spent).max(1).to_string())
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("text always serialises")
}

/// What is added to a client's headers for one attempt.
pub fn request(
    call: &Call,
    upstream: &Upstream,
    key: usize,
    encoded: &Encoded,
) -> Result<Request<Outgoing>, Error> {
    let mut request = Request::new(encoded.payload.outgoing());
    *request.method_mut() = call.method.clone();
    let base = encoded.base.as_deref().unwrap_or(&upstream.base_path);
    *request.uri_mut() = uri_below(upstream, base, &call.path)?;
    *request.headers_mut() = call.headers.clone();
    add_headers(request.headers_mut(), upstream, key);
    Ok(request)
}

/// The upstream's own headers and key, over whatever stood there.
pub fn add_headers(headers: &mut HeaderMap, upstream: &Upstream, key: usize) {
    if let Some(authorization) = upstream.authorizations.get(key) {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in &upstream.spec.headers {
        headers.insert(name.clone(), value.clone());
    }
}

/// `path` below the upstream's base URL, with the upstream's own query added.
pub fn uri(upstream: &Upstream, path: &str) -> Result<Uri, Error> {
    uri_below(upstream, &upstream.base_path, path)
}

fn uri_below(upstream: &Upstream, base: &str, path: &str) -> Result<Uri, Error> {
    let mut text = String::with_capacity(base.len() + path.len());
    text.push_str(base);
    text.push_str(path);
    if let Some(query) = &upstream.spec.query {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(query.reveal());
    }
    let path = PathAndQuery::try_from(text).map_err(|_| {
        Error::new(Kind::BadRequest, Origin::Client, "The request path is not a valid URL path.")
    })?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(upstream.scheme.clone());
    parts.authority = Some(upstream.authority.clone());
    parts.path_and_query = Some(path);
    Uri::from_parts(parts).map_err(|_| {
        Error::new(Kind::BadRequest, Origin::Client, "The request path is not a valid URL path.")
    })
}
