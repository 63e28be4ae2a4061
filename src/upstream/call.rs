//! One call as the dispatcher needs it, and the HTTP request it becomes for a target.

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, header};

use crate::api::edit::Edits;
use crate::api::request::{RequestScan, field_place};
use crate::error::{Error, Kind, Origin};
use crate::route::table::{Route, Target};
use crate::upstream::Upstream;
use crate::upstream::payload::{Outgoing, Payload};
use crate::vendor::stream::StreamShape;

/// What a client asked for, whoever will serve it.
pub struct Call {
    pub method: Method,
    /// Below the base URL, query included: `/chat/completions?x=1`.
    pub path: String,
    /// The client's headers that may leave.
    pub headers: HeaderMap,
    pub body: CallBody,
    /// How a stream of answers is read.
    pub shape: StreamShape,
    /// Whether the answer is JSON whenever it is no stream: HTML or an error object inside a 200 is then a failure.
    pub answers_json: bool,
    /// Ask the vendor for usage where the client did not, and take the extra chunk out of the stream.
    pub wants_usage: bool,
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
    pub usage_injected: bool,
}

impl Call {
    /// The body as `target` should get it: the client's bytes but for the values that must differ.
    /// `model` is the name the client asked of the route.
    pub fn encode(&self, route: &Route, target: &Target, upstream: &Upstream, model: &str) -> Encoded {
        match &self.body {
            CallBody::Json { body, scan } => {
                let mut edits = Edits::default();
                self.edit_model(&mut edits, scan, target.model_for(model));
                edit_defaults(&mut edits, body, scan, route);
                let usage_injected = self.edit_usage(&mut edits, body, scan, upstream);
                Encoded { payload: Payload::held(edits.apply(body)), usage_injected }
            }
            CallBody::Form { head, model: place, rest } => {
                let mut edits = Edits::default();
                let name = target.model_for(model);
                if head[place.clone()] != *name.as_bytes() {
                    edits.replace(place.clone(), Bytes::copy_from_slice(name.as_bytes()));
                }
                Encoded { payload: rest.with_pieces(edits.apply(head)), usage_injected: false }
            }
            CallBody::Plain(payload) => Encoded { payload: payload.again(), usage_injected: false },
        }
    }

    /// Whether the client named a model.
    pub fn names_model(&self) -> bool {
        !matches!(self.body, CallBody::Plain(_))
    }

    /// Whether the client asked for a stream of events.
    pub fn streams(&self) -> bool {
        matches!(&self.body, CallBody::Json { scan, .. } if scan.stream)
    }

    fn edit_model(&self, edits: &mut Edits, scan: &RequestScan, name: &str) {
        match &scan.model {
            Some((asked, _)) if asked == name => {}
            Some((_, place)) => edits.replace(place.clone(), json_text(name)),
            None if name.is_empty() => {}
            None => edits.insert(scan.first_field, format!("\"model\":{},", json_text(name))),
        }
    }

    /// Only chat and legacy completions know `stream_options`, and not every vendor takes it.
    fn edit_usage(&self, edits: &mut Edits, body: &Bytes, scan: &RequestScan, upstream: &Upstream) -> bool {
        let applies = self.wants_usage
            && scan.stream
            && self.shape == StreamShape::Chunks
            && upstream.spec.stream_usage;
        if !applies {
            return false;
        }
        match &scan.stream_options {
            None => {
                edits.insert(scan.first_field, r#""stream_options":{"include_usage":true},"#);
                true
            }
            Some(place) => {
                let options = serde_json::from_slice::<serde_json::Map<_, _>>(&body[place.clone()]);
                let mut options: serde_json::Map<String, serde_json::Value> = options.unwrap_or_default();
                if options.get("include_usage") == Some(&serde_json::Value::Bool(true)) {
                    return false;
                }
                options.insert("include_usage".into(), true.into());
                edits.replace(place.clone(), serde_json::Value::Object(options).to_string());
                true
            }
        }
    }
}

/// Fields and system prompt that the route fills in. A second scan, only for routes that have any.
fn edit_defaults(edits: &mut Edits, body: &Bytes, scan: &RequestScan, route: &Route) {
    for (name, value) in &route.defaults {
        if field_place(body, name).is_none() {
            let mut field = json_text(name).into_bytes();
            field.push(b':');
            field.extend_from_slice(value);
            field.push(b',');
            edits.insert(scan.first_field, field);
        }
    }
    let Some(system) = &route.system else { return };
    let Some(messages) = field_place(body, "messages").filter(|it| body[it.start] == b'[') else { return };
    let inner = &body[messages.start + 1..messages.end - 1];
    let mut message = system.to_vec();
    if !inner.iter().all(u8::is_ascii_whitespace) {
        message.push(b',');
    }
    edits.insert(messages.start + 1, message);
}

fn json_text(text: &str) -> String {
    serde_json::to_string(text).expect("text always serialises")
}

/// What is added to a client's headers for one attempt.
pub fn request(
    call: &Call,
    upstream: &Upstream,
    key: usize,
    payload: &Payload,
) -> Result<Request<Outgoing>, Error> {
    let mut request = Request::new(payload.outgoing());
    *request.method_mut() = call.method.clone();
    *request.uri_mut() = uri(upstream, &call.path)?;
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
    let mut text = String::with_capacity(upstream.base_path.len() + path.len());
    text.push_str(&upstream.base_path);
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
