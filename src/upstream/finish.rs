//! The end of a call, whatever end it is: exactly one record, one set of counts, one log line.
//! The guard travels with the call and then with its response body; dropping it early means that the client left.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Origin};
use crate::names::UpstreamId;
use crate::telemetry::log::LogHandle;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::record::{CallRecord, Ended};
use crate::telemetry::series::{InFlight, TargetMetrics};

/// Closes a call's record once.
pub struct FinishGuard {
    pub record: CallRecord,
    metrics: Arc<Metrics>,
    target: Option<Arc<TargetMetrics>>,
    log: LogHandle,
    /// Fires when the grace of a stopping process is over.
    cut: CancellationToken,
    closed: bool,
    _in_flight: InFlight,
}

impl FinishGuard {
    pub fn new(record: CallRecord, metrics: Arc<Metrics>, log: LogHandle, cut: CancellationToken) -> Self {
        let in_flight = metrics.call_started();
        Self { record, metrics, target: None, log, cut, closed: false, _in_flight: in_flight }
    }

    /// An upstream is asked now. What one before it said was not the answer, and leaves no trace in its figures.
    pub fn asks(&mut self, target: &Arc<TargetMetrics>, upstream: &UpstreamId, model: &str) {
        self.target = Some(Arc::clone(target));
        self.record.upstream = Some(upstream.clone());
        self.record.model_sent = Some(model.into());
        self.record.usage = None;
        self.record.events = 0;
        self.record.first_content = None;
    }

    pub fn target(&self) -> Option<&Arc<TargetMetrics>> {
        self.target.as_ref()
    }

    /// The first content reached us now.
    pub fn first_content(&mut self, now: Instant) {
        if self.record.first_content.is_none() {
            self.record.first_content = Some(now.saturating_duration_since(self.record.started));
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
        if let Some(target) = &self.target {
            target.observe(&self.record);
        }
        self.log.call(&self.record);
    }

    /// The process stops: what is open must end.
    pub fn cut(&self) -> &CancellationToken {
        &self.cut
    }
}

impl Drop for FinishGuard {
    fn drop(&mut self) {
        let ended = if self.cut.is_cancelled() { Ended::Drained } else { Ended::ClientGone };
        self.close(ended);
    }
}
