//! From a request that was let in to a call that knows where it may go: body, model, route, plan.

use std::sync::Arc;
use std::time::Instant;

use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use hyper::body::Incoming;

use crate::api::request::RequestScan;
use crate::dialect::{Dialect, Frame};
use crate::edge::ask::{self, Caller, ask};
use crate::edge::auth::Client;
use crate::edge::endpoint::{BodyKind, Endpoint};
use crate::edge::gateway::Serving;
use crate::edge::headers::{self, X_TOLLGATE_UPSTREAM};
use crate::edge::intake::{self, Taken};
use crate::edge::models::unknown_model;
use crate::edge::responses;
use crate::edge::single_flight::{self, Key};
use crate::edge::talk::{self, Joined, Told};
use crate::error::Error;
use crate::names::ModelName;
use crate::route::plan::{Plan, plan};
use crate::route::table::Route;
use crate::session::clock::now_ms;
use crate::session::key::SessionKey;
use crate::session::underway::Underway;
use crate::snapshot::CallRules;
use crate::telemetry::EndpointKind;
use crate::upstream::call::{Call, CallBody};
use crate::upstream::finish::FinishGuard;
use crate::upstream::room::BodyRoom;
use crate::upstream::wording::{Chat, Wording};

/// `1`: the client wants a stream to end with a comment that tells its usage and cost.
const X_TOLLGATE_USAGE: HeaderName = HeaderName::from_static("x-tollgate-usage");

/// A call that knows where it may go.
pub(super) struct Prepared {
    pub call: Call,
    pub plan: Plan,
    pub stream: bool,
    /// By which it finds others like it to share an answer with.
    pub key: Option<Key>,
    /// What the answer says of its session.
    pub told: Option<Told>,
    /// The record of an answer that the gateway is to give in the background.
    pub background: Option<Arc<Underway>>,
    /// What the gateway deletes of its own when the vendor has deleted.
    pub deletes: Option<SessionKey>,
}

/// A request that was let in.
pub(super) struct Asked<'a> {
    pub endpoint: Endpoint,
    pub head: Parts,
    pub client: Option<&'a Client>,
    /// The session that it is a part of.
    pub session: Option<SessionKey>,
    /// What the gateway keeps of something that a vendor keeps too and that is to be deleted at both.
    pub deletes: Option<SessionKey>,
}

/// Finds the route of a call whose body was taken, and plans.
pub(super) async fn prepare(
    serving: &Serving,
    asked: Asked<'_>,
    mut taken: Taken,
    end: &mut FinishGuard,
) -> Result<Prepared, Error> {
    let rules = &serving.snapshot.rules;
    let wording = worded(&asked.endpoint, &mut taken)?;
    (end.record.bytes_in, end.record.stream) = (taken.bytes, taken.stream);
    let model = match taken.model.as_deref() {
        None if asked.endpoint.body == BodyKind::Model => Some(usual_model(rules)?),
        stated => stated,
    };
    forget_store(serving, asked.endpoint.kind, &mut taken.body);
    let (route, model) = find(serving, &asked, model, end)?;
    let joined = joined(serving, route, &asked, &taken.body, wording.as_deref(), end).await?;
    let plan = planned(route, model, &asked, &taken.body, &joined, end)?;
    if is_billed(&plan, wording.as_deref()) {
        end.planned(&plan, joined.past.as_ref());
    }
    let Asked { endpoint, head, client, deletes, .. } = asked;
    let call = Call {
        method: head.method,
        path: with_query(&endpoint.path, &head.uri),
        headers: headers::to_vendor(&head.headers),
        body: taken.body,
        kind: endpoint.kind,
        wording,
        only_in: endpoint.only_in(),
        shape: endpoint.shape,
        answers_json: endpoint.answers_json,
        wants_usage: rules.wants_usage,
        said: None,
        past: joined.past,
        vendors_own: joined.vendors_own,
        is_retold: joined.background.is_some(),
    };
    let shares = end.talk.is_none() && call.past.is_none();
    let key =
        shares.then(|| single_flight::key(client, serving.snapshot.generation, &plan, &call, &head.headers));
    Ok(Prepared {
        call,
        plan,
        stream: taken.stream,
        key: key.flatten(),
        told: joined.told,
        background: joined.background,
        deletes,
    })
}

fn usual_model(rules: &CallRules) -> Result<&str, Error> {
    rules.default_model.as_ref().map(|it| it.as_str()).ok_or_else(no_model)
}

/// What names no model asks a vendor for no tokens: it reads, say, an answer again that was paid for. Counting them is free.
fn is_billed(plan: &Plan, wording: Option<&Wording>) -> bool {
    !plan.model().is_empty() && wording.is_none_or(|it| !it.counts)
}

/// Where `store` is the vendor's business.
fn forget_store(serving: &Serving, kind: EndpointKind, body: &mut CallBody) {
    let stores = kind == EndpointKind::Chat && serving.sessions.keeps_completions();
    if let CallBody::Json { scan, .. } = body {
        scan.store.take_if(|_| !stores);
    }
}

fn with_query(path: &str, uri: &Uri) -> String {
    uri.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
}

/// What the call takes along from what was said before it.
async fn joined(
    serving: &Serving,
    route: &Route,
    asked: &Asked<'_>,
    body: &CallBody,
    wording: Option<&Wording>,
    end: &mut FinishGuard,
) -> Result<Joined, Error> {
    if let Some(wording) = wording.filter(|it| it.dialect == Dialect::Responses) {
        return Box::pin(responses::join(serving, route, asked, wording, end)).await;
    }
    responses::checked(serving, asked, body).await?;
    responses::conversation(serving, asked, end);
    let as_chat = as_chat(asked, wording)?;
    talk::join(serving, route, asked, as_chat.as_ref().unwrap_or(body), end).await
}

/// A call in another dialect that belongs to a session: sessions are kept in chat's words.
fn as_chat(asked: &Asked<'_>, wording: Option<&Wording>) -> Result<Option<CallBody>, Error> {
    let Some(wording) = wording.filter(|it| asked.session.is_some() && it.dialect != Dialect::Chat) else {
        return Ok(None);
    };
    let Chat { body, scan, .. } = wording.chat()?.clone();
    Ok(Some(CallBody::Json { body, scan }))
}

/// How a call that asks a model to speak is worded. Of Google's the body does not say all that routing needs.
fn worded(endpoint: &Endpoint, taken: &mut Taken) -> Result<Option<Arc<Wording>>, Error> {
    let (true, Some(dialect)) = (endpoint.asks_a_model(), endpoint.dialect) else { return Ok(None) };
    let CallBody::Json { body, scan } = &mut taken.body else {
        return match dialect {
            Dialect::Anthropic | Dialect::Gemini => {
                Err(Error::bad_request("The request body must be JSON.").code("invalid_body"))
            }
            // A form can be OpenAI's too, whatever is in it.
            _ => Ok(None),
        };
    };
    let frame = Frame {
        id: format!("{:032x}", fastrand::u128(..)),
        created: now_ms() / 1_000,
        asked: body.clone(),
        aside: endpoint.aside.clone(),
    };
    let wording = Wording::new(dialect, frame, endpoint.kind == EndpointKind::CountTokens);
    if dialect == Dialect::Gemini {
        // Whatever else has a name that is read in OpenAI's bodies is something else here.
        *scan = RequestScan { stream: endpoint.aside.stream, wants: scan.wants, ..RequestScan::default() };
        taken.stream = scan.stream;
        taken.model.clone_from(&endpoint.aside.model);
    }
    Ok(Some(wording))
}

/// The plan of a call, which its record goes by from here on.
fn planned(
    route: &Arc<Route>,
    model: &str,
    asked: &Asked<'_>,
    body: &CallBody,
    joined: &Joined,
    end: &mut FinishGuard,
) -> Result<Plan, Error> {
    let past = joined.past.as_ref();
    let headers = &asked.head.headers;
    let scanned = match body {
        CallBody::Json { body, scan } => Some((body.as_ref(), scan)),
        _ => None,
    };
    let caller = Caller {
        client: asked.client.map(|it| &it.name),
        conversation: talk::conversation(asked),
        past: past.map(|it| &**it),
        tags: ask::tags(headers)?,
    };
    let mut plan = plan(route, ask(route, model, scanned, caller), Instant::now());
    if let Some(kept_at) = past.and_then(|it| it.kept_at.as_ref()).filter(|_| !plan.panic) {
        plan.prefer(kept_at);
    }
    if let Some(made_at) = &joined.made_at {
        plan.keep_to(made_at);
    }
    plan.count_exclusions();
    end.tells_usage = headers.get(X_TOLLGATE_USAGE).is_some_and(|it| it == "1");
    Ok(plan)
}

/// Reads the body as far as its endpoint needs it.
pub(super) async fn take(
    serving: &Serving,
    asked: &Asked<'_>,
    body: Incoming,
    room: BodyRoom,
) -> Result<Taken, Error> {
    let (endpoint, headers, limits) = (&asked.endpoint, &asked.head.headers, &serving.limits);
    let has_body = !http_body::Body::is_end_stream(&body);
    match endpoint.body {
        BodyKind::Model => intake::modelled(headers, body, limits, room).await,
        BodyKind::MaybeModel
            if has_body && (endpoint.kind != EndpointKind::Other || is_readable(headers)) =>
        {
            intake::modelled(headers, body, limits, room).await
        }
        _ => {
            let body = intake::unread(headers, body, limits)?;
            Ok(Taken { body, model: None, stream: false, bytes: 0 })
        }
    }
}

/// Whether a body may name a model in a form we read.
fn is_readable(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "multipart/form-data" || kind == "application/json" || kind.ends_with("+json")
}

fn no_model() -> Error {
    Error::bad_request("The request body names no `model`.").param("model").code("missing_model")
}

/// The route of a call and the model it is asked for: by `x-tollgate-upstream`, by the call's model, or the default upstream.
fn find<'a>(
    serving: &'a Serving,
    asked: &Asked<'_>,
    model: Option<&'a str>,
    end: &mut FinishGuard,
) -> Result<(&'a Arc<Route>, &'a str), Error> {
    let (snapshot, headers, client) = (&serving.snapshot, &asked.head.headers, asked.client);
    let named =
        headers.get(X_TOLLGATE_UPSTREAM).map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
    let whole_name = match (&named, model) {
        (Some(upstream), Some(model)) => Some(format!("{upstream}/{model}")),
        (_, model) => model.map(str::to_owned),
    };
    end.record.model_asked = whole_name.as_deref().map(ModelName::from);
    if let Some(client) = client {
        client.check(whole_name.as_deref())?;
    }
    let (route, model) = match (&named, model) {
        (Some(upstream), _) => {
            let route = snapshot.routes.direct(upstream).ok_or_else(|| unknown_upstream(upstream))?;
            (route, model.unwrap_or_default())
        }
        (None, Some(model)) => {
            let found = snapshot.routes.find(model).ok_or_else(|| unknown_model(snapshot, client, model))?;
            (found.route, found.model)
        }
        (None, None) => {
            let upstream = snapshot.rules.default_upstream.as_ref();
            let route =
                upstream.and_then(|it| snapshot.routes.direct(it.as_str())).ok_or_else(no_upstream)?;
            (route, "")
        }
    };
    end.record.route = Some(Arc::clone(&route.label));
    Ok((route, model))
}

fn unknown_upstream(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::bad_request(format!("No upstream is called `{shown}` (`x-tollgate-upstream`)."))
        .status(StatusCode::NOT_FOUND)
        .code("upstream_not_found")
}

fn no_upstream() -> Error {
    Error::bad_request(
        "This call names no model, and the gateway has no upstream for such calls (`default_upstream`).",
    )
    .status(StatusCode::NOT_FOUND)
    .code("upstream_not_found")
}
