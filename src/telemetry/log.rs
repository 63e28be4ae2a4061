//! The process's log: one thread writes standard output, everybody else puts whole lines into its queue.
//! A call never waits for the log: when the reader of standard output stalls, lines are dropped and counted.
//! Started by `main` before anything else; `app` hands on what a reload changed.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::layer::SubscriberExt;

use super::operator::OperatorLog;
use super::options::{LogFormat, LogLevel, LogOptions};
use super::record::CallRecord;

/// Lines waiting for the writer; further ones are dropped. About 5 MB of call lines, some tenths of a second at
/// full load.
pub const LINES_MAX: usize = 8_192;
/// Bytes gathered into one write.
const BATCH_BYTES_MAX: usize = 65_536;
/// What a call line usually needs.
const LINE_BYTES: usize = 640;
/// Rest of the writer after each write. While it rests nobody has to wake it, so that under load the log costs a hundred
/// wake-ups a second and not one per call. A line that comes after a quiet time is written at once.
const REST: Duration = Duration::from_millis(10);
/// How long a closing process waits for its last lines.
const CLOSE_WAIT: Duration = Duration::from_secs(1);

/// The way into the log. Cheap to clone.
#[derive(Clone)]
pub struct LogHandle {
    lines: SyncSender<String>,
    flushes: Sender<SyncSender<()>>,
    shape: Arc<Shape>,
    dropped: IntCounter,
}

/// How lines look and which are shown. A reload may change it under running calls.
struct Shape {
    /// Whether standard output is a terminal: decides `format: auto` and colour.
    terminal: bool,
    json: AtomicBool,
    /// A [`LogLevel`] as a number, most important first.
    level: AtomicU8,
    calls: AtomicBool,
}

/// Starts the log on standard output and sends this crate's own messages there. Of two logs in one process (tests)
/// the first one gets the messages.
pub fn start(options: &LogOptions) -> LogHandle {
    let log = LogHandle::to(Box::new(std::io::stdout()), std::io::stdout().is_terminal(), options);
    let subscriber = tracing_subscriber::registry().with(OperatorLog::new(log.clone()));
    if tracing::subscriber::set_global_default(subscriber).is_err() {
        tracing::debug!(event = "log_already_started");
    }
    log
}

impl LogHandle {
    /// A log that writes into `sink`, apart from the process's own messages.
    pub fn to(sink: Box<dyn Write + Send>, terminal: bool, options: &LogOptions) -> Self {
        let (lines, queue) = sync_channel(LINES_MAX);
        let (flushes, flush_wishes) = channel();
        let dropped = IntCounter::new(
            "tollgate_log_lines_dropped_total",
            "Log lines lost because standard output was slower than the log, or failed.",
        )
        .expect("the name is a constant and valid");
        let writer = Writer { sink, lines: queue, flushes: flush_wishes, dropped: dropped.clone() };
        thread::Builder::new()
            .name("log".into())
            .spawn(move || writer.run())
            .expect("a process that cannot start a thread cannot serve either");
        let shape = Shape {
            terminal,
            json: AtomicBool::new(true),
            level: AtomicU8::new(0),
            calls: AtomicBool::new(true),
        };
        let log = Self { lines, flushes, shape: Arc::new(shape), dropped };
        log.reconfigure(options);
        log
    }

    /// Takes on what a reload changed.
    pub fn reconfigure(&self, options: &LogOptions) {
        let json = match options.format {
            LogFormat::Auto => !self.shape.terminal,
            LogFormat::Json => true,
            LogFormat::Text => false,
        };
        self.shape.json.store(json, Ordering::Relaxed);
        self.shape.calls.store(options.calls, Ordering::Relaxed);
        let before = self.shape.level.swap(options.level as u8, Ordering::Relaxed);
        if before != options.level as u8 {
            // tracing remembers per message whether anybody wants it
            tracing::callsite::rebuild_interest_cache();
        }
    }

    /// Puts one line, without its line end, into the queue. Never waits.
    pub fn line(&self, line: String) {
        if self.lines.try_send(line).is_err() {
            self.dropped.inc();
        }
    }

    /// Writes the line of a call that ended, if the operator wants such lines.
    pub fn call(&self, record: &CallRecord) {
        if !self.shape.calls.load(Ordering::Relaxed) || !self.shows(record.level()) {
            return;
        }
        let mut line = String::with_capacity(LINE_BYTES);
        if self.is_json() {
            record.write_json(&mut line);
        } else {
            record.write_text_in(&mut line, self.shape.terminal);
        }
        self.line(line);
    }

    /// Waits until every line put in so far is written, one second at most; blocks its thread. Lines that come later are still written as
    /// long as the process lives.
    pub fn close(self) {
        let (written, wait) = sync_channel(1);
        if self.flushes.send(written).is_ok() {
            // an empty line wakes a writer that waits for lines; one whose queue is full does not wait
            let _ = self.lines.try_send(String::new());
            let _ = wait.recv_timeout(CLOSE_WAIT);
        }
    }

    /// Lines lost so far, as the metric that shows them.
    pub fn dropped(&self) -> &IntCounter {
        &self.dropped
    }

    pub(super) fn shows(&self, level: LogLevel) -> bool {
        level as u8 <= self.shape.level.load(Ordering::Relaxed)
    }

    pub(super) fn is_json(&self) -> bool {
        self.shape.json.load(Ordering::Relaxed)
    }

    pub(super) fn is_coloured(&self) -> bool {
        self.shape.terminal
    }
}

/// The thread behind the queue.
struct Writer {
    sink: Box<dyn Write + Send>,
    lines: Receiver<String>,
    flushes: Receiver<SyncSender<()>>,
    dropped: IntCounter,
}

impl Writer {
    /// Runs until the last handle is gone.
    fn run(mut self) {
        let mut batch = String::with_capacity(BATCH_BYTES_MAX);
        while let Ok(first) = self.lines.recv() {
            self.write_from(Some(first), &mut batch);
            let mut wish = self.flushes.recv_timeout(REST).ok();
            while let Some(written) = wish {
                self.write_from(None, &mut batch);
                // whoever closes may have stopped waiting
                let _ = written.try_send(());
                // the line that was to wake us for a second wish may just have been taken with the others
                wish = self.flushes.try_recv().ok();
            }
        }
    }

    /// Writes the line in hand and all that wait now; at most a queue full, so that it ends under constant load.
    fn write_from(&mut self, first: Option<String>, batch: &mut String) {
        let mut held = 0;
        let waiting = self.lines.try_iter().take(LINES_MAX);
        for line in first.into_iter().chain(waiting).filter(|line| !line.is_empty()) {
            batch.push_str(&line);
            batch.push('\n');
            held += 1;
            if batch.len() >= BATCH_BYTES_MAX {
                write_batch(self.sink.as_mut(), batch, &mut held, &self.dropped);
            }
        }
        if held > 0 {
            write_batch(self.sink.as_mut(), batch, &mut held, &self.dropped);
        }
    }
}

/// Empties the batch. A closed pipe must not end the gateway: its lines count as dropped.
fn write_batch(sink: &mut dyn Write, batch: &mut String, held: &mut u64, dropped: &IntCounter) {
    if sink.write_all(batch.as_bytes()).and_then(|()| sink.flush()).is_err() {
        dropped.inc_by(*held);
    }
    batch.clear();
    batch.shrink_to(2 * BATCH_BYTES_MAX);
    *held = 0;
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::names::RequestId;
    use crate::telemetry::{Ended, EndpointKind};
    use std::sync::Mutex;

    /// Keeps what is written.
    #[derive(Clone, Default)]
    pub(in crate::telemetry) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(in crate::telemetry) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// A reader that has stalled: says that a write has begun, then holds it until the gate opens.
    struct Stalled {
        begun: SyncSender<()>,
        gate: Receiver<()>,
        page: Page,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.begun.try_send(());
            let _ = self.gate.recv();
            self.page.write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn call(ended: Ended) -> CallRecord {
        let mut record = CallRecord::new(RequestId::random(), EndpointKind::Chat, http::Method::POST);
        record.ended = ended;
        record
    }

    #[test]
    fn lines_beyond_a_full_queue_are_dropped_and_counted() {
        let (begun, has_begun) = sync_channel(1);
        let (open_gate, gate) = channel();
        let page = Page::default();
        let sink = Stalled { begun, gate, page: page.clone() };
        let log = LogHandle::to(Box::new(sink), false, &LogOptions::default());
        log.line("first".into());
        has_begun.recv().unwrap();
        for number in 0..LINES_MAX + 3 {
            log.line(number.to_string());
        }
        assert_eq!(log.dropped().get(), 3);
        drop(open_gate);
        log.close();
        assert_eq!(page.text().lines().count(), LINES_MAX + 1);
    }

    #[test]
    fn a_broken_pipe_counts_its_lines_and_ends_nothing() {
        let log = LogHandle::to(Box::new(Broken), false, &LogOptions::default());
        log.line("one".into());
        log.line("two".into());
        log.clone().close();
        assert_eq!(log.dropped().get(), 2);
    }

    #[test]
    fn closing_writes_every_line_in_order() {
        let page = Page::default();
        let log = LogHandle::to(Box::new(page.clone()), false, &LogOptions::default());
        let long = "x".repeat(BATCH_BYTES_MAX);
        for line in ["one", &long, "two"] {
            log.line(line.into());
        }
        log.close();
        assert_eq!(page.text(), format!("one\n{long}\ntwo\n"));
    }

    #[test]
    fn a_reload_decides_which_calls_leave_a_line() {
        let page = Page::default();
        let log = LogHandle::to(Box::new(page.clone()), false, &LogOptions::default());
        log.call(&call(Ended::Complete));
        log.reconfigure(&LogOptions { level: LogLevel::Warn, ..LogOptions::default() });
        log.call(&call(Ended::Complete));
        log.call(&call(Ended::Cut));
        log.reconfigure(&LogOptions { calls: false, ..LogOptions::default() });
        log.call(&call(Ended::Cut));
        log.close();
        let ends: Vec<_> = page
            .text()
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["ended"].clone())
            .collect();
        assert_eq!(ends, ["complete", "cut"]);
    }

    #[test]
    fn auto_means_text_on_a_terminal_and_json_elsewhere() {
        let check = |terminal, format, json| {
            let options = LogOptions { format, ..LogOptions::default() };
            assert_eq!(LogHandle::to(Box::new(Page::default()), terminal, &options).is_json(), json);
        };
        check(true, LogFormat::Auto, false);
        check(false, LogFormat::Auto, true);
        check(true, LogFormat::Json, true);
        check(false, LogFormat::Text, false);
    }
}
