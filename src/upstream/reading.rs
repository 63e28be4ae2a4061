//! What is read of one target's answer while it comes in. Every attempt has its own, so that two may run side by side;
//! the one whose answer the client gets becomes the call's ([`crate::upstream::finish::FinishGuard::takes`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::usage::{ServiceTier, Usage};
use crate::route::target::Target;
use crate::telemetry::series::TokenGaps;

/// One answer as far as it is known.
pub struct Reading {
    pub target: Arc<Target>,
    /// When the call began, from which its first content is counted.
    call_started: Instant,
    pub usage: Option<Usage>,
    /// The tier the vendor says it served the call in.
    pub service_tier: Option<ServiceTier>,
    /// Events read.
    pub events: u64,
    /// From the start of the call to the first content.
    pub first_content: Option<Duration>,
    gaps: Option<TokenGaps>,
}

impl Reading {
    pub fn new(target: &Arc<Target>, call_started: Instant) -> Self {
        Self {
            target: Arc::clone(target),
            call_started,
            usage: None,
            service_tier: None,
            events: 0,
            first_content: None,
            gaps: None,
        }
    }

    /// An event of a stream that says something came at `now`.
    pub fn content_event(&mut self, now: Instant) {
        self.gaps.get_or_insert_with(|| self.target.metrics.token_gaps()).content(now);
        self.content(now);
    }

    /// Content came at `now`; only the first counts.
    pub fn content(&mut self, now: Instant) {
        if self.first_content.is_none() {
            self.first_content = Some(now.saturating_duration_since(self.call_started));
        }
    }
}
