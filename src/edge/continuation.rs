//! Keeps what it takes to ask another target to go on with a stream that broke off (`continue_cut_streams` of a route), and
//! knows how far that has come. Held by [`crate::edge::flow`] beside the stream; calls that are not continued hold nothing.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::edge::flowing::LateAnswer;
use crate::edge::gateway::Serving;
use crate::edge::prepare::Prepared;
use crate::edge::search::search;
use crate::error::{Error, Kind, Origin};
use crate::route::plan::Plan;
use crate::telemetry::Ended;
use crate::upstream::call::Call;
use crate::upstream::continuation::{may_follow, rest_of};
use crate::upstream::dispatch::DispatchBounds;
use crate::upstream::finish::FinishGuard;
use crate::upstream::reading::Reading;
use crate::upstream::relay::Relay;
use crate::vendor::graft::Graft;
use crate::vendor::prefill::is_repeated;
use crate::vendor::said::Said;

/// Told to the client as soon as its stream broke off and is to go on.
pub(super) const CONTINUED: Bytes = Bytes::from_static(b": continued\n\n");

/// Whether a stream can be continued, is about to be, or was.
#[derive(Default)]
pub(super) enum Succession {
    /// It ends where it breaks off.
    #[default]
    None,
    Possible(Box<Continuer>),
    /// Another target is asked; if none goes on, the stream ends with this error after all.
    Sought {
        error: Error,
        graft: Box<Graft>,
    },
    /// What comes goes on with another stream, and is fitted to it.
    Grafted(Box<Graft>),
}

impl Succession {
    /// Asks for the rest of `relay`'s answer, which broke off with `error`. None where it ends there.
    pub(super) fn seek(
        &mut self,
        relay: &mut Relay,
        error: &Error,
        end: &mut Option<Box<FinishGuard>>,
    ) -> Option<LateAnswer> {
        let Succession::Possible(continuer) = std::mem::take(self) else { return None };
        let said = relay.take_said().filter(|_| is_of_the_vendor(error))?;
        let graft = Box::new(Graft::new(&said));
        let (call, plan, bounds) = continuer.rest(said, end.as_deref_mut()?)?;
        let mut end = end.take()?;
        end.seeks_successor();
        *self = Succession::Sought { error: error.clone(), graft };
        let serving = continuer.serving;
        Some(Box::pin(async move {
            let result = search(&serving, &call, &plan, &bounds, &mut end).await;
            (result, end)
        }))
    }

    /// A stream of `model` comes: takes what was read of it over into the call's record.
    pub(super) fn found(&mut self, model: &str, reading: Reading, end: &mut FinishGuard) {
        match std::mem::take(self) {
            Succession::Sought { mut graft, .. } => {
                graft.expect_repetition(is_repeated(reading.target.facts(model).prefill));
                *self = Succession::Grafted(graft);
                end.continues(reading);
            }
            before => {
                *self = before;
                end.takes(reading);
            }
        }
    }

    /// No stream comes, because of `fault` or because the answer was none: with what the client's stream ends.
    pub(super) fn lost(&mut self, fault: Option<Error>, end: &mut FinishGuard) -> (Error, Ended) {
        if let Succession::Sought { error, .. } = std::mem::take(self) {
            end.stays_broken();
            return (error, Ended::Cut);
        }
        let no_stream = "The upstream's answer was no stream.";
        let fault = fault.unwrap_or_else(|| Error::new(Kind::VendorFailed, Origin::Gateway, no_stream));
        (fault, Ended::Failed)
    }

    /// Events as the client should get them; perhaps none.
    pub(super) fn fit(&mut self, events: Bytes) -> Bytes {
        match self {
            Succession::Grafted(graft) => graft.fit(events),
            _ => events,
        }
    }
}

/// Whether the vendor failed, and did not mean to stop: what it would not say, nobody else is asked to.
fn is_of_the_vendor(error: &Error) -> bool {
    let kinds =
        [Kind::Cut, Kind::Reset, Kind::Timeout, Kind::VendorFailed, Kind::RateLimited, Kind::KeyRefused];
    matches!(error.origin, Origin::Upstream(_)) && kinds.contains(&error.kind)
}

/// The call once more, for as long as its stream may break off: the whole of its body is held so long.
pub(super) struct Continuer {
    serving: Arc<Serving>,
    prepared: Arc<Prepared>,
    begun: Instant,
}

impl Continuer {
    /// For a call that is about to be sent.
    pub(super) fn of(serving: &Arc<Serving>, prepared: &Arc<Prepared>) -> Succession {
        if !may_follow(&prepared.call, &prepared.plan) {
            return Succession::None;
        }
        let (serving, prepared) = (Arc::clone(serving), Arc::clone(prepared));
        Succession::Possible(Box::new(Self { serving, prepared, begun: Instant::now() }))
    }

    /// What is left to ask, of whom, and within which bounds; none where one of them is used up.
    fn rest(&self, said: Box<Said>, end: &mut FinishGuard) -> Option<(Call, Plan, DispatchBounds)> {
        let plan = self.prepared.plan.behind(&end.reading()?.target)?;
        let call = rest_of(&self.prepared.call, &plan.route, said)?;
        let bounds = &self.serving.snapshot.rules.bounds;
        let bounds = DispatchBounds {
            attempts_max: bounds.attempts_max.checked_sub(end.record.attempts()).filter(|it| *it > 0)?,
            call: bounds.call.checked_sub(self.begun.elapsed()).filter(|it| !it.is_zero())?,
            ..bounds.clone()
        };
        Some((call, plan, bounds))
    }
}
