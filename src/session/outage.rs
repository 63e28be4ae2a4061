//! What an operator is told of a store that is away: one line when it goes, one when it is back, and few in between.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use crate::session::store::StoreFault;

/// Least time between two lines about trouble of one kind, however often a store comes and goes.
const LINE_INTERVAL: Duration = Duration::from_secs(30);

/// The log of one store's outages. Counting is an atomic addition; lines are written by those who open or close its
/// breaker, or lose a turn.
pub struct Outage {
    /// The store as an operator knows it, without its password.
    store: String,
    /// Since the last line.
    refused: AtomicU64,
    spooled: AtomicU64,
    lost: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Default)]
struct Said {
    last: Option<Instant>,
    last_loss: Option<Instant>,
    /// When the store went away, if its operator was told.
    away_since: Option<Instant>,
}

impl Said {
    /// Whether a line may be written now; if so, it is.
    fn may_speak(&mut self) -> bool {
        is_due(&mut self.last)
    }
}

fn is_due(last: &mut Option<Instant>) -> bool {
    let is_due = last.is_none_or(|it| it.elapsed() >= LINE_INTERVAL);
    if is_due {
        *last = Some(Instant::now());
    }
    is_due
}

impl Outage {
    pub fn new(store: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self { store, refused: zero(), spooled: zero(), lost: zero(), said: Mutex::default() }
    }

    /// A question was not put to the store.
    pub fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// A turn went to the spool.
    pub fn spooled(&self) {
        self.spooled.fetch_add(1, Relaxed);
    }

    /// A turn is nowhere. No other line stands in for that one.
    pub fn lost(&self, why: &str) {
        self.lost.fetch_add(1, Relaxed);
        let may_speak = is_due(&mut self.said.lock().expect("no panic while held").last_loss);
        if may_speak {
            let lost = self.lost.swap(0, Relaxed);
            tracing::warn!(event = "session_turns_lost", store = self.store, why, lost);
        }
    }

    /// Turns that wait could not be written, although the store may be asked.
    pub fn turns_wait(&self, why: &StoreFault, waiting: usize) {
        let mut said = self.said.lock().expect("no panic while held");
        if !said.may_speak() {
            return;
        }
        said.away_since.get_or_insert_with(Instant::now);
        drop(said);
        let ([refused, spooled], store) = (self.counts(), &self.store);
        tracing::warn!(event = "session_turns_wait", store, why = %why, waiting, refused, spooled);
    }

    /// The store is left alone from now on.
    pub fn began(&self, why: &StoreFault) {
        let mut said = self.said.lock().expect("no panic while held");
        if said.may_speak() {
            said.away_since = Some(Instant::now());
            tracing::warn!(event = "session_store_away", store = self.store, why = %why);
        }
    }

    /// A trial failed.
    pub fn goes_on(&self, why: &StoreFault) {
        let mut said = self.said.lock().expect("no panic while held");
        if !said.may_speak() {
            return;
        }
        let since = *said.away_since.get_or_insert_with(Instant::now);
        drop(said);
        let ([refused, spooled], seconds) = (self.counts(), since.elapsed().as_secs());
        let store = &self.store;
        tracing::warn!(event = "session_store_still_away", store, why = %why, seconds, refused, spooled);
    }

    /// A trial succeeded. Said where the outage was.
    pub fn ended(&self) {
        let since = self.said.lock().expect("no panic while held").away_since.take();
        let Some(since) = since else { return };
        let ([refused, spooled], seconds) = (self.counts(), since.elapsed().as_secs());
        let store = &self.store;
        tracing::info!(event = "session_store_back", store, seconds, refused, spooled);
    }

    /// The spool's file fails.
    pub fn spool_fails(&self, why: &str) {
        let may_speak = self.said.lock().expect("no panic while held").may_speak();
        if may_speak {
            tracing::warn!(event = "session_spool_fails", why);
        }
    }

    /// Refused and spooled since they were last told.
    fn counts(&self) -> [u64; 2] {
        [&self.refused, &self.spooled].map(|it| it.swap(0, Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Arc;

    use tokio::time::advance;

    use super::*;

    /// Collects what is written to the log.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        #[track_caller]
        fn check(&self, expected: &[&[&str]]) {
            let text = String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap();
            assert_eq!(text.lines().count(), expected.len(), "{text}");
            for (line, words) in text.lines().zip(expected) {
                words.iter().for_each(|it| assert!(line.contains(it), "{line} lacks {it}"));
            }
        }
    }

    fn refused() -> StoreFault {
        StoreFault::Away("refused".into())
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_a_line_at_both_ends_and_one_an_interval_between() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _logging = tracing::subscriber::set_default(subscriber);
        let outage = Outage::new("redis://store".into());
        outage.began(&refused());
        lines.check(&[&["WARN", "session_store_away", "redis://store", "refused"]]);
        for _ in 0..100 {
            outage.refused();
            outage.spooled();
            outage.goes_on(&refused());
            advance(Duration::from_secs(1)).await;
        }
        let still = ["WARN", "session_store_still_away", "refused", "spooled=30"];
        lines.check(&[&["seconds=30", "spooled=31"], &still, &still]);
        advance(LINE_INTERVAL).await;
        outage.goes_on(&refused());
        lines.check(&[&["seconds=130", "spooled=9"]]);
        outage.ended();
        lines.check(&[&["INFO", "session_store_back", "seconds=130", "refused=0"]]);
        // one that comes and goes
        for _ in 0..60 {
            outage.began(&refused());
            outage.ended();
            advance(Duration::from_secs(1)).await;
        }
        lines.check(&[&["session_store_away"], &["session_store_back"]]);
        // a turn that is lost is told whatever else was
        outage.lost("full");
        outage.lost("full");
        lines.check(&[&["WARN", "session_turns_lost", "full", "lost=1"]]);
        advance(LINE_INTERVAL).await;
        outage.turns_wait(&refused(), 7);
        outage.turns_wait(&refused(), 7);
        outage.lost("full");
        lines.check(&[&["WARN", "session_turns_wait", "refused", "waiting=7"], &["lost=2"]]);
    }
}
