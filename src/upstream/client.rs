//! Sends one request to one upstream and returns its answer's head: the pool, HTTP/2 lanes, stale connections.
//! Knows no vendor and no retry beyond replacing a connection that had died in the pool.

use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{Client, Error as SendError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::upstream::dial::{Dialer, LinkUses};
use crate::upstream::payload::Outgoing;
use crate::upstream::places::HeldPlace;

/// Idle connections are closed before the shortest keep-alive seen at vendors (60 s).
const POOL_IDLE: Duration = Duration::from_secs(50);

/// Idle connections kept to one upstream.
const POOL_IDLE_MAX: usize = 512;

/// Calls on one HTTP/2 connection; vendors allow 100 to 128, and a call beyond their limit would wait unseen.
const STREAMS_PER_LANE_MAX: u32 = 100;

/// HTTP/2 connections to one upstream.
const LANES_MAX: usize = 64;

/// Silence after which an HTTP/2 connection is asked whether it lives, and the time it has to answer.
const H2_PING: Duration = Duration::from_secs(20);

type Pool = Client<Dialer, Outgoing>;

/// The connections of one upstream.
pub struct Connections {
    dialer: Dialer,
    pooled: Pool,
    /// Never reuses a connection: for replacing a stale one.
    fresh: Pool,
    /// HTTP/2 connections, opened as they are needed; empty with HTTP/1.1.
    lanes: Vec<Lane>,
    /// Lanes that share the load before another is opened.
    lanes_wanted: usize,
}

#[derive(Default)]
struct Lane {
    client: OnceLock<Pool>,
    in_flight: Arc<AtomicU32>,
}

/// A pooled connection that had died fails at once, within a round trip; a failure after this may come from a vendor
/// that had begun to work, and is not sent again unasked.
const STALE_WITHIN: Duration = Duration::from_millis(400);

/// What an answer occupies until it has ended: a place on an HTTP/2 connection, and one among its upstream's calls.
pub struct LanePlace {
    in_flight: Option<Arc<AtomicU32>>,
    _held: Option<HeldPlace>,
}

impl LanePlace {
    /// `lane`'s place and `held` together.
    pub fn within(held: HeldPlace, lane: Option<Self>) -> Self {
        Self { in_flight: lane.and_then(|mut it| it.in_flight.take()), _held: Some(held) }
    }
}

impl Drop for LanePlace {
    fn drop(&mut self) {
        if let Some(in_flight) = &self.in_flight {
            in_flight.fetch_sub(1, Relaxed);
        }
    }
}

/// An answer's head, its body to come, and the place it occupies.
pub struct Answer {
    pub response: Response<Incoming>,
    pub place: Option<LanePlace>,
    /// A stale connection was replaced: the vendor may have seen the request twice.
    pub resent: bool,
}

/// Why no head came.
#[derive(Debug)]
pub enum SendFault {
    /// No connection: nothing was sent.
    Connect(SendError),
    /// The connection ended after the request was, or may have been, sent.
    Broken(SendError),
}

impl Connections {
    /// `http2` connections at least, or HTTP/1.1 for 0.
    pub fn new(dialer: Dialer, http2: usize) -> Self {
        let lanes = if http2 == 0 { 0 } else { LANES_MAX };
        Self {
            pooled: builder().pool_max_idle_per_host(POOL_IDLE_MAX).build(dialer.clone()),
            fresh: builder().pool_max_idle_per_host(0).build(dialer.clone()),
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            lanes_wanted: http2.min(LANES_MAX),
            dialer,
        }
    }

    /// Sends `first`, or what `again` makes when a pooled connection turned out to be dead before it answered.
    pub async fn send(
        &self,
        mut first: Request<Outgoing>,
        again: impl FnOnce() -> Option<Request<Outgoing>>,
    ) -> Result<Answer, SendFault> {
        if let Some((lane, place)) = self.lane() {
            let response = lane.request(first).await.map_err(SendFault::of)?;
            return Ok(Answer { response, place: Some(place), resent: false });
        }
        let begun = Instant::now();
        let capture = capture_connection(&mut first);
        let fault = match self.pooled.request(first).await {
            Ok(response) => {
                if let Some(uses) = response.extensions().get::<LinkUses>() {
                    uses.0.fetch_add(1, Relaxed);
                }
                return Ok(Answer { response, place: None, resent: false });
            }
            Err(fault) => fault,
        };
        let stale = !fault.is_connect() && begun.elapsed() < STALE_WITHIN && was_reused(&capture);
        match again().filter(|_| stale) {
            Some(request) => self.send_fresh(request).await,
            None => Err(SendFault::of(fault)),
        }
    }

    async fn send_fresh(&self, request: Request<Outgoing>) -> Result<Answer, SendFault> {
        let response = self.fresh.request(request).await.map_err(SendFault::of)?;
        Ok(Answer { response, place: None, resent: true })
    }

    /// The least busy HTTP/2 connection, opening another when the wanted ones are full.
    fn lane(&self) -> Option<(&Pool, LanePlace)> {
        let load = |lane: &&Lane| lane.in_flight.load(Relaxed);
        let wanted = self.lanes.get(..self.lanes_wanted)?.iter().min_by_key(load)?;
        let lane = match load(&wanted) < STREAMS_PER_LANE_MAX {
            true => wanted,
            false => self.lanes.iter().find(|it| load(it) < STREAMS_PER_LANE_MAX).unwrap_or(wanted),
        };
        lane.in_flight.fetch_add(1, Relaxed);
        let client = lane.client.get_or_init(|| builder().http2_only(true).build(self.dialer.clone()));
        Some((client, LanePlace { in_flight: Some(Arc::clone(&lane.in_flight)), _held: None }))
    }
}

fn was_reused(capture: &CaptureConnection) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = capture.connection_metadata().as_ref() {
        connected.get_extras(&mut extras);
    }
    extras.get::<LinkUses>().is_some_and(|it| it.0.load(Relaxed) > 0)
}

impl SendFault {
    fn of(fault: SendError) -> Self {
        match fault.is_connect() {
            true => SendFault::Connect(fault),
            false => SendFault::Broken(fault),
        }
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_idle_timeout(POOL_IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_adaptive_window(true)
        .http2_keep_alive_interval(H2_PING)
        .http2_keep_alive_timeout(H2_PING);
    builder
}
