//! An answer that is still coming. Pulled by hyper through [`crate::edge::body::Body`], watched from outside by
//! [`crate::edge::stall`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;
use std::time::Duration;

use http_body::SizeHint;
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::edge::connection::CallPlace;
use crate::edge::continuation::Succession;
use crate::edge::flowing::{Flowing, Source, Step};
use crate::edge::stall::{Offer, Stalls};
use crate::error::Kind;
use crate::telemetry::Ended;
use crate::upstream::finish::FinishGuard;

/// Who looks after a client that takes nothing, and for how long it may.
pub struct Watch<'a> {
    pub stalls: &'a Stalls,
    pub patience: Duration,
}

/// A body that is still coming, shared with [`Stalls`]: hyper holds it even while it asks it for nothing.
pub struct Flow {
    pub offer: Offer,
    state: Mutex<Flowing>,
}

impl Flow {
    pub(super) fn start(
        source: Source,
        end: Option<Box<FinishGuard>>,
        cut: Option<WaitForCancellationFutureOwned>,
        watch: &Watch<'_>,
    ) -> Arc<Self> {
        let state = Flowing::new(source, end, cut);
        let flow = Arc::new(Self { offer: Offer::default(), state: Mutex::new(state) });
        watch.stalls.watch(&flow, watch.patience);
        flow
    }

    pub(super) fn succeed(&self, succession: Succession) {
        self.state().succession = succession;
    }

    pub(super) fn occupy(&self, call: CallPlace) {
        self.state().place = Some(call);
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Step {
        self.offer.asked();
        let step = self.state().poll_piece(cx);
        if step.is_ready() {
            self.offer.offered();
        }
        step
    }

    pub(super) fn is_over(&self) -> bool {
        let state = self.state();
        state.rest.is_none() && matches!(state.source, Source::Over)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.state();
        match &state.source {
            // Only before the first byte: hyper asks once.
            Source::Opaque(opaque) if state.rest.is_none() => opaque.size_hint(),
            Source::Shared(reader) if state.rest.is_none() => reader.size_hint(),
            _ => SizeHint::default(),
        }
    }

    pub(super) fn ended(&self) -> (Ended, Option<Kind>) {
        let state = self.state();
        state.end.as_ref().map_or((Ended::Cut, None), |it| (it.record.ended, it.record.error))
    }

    fn state(&self) -> MutexGuard<'_, Flowing> {
        // Whatever a panic left behind is still an answer that can end.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client took nothing for too long: lets go of the upstream and closes the record. hyper meets an error if it
    /// ever asks again.
    pub fn give_up(&self, patience: Duration) {
        let mut state = self.state();
        if !self.offer.is_stalled(patience) {
            return;
        }
        // Taken out, so that the call is in flight no longer: hyper may hold this body as long as the client wants.
        if let Some(mut end) = state.end.take() {
            end.record.error = Some(Kind::Timeout);
            end.close(Ended::ClientGone);
        }
        let source = std::mem::replace(&mut state.source, Source::GivenUp);
        state.place = None;
        state.rest = None;
        drop(state);
        drop(source);
    }
}
