//! The life of one call on the public port, outermost step first: record, admission, caller, body, plan, dispatch, answer.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::edge::admission::admit;
use crate::edge::ask::{self, Caller, Scanned, ask};
use crate::edge::auth::Client;
use crate::edge::body::Body;
use crate::edge::continuation::Continuer;
use crate::edge::endpoint::{BodyKind, Endpoint, endpoint};
use crate::edge::flow::{LateAnswer, Watch};
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::intake::{self, Taken};
use crate::edge::models::unknown_model;
use crate::edge::search::search;
use crate::edge::single_flight::{self, Key};
use crate::edge::{cors, headers, models, rescue, shadow};
use crate::error::{Error, Kind, Origin};
use crate::names::{ModelName, RequestId};
use crate::route::cause::Cause;
use crate::route::plan::{Plan, plan};
use crate::telemetry::{CallRecord, Ended, EndpointKind};
use crate::upstream::call::{Call, CallBody};
use crate::upstream::commit::AnswerBody;
use crate::upstream::dispatch::Delivery;
use crate::upstream::finish::FinishGuard;
use crate::upstream::room::BodyRoom;
use crate::vendor::stream::StreamShape;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_TOLLGATE_REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
const X_TOLLGATE_UPSTREAM: HeaderName = HeaderName::from_static("x-tollgate-upstream");
const X_TOLLGATE_MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const X_TOLLGATE_ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const X_TOLLGATE_COST_USD: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
/// `1`: the vendor counted no tokens, and the cost is by the gateway's estimate of them.
const X_TOLLGATE_COST_ESTIMATED: HeaderName = HeaderName::from_static("x-tollgate-cost-estimated");
/// `1`: the client wants a stream to end with a comment that tells its usage and cost.
const X_TOLLGATE_USAGE: HeaderName = HeaderName::from_static("x-tollgate-usage");

/// Serves one request. Infallible: whatever goes wrong becomes an answer.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let serving = gateway.serving();
    let asked_cors = serving.cors.is_some().then(|| request.headers().clone());
    let id = RequestId::random();
    let mut response = match cors::options_answer(&request, serving.cors.as_ref()) {
        Some(response) => response,
        None => recorded(&gateway, &serving, request, id).await,
    };
    let answered = response.headers_mut();
    let own_id = HeaderValue::from_bytes(id.as_bytes()).expect("a request id is made of ASCII");
    answered.entry(X_REQUEST_ID).or_insert_with(|| own_id.clone());
    answered.insert(X_TOLLGATE_REQUEST_ID, own_id);
    if let Some(asked) = asked_cors {
        cors::permit(response.headers_mut(), &asked, serving.cors.as_ref());
    }
    response
}

/// From here on the call has a record, which closes whatever happens: refused calls are seen too.
async fn recorded(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    request: Request<Incoming>,
    id: RequestId,
) -> Response<Body> {
    let known = endpoint(request.method(), request.uri().path());
    let kind = known.as_ref().map_or(EndpointKind::Other, |it| it.kind);
    let record = CallRecord::new(id, kind, request.method().clone());
    let mut end = Box::new(FinishGuard::new(
        record,
        Arc::clone(&gateway.metrics),
        gateway.log.clone(),
        gateway.cut.clone(),
    ));
    let next = {
        let understanding = pin!(understand(serving, known, request, &mut end));
        rescue::caught(understanding).await
    };
    match next {
        Err(error) => rescue::answer(&error, end),
        Ok(Next::Answered(response)) => {
            end.record.status = response.status().as_u16();
            let (head, body) = response.into_parts();
            let Body::Whole { bytes, .. } = body else { return Response::from_parts(head, body) };
            Response::from_parts(head, Body::whole(bytes.unwrap_or_default(), end, Ended::Complete))
        }
        Ok(Next::Dispatch(prepared)) => match prepared.key {
            None => {
                let patience = Duration::from_millis(serving.limits.write_stall_ms);
                dispatch(gateway, serving, prepared, end, patience).await
            }
            Some(key) => {
                let route = Arc::clone(&prepared.plan.route);
                let (asking, configured) = (Arc::clone(gateway), Arc::clone(serving));
                // Each reader has a stall watch of its own; what they share waits for them.
                let ask =
                    |end| async move { dispatch(&asking, &configured, prepared, end, Duration::MAX).await };
                single_flight::join(gateway, &serving.limits, key, &route, end, ask).await
            }
        },
    }
}

/// Everything up to where the call goes: may it, who asks, for what.
async fn understand(
    serving: &Serving,
    known: Result<Endpoint, Error>,
    request: Request<Incoming>,
    end: &mut FinishGuard,
) -> Result<Next, Error> {
    let endpoint = known?;
    let admitted = match admit(serving, &request) {
        Ok(admitted) => admitted,
        Err(error) => {
            if error.kind == Kind::Overloaded {
                intake::linger(request.into_body());
            }
            return Err(error);
        }
    };
    let room = admitted.place.body(serving.limits.held_bytes_max);
    end.place = Some(admitted.place);
    let client = admitted.client;
    end.record.client = client.as_ref().map(|it| it.name.clone());
    if endpoint.kind == EndpointKind::Models {
        let id = endpoint.path.strip_prefix("/models/").map(|it| percent_decode_str(it).decode_utf8_lossy());
        return models::answer(&serving.snapshot, client.as_deref(), id.as_deref()).map(Next::Answered);
    }
    let prepared = prepare(serving, endpoint, client.as_deref(), request, room, end).await?;
    Ok(Next::Dispatch(Arc::new(prepared)))
}

enum Next {
    Answered(Response<Body>),
    Dispatch(Arc<Prepared>),
}

/// A call that knows where it may go.
pub(super) struct Prepared {
    pub call: Call,
    pub plan: Plan,
    pub stream: bool,
    /// By which it finds others like it to share an answer with.
    pub key: Option<Key>,
}

/// Reads the body as far as routing needs it, and plans.
async fn prepare(
    serving: &Serving,
    endpoint: Endpoint,
    client: Option<&Client>,
    request: Request<Incoming>,
    room: BodyRoom,
    end: &mut FinishGuard,
) -> Result<Prepared, Error> {
    let (head, body) = request.into_parts();
    let rules = &serving.snapshot.rules;
    let taken = take(serving, &endpoint, &head.headers, body, room).await?;
    end.record.bytes_in = taken.bytes;
    end.record.stream = taken.stream;
    let model = match taken.model.as_deref() {
        None if endpoint.body == BodyKind::Model => {
            Some(rules.default_model.as_ref().ok_or_else(no_model)?.as_str())
        }
        named => named,
    };
    let scanned = match &taken.body {
        CallBody::Json { body, scan } => Some((body.as_ref(), scan)),
        _ => None,
    };
    let plan = choose(serving, &head.headers, model, scanned, client, end)?;
    let mut path = endpoint.path;
    if let Some(query) = head.uri.query() {
        path = format!("{path}?{query}");
    }
    let call = Call {
        method: head.method,
        path,
        headers: headers::to_vendor(&head.headers),
        body: taken.body,
        kind: endpoint.kind,
        shape: endpoint.shape,
        answers_json: endpoint.answers_json,
        wants_usage: rules.wants_usage,
        said: None,
    };
    let key = single_flight::key(client, serving.snapshot.generation, &plan, &call, &head.headers);
    Ok(Prepared { call, plan, stream: taken.stream, key })
}

/// Reads the body as far as its endpoint needs it.
async fn take(
    serving: &Serving,
    endpoint: &Endpoint,
    headers: &HeaderMap,
    body: Incoming,
    room: BodyRoom,
) -> Result<Taken, Error> {
    let limits = &serving.limits;
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

/// The plan of a call: by `x-tollgate-upstream`, by its model, or to the default upstream.
fn choose(
    serving: &Serving,
    headers: &HeaderMap,
    model: Option<&str>,
    scanned: Option<Scanned<'_>>,
    client: Option<&Client>,
    end: &mut FinishGuard,
) -> Result<Plan, Error> {
    let snapshot = &serving.snapshot;
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
    let caller = Caller { client: client.map(|it| &it.name), tags: ask::tags(headers)? };
    let plan = plan(route, ask(route, model, scanned, caller), std::time::Instant::now());
    plan.count_exclusions();
    // What names no model asks a vendor for no tokens: it reads, say, an answer again that was paid for.
    if !model.is_empty() {
        end.planned(&plan);
    }
    end.tells_usage = headers.get(X_TOLLGATE_USAGE).is_some_and(|it| it == "1");
    Ok(plan)
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

/// Sends the call. A streaming client that waits long is told so, while the search for an answer goes on.
async fn dispatch(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    prepared: Arc<Prepared>,
    mut end: Box<FinishGuard>,
    patience: Duration,
) -> Response<Body> {
    shadow::mirror(gateway, serving, &prepared.call, &prepared.plan, &end.record);
    let watch = Watch { stalls: &gateway.stalls, patience };
    let wait = serving.snapshot.rules.waiting_comment;
    let plan = &prepared.plan;
    let failover_open = plan.targets.len() > 1 || !plan.route.on.of(Cause::Any).is_empty();
    let streams =
        prepared.stream && prepared.call.shape != StreamShape::Opaque && failover_open && !wait.is_zero();
    let succession = Continuer::of(serving, &prepared);
    let mut response = if streams {
        let serving = Arc::clone(serving);
        let mut late: LateAnswer = Box::pin(async move {
            let (call, plan) = (&prepared.call, &prepared.plan);
            let result = search(&serving, call, plan, &serving.snapshot.rules.bounds, &mut end).await;
            (result, end)
        });
        match tokio::time::timeout(wait, &mut late).await {
            Ok((result, end)) => finished(result, end, &watch),
            Err(_) => waiting(late, gateway, &watch),
        }
    } else {
        let result =
            search(serving, &prepared.call, &prepared.plan, &serving.snapshot.rules.bounds, &mut end).await;
        finished(result, end, &watch)
    };
    response.body_mut().succeed(succession);
    response
}

fn waiting(late: LateAnswer, gateway: &Gateway, watch: &Watch<'_>) -> Response<Body> {
    let mut response = Response::new(Body::waiting(late, gateway.cut.clone().cancelled_owned(), watch));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn finished(result: Result<Delivery, Error>, mut end: Box<FinishGuard>, watch: &Watch<'_>) -> Response<Body> {
    let attempts = end.record.attempts() as u64;
    let mut response = match result {
        Err(error) => {
            let mut response = rescue::answer(&error, end);
            if let (Origin::Upstream(upstream), Some(model)) = (&error.origin, &error.model) {
                name_target(response.headers_mut(), upstream.as_str(), model.as_str());
            }
            response
        }
        Ok(delivery) => {
            end.takes(delivery.reading);
            let whole = matches!(delivery.body, AnswerBody::Whole(_));
            let settled = whole.then(|| end.settle_whole()).flatten();
            let cost = settled.and_then(|it| it.cost);
            let mut response = Response::new(Body::answer(delivery.body, end, watch));
            *response.status_mut() = delivery.status;
            *response.headers_mut() = headers::to_client(&delivery.headers);
            name_target(response.headers_mut(), delivery.upstream.spec.id.as_str(), &delivery.model);
            if let Some(cost) = cost.and_then(|it| HeaderValue::try_from(it.to_string()).ok()) {
                response.headers_mut().insert(X_TOLLGATE_COST_USD, cost);
                if settled.is_some_and(|it| it.usage.estimated) {
                    response.headers_mut().insert(X_TOLLGATE_COST_ESTIMATED, HeaderValue::from_static("1"));
                }
            }
            response
        }
    };
    if attempts > 0 {
        response.headers_mut().insert(X_TOLLGATE_ATTEMPTS, HeaderValue::from(attempts));
    }
    response
}

/// Says who answered, or failed to.
fn name_target(headers: &mut HeaderMap, upstream: &str, model: &str) {
    for (name, value) in [(X_TOLLGATE_UPSTREAM, upstream), (X_TOLLGATE_MODEL, model)] {
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            headers.insert(name, value);
        }
    }
}
