//! Measures how fast the content of one stream comes, against its route's `throughput`. While the stream is held back for
//! another target, too slow a pace ends the attempt; later it is only told. Called by `upstream::relay`.
//!
//! Tokens are estimated from the bytes of text: events alone are no measure, for some vendors put a word into an event
//! and others a paragraph.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::route::options::ThroughputOptions;
use crate::vendor::stream::TOKEN_BYTES;

/// Told when a stream was left for its pace.
pub const TOO_SLOW: &str =
    "The upstream's content came too slowly (`throughput.tokens_per_s_min` of the route).";

/// The pace of one stream, taken over one window after the other.
pub struct Throughput {
    tokens_per_s_min: u128,
    window: Duration,
    /// Tokens of the window under way.
    tokens: u128,
    /// Time of it in which the upstream was waited for: a client that reads slowly makes no vendor slow.
    waited: Duration,
    waits_since: Option<Instant>,
    /// When the first content came.
    begun: Option<Instant>,
    /// While the stream is held back: ends the window.
    timer: Option<Pin<Box<Sleep>>>,
    held: bool,
}

impl Throughput {
    /// `held`: the client is to see nothing before the first window is decided.
    pub fn new(options: &ThroughputOptions, held: bool) -> Self {
        Self {
            tokens_per_s_min: u128::from(options.tokens_per_s_min),
            window: Duration::from_millis(options.window_ms),
            tokens: 0,
            waited: Duration::ZERO,
            waits_since: None,
            begun: None,
            timer: None,
            held,
        }
    }

    /// An event with so many bytes of text came at `now`: at least a token.
    pub fn content(&mut self, text_bytes: usize, now: Instant) {
        self.begun.get_or_insert(now);
        self.tokens += text_bytes.div_ceil(TOKEN_BYTES).max(1) as u128;
    }

    /// Bytes came.
    pub fn came(&mut self, now: Instant) {
        if let Some(since) = self.waits_since.take()
            && self.begun.is_some()
        {
            self.waited += now.saturating_duration_since(since);
        }
    }

    /// All that came was read, and the upstream is waited for. Whether it was too slow in the window that ends now.
    pub fn waits(&mut self, now: Instant) -> bool {
        self.waits_since.get_or_insert(now);
        if self.held || self.waited < self.window {
            return false;
        }
        let is_slow = !self.is_enough_for(self.waited);
        self.begin_window();
        is_slow
    }

    /// Whether the first window is still undecided.
    pub fn is_held(&mut self) -> bool {
        if self.held && self.is_enough_for(self.window) {
            self.let_go();
        }
        self.held
    }

    /// Holds the stream back no longer.
    pub fn let_go(&mut self) {
        if std::mem::take(&mut self.held) {
            self.timer = None;
            self.begin_window();
        }
    }

    /// Ready when the first window is over.
    pub fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(begun) = self.begun else { return Poll::Pending };
        let end = begun + self.window;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        timer.as_mut().poll(cx)
    }

    fn begin_window(&mut self) {
        self.tokens = 0;
        self.waited = Duration::ZERO;
    }

    fn is_enough_for(&self, time: Duration) -> bool {
        self.begun.is_some() && self.tokens * 1_000 >= self.tokens_per_s_min * time.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throughput(held: bool) -> Throughput {
        Throughput::new(&ThroughputOptions { tokens_per_s_min: 5, window_ms: 2_000 }, held)
    }

    /// Bytes of text, each after so many milliseconds of waiting; which of the waits were found slow.
    fn check(events: &[(u64, usize)], slow: &[usize]) {
        let mut throughput = throughput(false);
        let mut now = Instant::now();
        let mut found = Vec::new();
        for (index, (wait, bytes)) in events.iter().enumerate() {
            if throughput.waits(now) {
                found.push(index - 1);
            }
            now += Duration::from_millis(*wait);
            throughput.came(now);
            throughput.content(*bytes, now);
        }
        if throughput.waits(now) {
            found.push(events.len() - 1);
        }
        assert_eq!(found, slow, "{events:?}");
    }

    #[test]
    fn each_window_is_judged_by_the_time_it_took() {
        check(&[(9_000, 1), (200, 4), (200, 4)], &[]);
        check(&[(0, 1), (1_000, 4), (1_000, 4)], &[2]);
        check(&[(0, 1), (3_000, 4 * 14)], &[]);
        check(&[(0, 1), (3_000, 4 * 13)], &[1]);
        check(&[(0, 1), (2_000, 4), (1_000, 20), (1_000, 20), (2_000, 1)], &[1, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_stream_goes_on_as_soon_as_it_brought_enough() {
        let mut throughput = throughput(true);
        for _ in 0..9 {
            throughput.content(2, Instant::now());
            assert!(throughput.is_held());
        }
        throughput.content(2, Instant::now());
        assert!(!throughput.is_held());
        assert_eq!(throughput.tokens, 0, "what comes next is a window of its own");
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_stream_is_overdue_a_window_after_its_first_content() {
        let mut throughput = throughput(true);
        let begun = Instant::now();
        tokio::time::advance(Duration::from_secs(9)).await;
        throughput.content(4, Instant::now());
        std::future::poll_fn(|cx| throughput.poll_overdue(cx)).await;
        assert_eq!(begun.elapsed().as_secs(), 11);
    }
}
