//! What stands in Redis: keys, types and times to live as they are documented, the lists of owners mended, and how many
//! round trips it takes.

use std::time::Duration;

use tollgate::session::key::{Kind, Owner, SessionId, SessionKey, hex};
use tollgate::session::record::{Append, Change, Meta, Page, Window};
use tollgate::session::store::Store;

use crate::stores::{new_append, new_turn};
use crate::support::redis::{patient, store};
use crate::support::{Hop, RedisServer, until, within};

const ALL: Window = Window { turns_max: 100, bytes_max: 1 << 30 };
const HOUR_MS: i64 = 3_600_000;

fn key(id: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(id).unwrap())
}

fn list_key() -> String {
    format!("tollgate:{{{}}}:sessions", Owner::tenant("shop").to_hex())
}

async fn listed(store: &Store) -> Vec<String> {
    let page = Page { after: None, limit: 100, ascending: true };
    let metas = store.list(&Owner::tenant("shop"), Kind::Session, &page).await.unwrap();
    metas.iter().map(|it| it.key.id.to_string()).collect()
}

#[tokio::test]
async fn another_program_finds_what_is_documented() {
    let server = RedisServer::start().await;
    let store = server.store();
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    store.append(&key("a"), &new_append("t2")).await.unwrap();
    let tag = hex(&key("a").tag());
    let part = |part: &str| format!("tollgate:{{{tag}}}:{part}");
    let mut keys: Vec<String> = server.ask("KEYS *").await;
    let mut expected = vec![part("ids"), part("meta"), part("turns"), list_key()];
    keys.sort();
    expected.sort();
    assert_eq!(keys, expected);
    for (key, kind) in [("meta", "hash"), ("turns", "list"), ("ids", "zset")] {
        assert_eq!(server.ask::<String>(&format!("TYPE {}", part(key))).await, kind);
        let ttl: i64 = server.ask(&format!("PTTL {}", part(key))).await;
        assert!((HOUR_MS - 60_000..=HOUR_MS).contains(&ttl), "{key}: {ttl}");
    }
    let stored: Vec<Vec<u8>> = server.ask(&format!("LRANGE {} 0 -1", part("turns"))).await;
    assert_eq!(stored, [new_turn("t1").encode(4_096), new_turn("t2").encode(4_096)]);
    let ids: Vec<String> = server.ask(&format!("ZRANGE {} 0 -1 WITHSCORES", part("ids"))).await;
    assert_eq!(ids, ["t1", "0", "t2", "1"]);
    let fields =
        "HMGET {} kind owner id ttl_ms version first turns input_tokens output_tokens cost upstream model";
    let fields: Vec<String> = server.ask(&fields.replace("{}", &part("meta"))).await;
    let owner = Owner::tenant("shop").to_hex();
    assert_eq!(fields, ["session", &owner, "a", "3600000", "2", "0", "2", "20", "4", "10", "up", "m-1"]);
    let ttl: i64 = server.ask(&format!("PTTL {}", list_key())).await;
    assert!((2 * HOUR_MS - 60_000..=2 * HOUR_MS).contains(&ttl), "{ttl}");
}

#[tokio::test]
async fn times_to_live_slide_with_loads_and_the_list_lives_longest() {
    let server = RedisServer::start().await;
    let store = server.store();
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    let ttl = async |key: String| server.ask::<i64>(&format!("PTTL {key}")).await;
    let parts = ["meta", "turns", "ids"].map(|it| format!("tollgate:{{{}}}:{it}", hex(&key("a").tag())));
    for part in &parts {
        assert_eq!(server.ask::<u64>(&format!("PEXPIRE {part} 60000")).await, 1);
    }
    store.meta(&key("a")).await.unwrap().unwrap();
    store.turns(&key("a"), 0, 9).await.unwrap().unwrap();
    assert!(ttl(parts[0].clone()).await <= 60_000);
    store.load(&key("a"), ALL).await.unwrap().unwrap();
    for part in &parts {
        assert!(ttl(part.clone()).await > 60_000, "{part}");
    }
    // One that stays for ever keeps the list for ever.
    let forever = Change::Describe { title: None, metadata: None, ttl_ms: Some(0) };
    store.change(&key("a"), Some(1), &forever).await.unwrap();
    assert_eq!([ttl(parts[0].clone()).await, ttl(parts[1].clone()).await, ttl(list_key()).await], [-1; 3]);
    store.append(&key("b"), &new_append("t1")).await.unwrap();
    assert_eq!(ttl(list_key()).await, -1);
}

#[tokio::test]
async fn a_session_that_lives_on_loads_alone_keeps_its_list() {
    let server = RedisServer::start().await;
    let store = server.store();
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    // As if nobody had written for more than half of its time.
    let meta = format!("tollgate:{{{}}}:meta", hex(&key("a").tag()));
    assert_eq!(server.ask::<u64>(&format!("HSET {meta} updated_at 1000")).await, 0);
    assert_eq!(server.ask::<u64>(&format!("PEXPIRE {} 60000", list_key())).await, 1);
    store.load(&key("a"), ALL).await.unwrap().unwrap();
    let ttl = async || server.ask::<i64>(&format!("PTTL {}", list_key())).await;
    until("a list that is kept", || async { ttl().await > 60_000 }).await;
}

#[tokio::test]
async fn entries_whose_sessions_are_gone_leave_their_list() {
    let server = RedisServer::start().await;
    let store = server.store();
    for nth in 0..300 {
        server.ask::<u64>(&format!("ZADD {} {nth} gone{nth}", list_key())).await;
    }
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    let page = Page { after: None, limit: 1, ascending: true };
    let metas = store.list(&Owner::tenant("shop"), Kind::Session, &page).await.unwrap();
    assert_eq!(metas.len(), 1, "a list goes on until its page is full");
    assert_eq!(server.ask::<u64>(&format!("ZCARD {}", list_key())).await, 1);
    // One that was noted a moment ago may be on its way.
    let now: Vec<u64> = server.ask("TIME").await;
    server.ask::<u64>(&format!("ZADD {} {} soon", list_key(), now[0] * 1_000)).await;
    assert_eq!(listed(&store).await, ["a"]);
    assert_eq!(server.ask::<u64>(&format!("ZCARD {}", list_key())).await, 2);
}

#[tokio::test]
async fn writers_mend_the_lists_that_nobody_reads() {
    let server = RedisServer::start().await;
    let store = server.store();
    for nth in 0..40 {
        server.ask::<u64>(&format!("ZADD {} {nth} gone{nth}", list_key())).await;
    }
    for nth in 0..32 {
        store.append(&key("a"), &new_append(&format!("t{nth}"))).await.unwrap();
    }
    until("a mended list", || async { server.ask::<u64>(&format!("ZCARD {}", list_key())).await == 1 }).await;
}

#[tokio::test]
async fn a_load_and_a_turn_take_one_round_trip_each() {
    let server = RedisServer::start().await;
    let hop = Hop::start(server.port, Duration::from_millis(20)).await;
    let store = store(&format!("redis://127.0.0.1:{}", hop.port), &patient());
    for nth in 0..20 {
        store.append(&key("a"), &new_append(&format!("t{nth}"))).await.unwrap();
    }
    store.load(&key("a"), ALL).await.unwrap().unwrap();
    hop.trips();
    store.append(&key("a"), &new_append("x")).await.unwrap();
    assert_eq!(hop.trips(), 1, "a turn");
    store.load(&key("a"), ALL).await.unwrap().unwrap();
    assert_eq!(hop.trips(), 1, "a load");
    store.meta(&key("a")).await.unwrap().unwrap();
    assert_eq!(hop.trips(), 1, "a record");
    for nth in 0..50 {
        store.append(&key(&format!("s{nth}")), &new_append("x")).await.unwrap();
    }
    hop.trips();
    assert_eq!(listed(&store).await.len(), 51);
    assert_eq!(hop.trips(), 2, "a list: its entries, and their records all at once");
    // A server that was told to forget is told again.
    let _: String = server.ask("SCRIPT FLUSH").await;
    store.load(&key("a"), ALL).await.unwrap().unwrap();
    assert_eq!(hop.trips(), 2, "a script that the server does not know");
}

#[tokio::test]
async fn a_session_of_a_thousand_turns_is_written_and_read_at_once() {
    let server = RedisServer::start().await;
    let store = server.store();
    let meta = tollgate::session::record::Meta::new(key("a"), 0, 1_000);
    let turns: Vec<_> = (0..2_500).map(|it| new_turn(&format!("t{it}"))).collect();
    assert!(within("a record", store.create(&meta, &turns, 4_096)).await.unwrap());
    let ids = format!("tollgate:{{{}}}:ids", hex(&key("a").tag()));
    assert_eq!(server.ask::<u64>(&format!("ZCARD {ids}")).await, 1_000);
    assert_eq!(server.ask::<u64>(&format!("ZSCORE {ids} t1500")).await, 1_500);
    let held = store.load(&key("a"), Window { turns_max: 10_000, ..ALL }).await.unwrap().unwrap();
    assert_eq!(held.turns.len(), 2_500);
    store.append(&key("a"), &Append { ttl_ms: 0, ..new_append("t2500") }).await.unwrap();
    assert_eq!(server.ask::<u64>(&format!("ZCARD {ids}")).await, 1_000);
}

#[tokio::test]
async fn a_list_that_nobody_reads_is_looked_through_by_those_who_make_and_delete_records() {
    let server = RedisServer::start().await;
    let store = server.store();
    let gone = async || server.ask::<Option<String>>(&format!("ZSCORE {} gone", list_key())).await.is_none();
    let plant = async || server.ask::<u64>(&format!("ZADD {} 1 gone", list_key())).await;
    plant().await;
    until("a list mended by records that are made", || async {
        let made = Meta::new(key(&fastrand::u64(..).to_string()), 1, 60_000);
        assert!(store.create(&made, &[], 0).await.unwrap());
        gone().await
    })
    .await;
    let _: u64 = server.ask(&format!("DEL {}", list_key())).await;
    plant().await;
    until("a list mended by records that are deleted", || async {
        assert!(!store.delete(&key("none")).await.unwrap());
        gone().await
    })
    .await;
}
