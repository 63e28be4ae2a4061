//! Has a call served and makes its answer the client's: in its dialect, under a head that says who gave it, what it cost and
//! where it is remembered. Called by `edge::serve` once a call knows where it may go.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use crate::dialect::loss::Losses;
use crate::edge::body::Body;
use crate::edge::continuation::Continuer;
use crate::edge::flow::Watch;
use crate::edge::flowing::LateAnswer;
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::headers::X_TOLLGATE_UPSTREAM;
use crate::edge::prepare::Prepared;
use crate::edge::search::search;
use crate::edge::talk::{self, Told};
use crate::edge::{count, headers, rescue, retold, shadow};
use crate::error::{Error, Origin};
use crate::route::cause::Cause;
use crate::telemetry::Ended;
use crate::upstream::call::Call;
use crate::upstream::commit::AnswerBody;
use crate::upstream::dispatch::Delivery;
use crate::upstream::finish::FinishGuard;
use crate::upstream::wording::Wording;
use crate::vendor::limits;
use crate::vendor::stream::StreamShape;

const X_TOLLGATE_MODEL: HeaderName = HeaderName::from_static("x-tollgate-model");
const X_TOLLGATE_ATTEMPTS: HeaderName = HeaderName::from_static("x-tollgate-attempts");
const X_TOLLGATE_COST_USD: HeaderName = HeaderName::from_static("x-tollgate-cost-usd");
/// `1`: the vendor counted no tokens, and the cost is by the gateway's estimate of them.
const X_TOLLGATE_COST_ESTIMATED: HeaderName = HeaderName::from_static("x-tollgate-cost-estimated");
/// What of the request the target could not be told, by the names of its fields, separated by commas.
const X_TOLLGATE_DROPPED: HeaderName = HeaderName::from_static("x-tollgate-dropped");

/// The answer of whoever serves the call, in its client's words.
pub(super) async fn told(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    prepared: Arc<Prepared>,
    end: Box<FinishGuard>,
    patience: Duration,
) -> Response<Body> {
    let wording = prepared.call.wording.clone();
    let response = dispatch(gateway, serving, prepared, end, patience).await;
    retold::tell(response, wording, &serving.limits)
}

/// Sends the call. A streaming client that waits long is told so, while the search for an answer goes on.
pub(super) async fn dispatch(
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
    let (told, wording) = (prepared.told.clone(), prepared.call.wording.clone());
    let succession = Continuer::of(serving, &prepared);
    let mut response = if streams {
        let serving = Arc::clone(serving);
        let of_session = told.is_some().then(|| Arc::clone(&prepared));
        let mut late: LateAnswer = Box::pin(async move {
            let (call, plan) = (&prepared.call, &prepared.plan);
            let result = search(&serving, call, plan, &serving.snapshot.rules.bounds, &mut end).await;
            note_form(call, &result);
            (result, end)
        });
        match tokio::time::timeout(wait, &mut late).await {
            Ok((result, end)) => finished(result, end, wording.as_deref(), told.as_ref(), &watch).await,
            Err(_) => waiting(late, gateway, of_session.as_deref(), &watch),
        }
    } else {
        let result =
            search(serving, &prepared.call, &prepared.plan, &serving.snapshot.rules.bounds, &mut end).await;
        note_form(&prepared.call, &result);
        finished(result, end, wording.as_deref(), told.as_ref(), &watch).await
    };
    response.body_mut().succeed(succession);
    response
}

/// Says in which words the answer comes before any of them goes out.
fn note_form(call: &Call, result: &Result<Delivery, Error>) {
    if let (Some(wording), Ok(delivery)) = (&call.wording, result) {
        wording.note_forwarded(delivery.form.is_some());
    }
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
    mut end: Box<FinishGuard>,
    wording: Option<&Wording>,
    told: Option<&Told>,
    watch: &Watch<'_>,
) -> Response<Body> {
    let attempts = end.record.attempts() as u64;
    let mut response = match result {
        Err(error) => {
            if let Some(counted) = count::instead(wording, &error) {
                end.answers_here();
                return closed(counted, end);
            }
            let mut response = rescue::answer(&error, end);
            if let Some(wording) = wording {
                limits::told::retell(wording.dialect, response.headers_mut(), SystemTime::now());
            }
            if let (Origin::Upstream(upstream), Some(model)) = (&error.origin, &error.model) {
                name_target(response.headers_mut(), upstream.as_str(), model.as_str());
            }
            response
        }
        Ok(delivery) => delivered(delivery, end, wording, told, watch).await,
    };
    if attempts > 0 {
        response.headers_mut().insert(X_TOLLGATE_ATTEMPTS, HeaderValue::from(attempts));
    }
    response
}

/// An answer of the gateway's own, which closes the record as it goes out.
pub(super) fn closed(response: Response<Body>, mut end: Box<FinishGuard>) -> Response<Body> {
    end.record.status = response.status().as_u16();
    let (head, body) = response.into_parts();
    let Body::Whole { bytes, .. } = body else { return Response::from_parts(head, body) };
    Response::from_parts(head, Body::whole(bytes.unwrap_or_default(), end, Ended::Complete))
}

/// The answer of a target, with what its head says of who gave it, what it cost and where it is remembered.
async fn delivered(
    delivery: Delivery,
    mut end: Box<FinishGuard>,
    wording: Option<&Wording>,
    told: Option<&Told>,
    watch: &Watch<'_>,
) -> Response<Body> {
    let mut head = headers::to_client(&delivery.headers);
    if let Some(wording) = wording {
        limits::told::retell(wording.dialect, &mut head, SystemTime::now());
        if let Some(dropped) = dropped(&delivery.losses) {
            head.insert(X_TOLLGATE_DROPPED, dropped);
        }
    }
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

/// The fields of the request that its target could not be told.
fn dropped(losses: &Losses) -> Option<HeaderValue> {
    let names = losses.names().join(",");
    HeaderValue::try_from(names).ok().filter(|it| !it.is_empty())
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
