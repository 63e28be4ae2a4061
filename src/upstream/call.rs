//! One call as the dispatcher needs it, and the HTTP request it becomes for a target.

use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};

use crate::api::edit::Edits;
use crate::api::request::RequestScan;
use crate::dialect::loss::Losses;
use crate::dialect::{Dialect, anthropic};
use crate::error::{Error, Kind, Origin, Retry};
use crate::route::table::Route;
use crate::route::target::Target;
use crate::telemetry::EndpointKind;
use crate::upstream::Upstream;
use crate::upstream::address;
use crate::upstream::asked::Asked;
use crate::upstream::body_edit::BodyEdit;
use crate::upstream::credential;
use crate::upstream::mending::Mends;
use crate::upstream::past::Past;
use crate::upstream::payload::{Outgoing, Payload};
use crate::upstream::wording::Wording;
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
    /// How it is worded, where it asks a model to speak.
    pub wording: Option<Arc<Wording>>,
    /// The API that alone has what is asked for, such as batches of messages: others are not asked.
    pub only_in: Option<Dialect>,
    /// How a stream of answers is read that is in no dialect.
    pub shape: StreamShape,
    /// Whether the answer is JSON whenever it is no stream: HTML or an error object inside a 200 is then a failure.
    pub answers_json: bool,
    /// Ask the vendor for usage where the client did not, and take the extra chunk out of the stream.
    pub wants_usage: bool,
    /// What was said of the answer already, by a target that broke off: the one asked goes on from there.
    pub said: Option<Box<Said>>,
    /// What was said before in its session.
    pub past: Option<Arc<Past>>,
    /// The field by which it names something that only a vendor can know: nobody else may be asked.
    pub vendors_own: Option<&'static str>,
    /// Its answer is told by the gateway, whoever gives it: the client's own words are not forwarded.
    pub is_retold: bool,
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

/// The body for one target, and how its answer is to be taken.
pub struct Encoded {
    pub payload: Payload,
    /// Where it goes, below the upstream's host, if not to the usual path.
    pub base: Option<String>,
    /// What is asked there, if not the client's own path.
    pub path: Option<String>,
    /// The usage of a stream is our wish, not the client's.
    pub usage_injected: bool,
    /// The dialect the target is asked in; None for calls that ask no model to speak.
    pub form: Option<Dialect>,
    /// Its answer is in the client's own words, and passes as it comes.
    pub is_own: bool,
    /// What the target could not be told.
    pub losses: Losses,
    /// What its answer needs besides being read.
    pub mends: Mends,
}

impl Encoded {
    pub fn new(payload: Payload) -> Self {
        Self {
            payload,
            base: None,
            path: None,
            usage_injected: false,
            form: None,
            is_own: false,
            losses: Losses::default(),
            mends: Mends::default(),
        }
    }
}

impl Call {
    /// The body as `target` should get it: the client's bytes but for the values that must differ, or the same said in
    /// its dialect. `model` is the name the client asked of the route.
    pub fn encode(
        &self,
        route: &Route,
        target: &Target,
        upstream: &Upstream,
        model: &str,
    ) -> Result<Encoded, Error> {
        let name = target.model_for(model);
        address::check(name)?;
        let mut encoded = match (&self.body, &self.wording) {
            (CallBody::Json { body, scan }, Some(wording)) => {
                let quirks = upstream.quirks.for_model(name);
                let asked = Asked { call: self, wording, body, scan, route, target, upstream, name, quirks };
                return asked.encode().map(|it| address::fitted(it, self, upstream, name));
            }
            (CallBody::Json { body, scan }, None) => {
                let mut edit = BodyEdit::new(body, scan);
                edit.model(name);
                Encoded::new(Payload::held(edit.apply()))
            }
            (CallBody::Form { head, model: place, rest }, _) => {
                let mut edits = Edits::default();
                if head[place.clone()] != *name.as_bytes() {
                    edits.replace(place.clone(), Bytes::copy_from_slice(name.as_bytes()));
                }
                Encoded::new(rest.with_pieces(edits.apply(head)))
            }
            (CallBody::Plain(payload), _) => Encoded::new(payload.again()),
        };
        encoded.base.clone_from(self.base_at(upstream)?);
        Ok(address::fitted(encoded, self, upstream, name))
    }

    /// Where a call goes that asks no model to speak.
    fn base_at<'a>(&self, upstream: &'a Upstream) -> Result<&'a Option<String>, Error> {
        let Some(dialect) = self.only_in else { return Ok(&upstream.spec.rest) };
        upstream.spec.form(dialect).map(|it| &it.base).ok_or_else(|| {
            let (path, id) = (self.path.split('?').next().unwrap_or_default(), &upstream.spec.id);
            let message = format!(
                "`{path}` is in the {} API, which the upstream `{id}` does not speak: name one that does in `x-tollgate-upstream`, or as the gateway's `default_upstream`.",
                dialect.as_str()
            );
            let error = Error::bad_request(message).status(StatusCode::NOT_FOUND);
            error.code("upstream_not_found").retry(Retry::NextTarget)
        })
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
            wording: self.wording.clone(),
            ..*self
        })
    }

    /// Whether the client named a model.
    pub fn names_model(&self) -> bool {
        !matches!(self.body, CallBody::Plain(_))
    }

    /// Whether it only asks how many tokens it has.
    pub fn counts(&self) -> bool {
        self.wording.as_ref().is_some_and(|it| it.counts)
    }

    /// Whether the client asked for a stream of events.
    pub fn streams(&self) -> bool {
        matches!(&self.body, CallBody::Json { scan, .. } if scan.stream)
    }
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
    let path = encoded.path.as_deref().unwrap_or(&call.path);
    *request.uri_mut() = uri_below(upstream, base, path)?;
    *request.headers_mut() = call.headers.clone();
    keep_apart(request.headers_mut(), call, encoded.form);
    if encoded.form.is_some() && !encoded.is_own {
        // The gateway wrote the body, whatever the client called its own.
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    add_headers(request.headers_mut(), upstream, key);
    // Where a cloud serves the dialect, the version stands in the body.
    if encoded.form == Some(Dialect::Anthropic) && upstream.spec.manners.body.is_empty() {
        let (name, version) = anthropic::VERSION;
        request.headers_mut().entry(name).or_insert(HeaderValue::from_static(version));
    }
    credential::show(upstream, &mut request, &encoded.payload)?;
    Ok(request)
}

/// Takes away what a client says in headers to vendors of its own dialect, where the target is asked in another.
fn keep_apart(headers: &mut HeaderMap, call: &Call, form: Option<Dialect>) {
    let own = |it: &HeaderName| {
        ["anthropic-", "openai-", "x-dashscope-"].iter().any(|own| it.as_str().starts_with(own))
    };
    if call.wording.as_ref().is_none_or(|it| form == Some(it.dialect)) {
        return;
    }
    let names: Vec<HeaderName> = headers.keys().filter(|it| own(it)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The upstream's own headers and key, over whatever stood there.
pub fn add_headers(headers: &mut HeaderMap, upstream: &Upstream, key: usize) {
    if let Some((name, value)) = upstream.authorizations.get(key) {
        headers.insert(name.clone(), value.clone());
    }
    for (name, value) in &upstream.spec.manners.headers {
        headers.entry(name.clone()).or_insert_with(|| value.clone());
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
