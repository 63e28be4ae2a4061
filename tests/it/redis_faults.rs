//! A Redis that is gone, frozen, full, read-only or not ours to use: each operation ends within its bound, with a fault that
//! says whether it may have been done, and all is well again afterwards.

use std::time::{Duration, Instant};

use redis::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;
use tollgate::session::key::{Kind, Owner, SessionId, SessionKey};
use tollgate::session::record::{Change, Meta, Page, Window};
use tollgate::session::redis::options::{RedisOptions, SentinelOptions};
use tollgate::session::store::{Store, StoreFault};

use crate::stores::new_append;
use crate::support::redis::{free_port, patient, store};
use crate::support::{RedisCluster, RedisServer, Sentinelled, until, within};

const ALL: Window = Window { turns_max: 100, bytes_max: 1 << 30 };

/// `connect_ms` and `command_ms` together, and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(350 + 650);

pub fn key(id: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(id).unwrap())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    Away,
    Lost,
}

fn how<T: std::fmt::Debug>(what: &str, result: Result<T, StoreFault>) -> How {
    match result {
        Err(StoreFault::Away(_)) => How::Away,
        Err(StoreFault::Lost(_)) => How::Lost,
        other => panic!("{what}: {other:?}"),
    }
}

/// Each operation, how it failed, and that it did within its bound.
async fn failures(store: &Store) -> Vec<How> {
    let mut found = Vec::new();
    macro_rules! fails {
        ($what:literal, $asked:expr) => {{
            let start = Instant::now();
            found.push(how($what, within($what, $asked).await));
            assert!(start.elapsed() < BOUND, "{} took {:?}", $what, start.elapsed());
        }};
    }
    let page = Page { after: None, limit: 9, ascending: true };
    let clear = Change::Clear { epoch: 1 };
    fails!("load", store.load(&key("a"), ALL));
    fails!("append", store.append(&key("a"), &new_append("lost")));
    fails!("create", store.create(&Meta::new(key("new"), 0, 1), &[], 0));
    fails!("meta", store.meta(&key("a")));
    fails!("turns", store.turns(&key("a"), 0, 9));
    fails!("change", store.change(&key("a"), Some(1), &clear));
    fails!("delete", store.delete(&key("none")));
    fails!("list", store.list(&key("a").owner, Kind::Session, &page));
    fails!("scan", store.scan(None));
    fails!("check", store.check());
    found
}

/// It works, if not at once.
async fn works(store: &Store, id: &str) {
    until("a store that works again", || async {
        store.append(&key("a"), &new_append(id)).await.is_ok() && store.check().await.is_ok()
    })
    .await;
    assert_eq!(turns(store).await.iter().filter(|it| *it == id).count(), 1);
}

/// The ids of what is held, when it can be told.
async fn turns(store: &Store) -> Vec<String> {
    loop {
        if let Ok(Some(held)) = within("a load", store.load(&key("a"), ALL)).await {
            return held.turns.into_iter().map(|it| it.id).collect();
        }
    }
}

/// What the fault says.
async fn why(store: &Store) -> String {
    store.check().await.unwrap_err().to_string()
}

#[tokio::test]
async fn a_store_begins_without_redis_and_outlives_its_death() {
    let mut server = RedisServer::start().await;
    server.kill().await;
    let store = server.brisk_store();
    assert_eq!(failures(&store).await, [How::Away; 10]);
    assert!(why(&store).await.contains(&server.place()));
    server.start_again().await;
    works(&store, "t1").await;
    server.kill().await;
    // Commands that were never sent cannot have been done.
    until("the end of the connection", || async { matches!(store.check().await, Err(StoreFault::Away(_))) })
        .await;
    assert_eq!(failures(&store).await, [How::Away; 10]);
    server.start_again().await;
    works(&store, "t2").await;
}

#[tokio::test]
async fn a_frozen_redis_costs_each_call_its_bound_and_is_found_again() {
    let server = RedisServer::start().await;
    let store = server.brisk_store();
    works(&store, "t1").await;
    server.signal("STOP");
    let start = Instant::now();
    assert_eq!(how("append", store.append(&key("a"), &new_append("t2")).await), How::Lost);
    assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
    // The connection was dropped; a new one is accepted by the system and never answered.
    assert_eq!(failures(&store).await, [How::Away; 10]);
    server.signal("CONT");
    works(&store, "t3").await;
    // The turn that got lost may have arrived; asked for again it is there once.
    works(&store, "t2").await;
}

#[tokio::test]
async fn callers_that_leave_early_do_not_hide_that_redis_is_frozen() {
    let server = RedisServer::start().await;
    let options = RedisOptions { command_ms: 50, ..RedisOptions::default() };
    let store = store(&server.url(), &options);
    works(&store, "t1").await;
    server.signal("STOP");
    until("a dropped connection", || async {
        // Each leaves long before the bound of its command.
        let asked = tokio::time::timeout(Duration::from_millis(10), store.check()).await;
        assert!(!matches!(asked, Ok(Ok(()))));
        matches!(asked, Ok(Err(_))) || matches!(store.check().await, Err(StoreFault::Away(_)))
    })
    .await;
    server.signal("CONT");
    works(&store, "t2").await;
}

#[tokio::test]
async fn a_paused_redis_is_lost_and_comes_back() {
    let server = RedisServer::start().await;
    let store = server.brisk_store();
    works(&store, "t1").await;
    let _: String = server.ask("CLIENT PAUSE 1500 ALL").await;
    let start = Instant::now();
    assert_eq!(how("load", store.load(&key("a"), ALL).await), How::Lost);
    assert!(start.elapsed() < BOUND);
    works(&store, "t2").await;
}

#[tokio::test]
async fn a_full_redis_takes_no_turn_and_is_still_read() {
    let server = RedisServer::start().await;
    let store = server.store();
    works(&store, "t1").await;
    let _: String = server.ask("CONFIG SET maxmemory 1").await;
    assert_eq!(how("append", store.append(&key("a"), &new_append("t2")).await), How::Away);
    assert_eq!(how("create", store.create(&Meta::new(key("b"), 0, 1), &[], 0).await), How::Away);
    assert!(why(&store).await.contains("OOM"));
    let held = store.load(&key("a"), ALL).await.unwrap().unwrap();
    assert_eq!((held.turns.len(), held.meta.turns), (1, 1), "half of a turn was written");
    let _: String = server.ask("CONFIG SET maxmemory 0").await;
    works(&store, "t2").await;
    assert_eq!(store.meta(&key("b")).await.unwrap(), None);
}

#[tokio::test]
async fn a_read_only_replica_takes_nothing() {
    let server = RedisServer::start().await;
    let store = server.store();
    works(&store, "t1").await;
    let _: String = server.ask(&format!("REPLICAOF 127.0.0.1 {}", free_port())).await;
    assert_eq!(how("append", store.append(&key("a"), &new_append("t2")).await), How::Away);
    assert_eq!(how("load", store.load(&key("a"), ALL).await), How::Away);
    assert!(why(&store).await.contains("READONLY"));
    let _: String = server.ask("REPLICAOF NO ONE").await;
    works(&store, "t2").await;
}

#[tokio::test]
async fn who_may_not_is_told_so_without_a_password() {
    let server = RedisServer::start().await;
    let _: String = server.ask("ACL SETUSER few on >planted ~tollgate:* +@connection").await;
    let check = async |login: &str, code: &str| {
        let store = store(&format!("redis://{login}@{}", server.place()), &patient());
        assert_eq!(failures(&store).await, [How::Away; 10], "{login}");
        let why = why(&store).await;
        assert!(why.contains(code) && !why.contains("planted"), "{why}");
    };
    check("few:planted2", "WRONGPASS").await;
    check("nobody:planted", "WRONGPASS").await;
    check("few:planted", "NOPERM").await;
    let _: String = server.ask("ACL SETUSER default >planted").await;
    let open = server.store();
    assert_eq!(how("load", open.load(&key("a"), ALL).await), How::Away);
    assert!(why(&open).await.contains("NOAUTH"), "{}", why(&open).await);
}

#[tokio::test]
async fn a_trial_fails_where_a_user_may_not_run_scripts() {
    let server = RedisServer::start().await;
    let store = server.store();
    works(&store, "t1").await;
    let ttl: i64 = server.ask("PTTL tollgate:{check}:written").await;
    assert!((1..=60_000).contains(&ttl), "{ttl}");
    let _: String = server.ask("ACL SETUSER default -eval -evalsha").await;
    assert_eq!(how("append", store.append(&key("a"), &new_append("t2")).await), How::Away);
    assert!(why(&store).await.contains("NOPERM"));
    let _: String = server.ask("ACL SETUSER default +@all").await;
    works(&store, "t2").await;
}

#[tokio::test]
async fn a_peer_that_speaks_something_else_is_said_to() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let _peer = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 1_024]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    }));
    let store = store(&format!("redis://:planted@{place}"), &patient());
    assert_eq!(why(&store).await, format!("redis {place}: it does not speak Redis"));
}

#[tokio::test]
async fn what_another_program_wrote_is_told_apart_from_what_is_not_there() {
    let server = RedisServer::start().await;
    let store = server.store();
    let tag = tollgate::session::key::hex(&key("a").tag());
    let is_corrupt = |fault: StoreFault| assert!(matches!(fault, StoreFault::Corrupt(_)), "{fault:?}");
    let _: String = server.ask(&format!("SET tollgate:{{{tag}}}:meta x")).await;
    is_corrupt(store.load(&key("a"), ALL).await.unwrap_err());
    is_corrupt(store.append(&key("a"), &new_append("t1")).await.unwrap_err());
    assert!(store.delete(&key("a")).await.unwrap());
    works(&store, "t1").await;
    // An answer without its history would be wrong: turns that were evicted are missed.
    let _: u64 = server.ask(&format!("DEL tollgate:{{{tag}}}:turns")).await;
    is_corrupt(store.load(&key("a"), ALL).await.unwrap_err());
    is_corrupt(store.append(&key("a"), &new_append("t2")).await.unwrap_err());
    // Whoever says that they are to be gone has the session again.
    let version = store.meta(&key("a")).await.unwrap().unwrap().version;
    store.change(&key("a"), Some(version), &Change::Clear { epoch: 2 }).await.unwrap();
    works(&store, "t3").await;
}

#[tokio::test]
async fn a_failover_by_sentinels_is_followed() {
    let mut servers = Sentinelled::start().await;
    let store = servers.store_with(RedisOptions::default());
    works(&store, "t1").await;
    // Told by the sentinel, for the old master goes on to answer for a while.
    until("a failover that is begun", || async {
        matches!(servers.ask_sentinel("SENTINEL FAILOVER main").await, Value::Okay)
    })
    .await;
    until("a new master", || async { servers.servers[1].says("INFO replication", "role:master").await })
        .await;
    works(&store, "t2").await;
    assert_eq!(turns(&store).await, ["t1", "t2"]);
    until("the old master as a replica", || async {
        servers.servers[0].says("INFO replication", "master_link_status:up").await
    })
    .await;
    // And where the master dies.
    servers.servers[1].kill().await;
    assert_eq!(failures(&store).await.len(), 10);
    works(&store, "t3").await;
    assert!(servers.servers[0].says("INFO replication", "role:master").await);
}

#[tokio::test]
async fn sentinels_that_know_nothing_or_are_gone_are_named() {
    let servers = Sentinelled::start().await;
    let with = |sentinel: SentinelOptions| RedisOptions { sentinel: Some(sentinel), ..patient() };
    let good = servers.options();
    let check = async |sentinel: SentinelOptions, text: &str| {
        let store = store("redis://main", &with(sentinel));
        assert_eq!(how(text, store.load(&key("a"), ALL).await), How::Away);
        let why = why(&store).await;
        assert!(why.contains(text) && !why.contains("watch"), "{why}");
    };
    check(SentinelOptions { master: Some("other".into()), ..good.clone() }, "knows no master").await;
    check(SentinelOptions { password: None, ..good.clone() }, "NOAUTH").await;
    check(SentinelOptions { nodes: vec![format!("127.0.0.1:{}", free_port())], ..good.clone() }, "refused")
        .await;
    // One of several is enough, whatever the others do.
    servers.servers[1].signal("STOP");
    let nodes = vec![servers.servers[1].place(), good.nodes[0].clone()];
    works(&store("redis://main", &with(SentinelOptions { nodes, ..good })), "t1").await;
}

#[tokio::test]
async fn slots_that_move_and_nodes_that_die_are_followed() {
    let mut cluster = RedisCluster::start().await;
    let store = cluster.store_with(RedisOptions::default());
    let patient = cluster.store();
    for nth in 0..20 {
        patient.append(&key(&format!("s{nth}")), &new_append("t1")).await.unwrap();
    }
    let page = Page { after: None, limit: 100, ascending: true };
    let owner = key("a").owner;
    assert_eq!(patient.list(&owner, Kind::Session, &page).await.unwrap().len(), 20);
    cluster.add_replica(1).await;
    cluster.nodes[1].kill().await;
    until("a cluster that is whole again", || async {
        let start = Instant::now();
        let _ = store.load(&key("s1"), ALL).await;
        assert!(start.elapsed() < BOUND, "{:?}", start.elapsed());
        cluster.nodes[0].says("CLUSTER INFO", "cluster_state:ok").await
            && cluster.nodes[3].says("INFO replication", "role:master").await
    })
    .await;
    for nth in 0..20 {
        let key = key(&format!("s{nth}"));
        until("each session", || async { store.load(&key, ALL).await.is_ok_and(|it| it.is_some()) }).await;
        until("each turn", || async { store.append(&key, &new_append("t2")).await.is_ok() }).await;
    }
    assert_eq!(store.list(&owner, Kind::Session, &page).await.unwrap().len(), 20);
}

#[tokio::test]
async fn a_turn_whose_entry_in_the_list_is_not_written_may_be_asked_for_again() {
    let mut cluster = RedisCluster::start().await;
    for node in &cluster.nodes {
        let _: String = node.ask("CONFIG SET cluster-require-full-coverage no").await;
    }
    let store = cluster.store();
    let owner = key("a").owner.to_hex();
    let listed_at = node_of(&cluster, &owner).await;
    let mut other = None;
    for nth in 0..100 {
        let key = key(&format!("s{nth}"));
        let tag = tollgate::session::key::hex(&key.tag());
        if node_of(&cluster, &tag).await != listed_at {
            other = Some(key);
            break;
        }
    }
    let key = other.expect("two of three sessions are with another node");
    store.append(&key, &new_append("t1")).await.unwrap();
    cluster.nodes[listed_at].kill().await;
    assert_eq!(how("append", store.append(&key, &new_append("t2")).await), How::Lost);
    cluster.nodes[listed_at].start_again().await;
    until("a whole turn", || async { store.append(&key, &new_append("t2")).await.is_ok() }).await;
    let held = store.load(&key, ALL).await.unwrap().unwrap();
    assert_eq!(held.turns.len(), 2);
}

pub async fn node_of(cluster: &RedisCluster, tag: &str) -> usize {
    let slot: u16 = cluster.nodes[0].ask(&format!("CLUSTER KEYSLOT {{{tag}}}")).await;
    usize::from(slot > 5_460) + usize::from(slot > 10_922)
}
