//! What is read of one target's answer while it comes in. Every attempt has its own, so that two may run side by side;
//! the one whose answer the client gets becomes the call's ([`crate::upstream::finish::FinishGuard::takes`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::api::usage::{ServiceTier, Usage};
use crate::health::warmth::Warm;
use crate::route::target::Target;
use crate::telemetry::series::TokenGaps;

/// One answer as far as it is known.
pub struct Reading {
    pub target: Arc<Target>,
    /// The name the vendor was asked for.
    pub model: Arc<str>,
    /// Index of the key that was used.
    pub key: usize,
    /// When the call began, from which its first content is counted.
    call_started: Instant,
    /// When this target was asked.
    asked: Instant,
    pub usage: Option<Usage>,
    /// The tier the vendor says it served the call in.
    pub service_tier: Option<ServiceTier>,
    /// Tokens of the content, by estimate, that had come when the vendor told its usage last.
    counted: u64,
    /// A stream that its vendor brought to an end.
    pub finished: bool,
    /// Events read.
    pub events: u64,
    /// From the start of the call to the first content.
    pub first_content: Option<Duration>,
    content: Content,
    /// Content came slower than the route asks.
    pub slow: bool,
    /// Its events are of no kind whose length says anything of tokens.
    pub is_opaque: bool,
    gaps: Option<TokenGaps>,
}

/// The content of an answer, as far as it can be told without reading it.
enum Content {
    /// A stream: events that say something, their bytes, the smallest of them, and when first and last one came.
    Events { count: u64, bytes: u64, least: u64, first: Option<Instant>, last: Option<Instant> },
    /// A whole answer of so many tokens, by an estimate that is made only where the vendor counted none.
    Whole { tokens: u64 },
}

/// Bytes of text to a token, for what streams hold beyond their smallest event.
const BYTES_PER_TOKEN: u64 = 4;

impl Reading {
    pub fn new(
        target: &Arc<Target>,
        model: Arc<str>,
        key: usize,
        call_started: Instant,
        asked: Instant,
    ) -> Self {
        Self {
            target: Arc::clone(target),
            model,
            key,
            call_started,
            asked,
            usage: None,
            service_tier: None,
            counted: 0,
            finished: false,
            events: 0,
            first_content: None,
            slow: false,
            is_opaque: false,
            content: Content::Events { count: 0, bytes: 0, least: u64::MAX, first: None, last: None },
            gaps: None,
        }
    }

    /// An event of a stream that says something, of so many bytes, came at `now`.
    pub fn content_event(&mut self, event_bytes: usize, now: Instant) {
        self.gaps.get_or_insert_with(|| self.target.metrics.token_gaps()).content(now);
        if let Content::Events { count, bytes, least, first, last } = &mut self.content {
            let event_bytes = event_bytes as u64;
            (*count, *bytes, *least) = (*count + 1, *bytes + event_bytes, event_bytes.min(*least));
            if first.is_none() {
                *first = Some(now);
                self.target.experience.pace.first_token(now.saturating_duration_since(self.asked), now);
            }
            *last = Some(now);
        }
        self.begin(now);
    }

    /// The vendor tells what it counted so far.
    pub fn note_usage(&mut self, usage: Usage) {
        self.usage = Some(usage);
        self.counted = self.content_tokens();
    }

    /// Tokens of a stream that broke off, by estimate, behind what its vendor counted.
    pub fn uncounted_tokens(&self) -> u64 {
        match self.finished {
            true => 0,
            false => self.content_tokens().saturating_sub(self.counted),
        }
    }

    /// Content comes too slowly.
    pub fn note_slow(&mut self) {
        if !std::mem::replace(&mut self.slow, true) {
            self.target.metrics.streams.slow();
        }
    }

    /// The whole answer came at `now`. `tokens` are estimated, where the vendor counted none.
    pub fn whole(&mut self, tokens: u64, now: Instant) {
        self.content = Content::Whole { tokens };
        let tokens = self.usage.filter(Usage::says_something).map_or(tokens, |it| it.output);
        self.target.experience.pace.whole(tokens, now.saturating_duration_since(self.asked), now);
        self.begin(now);
    }

    fn begin(&mut self, now: Instant) {
        if self.first_content.is_none() {
            self.first_content = Some(now.saturating_duration_since(self.call_started));
        }
    }

    /// The answer has ended: what a stream showed of its target's speed is noted.
    pub fn ended(&self, output_tokens: u64) {
        if let Content::Events { first: Some(first), last: Some(last), .. } = self.content {
            let time = last.saturating_duration_since(first);
            self.target.experience.pace.tokens(output_tokens.saturating_sub(1), time, last);
        }
    }

    /// The vendor broke it off: however soon it began, its target is no quick one.
    pub fn cut(&self, now: Instant) {
        self.target.experience.pace.failed(Duration::ZERO, now);
    }

    /// Tokens of the content so far, by an estimate: vendors put about a token into an event, or more text into fewer.
    pub fn content_tokens(&self) -> u64 {
        match self.content {
            Content::Whole { tokens } => tokens,
            Content::Events { .. } if self.is_opaque => 0,
            Content::Events { count, bytes, least, .. } => {
                let text = bytes.saturating_sub(count.saturating_mul(least));
                count.max(text / BYTES_PER_TOKEN)
            }
        }
    }

    /// The target as the holder of a prefix of so many tokens.
    pub fn warm(&self, tokens: u64) -> Warm {
        Warm { target: self.target.fingerprint(&self.model), key: self.key, tokens }
    }
}
