//! What the process says to its operator: `tracing` messages as lines of the log. Messages carry their name in the field
//! `event` (`info!(event = "listening", calls = %addr)`) or are plain text; spans are not used and cost nothing.

use std::fmt::Debug;

use serde::ser::{Serialize, SerializeMap, Serializer};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::line::{self, Stamp, VALUE_BYTES_MAX};
use super::log::LogHandle;
use super::options::LogLevel;

/// The crate whose messages are shown down to the configured level.
const OWN: &str = env!("CARGO_CRATE_NAME");

/// Writes messages into the log: our own at the configured level, those of dependencies from WARN on.
pub struct OperatorLog {
    log: LogHandle,
}

impl OperatorLog {
    pub fn new(log: LogHandle) -> Self {
        Self { log }
    }

    fn shows(&self, metadata: &Metadata<'_>) -> bool {
        let loudest = if is_own(metadata) { Level::DEBUG } else { Level::WARN };
        metadata.is_event() && *metadata.level() <= loudest && self.log.shows(level_of(metadata.level()))
    }
}

fn is_own(metadata: &Metadata<'_>) -> bool {
    metadata.target().strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// TRACE is never shown; it has no level of its own here.
fn level_of(level: &Level) -> LogLevel {
    match *level {
        Level::ERROR => LogLevel::Error,
        Level::WARN => LogLevel::Warn,
        Level::INFO => LogLevel::Info,
        _ => LogLevel::Debug,
    }
}

impl<S: Subscriber> Layer<S> for OperatorLog {
    /// Answered once per place in the code and level, so that an unwanted message costs one load.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.shows(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.shows(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let shown = [
            (LogLevel::Debug, LevelFilter::DEBUG),
            (LogLevel::Info, LevelFilter::INFO),
            (LogLevel::Warn, LevelFilter::WARN),
        ];
        let widest = shown.into_iter().find(|(level, _)| self.log.shows(*level));
        Some(widest.map_or(LevelFilter::ERROR, |(_, filter)| filter))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = if self.log.is_json() { json(event) } else { text(event, self.log.is_coloured()) };
        self.log.line(line);
    }
}

fn json(event: &Event<'_>) -> String {
    serde_json::to_string(&Message(event)).expect("text and numbers always serialise into memory")
}

/// One message as a flat object: `ts`, `level`, for dependencies `target`, then its fields.
struct Message<'a>(&'a Event<'a>);

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let metadata = self.0.metadata();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("ts", Stamp::now().as_str())?;
        map.serialize_entry("level", level_of(metadata.level()).as_str())?;
        if !is_own(metadata) {
            map.serialize_entry("target", metadata.target())?;
        }
        let mut fields = JsonFields { map, result: Ok(()) };
        self.0.record(&mut fields);
        fields.result?;
        fields.map.end()
    }
}

struct JsonFields<M: SerializeMap> {
    map: M,
    result: Result<(), M::Error>,
}

impl<M: SerializeMap> JsonFields<M> {
    fn put<T: Serialize + ?Sized>(&mut self, field: &Field, value: &T) {
        if self.result.is_ok() {
            self.result = self.map.serialize_entry(name(field), value);
        }
    }
}

/// A field's name without the mark that lets a keyword be one (`r#type`).
fn name(field: &Field) -> &'static str {
    let name = field.name();
    name.strip_prefix("r#").unwrap_or(name)
}

impl<M: SerializeMap> Visit for JsonFields<M> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, line::cut(value, VALUE_BYTES_MAX));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn text(event: &Event<'_>, colour: bool) -> String {
    let mut fields = TextFields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let mut out = String::new();
    line::write_head(&mut out, level_of(metadata.level()), colour);
    if !is_own(metadata) {
        line::write_pair(&mut out, "target", metadata.target());
    }
    out.push_str(&fields.words);
    out.push_str(&fields.pairs);
    out
}

/// The name of the message and its words first, then the rest as `key=value`.
#[derive(Default)]
struct TextFields {
    words: String,
    pairs: String,
}

impl Visit for TextFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match name(field) {
            "event" | "message" => {
                self.words.push(' ');
                line::write_words(&mut self.words, value);
            }
            key => line::write_pair(&mut self.pairs, key, value),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::log::tests::Page;
    use crate::telemetry::options::{LogFormat, LogOptions};
    use tracing_subscriber::layer::SubscriberExt;

    /// What the log shows of the messages that `say` sends.
    fn written(options: &LogOptions, terminal: bool, say: impl FnOnce(&LogHandle)) -> String {
        let page = Page::default();
        let log = LogHandle::to(Box::new(page.clone()), terminal, options);
        let subscriber = tracing_subscriber::registry().with(OperatorLog::new(log.clone()));
        tracing::subscriber::with_default(subscriber, || say(&log));
        log.close();
        page.text()
    }

    fn check_json(say: impl FnOnce(&LogHandle), expected: &str) {
        let page = written(&LogOptions::default(), false, say);
        let (head, tail) = page.split_once(r#"Z","#).unwrap();
        assert!(head.starts_with(r#"{"ts":"2"#), "{page}");
        assert_eq!(format!("{{{tail}"), format!("{expected}\n"));
    }

    #[test]
    fn a_named_message_is_one_flat_object() {
        let addr: std::net::SocketAddr = "127.0.0.1:41234".parse().unwrap();
        check_json(
            |_| tracing::info!(event = "listening", calls = %addr, workers = 2, tls = false),
            r#"{"level":"INFO","event":"listening","calls":"127.0.0.1:41234","workers":2,"tls":false}"#,
        );
    }

    #[test]
    fn plain_text_is_the_message() {
        check_json(|_| tracing::warn!("say \"{}\"\n", "hi"), r#"{"level":"WARN","message":"say \"hi\"\n"}"#);
    }

    #[test]
    fn a_dependency_is_named_and_heard_from_warn_on() {
        check_json(
            |_| {
                tracing::info!(target: "h2::server", "chatter");
                tracing::info!(target: "tollgate_other", "chatter");
                tracing::warn!(target: "h2::server", "trouble");
            },
            r#"{"level":"WARN","target":"h2::server","message":"trouble"}"#,
        );
    }

    #[test]
    fn a_reload_changes_the_level_of_messages() {
        let page = written(&LogOptions::default(), false, |log| {
            for level in [LogLevel::Info, LogLevel::Debug, LogLevel::Error] {
                log.reconfigure(&LogOptions { level, ..LogOptions::default() });
                tracing::debug!(event = "detail", at = level.as_str());
                tracing::warn!(event = "trouble", at = level.as_str());
            }
        });
        let seen: Vec<_> = page.lines().map(|line| line.split_once("event").unwrap().1).collect();
        let expected =
            [r#"":"trouble","at":"INFO"}"#, r#"":"detail","at":"DEBUG"}"#, r#"":"trouble","at":"DEBUG"}"#];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_terminal_gets_words_and_colour() {
        let say = |_: &LogHandle| tracing::info!(event = "listening", calls = "127.0.0.1:1", note = "a b");
        let page = written(&LogOptions::default(), true, say);
        assert_eq!(&page[12..], " \x1b[32mINFO\x1b[0m listening calls=127.0.0.1:1 note=\"a b\"\n");
        let options = LogOptions { format: LogFormat::Text, ..LogOptions::default() };
        let page = written(&options, false, say);
        assert_eq!(&page[12..], " INFO listening calls=127.0.0.1:1 note=\"a b\"\n");
    }
}
