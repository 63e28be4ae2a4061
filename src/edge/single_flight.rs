//! Identical deterministic calls in flight share one upstream call, on routes that say `single_flight: true`. The first
//! one asks, in a task of its own, so that its client may leave; the others read along ([`crate::edge::shared`]). When
//! the last reader leaves, the upstream call ends. Nothing is kept beyond that call: this is no cache.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};

use crate::api::wants::Wants;
use crate::edge::auth::Client;
use crate::edge::body::Body;
use crate::edge::flow::Watch;
use crate::edge::gateway::Gateway;
use crate::edge::options::LimitOptions;
use crate::edge::rescue;
use crate::edge::shared::{Outcome, Reader, SharedAnswer, SharedBody, SharedHead, lost};
use crate::names::UpstreamId;
use crate::route::plan::Plan;
use crate::route::table::Route;
use crate::telemetry::EndpointKind;
use crate::telemetry::series::SharedCalls;
use crate::upstream::call::{Call, CallBody};
use crate::upstream::finish::FinishGuard;
use crate::upstream::room::Place;

const X_TOLLGATE_SHARED: HeaderName = HeaderName::from_static("x-tollgate-shared");

/// Headers of the answer that belong to the call that asked, and to no other.
const OF_THE_LEADER: [&str; 5] =
    ["x-request-id", "request-id", "x-tollgate-attempts", "x-tollgate-cost-usd", "x-tollgate-cost-estimated"];

/// Parts of the board, so that calls on different cores seldom meet at one lock.
const SHARDS: usize = 64;

/// What makes two calls one: a SHA-256 over all that the answer may depend on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Request headers that name a call or its software, and change nothing about its answer.
const NO_PART: [HeaderName; 2] = [header::USER_AGENT, HeaderName::from_static("x-client-request-id")];

/// Headers that may carry a caller's key.
const CALLERS_KEYS: [HeaderName; 4] = [
    header::AUTHORIZATION,
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The key of a call that may share, if it is one. `headers` are the client's own; `generation` is of the snapshot, so
/// that calls on both sides of a reload stay apart.
pub fn key(
    client: Option<&Client>,
    generation: u64,
    plan: &Plan,
    call: &Call,
    headers: &HeaderMap,
) -> Option<Key> {
    let CallBody::Json { body, scan } = &call.body else { return None };
    if plan.route.single_flight.is_none() || !is_deterministic(call.kind, &scan.wants, &plan.route) {
        return None;
    }
    let mut digest = Parts(Sha256::new());
    match client {
        Some(client) => digest.add(b"client", client.name.as_str().as_bytes()),
        // Nobody has a name here; those who show different keys are different all the same.
        None => digest.headers(headers, |it| CALLERS_KEYS.contains(it)),
    }
    digest.add(b"generation", &generation.to_le_bytes());
    digest.add(b"route", plan.route.label.as_bytes());
    digest.add(b"path", call.path.as_bytes());
    digest.headers(&call.headers, |it| !NO_PART.contains(it));
    digest.headers(headers, |it| it.as_str().starts_with("x-tollgate-"));
    digest.add(b"body", body);
    Some(Key(digest.0.finalize().into()))
}

/// Parts of a digest, each behind its length: no two lists of parts make the same bytes.
struct Parts(Sha256);

impl Parts {
    fn add(&mut self, name: &[u8], value: &[u8]) {
        for part in [name, value] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    fn headers(&mut self, headers: &HeaderMap, counts: impl Fn(&HeaderName) -> bool) {
        for (name, value) in headers.iter().filter(|(name, _)| counts(name)) {
            self.add(name.as_str().as_bytes(), value.as_bytes());
        }
    }
}

/// Whether the same call is meant to get the same answer: embeddings, and text at temperature 0.
fn is_deterministic(kind: EndpointKind, wants: &Wants, route: &Route) -> bool {
    let is_zero = |text: &[u8]| serde_json::from_slice::<f64>(text).is_ok_and(|it| it == 0.0);
    let by_default = || route.defaults.iter().any(|(name, value)| name == "temperature" && is_zero(value));
    match kind {
        EndpointKind::Embeddings => true,
        EndpointKind::Chat
        | EndpointKind::Completions
        | EndpointKind::Messages
        | EndpointKind::GenerateContent => wants.deterministic(by_default()),
        _ => false,
    }
}

/// Shares the answer of a call under way that has this key, or has `ask` send this one for others to share.
pub async fn join<F>(
    gateway: &Gateway,
    limits: &LimitOptions,
    key: Key,
    route: &Route,
    mut end: Box<FinishGuard>,
    ask: impl FnOnce(Box<FinishGuard>) -> F,
) -> Response<Body>
where
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let patience = Duration::from_millis(limits.write_stall_ms);
    let watch = Watch { stalls: &gateway.stalls, patience };
    match gateway.flights.board(key, limits.answer_bytes_max) {
        Boarding::Follows(reader) => {
            // The request itself is not needed.
            drop(ask);
            route.single_flight.iter().for_each(SharedCalls::count);
            followers_answer(reader, end, &watch).await
        }
        Boarding::Leads(lead) => {
            let place = end.place.take();
            leaders_answer(lead.fly(ask(end)), place, &watch).await
        }
    }
}

type Shard = Mutex<HashMap<Key, Arc<SharedAnswer>>>;

/// The calls under way that others may join. Bounded by the calls in flight.
pub struct Flights {
    shards: [Shard; SHARDS],
}

impl Default for Flights {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| Shard::default()) }
    }
}

/// What a call finds.
enum Boarding {
    /// Another call like it is under way.
    Follows(Reader),
    /// None is: this one has to ask.
    Leads(Lead),
}

impl Flights {
    /// Joins the call under way that has this key, or becomes it. Of its answer `bytes_max` bytes are kept.
    fn board(self: &Arc<Self>, key: Key, bytes_max: usize) -> Boarding {
        let mut shard = self.shard(&key);
        if let Some(reader) = shard.get(&key).and_then(SharedAnswer::join) {
            return Boarding::Follows(reader);
        }
        let (shared, reader) = SharedAnswer::new(bytes_max);
        shard.insert(key, Arc::clone(&shared));
        Boarding::Leads(Lead { flight: Flight { flights: Arc::clone(self), key, shared }, reader })
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Arc<SharedAnswer>>> {
        let shard = &self.shards[usize::from(key.0[0]) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first of several identical calls.
struct Lead {
    flight: Flight,
    reader: Reader,
}

impl Lead {
    /// Has `asking` run in a task of its own, for as long as anybody reads its answer.
    fn fly(self, asking: impl Future<Output = Response<Body>> + Send + 'static) -> Reader {
        let flight = self.flight;
        tokio::spawn(async move {
            let abandoned = flight.shared.abandoned.clone();
            tokio::select! {
                biased;
                () = abandoned.cancelled() => {}
                () = flight.run(asking) => {}
            }
        });
        self.reader
    }
}

/// An upstream call that is under way for its readers.
struct Flight {
    flights: Arc<Flights>,
    key: Key,
    shared: Arc<SharedAnswer>,
}

impl Flight {
    async fn run(&self, asking: impl Future<Output = Response<Body>>) {
        let (head, mut body) = asking.await.into_parts();
        if let Body::Whole { bytes, end, .. } = body {
            return self.shared.whole(head.status, head.headers, bytes.unwrap_or_default(), end);
        }
        self.shared.begin(head.status, head.headers, body.size_hint());
        while let Some(frame) = body.frame().await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(piece)) => self.shared.push(piece).await,
                Ok(Err(_trailers)) => {}
                Err(error) => return self.shared.finish(Err(error)),
            }
        }
        let (ended, error) = body.ended();
        self.shared.finish(Ok(Outcome { ended, error }));
    }
}

impl Drop for Flight {
    /// Whatever ended it: nobody may join any more, and nobody waits for ever.
    fn drop(&mut self) {
        let mut shard = self.flights.shard(&self.key);
        if shard.get(&self.key).is_some_and(|it| Arc::ptr_eq(it, &self.shared)) {
            shard.remove(&self.key);
        }
        drop(shard);
        self.shared.finish(Err(lost()));
    }
}

/// The answer to the client whose call asked. Its record goes with the flight or, where the answer is whole, with the
/// answer; `place` stays with the client either way.
async fn leaders_answer(mut reader: Reader, place: Option<Place>, watch: &Watch<'_>) -> Response<Body> {
    let head = match reader.head().await {
        Ok(head) => head,
        Err(error) => return rescue::bare(&error),
    };
    let body = match (&head.body, reader.take_lead()) {
        (SharedBody::Whole(bytes), Some(mut end)) => {
            end.place = place;
            let ended = end.record.ended;
            Body::whole(bytes.clone(), end, ended)
        }
        (SharedBody::Whole(bytes), None) => Body::plain(bytes.clone()),
        (SharedBody::Flowing(_), _) => {
            reader.keep(place);
            Body::shared(reader, None, watch)
        }
    };
    response(head, body)
}

/// The answer to a client that reads another call's.
async fn followers_answer(
    mut reader: Reader,
    mut end: Box<FinishGuard>,
    watch: &Watch<'_>,
) -> Response<Body> {
    end.record.shared = true;
    let mut head = match reader.head().await {
        Ok(head) => head,
        Err(error) => return rescue::answer(&error, end),
    };
    note(&head, &mut end);
    for name in OF_THE_LEADER {
        head.headers.remove(name);
    }
    head.headers.insert(X_TOLLGATE_SHARED, HeaderValue::from_static("1"));
    let body = match &head.body {
        SharedBody::Whole(bytes) => {
            let Outcome { ended, error } = reader.outcome();
            end.record.error = error;
            Body::whole(bytes.clone(), end, ended)
        }
        SharedBody::Flowing(_) => Body::shared(reader, Some(end), watch),
    };
    response(head, body)
}

/// What the answer says of who gave it.
fn note(head: &SharedHead, end: &mut FinishGuard) {
    let said = |name: &str| head.headers.get(name).and_then(|it| it.to_str().ok());
    end.record.status = head.status.as_u16();
    end.record.upstream = said("x-tollgate-upstream").map(UpstreamId::from);
    end.record.model_sent = said("x-tollgate-model").map(Into::into);
}

fn response(head: SharedHead, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}
