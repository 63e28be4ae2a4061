//! The life of one call on the public port, outermost step first: record, admission, caller, body, plan, dispatch, answer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::edge::admission::admit;
use crate::edge::body::Body;
use crate::edge::chat_api::path::ChatPath;
use crate::edge::chat_api::refusal::Manner;
use crate::edge::chat_api::spec::ChatSpec;
use crate::edge::chat_api::{self, Asks, Then};
use crate::edge::continuation::Continuer;
use crate::edge::endpoint::{Endpoint, endpoint};
use crate::edge::flow::Watch;
use crate::edge::flowing::LateAnswer;
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::headers::X_TOLLGATE_UPSTREAM;
use crate::edge::intake;
use crate::edge::prepare::{Asked, Prepared, prepare, take};
use crate::edge::search::search;
use crate::edge::talk::{self, Told};
use crate::edge::{cors, headers, models, rescue, sessions, shadow, single_flight};
use crate::error::{Error, Kind, Origin};
use crate::names::RequestId;
use crate::route::cause::Cause;
use crate::telemetry::{CallRecord, Ended, EndpointKind};
use crate::upstream::commit::AnswerBody;
use crate::upstream::dispatch::Delivery;
use crate::upstream::finish::FinishGuard;
use crate::vendor::stream::StreamShape;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_TOLLGATE_REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
const X_TOLLGATE_MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const X_TOLLGATE_ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const X_TOLLGATE_COST_USD: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
/// `1`: the vendor counted no tokens, and the cost is by the gateway's estimate of them.
const X_TOLLGATE_COST_ESTIMATED: HeaderName = HeaderName::from_static("x-tollgate-cost-estimated");

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
    let known = known(serving, &request);
    let manner = serving.chat_api.as_ref().and_then(|_| Manner::of(request.uri().path()));
    let kind = known.as_ref().map_or(EndpointKind::Other, Known::kind);
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
        Err(error) => refused(error, manner, end),
        Ok(Next::Answered(response)) => {
            end.record.status = response.status().as_u16();
            let (head, body) = response.into_parts();
            let Body::Whole { bytes, .. } = body else { return Response::from_parts(head, body) };
            Response::from_parts(head, Body::whole(bytes.unwrap_or_default(), end, Ended::Complete))
        }
        Ok(Next::Retold(prepared, then)) => {
            let patience = Duration::from_millis(serving.limits.write_stall_ms);
            let response = dispatch(gateway, serving, prepared, end, patience).await;
            Box::pin(then.answer(response, &serving.limits)).await
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

/// An error, in the words that the front-ends of its path look for.
fn refused(mut error: Error, manner: Option<Manner>, end: Box<FinishGuard>) -> Response<Body> {
    if let Some(manner) = manner {
        error.body = Some(manner.told(rescue::body(&error)));
    }
    rescue::answer(&error, end)
}

/// Everything up to where the call goes: may it, who asks, for what.
async fn understand(
    serving: &Serving,
    known: Result<Known<'_>, Error>,
    request: Request<Incoming>,
    end: &mut FinishGuard,
) -> Result<Next, Error> {
    let known = known?;
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
    let endpoint = match known {
        Known::Call(endpoint) => endpoint,
        Known::Chat(path, spec) => {
            let next = chat(
                serving,
                chat_api::understand(serving, spec, path, client.as_deref(), request, room),
                end,
            );
            return Box::pin(next).await;
        }
    };
    if endpoint.kind == EndpointKind::Models {
        let id = endpoint.path.strip_prefix("/models/").map(|it| percent_decode_str(it).decode_utf8_lossy());
        return models::answer(&serving.snapshot, client.as_deref(), id.as_deref()).map(Next::Answered);
    }
    let (head, body) = request.into_parts();
    let session = match endpoint.kind {
        EndpointKind::Chat => talk::named(&head.headers, client.as_deref())?,
        _ => None,
    };
    let asked = Asked { endpoint, head, client: client.as_deref(), session };
    if asked.endpoint.kind == EndpointKind::Sessions {
        return Box::pin(sessions::answer(serving, asked, body, room, end)).await.map(Next::Answered);
    }
    let taken = take(serving, &asked, body, room).await?;
    Ok(Next::Dispatch(Arc::new(prepare(serving, asked, taken, end).await?)))
}

/// What becomes of a request of the earlier chat service's.
async fn chat<'a>(
    serving: &Serving,
    understanding: impl Future<Output = Result<chat_api::Next<'a>, Error>>,
    end: &mut FinishGuard,
) -> Result<Next, Error> {
    match understanding.await? {
        chat_api::Next::Answered(response) => Ok(Next::Answered(response)),
        chat_api::Next::Asks(asks) => {
            let Asks { asked, taken, then } = *asks;
            Ok(Next::Retold(Arc::new(prepare(serving, asked, taken, end).await?), then))
        }
    }
}

/// A path that is served.
enum Known<'a> {
    Call(Endpoint),
    /// One of the earlier chat service's.
    Chat(ChatPath, &'a ChatSpec),
}

impl Known<'_> {
    fn kind(&self) -> EndpointKind {
        match self {
            Known::Call(endpoint) => endpoint.kind,
            Known::Chat(path, _) => path.kind(),
        }
    }
}

fn known<'a, B>(serving: &'a Serving, request: &Request<B>) -> Result<Known<'a>, Error> {
    let (method, path) = (request.method(), request.uri().path());
    let chat = serving.chat_api.as_ref().and_then(|spec| Some((chat_api::path::find(method, path)?, spec)));
    match chat {
        Some((found, spec)) => found.map(|it| Known::Chat(it, spec)),
        None => endpoint(method, path)
            .map(|it| Known::Call(sessions::settled(it, request.headers(), &serving.sessions))),
    }
}

enum Next {
    Answered(Response<Body>),
    Dispatch(Arc<Prepared>),
    /// A call whose answer is told in other words.
    Retold(Arc<Prepared>, Then),
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
    let told = prepared.told.clone();
    let succession = Continuer::of(serving, &prepared);
    let mut response = if streams {
        let serving = Arc::clone(serving);
        let of_session = told.is_some().then(|| Arc::clone(&prepared));
        let mut late: LateAnswer = Box::pin(async move {
            let (call, plan) = (&prepared.call, &prepared.plan);
            let result = search(&serving, call, plan, &serving.snapshot.rules.bounds, &mut end).await;
            (result, end)
        });
        match tokio::time::timeout(wait, &mut late).await {
            Ok((result, end)) => finished(result, end, told.as_ref(), &watch).await,
            Err(_) => waiting(late, gateway, of_session.as_deref(), &watch),
        }
    } else {
        let result =
            search(serving, &prepared.call, &prepared.plan, &serving.snapshot.rules.bounds, &mut end).await;
        finished(result, end, told.as_ref(), &watch).await
    };
    response.body_mut().succeed(succession);
    response
}

fn waiting(
    late: LateAnswer,
    gateway: &Gateway,
    of_session: Option<&Prepared>,
    watch: &Watch<'_>,
) -> Response<Body> {
    let mut response = Response::new(Body::waiting(late, gateway.cut.clone().cancelled_owned(), watch));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Some((prepared, told)) = of_session.and_then(|it| Some((it, it.told.as_ref()?))) {
        told.waiting(&prepared.plan, headers);
    }
    response
}

async fn finished(
    result: Result<Delivery, Error>,
    end: Box<FinishGuard>,
    told: Option<&Told>,
    watch: &Watch<'_>,
) -> Response<Body> {
    let attempts = end.record.attempts() as u64;
    let mut response = match result {
        Err(error) => {
            let mut response = rescue::answer(&error, end);
            if let (Origin::Upstream(upstream), Some(model)) = (&error.origin, &error.model) {
                name_target(response.headers_mut(), upstream.as_str(), model.as_str());
            }
            response
        }
        Ok(delivery) => delivered(delivery, end, told, watch).await,
    };
    if attempts > 0 {
        response.headers_mut().insert(X_TOLLGATE_ATTEMPTS, HeaderValue::from(attempts));
    }
    response
}

/// The answer of a target, with what its head says of who gave it, what it cost and where it is remembered.
async fn delivered(
    delivery: Delivery,
    mut end: Box<FinishGuard>,
    told: Option<&Told>,
    watch: &Watch<'_>,
) -> Response<Body> {
    let mut head = headers::to_client(&delivery.headers);
    name_target(&mut head, delivery.upstream.spec.id.as_str(), &delivery.model);
    if let Some(told) = told {
        told.answered(&delivery, &mut head);
    }
    end.takes(delivery.reading);
    let whole = matches!(delivery.body, AnswerBody::Whole(_));
    let settled = whole.then(|| end.settle_whole()).flatten();
    let cost = settled.and_then(|it| it.cost);
    if let Some(cost) = cost.and_then(|it| HeaderValue::try_from(it.to_string()).ok()) {
        head.insert(X_TOLLGATE_COST_USD, cost);
        if settled.is_some_and(|it| it.usage.estimated) {
            head.insert(X_TOLLGATE_COST_ESTIMATED, HeaderValue::from_static("1"));
        }
    }
    if end.talk.is_some() {
        talk::keep_whole(&delivery.body, &mut end, &mut head).await;
    }
    let mut response = Response::new(Body::answer(delivery.body, end, watch));
    *response.status_mut() = delivery.status;
    *response.headers_mut() = head;
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
