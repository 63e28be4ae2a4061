//! Sessions of a gateway whose Redis is taken away: nobody waits, nothing acknowledged is lost, and all of it is there once
//! and in order when Redis is back.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tollgate::session::kept::Kept;
use tollgate::session::key::{Owner, SessionId, SessionKey};
use tollgate::session::options::SessionsOptions;
use tollgate::session::record::{Append, Appended, Window};
use tollgate::session::sessions::Sessions;
use tollgate::session::store::StoreFault;
use tollgate::session::turn::Turn;
use tollgate::telemetry::Metrics;

use crate::cli::Folder;
use crate::support::{RedisServer, until, within};

const ALL: Window = Window { turns_max: u64::MAX, bytes_max: u64::MAX };
const STORE_MS: u64 = 250;

/// What a call may take beyond `store_ms`: a write to disk, and the scheduling of a machine that runs many tests.
const SLACK: Duration = Duration::from_secs(3);

/// Tells the process that is to be killed where its spool is.
const CHILD_FOLDER: &str = "TOLLGATE_TEST_SPOOL_FOLDER";

/// Writes every change to disk before it answers.
async fn lasting() -> RedisServer {
    let arguments = "--appendonly yes --appendfsync always";
    RedisServer::start_with(|_, _| arguments.split(' ').map(Into::into).collect()).await
}

fn sessions(url: &str, folder: &Path) -> Arc<Sessions> {
    let options = SessionsOptions {
        store: url.into(),
        store_ms: STORE_MS,
        store_failures_max: 3,
        store_trial_ms: 100,
        ..SessionsOptions::default()
    };
    Sessions::new(&options, folder, Metrics::new().sessions(), true, None)
}

fn key(name: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(name).unwrap())
}

fn append(id: &str) -> Append {
    let messages = format!(r#"{{"role":"user","content":"{id}"}},{{"role":"assistant","content":"yes"}}"#);
    Append {
        turn: Turn { id: id.into(), messages: messages.into(), ..Turn::default() },
        epoch: None,
        system: None,
        title: None,
        ttl_ms: 0,
        bounds: ALL,
        compress_bytes_min: 4_096,
    }
}

/// Writes a turn, which must last and must not take long.
async fn kept(sessions: &Sessions, name: &str, id: &str) -> Kept {
    let begun = Instant::now();
    let kept = within("an append", sessions.append(&key(name), append(id))).await;
    assert!(begun.elapsed() < Duration::from_millis(STORE_MS) + SLACK, "{id} took {:?}", begun.elapsed());
    assert!(matches!(kept, Kept::Stored(Appended::Stored { .. }) | Kept::Spooled), "{id}: {kept:?}");
    kept
}

/// The ids of a session's turns as Redis has them.
async fn turns_of(redis: &RedisServer, name: &str) -> Vec<String> {
    let held = within("a load", redis.store().load(&key(name), ALL)).await.unwrap();
    held.map_or(Vec::new(), |it| it.turns.into_iter().map(|it| it.id).collect())
}

async fn until_written(sessions: &Sessions, redis: &RedisServer) {
    until("the end of the wait", || async {
        let _: String = redis.ask("PING").await;
        let state = sessions.state();
        state.waiting_turns == 0 && !state.is_away
    })
    .await;
}

fn ids(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|it| format!("{prefix}{it}")).collect()
}

#[tokio::test]
async fn calls_do_not_wait_for_a_frozen_redis_and_go_on_when_it_thaws() {
    let (redis, folder) = (RedisServer::start().await, Folder::with(&[]));
    let sessions = sessions(&redis.url(), folder.path());
    assert!(matches!(kept(&sessions, "a", "a0").await, Kept::Stored(_)));
    redis.signal("STOP");
    let mut asked = 0;
    while !sessions.state().is_away {
        let begun = Instant::now();
        assert!(sessions.load(&key("a"), ALL).await.is_err());
        assert!(begun.elapsed() < Duration::from_millis(STORE_MS) + SLACK, "{:?}", begun.elapsed());
        asked += 1;
    }
    assert!(asked <= 3, "{asked} calls waited");
    let begun = Instant::now();
    for _ in 0..1_000 {
        assert!(matches!(sessions.load(&key("a"), ALL).await, Err(StoreFault::Away(_))));
    }
    assert!(begun.elapsed() < Duration::from_millis(STORE_MS), "1,000 calls took {:?}", begun.elapsed());
    for id in &ids("a", 20)[1..] {
        assert_eq!(kept(&sessions, "a", id).await, Kept::Spooled);
    }
    let known = sessions.remembered(&key("a")).unwrap();
    assert_eq!(known.turns.iter().map(|it| it.id.clone()).collect::<Vec<_>>(), ids("a", 20));
    redis.signal("CONT");
    until_written(&sessions, &redis).await;
    assert_eq!(turns_of(&redis, "a").await, ids("a", 20));
}

#[tokio::test]
async fn a_redis_that_takes_no_writes_costs_no_turn() {
    let redis = RedisServer::start().await;
    let _: String = redis.ask("ACL SETUSER shop on >right ~* &* +@all").await;
    let url = format!("redis://shop:right@{}", redis.place());
    for (begin, end) in [
        (&["CONFIG SET maxmemory 1"][..], "CONFIG SET maxmemory 0"),
        (&["REPLICAOF 127.0.0.1 1"], "REPLICAOF NO ONE"),
        (&["ACL SETUSER shop resetpass >other", "CLIENT KILL USER shop"], "ACL SETUSER shop >right"),
    ] {
        let folder = Folder::with(&[]);
        let sessions = sessions(&url, folder.path());
        kept(&sessions, "a", "a0").await;
        for command in begin {
            redis.try_ask(command).await.unwrap();
        }
        for id in &ids("a", 10)[1..] {
            assert_eq!(kept(&sessions, "a", id).await, Kept::Spooled, "{begin:?}");
        }
        redis.try_ask(end).await.unwrap();
        until_written(&sessions, &redis).await;
        assert_eq!(turns_of(&redis, "a").await, ids("a", 10), "{begin:?}");
        assert!(sessions.delete(&key("a")).await.unwrap());
    }
}

#[tokio::test]
async fn a_gateway_begins_without_its_redis_and_finds_it_later() {
    let (mut redis, folder) = (RedisServer::start().await, Folder::with(&[]));
    redis.kill().await;
    let sessions = sessions(&redis.url(), folder.path());
    for id in ids("a", 10) {
        assert_eq!(kept(&sessions, "a", &id).await, Kept::Spooled);
    }
    assert!(sessions.load(&key("a"), ALL).await.is_err(), "its history is not known without what waits");
    redis.start_again().await;
    until_written(&sessions, &redis).await;
    assert_eq!(turns_of(&redis, "a").await, ids("a", 10));
}

/// One that writes turns of a session, one after the other, until told to stop; how many it wrote.
async fn write(gateway: Arc<Sessions>, name: &'static str, prefix: String, stop: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !stop.load(Relaxed) {
        kept(&gateway, name, &format!("{prefix}{count}")).await;
        count += 1;
    }
    count
}

/// Takes Redis away from gateways that write, and gives it back; the last time it stays away.
async fn trouble(redis: &mut RedisServer, gateways: &[Arc<Sessions>], life: usize) {
    let away = || async { gateways.iter().all(|it| it.state().is_away) };
    let back = || async { gateways.iter().all(|it| !it.state().is_away) };
    if life == 1 {
        redis.signal("STOP");
        until("an outage", away).await;
        redis.signal("CONT");
    } else {
        redis.kill().await;
        until("an outage", away).await;
        redis.start_again().await;
    }
    until("the end of an outage", back).await;
    if life == 2 {
        redis.kill().await;
        until("another outage", away).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_gateways_lose_no_turn_of_a_redis_that_dies_and_freezes_again_and_again() {
    let names = ["s0", "s1", "s2", "s3"];
    let mut redis = lasting().await;
    let folders = [Folder::with(&[]), Folder::with(&[])];
    let both = |url: &str| [0, 1].map(|it| sessions(url, folders[it].path()));
    let mut written: Vec<(&str, String, usize)> = Vec::new();
    for life in 0..3 {
        let gateways = both(&redis.url());
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = Vec::new();
        for (at, name) in (0..2).flat_map(|at| names.map(|name| (at, name))) {
            let prefix = format!("g{at}-{life}-");
            let writer = write(Arc::clone(&gateways[at]), name, prefix.clone(), Arc::clone(&stop));
            writers.push((name, prefix, tokio::spawn(writer)));
        }
        trouble(&mut redis, &gateways, life).await;
        stop.store(true, Relaxed);
        for (name, prefix, writer) in writers {
            written.push((name, prefix, within("a writer", writer).await.unwrap()));
        }
    }
    redis.start_again().await;
    // The gateways ended while turns were waiting: the next ones write them.
    let gateways = both(&redis.url());
    for (gateway, name) in gateways.iter().flat_map(|it| names.map(|name| (it, name))) {
        until("a session", || async { gateway.load(&key(name), ALL).await.is_ok() }).await;
    }
    for name in names {
        let found = turns_of(&redis, name).await;
        let mut expected = 0;
        for (_, prefix, count) in written.iter().filter(|it| it.0 == name) {
            let own: Vec<_> = found.iter().filter(|it| it.starts_with(prefix.as_str())).cloned().collect();
            assert_eq!(own, ids(prefix, *count), "{name} {prefix}");
            expected += count;
        }
        assert_eq!(found.len(), expected, "{name}");
    }
}

/// Spools so many turns of a session whose store is not there; says which.
async fn spool(folder: &Path, turns: usize) -> Arc<Sessions> {
    // Nobody listens there.
    let sessions = sessions("redis://127.0.0.1:1", folder);
    for at in 0..turns {
        assert_eq!(kept(&sessions, "a", &format!("a{at}")).await, Kept::Spooled);
        println!("spooled {at}");
    }
    sessions
}

/// Another test runs this one in a process of its own, without end, and kills it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_without_a_store_wait_on_disk() {
    if let Ok(folder) = std::env::var(CHILD_FOLDER) {
        spool(Path::new(&folder), usize::MAX).await;
        return;
    }
    let folder = Folder::with(&[]);
    assert_eq!(spool(folder.path(), 20).await.state().waiting_turns, 20);
}

#[tokio::test]
async fn turns_that_a_killed_gateway_spooled_are_written_by_the_next_one() {
    let (redis, folder) = (RedisServer::start().await, Folder::with(&[]));
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store_away::turns_without_a_store_wait_on_disk"])
        .env(CHILD_FOLDER, folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = 0;
    while let Some(line) = within("a line", lines.next_line()).await.unwrap() {
        acknowledged += usize::from(line.contains("spooled "));
        if acknowledged == 50 {
            child.kill().await.unwrap();
        }
    }
    assert!(acknowledged >= 50);
    let sessions = sessions(&redis.url(), folder.path());
    until("a session", || async { sessions.load(&key("a"), ALL).await.is_ok() }).await;
    let found = turns_of(&redis, "a").await;
    // The last one may have been on disk without its writer having said so.
    assert!((acknowledged..=acknowledged + 1).contains(&found.len()), "{acknowledged}, {}", found.len());
    assert_eq!(found, ids("a", found.len()));
}
