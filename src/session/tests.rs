//! The sessions of a gateway over a store that fails as it is told to: waits, breaker, spool, memory.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::kept::Kept;
use super::key::{Owner, SessionId, SessionKey};
use super::options::SessionsOptions;
use super::record::{Append, Appended, Change, Held, Window};
use super::scripted::{Folder, Mood, Scripted};
use super::sessions::Sessions;
use super::store::{Store, StoreFault};
use super::turn::Turn;
use crate::telemetry::Metrics;

mod waiting;

/// Longest any test waits for what goes on behind the calls.
const PATIENCE: Duration = Duration::from_secs(60);
const WINDOW: Window = Window { turns_max: 100, bytes_max: 1 << 20 };

/// A gateway's sessions, their store and the folder of their spool.
struct Stage {
    folder: Folder,
    store: Arc<Scripted>,
    metrics: Metrics,
    options: SessionsOptions,
}

impl Stage {
    fn new() -> Self {
        let options = SessionsOptions {
            store: "redis://user:hunter2@store/0".into(),
            store_ms: 100,
            store_failures_max: 3,
            ..SessionsOptions::default()
        };
        Self { folder: Folder::new(), store: Arc::default(), metrics: Metrics::new(), options }
    }

    fn sessions(&self) -> Arc<Sessions> {
        self.reloaded(None)
    }

    fn reloaded(&self, last: Option<&Sessions>) -> Arc<Sessions> {
        let store = Arc::new(Store::Scripted(Arc::clone(&self.store)));
        Sessions::over(Some(store), &self.options, self.folder.path(), self.metrics.sessions(), true, last)
    }

    /// The number behind a series.
    fn metric(&self, series: &str) -> f64 {
        let page = String::from_utf8(self.metrics.render()).unwrap();
        let line = page.lines().find(|it| it.strip_prefix(series).is_some_and(|it| it.starts_with(' ')));
        line.and_then(|it| it.rsplit(' ').next()).and_then(|it| it.parse().ok()).expect(series)
    }

    #[track_caller]
    fn check_metrics(&self, expected: &[(&str, f64)]) {
        for (series, value) in expected {
            assert_eq!(self.metric(&format!("tollgate_session_{series}")), *value, "{series}");
        }
    }

    async fn until_up(&self) {
        until(|| self.metric("tollgate_session_store_up") == 1.0).await;
    }

    async fn until_drained(&self) {
        until(|| self.metric("tollgate_session_spool_turns") == 0.0).await;
    }
}

/// Looks again and again, on the test's own clock.
async fn until(is_so: impl Fn() -> bool) {
    let looking = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, looking).await.expect("it comes to be so");
}

fn key(id: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(id).unwrap())
}

fn turn(id: &str, epoch: Option<u64>) -> Append {
    Append {
        turn: Turn { id: id.into(), at: 5, messages: r#"{"role":"user"}"#.into(), ..Turn::default() },
        epoch,
        system: None,
        title: None,
        ttl_ms: 0,
        bounds: WINDOW,
        compress_bytes_min: 4_096,
    }
}

fn ids(held: &Held) -> Vec<&str> {
    held.turns.iter().map(|it| it.id.as_str()).collect()
}

fn is_stored(kept: &Kept) -> bool {
    matches!(kept, Kept::Stored(Appended::Stored { .. }))
}

#[tokio::test(start_paused = true)]
async fn no_operation_waits_longer_than_it_may_and_after_some_failures_none_waits() {
    let stage = Stage::new();
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Silent);
    let begun = Instant::now();
    assert!(matches!(sessions.load(&key("a"), WINDOW).await, Err(StoreFault::Lost(_))));
    assert!(matches!(sessions.meta(&key("a")).await, Err(StoreFault::Lost(_))));
    assert!((200..220).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(!sessions.state().is_away);
    assert!(sessions.delete(&key("a")).await.is_err());
    assert!(sessions.state().is_away);
    let begun = Instant::now();
    for _ in 0..100 {
        assert!(matches!(sessions.load(&key("a"), WINDOW).await, Err(StoreFault::Away(_))));
    }
    assert_eq!(begun.elapsed(), Duration::ZERO);
    assert_eq!(stage.store.asked("load"), 1);
    stage.check_metrics(&[
        ("store_up", 0.0),
        (r#"store_failures_total{reason="timeout"}"#, 3.0),
        (r#"store_failures_total{reason="open"}"#, 100.0),
        (r#"store_seconds_count{operation="load"}"#, 1.0),
        (r#"store_seconds_count{operation="other"}"#, 2.0),
    ]);
    assert_eq!(sessions.state().store, "redis://store/0");
}

#[tokio::test(start_paused = true)]
async fn a_trial_at_a_time_finds_out_when_the_store_is_back_though_nobody_calls() {
    let stage = Stage::new();
    let sessions = stage.sessions();
    assert!(sessions.load(&key("a"), WINDOW).await.is_ok());
    // What goes on behind the calls sees first that there is nothing to do.
    sleep(Duration::from_millis(1)).await;
    stage.store.is_now(Mood::Away);
    for _ in 0..3 {
        assert!(sessions.load(&key("a"), WINDOW).await.is_err());
    }
    sleep(Duration::from_millis(10_500)).await;
    let trials = stage.store.asked("check");
    assert!((8..=13).contains(&trials), "{trials} trials in 10 s, 0.8 to 1.2 s apart");
    stage.store.is_now(Mood::Well);
    let begun = Instant::now();
    stage.until_up().await;
    assert!(begun.elapsed() <= Duration::from_millis(1_210), "{:?}", begun.elapsed());
    assert_eq!(sessions.load(&key("a"), WINDOW).await, Ok(None));
    stage.store.is_now(Mood::Away);
    for _ in 0..3 {
        assert!(sessions.load(&key("a"), WINDOW).await.is_err());
    }
    drop(sessions);
    stage.until_up().await;
    let trials = stage.store.asked("check");
    sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.store.asked("check"), trials, "no trials for sessions that are gone");
}

#[tokio::test]
async fn a_session_with_turns_that_wait_is_not_read_without_them_and_takes_new_ones_behind_them() {
    let mut stage = Stage::new();
    stage.options.store_failures_max = 1_000;
    stage.options.store_ms = 2_000;
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Full);
    assert_eq!(sessions.append(&key("a"), turn("1", None)).await, Kept::Spooled);
    let begun = Instant::now();
    let fault = sessions.load(&key("a"), WINDOW).await;
    assert!(matches!(fault, Err(StoreFault::Away(_))), "{fault:?}");
    assert!(begun.elapsed() < Duration::from_millis(2_500), "{:?}", begun.elapsed());
    // another's session is not concerned
    assert_eq!(sessions.load(&key("b"), WINDOW).await, Ok(None));
    stage.store.is_now(Mood::Well);
    assert_ne!(sessions.append(&key("a"), turn("2", None)).await, Kept::Lost(StoreFault::Away("".into())));
    let held = sessions.load(&key("a"), WINDOW).await.unwrap().unwrap();
    assert_eq!(ids(&held), ["1", "2"]);
}

#[tokio::test]
async fn a_session_on_its_way_is_no_failure_of_the_store_and_its_turns_wait_for_it() {
    let mut stage = Stage::new();
    stage.options.store_trial_ms = 5;
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Busy);
    for _ in 0..5 {
        assert!(matches!(sessions.load(&key("a"), WINDOW).await, Err(StoreFault::Busy(_))));
    }
    assert_eq!(sessions.append(&key("a"), turn("a1", None)).await, Kept::Spooled);
    until(|| stage.store.asked("append") > 40).await;
    assert!(!sessions.state().is_away);
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("a"), ["a1"]);
}

#[tokio::test]
async fn a_store_that_takes_no_turns_but_answers_is_given_none_until_one_that_waited_is_taken() {
    let mut stage = Stage::new();
    stage.options.store_trial_ms = 50;
    let sessions = stage.sessions();
    stage.store.is_now(Mood::Full);
    for at in 0..10 {
        let key = key(&format!("s{at}"));
        assert_eq!(sessions.load(&key, WINDOW).await, Ok(None));
        assert_eq!(sessions.append(&key, turn("1", None)).await, Kept::Spooled);
    }
    assert!(sessions.state().is_away);
    stage.check_metrics(&[("store_up", 0.0)]);
    assert_eq!(sessions.load(&key("other"), WINDOW).await, Ok(None), "it still answers");
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    stage.until_up().await;
    assert!(is_stored(&sessions.append(&key("s0"), turn("2", None)).await));
}

#[tokio::test]
async fn what_is_known_of_a_store_goes_along_with_it_at_a_reload() {
    let mut stage = Stage::new();
    let last = stage.sessions();
    assert!(is_stored(&last.append(&key("a"), turn("1", None)).await));
    stage.store.is_now(Mood::Away);
    for _ in 0..3 {
        assert!(last.load(&key("a"), WINDOW).await.is_err());
    }
    stage.options.ttl_s = 9_999;
    let next = stage.reloaded(Some(&last));
    assert!(next.state().is_away);
    assert_eq!(ids(&next.remembered(&key("a")).unwrap()), ["1"]);
    drop(last);
    stage.check_metrics(&[("store_up", 0.0)]);
    // the trials go on, by whom the store is kept now
    assert!(next.load(&key("a"), WINDOW).await.is_err());
    stage.store.is_now(Mood::Well);
    stage.until_up().await;
    stage.options.store = "redis://other/0".into();
    let other = stage.reloaded(Some(&next));
    assert_eq!(other.remembered(&key("a")), None);
}

#[tokio::test]
async fn what_is_remembered_is_what_was_read_and_written_here() {
    let stage = Stage::new();
    let sessions = stage.sessions();
    assert!(is_stored(&sessions.append(&key("a"), turn("1", None)).await));
    let epoch = sessions.load(&key("a"), WINDOW).await.unwrap().unwrap().meta.epoch;
    assert!(is_stored(&sessions.append(&key("a"), turn("2", Some(epoch))).await));
    stage.store.is_now(Mood::Away);
    assert_eq!(sessions.append(&key("a"), turn("3", Some(epoch))).await, Kept::Spooled);
    let held = sessions.remembered(&key("a")).unwrap();
    assert_eq!((ids(&held), held.meta.epoch), (vec!["1", "2", "3"], epoch));
    // one that begins while the store is away
    assert_eq!(sessions.append(&key("b"), turn("1", None)).await, Kept::Spooled);
    let begun = sessions.remembered(&key("b")).unwrap().meta.epoch;
    assert_eq!(sessions.append(&key("b"), turn("2", Some(begun))).await, Kept::Spooled);
    stage.store.is_now(Mood::Well);
    stage.until_drained().await;
    assert_eq!(stage.store.turns_of("b"), ["1", "2"]);
    stage.until_up().await;
    let change = Change::Describe { title: Some("t".into()), metadata: None, ttl_ms: None };
    sessions.change(&key("a"), Some(3), &change).await.unwrap();
    let held = sessions.remembered(&key("a")).unwrap();
    assert_eq!((held.meta.title.as_deref(), held.turns.len()), (Some("t"), 3));
    sessions.change(&key("a"), Some(4), &Change::Clear { epoch: 9 }).await.unwrap();
    sessions.delete(&key("b")).await.unwrap();
    assert_eq!((sessions.remembered(&key("a")), sessions.remembered(&key("b"))), (None, None));
}

#[tokio::test]
async fn sessions_that_are_off_say_so() {
    let mut stage = Stage::new();
    stage.options.store = "off".into();
    let metrics = stage.metrics.sessions();
    let sessions = Sessions::new(&stage.options, stage.folder.path(), metrics, true, None);
    assert!(sessions.is_off());
    let fault = sessions.load(&key("a"), WINDOW).await.unwrap_err();
    assert!(matches!(&fault, StoreFault::Away(why) if why.contains("off")), "{fault:?}");
    assert!(matches!(sessions.append(&key("a"), turn("1", None)).await, Kept::Lost(_)));
    sessions.close().await;
}
