//! Mirrors a share of a route's calls to another target and throws the answers away, so that a new model is tried with real
//! traffic. The client's call knows nothing of it: a mirrored one runs in a task of its own, is tried once, and is left out
//! where too many are under way. It counts in the target's health, in the metrics of the route's shadow and in the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::edge::body::Body;
use crate::edge::flow::Watch;
use crate::edge::gateway::{Gateway, Serving};
use crate::route::ask::Ask;
use crate::route::plan::{Plan, plan};
use crate::route::target::Target;
use crate::telemetry::{CallRecord, Ended, EndpointKind};
use crate::upstream::call::Call;
use crate::upstream::dispatch::{DispatchBounds, Dispatcher};
use crate::upstream::finish::FinishGuard;

/// Mirrored calls under way at once. They hold bodies and connections, which the clients' calls need more.
const UNDER_WAY_MAX: usize = 64;

/// Places for mirrored calls.
pub struct Shadows(Arc<Semaphore>);

impl Default for Shadows {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(UNDER_WAY_MAX)))
    }
}

/// Mirrors `call` if its route says so, the dice do, and nothing is in the way. Returns at once.
pub fn mirror(
    gateway: &Arc<Gateway>,
    serving: &Arc<Serving>,
    call: &Call,
    planned: &Plan,
    record: &CallRecord,
) {
    let Some(shadow) = &planned.route.shadow else { return };
    // What we do not know may leave something behind, such as a job that somebody pays for, or name what only another
    // vendor has.
    let is_known = call.kind != EndpointKind::Other && call.vendors_own.is_none();
    if !is_known || fastrand::u32(0..100) >= shadow.percent || gateway.is_stopping() {
        return;
    }
    // A copy says nothing of where the conversation is.
    let ask = Ask { conversation: None, ..planned.ask.clone() };
    let plan = plan(&shadow.route, ask, Instant::now());
    let is_full =
        |it: &Arc<Target>| serving.snapshot.upstreams[it.slot].places.is_full(it.model_for(plan.model()));
    // A target that is out is not tried for nobody's sake, and the queue is for those who wait for an answer.
    let (false, Some(call), Ok(place)) = (
        plan.panic || plan.targets.iter().any(is_full),
        call.again(),
        gateway.shadows.0.clone().try_acquire_owned(),
    ) else {
        return;
    };
    let record = CallRecord { started: Instant::now(), shadow: true, ..record.clone() };
    let mut end =
        FinishGuard::aside(record, Arc::clone(&gateway.metrics), gateway.log.clone(), gateway.cut.clone());
    end.planned(&plan, call.past.as_ref());
    let mirrored = Mirrored { call, plan, end: Box::new(end), _place: place };
    tokio::spawn(mirrored.run(Arc::clone(gateway), Arc::clone(serving)));
}

/// A mirrored call.
struct Mirrored {
    call: Call,
    plan: Plan,
    end: Box<FinishGuard>,
    _place: OwnedSemaphorePermit,
}

impl Mirrored {
    async fn run(mut self, gateway: Arc<Gateway>, serving: Arc<Serving>) {
        let cut = gateway.cut.clone();
        let snapshot = &serving.snapshot;
        let bounds = DispatchBounds { attempts_max: 1, ..snapshot.rules.bounds.clone() };
        let dispatcher = Dispatcher { upstreams: &snapshot.upstreams, bounds: &bounds };
        let answering = async {
            match dispatcher.run(&self.call, &self.plan, &mut self.end).await {
                Err(error) => {
                    self.end.record.error = Some(error.kind);
                    self.end.record.status = error.status.as_u16();
                    self.end.close(Ended::Failed);
                }
                Ok(delivery) => {
                    self.end.record.status = delivery.status.as_u16();
                    self.end.takes(delivery.reading);
                    let watch = Watch { stalls: &gateway.stalls, patience: Duration::MAX };
                    let mut answer = Body::answer(delivery.body, self.end, &watch);
                    while let Some(Ok(_)) = answer.frame().await {}
                }
            }
        };
        tokio::select! {
            () = answering => {}
            () = cut.cancelled() => {}
        }
    }
}
