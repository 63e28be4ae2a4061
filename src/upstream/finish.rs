//! The end of a call, whatever end it is: exactly one record, one set of counts, one log line.
//! The guard travels with the call and then with its response body; dropping it early means that the client left.

use std::sync::Arc;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::money::Money;
use crate::error::{Error, Origin};
use crate::names::{ModelName, UpstreamId};
use crate::route::legs::Leg;
use crate::route::plan::Plan;
use crate::route::target::Target;
use crate::session::kept::Kept;
use crate::session::talk::{Answerer, Talk};
use crate::session::turn::TurnState;
use crate::telemetry::log::LogHandle;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::series::InFlight;
use crate::telemetry::{CallRecord, Ended};
use crate::upstream::Upstream;
use crate::upstream::attempt::Failed;
use crate::upstream::bill::{Bill, Settled};
use crate::upstream::past::Past;
use crate::upstream::reading::Reading;
use crate::upstream::room::Place;

/// Closes a call's record once.
pub struct FinishGuard {
    pub record: CallRecord,
    metrics: Arc<Metrics>,
    /// The target that is being asked, or whose answer this is.
    target: Option<Arc<Target>>,
    reading: Option<Reading>,
    bill: Option<Bill>,
    /// What a whole answer cost, once that is known.
    known: Option<Settled>,
    /// The client asked for a last comment with usage and cost.
    pub tells_usage: bool,
    /// The call's part in its session, until its turn is written.
    pub talk: Option<Box<Talk>>,
    /// The answer that broke off, while another target is asked to go on with it.
    broken: Option<Broken>,
    /// What was read of the answer that this one goes on with.
    before: Option<Reading>,
    log: LogHandle,
    /// Fires when the grace of a stopping process is over.
    cut: CancellationToken,
    closed: bool,
    /// The call's place among those in flight, once it was let in. Free before the gauge says so.
    pub place: Option<Place>,
    _in_flight: Option<InFlight>,
}

/// Who gave an answer that broke off.
struct Broken {
    target: Option<Arc<Target>>,
    upstream: Option<UpstreamId>,
    model: Option<ModelName>,
}

impl FinishGuard {
    pub fn new(record: CallRecord, metrics: Arc<Metrics>, log: LogHandle, cut: CancellationToken) -> Self {
        let in_flight = metrics.call_started();
        let mut end = Self::aside(record, metrics, log, cut);
        end._in_flight = Some(in_flight);
        end
    }

    /// For a call that no client waits for: it is not among those in flight.
    pub fn aside(record: CallRecord, metrics: Arc<Metrics>, log: LogHandle, cut: CancellationToken) -> Self {
        Self {
            record,
            metrics,
            target: None,
            reading: None,
            bill: None,
            known: None,
            tells_usage: false,
            talk: None,
            broken: None,
            before: None,
            log,
            cut,
            closed: false,
            place: None,
            _in_flight: None,
        }
    }

    /// The call goes by `plan`, on which its costs depend.
    pub fn planned(&mut self, plan: &Plan, past: Option<&Arc<Past>>) {
        self.bill = Some(Bill::new(plan, self.record.endpoint, past.cloned()));
    }

    /// A target is asked now.
    pub fn asks(&mut self, target: &Arc<Target>, model: &str) {
        self.target = Some(Arc::clone(target));
        self.record.upstream = Some(target.upstream.clone());
        self.record.model_sent = Some(model.into());
    }

    /// No target gives the answer after all, but the gateway.
    pub fn answers_here(&mut self) {
        self.target = None;
    }

    /// The target of `leg`, which was asked, failed. A fault of the client's own is not listed against it.
    pub fn refused_by(&mut self, failed: &Failed, leg: &Leg<'_>, upstream: &Upstream) {
        self.record.upstream = None;
        if failed.error.origin != Origin::Client {
            let mut attempt = failed.attempt(upstream);
            attempt.cost = self.wasted(leg).filter(|_| failed.may_be_billed());
            leg.target.metrics.costs.wasted(attempt.cost.unwrap_or_default());
            self.record.failed_attempts.push(attempt);
        }
    }

    /// What an attempt whose answer nobody gets is estimated to cost all the same.
    pub fn wasted(&self, leg: &Leg<'_>) -> Option<Money> {
        self.bill.as_ref()?.wasted(leg.target, leg.model_sent())
    }

    /// What the answer cost, as far as it is known now.
    pub fn settled(&self) -> Option<Settled> {
        let (bill, before) = (self.bill.as_ref()?, self.before.as_ref());
        let own = bill.settle(self.reading.as_ref()?);
        [before.and_then(|it| bill.settle(it)), own].into_iter().flatten().reduce(Settled::plus)
    }

    /// What the whole answer that was taken cost. Nothing more will be read of it, so this is settled for good.
    pub fn settle_whole(&mut self) -> Option<Settled> {
        self.known = self.bill.as_ref()?.settle(self.reading.as_ref()?);
        self.known
    }

    /// The answer that the client gets is this one; what is read of it from now on belongs to the call.
    pub fn takes(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    /// The reading of the answer under way.
    pub fn reading(&mut self) -> Option<&mut Reading> {
        self.reading.as_mut()
    }

    /// The answer under way broke off; another target will be asked to go on with it.
    pub fn seeks_successor(&mut self) {
        self.broken = Some(Broken {
            target: self.target.clone(),
            upstream: self.record.upstream.clone(),
            model: self.record.model_sent.clone(),
        });
    }

    /// The target asked last goes on where the answer broke off.
    pub fn continues(&mut self, reading: Reading) {
        self.before = self.reading.replace(reading);
        if let Some(before) = &self.before {
            before.target.metrics.streams.broke_off(true);
        }
        if let Some(broken) = self.broken.take() {
            self.record.continued_from = broken.upstream;
        }
    }

    /// Nobody goes on with it: the answer is the one that broke off.
    pub fn stays_broken(&mut self) {
        if let Some(reading) = &self.reading {
            reading.target.metrics.streams.broke_off(false);
        }
        self.restore();
    }

    fn restore(&mut self) {
        if let Some(broken) = self.broken.take() {
            self.target = broken.target;
            self.record.upstream = broken.upstream;
            self.record.model_sent = broken.model;
        }
    }

    /// The client is sent these events.
    pub fn hear(&mut self, events: &Bytes) {
        let Some(talk) = &mut self.talk else { return };
        talk.hear(events);
        if !talk.has_claim() {
            return;
        }
        let by = self.answerer();
        let claims = self.talk.as_mut().and_then(|it| it.claims(by));
        if let (Some(claims), Ok(runtime)) = (claims, Handle::try_current()) {
            runtime.spawn(claims);
        }
    }

    /// Has the call's turn written, if it belongs to a session and anything was said: in a task of its own, for neither a
    /// client that leaves nor the end of its stream may stop that.
    pub fn keep(&mut self, state: TurnState) -> Option<JoinHandle<Kept>> {
        let talk = self.talk.take().filter(|it| it.has_answer())?;
        let answerer = self.answerer();
        // Only at the very end of the process there is no runtime; what is not written then was not acknowledged.
        Handle::try_current().ok().map(|it| it.spawn(talk.keep(state, answerer)))
    }

    /// Who gives the answer, and what that took so far.
    fn answerer(&self) -> Answerer {
        let settled = self.settled();
        Answerer {
            upstream: self.record.upstream.as_ref().map(ToString::to_string),
            vendor: self.target.as_ref().map(|it| it.maker().to_owned()),
            model: self.record.model_sent.as_ref().map(ToString::to_string),
            usage: settled.map(|it| it.usage),
            cost: settled.and_then(|it| it.cost),
        }
    }

    /// The call was answered with `error`.
    pub fn failed(&mut self, error: &Error) {
        self.record.error = Some(error.kind);
        self.record.status = error.status.as_u16();
        if matches!(error.origin, Origin::Client | Origin::Gateway) && self.target.is_none() {
            self.metrics.refused(error.kind);
        }
    }

    /// Ends the call. Only the first end counts.
    pub fn close(&mut self, ended: Ended) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        self.record.ended = ended;
        if let Some(state) = remains(ended) {
            self.keep(state);
        }
        self.leave();
        self.restore();
        self.read_up();
        if let Some(target) = &self.target {
            target.metrics.observe(&self.record);
        }
        if let Some(before) = self.before.take() {
            self.add(&before);
        }
        self.log.call(&self.record);
    }

    /// Whoever left while a target was asked leaves its bill: the vendor has the request, and wrote perhaps.
    fn leave(&mut self) {
        let is_asked = self.reading.is_none() || self.broken.is_some();
        let has_left = matches!(self.record.ended, Ended::ClientGone | Ended::Drained);
        // None while the one tried last has failed.
        let (true, true, Some(_)) = (is_asked, has_left, &self.record.upstream) else { return };
        let (Some(bill), Some(target), Some(model)) = (&self.bill, &self.target, &self.record.model_sent)
        else {
            return;
        };
        self.record.left_cost = bill.wasted(target, model.as_str());
        target.metrics.costs.wasted(self.record.left_cost.unwrap_or_default());
    }

    /// The comment that ends a stream whose client asked what it used.
    pub fn usage_comment(&self) -> Option<Bytes> {
        let settled = self.settled().filter(|_| self.tells_usage)?;
        let (usage, reading) = (&settled.usage, self.reading.as_ref()?);
        let told = serde_json::json!({
            "upstream": reading.target.upstream.as_str(),
            "input_tokens": usage.input,
            "cached_input_tokens": usage.cached_input,
            "output_tokens": usage.output,
            "reasoning_tokens": usage.reasoning,
            "estimated": usage.estimated,
            "cost_usd": settled.cost.map(|it| it.to_string()),
        });
        Some(format!(": tollgate {told}\n\n").into())
    }

    /// Takes what was read of the answer into the record, and tells routing and metrics what it showed.
    fn read_up(&mut self) {
        let Some(reading) = &self.reading else { return };
        self.record.service_tier = reading.service_tier;
        self.record.events = reading.events;
        self.record.slow = reading.slow;
        // The wait for the first content was not for a target that went on with it.
        self.record.first_content = reading.first_content.filter(|_| self.before.is_none());
        let Some(bill) = &self.bill else { return };
        let Some(settled) = self.known.or_else(|| bill.settle(reading)) else {
            if self.record.ended == Ended::Complete {
                reading.target.metrics.costs.paid(None, false);
            }
            return;
        };
        self.record.usage = Some(settled.usage);
        self.record.cost = settled.cost;
        reading.ended(settled.usage.output);
        reading.target.metrics.costs.paid(settled.cost, settled.usage.estimated);
        let complete = self.record.ended == Ended::Complete && self.before.is_none();
        bill.learn(reading, &settled, complete);
    }

    /// Adds what was read before the answer was continued: the call's record is of both, each target's series of its own.
    fn add(&mut self, before: &Reading) {
        let settled = self.bill.as_ref().and_then(|it| it.settle(before));
        let metrics = &before.target.metrics;
        metrics.continued_elsewhere(before.first_content, settled.map(|it| it.usage).as_ref());
        let record = &mut self.record;
        record.events += before.events;
        record.slow |= before.slow;
        record.first_content = before.first_content;
        let Some(settled) = settled else { return };
        before.ended(settled.usage.output);
        metrics.costs.paid(settled.cost, settled.usage.estimated);
        let own = record.usage.map(|usage| Settled { usage, cost: record.cost });
        let sum = own.map_or(settled, |it| it.plus(settled));
        (record.usage, record.cost) = (Some(sum.usage), sum.cost);
    }

    /// The process stops: what is open must end.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

/// What the turn is whose call ended so before it was written; None: nothing is kept of it.
fn remains(ended: Ended) -> Option<TurnState> {
    match ended {
        Ended::Complete => Some(TurnState::Complete),
        Ended::Cut | Ended::Drained => Some(TurnState::Incomplete),
        Ended::ClientGone => Some(TurnState::Left),
        Ended::Failed => None,
    }
}

impl Drop for FinishGuard {
    fn drop(&mut self) {
        let ended = if self.cut.is_cancelled() { Ended::Drained } else { Ended::ClientGone };
        self.close(ended);
    }
}
