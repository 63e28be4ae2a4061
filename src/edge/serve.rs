//! The life of one call on the public port, outermost step first: record, admission, caller, body, plan, dispatch, answer.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Request, Response};
use hyper::body::Incoming;
use percent_encoding::percent_decode_str;

use crate::dialect::Dialect;
use crate::edge::admission::admit;
use crate::edge::body::Body;
use crate::edge::chat_api::path::ChatPath;
use crate::edge::chat_api::refusal::Manner;
use crate::edge::chat_api::spec::ChatSpec;
use crate::edge::chat_api::{self, Asks, Then};
use crate::edge::deliver::{closed, dispatch, told};
use crate::edge::endpoint::{Endpoint, dialect_of, endpoint, is_anthropics};
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::intake;
use crate::edge::prepare::{Asked, Prepared, prepare, take};
use crate::edge::talk;
use crate::edge::{cors, count, google, listed, models, rescue, responses, retold, sessions, single_flight};
use crate::error::{Error, Kind};
use crate::names::RequestId;
use crate::telemetry::{CallRecord, EndpointKind};
use crate::upstream::finish::FinishGuard;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_TOLLGATE_REQUEST_ID: HeaderName = HeaderName::from_static("x-tollgate-request-id");
/// Anthropic's name for the id of a request.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// Serves one request. Infallible: whatever goes wrong becomes an answer.
pub async fn serve(gateway: Arc<Gateway>, request: Request<Incoming>) -> Response<Body> {
    let serving = gateway.serving();
    let asked_cors = serving.cors.is_some().then(|| request.headers().clone());
    let id = RequestId::random();
    let is_anthropics = is_anthropics(request.uri().path());
    let listed = google::wants_array(request.uri()).then_some(serving.limits.event_bytes_max);
    let mut response = match cors::options_answer(&request, serving.cors.as_ref()) {
        Some(response) => response,
        None => recorded(&gateway, &serving, request, id).await,
    };
    if let Some(event_bytes_max) = listed {
        response = listed::tell(response, event_bytes_max);
    }
    let answered = response.headers_mut();
    let own_id = HeaderValue::from_bytes(id.as_bytes()).expect("a request id is made of ASCII");
    answered.entry(X_REQUEST_ID).or_insert_with(|| own_id.clone());
    if is_anthropics {
        answered.entry(REQUEST_ID).or_insert_with(|| own_id.clone());
    }
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
    mut request: Request<Incoming>,
    id: RequestId,
) -> Response<Body> {
    let mut uri = request.uri().clone();
    google::take_key(&mut uri, request.headers_mut());
    *request.uri_mut() = uri;
    let known = known(serving, &request);
    let told_in = |_: &Error| dialect_of(request.uri().path(), request.headers());
    let dialect = known.as_ref().map_or_else(told_in, Known::dialect);
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
        Err(error) => retold::error(refused(error, manner, end), dialect),
        Ok(Next::Answered(response)) => closed(response, end),
        Ok(Next::Retold(prepared, then)) => {
            let patience = Duration::from_millis(serving.limits.write_stall_ms);
            let response = dispatch(gateway, serving, prepared, end, patience).await;
            Box::pin(then.answer(response, &serving.limits)).await
        }
        Ok(Next::Dispatch(prepared)) if prepared.background.is_some() => {
            Box::pin(responses::start(gateway, serving, prepared, end)).await
        }
        Ok(Next::Dispatch(prepared)) => {
            let (only_in, deletes) = (prepared.call.only_in, prepared.deletes.clone());
            let response = asked(gateway, serving, prepared, end).await;
            match deletes {
                Some(key) => Box::pin(responses::deleted(response, &serving.sessions, &key)).await,
                None if response.status().is_success() => response,
                None => retold::error(response, only_in),
            }
        }
    }
}

/// The answer, perhaps shared with others who asked the same.
async fn asked(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    prepared: Arc<Prepared>,
    end: Box<FinishGuard>,
) -> Response<Body> {
    let Some(key) = prepared.key else {
        let patience = Duration::from_millis(serving.limits.write_stall_ms);
        return told(gateway, serving, prepared, end, patience).await;
    };
    let route = Arc::clone(&prepared.plan.route);
    let (asking, configured) = (Arc::clone(gateway), Arc::clone(serving));
    // Each reader has a stall watch of its own; what they share waits for them.
    let ask = |end| async move { told(&asking, &configured, prepared, end, Duration::MAX).await };
    single_flight::join(gateway, &serving.limits, key, &route, end, ask).await
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
            let asking = chat_api::understand(serving, spec, path, client.as_deref(), request, room);
            return Box::pin(chat(serving, asking, end)).await;
        }
    };
    let (head, body) = request.into_parts();
    let session = match endpoint.kind {
        EndpointKind::Chat | EndpointKind::Messages | EndpointKind::GenerateContent => {
            talk::named(&head.headers, client.as_deref())?
        }
        _ => None,
    };
    let mut asked = Asked { endpoint, head, client: client.as_deref(), session, deletes: None };
    if let Some(response) = known_here(serving, &mut asked).await? {
        return Ok(Next::Answered(response));
    }
    if asked.endpoint.kind == EndpointKind::Sessions {
        return Box::pin(sessions::answer(serving, asked, body, room, end)).await.map(Next::Answered);
    }
    let taken = take(serving, &asked, body, room).await?;
    let prepared = prepare(serving, asked, taken, end).await?;
    match count::estimate(serving, &prepared)? {
        Some(response) => Ok(Next::Answered(response)),
        None => Ok(Next::Dispatch(Arc::new(prepared))),
    }
}

/// The answer to what the gateway knows by itself; the body of such a request says nothing.
async fn known_here(serving: &Serving, asked: &mut Asked<'_>) -> Result<Option<Response<Body>>, Error> {
    let Endpoint { kind, path, .. } = &asked.endpoint;
    if *kind == EndpointKind::Models {
        let id = path.strip_prefix("/models/").map(|it| percent_decode_str(it).decode_utf8_lossy());
        let words = models::words(&asked.endpoint, &asked.head.headers);
        return models::answer(&serving.snapshot, asked.client, id.as_deref(), words).map(Some);
    }
    if *kind != EndpointKind::Sessions && asked.endpoint.dialect != Some(Dialect::Gemini) {
        responses::spelt(serving, path)?;
    }
    let is_kept = match kind {
        EndpointKind::Responses => path.starts_with("/responses/"),
        EndpointKind::Other => path == "/responses" || path.starts_with("/conversations"),
        _ => false,
    };
    if is_kept {
        return Box::pin(responses::answer(serving, asked)).await;
    }
    Ok(None)
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

    fn dialect(&self) -> Option<Dialect> {
        match self {
            Known::Call(endpoint) => endpoint.dialect,
            Known::Chat(..) => None,
        }
    }
}

fn known<'a, B>(serving: &'a Serving, request: &Request<B>) -> Result<Known<'a>, Error> {
    let (method, path) = (request.method(), request.uri().path());
    let chat = serving.chat_api.as_ref().and_then(|spec| Some((chat_api::path::find(method, path)?, spec)));
    match chat {
        Some((found, spec)) => found.map(|it| Known::Chat(it, spec)),
        None => endpoint(method, path).map(|it| {
            let asked = it.asked_with(request.headers());
            Known::Call(sessions::settled(asked, request.headers(), &serving.sessions))
        }),
    }
}

enum Next {
    Answered(Response<Body>),
    Dispatch(Arc<Prepared>),
    /// A call whose answer is told in other words.
    Retold(Arc<Prepared>, Then),
}
