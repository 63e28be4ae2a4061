//! One list of cases, run over each store. Each case has an owner of its own.

use std::sync::Arc;

use bytes::Bytes;
use tollgate::api::money::Money;
use tollgate::session::key::{Kind, Owner, SessionId, SessionKey};
use tollgate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use tollgate::session::store::Store;
use tollgate::session::turn::{Turn, unpacked_bytes};

use crate::support::{until, within};

/// Runs all cases; `stores` are handles on the same records, as two gateways have.
pub async fn conform(stores: [impl Into<Arc<Store>>; 2]) {
    let stores: [Arc<Store>; 2] = stores.map(Into::into);
    let store = &stores[0];
    store.check().await.unwrap();
    within("what comes back", comes_back(store)).await;
    within("windows", windows(store)).await;
    within("bounds", bounds(store)).await;
    within("epochs", epochs(store)).await;
    within("edits", edits(store)).await;
    within("records made whole", made_whole(store)).await;
    within("lists", lists(store)).await;
    within("equal times", equal_times(store)).await;
    within("ends", ends(store)).await;
    within("large turns", large_turns(store)).await;
    within("large numbers", large_numbers(store)).await;
    within("scans", scans(store)).await;
    within("two writers", two_writers(&stores)).await;
}

const HOUR_MS: u64 = 3_600_000;
const ALL: Window = Window { turns_max: 10_000, bytes_max: 1 << 40 };

fn key(case: &str, id: &str) -> SessionKey {
    SessionKey::session(Owner::tenant(case), SessionId::parse(id).unwrap())
}

pub fn new_turn(id: &str) -> Turn {
    Turn {
        id: id.into(),
        at: 7,
        upstream: Some("up".into()),
        model: Some("m-1".into()),
        input_tokens: 10,
        output_tokens: 2,
        cost: Some(Money::from_picos(5)),
        tokens: 3,
        messages: Bytes::from(format!(r#"{{"role":"user","content":"{id}"}}"#)),
        ..Turn::default()
    }
}

pub fn new_append(id: &str) -> Append {
    Append {
        turn: new_turn(id),
        epoch: None,
        system: None,
        title: None,
        ttl_ms: HOUR_MS,
        bounds: ALL,
        compress_bytes_min: 4_096,
    }
}

fn ids(held: &Held) -> Vec<&str> {
    held.turns.iter().map(|it| it.id.as_str()).collect()
}

async fn load(store: &Store, key: &SessionKey) -> Held {
    store.load(key, ALL).await.unwrap().expect("there is such a session")
}

fn done(changed: Changed) -> Meta {
    match changed {
        Changed::Done(meta) => *meta,
        other => panic!("{other:?}"),
    }
}

async fn comes_back(store: &Store) {
    let key = key("back", "a");
    assert_eq!(store.load(&key, ALL).await.unwrap(), None);
    assert_eq!(store.meta(&key).await.unwrap(), None);
    let first = Append {
        system: Some(r#"{"role":"system","content":"ü"}"#.into()),
        title: Some("Hello".into()),
        ..new_append("t1")
    };
    assert_eq!(store.append(&key, &first).await.unwrap(), Appended::Stored { number: 0, version: 1 });
    let second = Append { title: Some("other".into()), ..new_append("t2") };
    assert_eq!(store.append(&key, &second).await.unwrap(), Appended::Stored { number: 1, version: 2 });
    // Written again, as after a time-out, it is not there twice.
    assert_eq!(store.append(&key, &first).await.unwrap(), Appended::Stored { number: 0, version: 2 });
    let held = load(store, &key).await;
    assert_eq!((held.from, &held.turns), (0, &vec![first.turn.clone(), second.turn.clone()]));
    let meta = &held.meta;
    assert_eq!(
        (&meta.key, meta.title.as_deref(), &*meta.system),
        (&key, Some("Hello"), &*first.system.unwrap())
    );
    assert_eq!((meta.ttl_ms, meta.version, meta.first, meta.turns), (HOUR_MS, 2, 0, 2));
    assert_eq!((meta.input_tokens, meta.output_tokens, meta.cost), (20, 4, Money::from_picos(10)));
    assert_eq!((meta.upstream.as_deref(), meta.model.as_deref()), (Some("up"), Some("m-1")));
    assert_eq!(meta.bytes, held.turns.iter().map(|it| it.encode(4_096).len() as u64).sum::<u64>());
    assert!(meta.created_at > 1_700_000_000_000 && meta.updated_at >= meta.created_at);
    assert_eq!(store.meta(&key).await.unwrap().as_ref(), Some(meta));
    assert!(store.delete(&key).await.unwrap());
    assert!(!store.delete(&key).await.unwrap());
    assert_eq!(store.load(&key, ALL).await.unwrap(), None);
}

async fn windows(store: &Store) {
    let key = key("windows", "a");
    for nth in 0..30 {
        store.append(&key, &new_append(&format!("t{nth:02}"))).await.unwrap();
    }
    let one = unpacked_bytes(&new_turn("t00").encode(4_096));
    let check = async |turns_max, bytes_max, count: usize| {
        let held = store.load(&key, Window { turns_max, bytes_max }).await.unwrap().unwrap();
        let expected: Vec<_> = (30 - count..30).map(|it| format!("t{it:02}")).collect();
        assert_eq!(ids(&held), expected, "{turns_max} {bytes_max}");
        assert_eq!((held.from, held.meta.turns), (30 - count as u64, 30));
    };
    check(100, u64::MAX, 30).await;
    check(30, 30 * one, 30).await;
    check(7, u64::MAX, 7).await;
    check(100, 12 * one, 12).await;
    check(100, 12 * one - 1, 11).await;
    // The last one comes whatever its size.
    check(100, 1, 1).await;
    let part = async |from, count| store.turns(&key, from, count).await.unwrap().unwrap();
    let held = part(5, 3).await;
    assert_eq!((held.from, ids(&held)), (5, vec!["t05", "t06", "t07"]));
    let held = part(28, 9).await;
    assert_eq!((held.from, ids(&held)), (28, vec!["t28", "t29"]));
    assert!(part(30, 9).await.turns.is_empty());
    assert!(part(0, 0).await.turns.is_empty());
    assert_eq!(
        store.turns(&SessionKey { id: SessionId::parse("b").unwrap(), ..key }, 0, 9).await.unwrap(),
        None
    );
}

async fn bounds(store: &Store) {
    let key = key("bounds", "a");
    let within =
        |turns_max, bytes_max, id: &str| Append { bounds: Window { turns_max, bytes_max }, ..new_append(id) };
    for id in ["t1", "t2", "t3", "t4"] {
        store.append(&key, &within(3, u64::MAX, id)).await.unwrap();
    }
    let held = load(store, &key).await;
    assert_eq!((held.from, held.meta.first, ids(&held)), (1, 1, vec!["t2", "t3", "t4"]));
    // Sums are of all turns ever; a turn that left is still known.
    assert_eq!((held.meta.turns, held.meta.output_tokens), (3, 8));
    let again = store.append(&key, &within(3, u64::MAX, "t1")).await.unwrap();
    assert_eq!(again, Appended::Stored { number: 0, version: 4 });
    let one = new_turn("t1").encode(4_096).len() as u64;
    store.append(&key, &within(100, 2 * one, "t5")).await.unwrap();
    let held = load(store, &key).await;
    assert_eq!((held.meta.bytes, ids(&held)), (2 * one, vec!["t4", "t5"]));
    store.append(&key, &within(100, 1, "t6")).await.unwrap();
    let held = load(store, &key).await;
    assert_eq!((held.from, held.meta.turns, ids(&held)), (5, 1, vec!["t6"]));
    let part = store.turns(&key, 0, 9).await.unwrap().unwrap();
    assert_eq!((part.from, ids(&part)), (5, vec!["t6"]));
}

async fn epochs(store: &Store) {
    let key = key("epochs", "a");
    let of = |epoch, id: &str| Append { epoch: Some(epoch), ..new_append(id) };
    assert_eq!(store.append(&key, &of(1, "t0")).await.unwrap(), Appended::Gone);
    assert_eq!(store.load(&key, ALL).await.unwrap(), None);
    store.append(&key, &Append { system: Some("{}".into()), ..new_append("t1") }).await.unwrap();
    let epoch = load(store, &key).await.meta.epoch;
    assert_eq!(
        store.append(&key, &of(epoch, "t2")).await.unwrap(),
        Appended::Stored { number: 1, version: 2 }
    );
    let meta = done(store.change(&key, Some(2), &Change::Clear { epoch: !epoch }).await.unwrap());
    assert_eq!((meta.epoch, meta.first, meta.turns, meta.bytes, &*meta.system), (!epoch, 2, 0, 0, ""));
    assert_eq!((meta.version, meta.output_tokens), (3, 4));
    // A turn that began before belongs to what is gone.
    assert_eq!(store.append(&key, &of(epoch, "t3")).await.unwrap(), Appended::Gone);
    assert_eq!(
        store.append(&key, &of(!epoch, "t4")).await.unwrap(),
        Appended::Stored { number: 2, version: 4 }
    );
    assert_eq!(ids(&load(store, &key).await), ["t4"]);
    assert!(store.delete(&key).await.unwrap());
    assert_eq!(store.append(&key, &of(!epoch, "t5")).await.unwrap(), Appended::Gone);
    assert_eq!(store.load(&key, ALL).await.unwrap(), None);
}

async fn edits(store: &Store) {
    let key = key("edits", "a");
    let rename = |title: &str| Change::Describe { title: Some(title.into()), metadata: None, ttl_ms: None };
    assert_eq!(store.change(&key, Some(0), &rename("x")).await.unwrap(), Changed::Missing);
    store.append(&key, &new_append("t1")).await.unwrap();
    store.append(&key, &new_append("t2")).await.unwrap();
    assert_eq!(store.change(&key, Some(1), &rename("x")).await.unwrap(), Changed::Stale);
    let meta = done(store.change(&key, Some(2), &rename("x")).await.unwrap());
    assert_eq!((meta.title.as_deref(), meta.version, meta.turns), (Some("x"), 3, 2));
    let notes = [("a".to_owned(), "ü\"1".to_owned()), ("b".to_owned(), String::new())];
    let note = Change::Describe { title: None, metadata: Some(notes.clone().into()), ttl_ms: Some(0) };
    let meta = done(store.change(&key, None, &note).await.unwrap());
    assert_eq!((meta.title.as_deref(), meta.ttl_ms, meta.metadata), (Some("x"), 0, notes.into()));
    let clear = Change::Describe { title: Some(String::new()), metadata: Some([].into()), ttl_ms: None };
    let meta = done(store.change(&key, Some(4), &clear).await.unwrap());
    assert_eq!((meta.title, meta.metadata.len()), (None, 0));
    let turn = Turn { messages: Bytes::from_static(b"{\"a\":1}"), ..new_turn("t1") };
    let replace = |number| Change::Replace { number, turn: turn.clone(), compress_bytes_min: 4_096 };
    assert_eq!(store.change(&key, Some(5), &replace(2)).await.unwrap(), Changed::Stale);
    let meta = done(store.change(&key, Some(5), &replace(0)).await.unwrap());
    let held = load(store, &key).await;
    assert_eq!((meta, &held.turns), (held.meta.clone(), &vec![turn, new_turn("t2")]));
    assert_eq!(held.meta.bytes, held.turns.iter().map(|it| it.encode(4_096).len() as u64).sum::<u64>());
}

async fn made_whole(store: &Store) {
    let key = key("whole", "a");
    let mut meta = Meta::new(key.clone(), HOUR_MS, 1_000);
    (meta.first, meta.version, meta.epoch, meta.title) = (40, 9, u64::MAX, Some("t".into()));
    (meta.object, meta.cost) = (Some("{}".into()), Money::from_picos(1 << 60));
    let turns = [new_turn("t1"), new_turn("t2")];
    assert!(store.create(&meta, &turns, 4_096).await.unwrap());
    assert!(!store.create(&Meta { version: 1, ..meta.clone() }, &[], 4_096).await.unwrap());
    let held = load(store, &key).await;
    let bytes = turns.iter().map(|it| it.encode(4_096).len() as u64).sum();
    assert_eq!(held, Held { meta: Meta { turns: 2, bytes, ..meta }, from: 40, turns: turns.into() });
    let again = store.append(&key, &new_append("t2")).await.unwrap();
    assert_eq!(again, Appended::Stored { number: 41, version: 9 });
    let next = store.append(&key, &new_append("t3")).await.unwrap();
    assert_eq!(next, Appended::Stored { number: 42, version: 10 });
}

/// Reads a list page by page.
async fn pages(store: &Store, owner: &Owner, kind: Kind, ascending: bool, limit: usize) -> Vec<String> {
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = store.list(owner, kind, &Page { after, limit, ascending }).await.unwrap();
        assert!(page.len() <= limit);
        found.extend(page.iter().map(|it| it.key.id.to_string()));
        match page.last() {
            Some(last) if page.len() == limit => after = Some((last.listed_at(), last.key.id.to_string())),
            _ => return found,
        }
    }
}

async fn lists(store: &Store) {
    let owner = Owner::tenant("lists");
    let of = |kind, id: &str| SessionKey { kind, ..key("lists", id) };
    for nth in 0..7_u64 {
        let meta = Meta::new(of(Kind::Session, &format!("s{nth}")), HOUR_MS, 1_000 + nth);
        assert!(store.create(&meta, &[], 0).await.unwrap());
        let meta = Meta::new(of(Kind::Completion, &format!("c{nth}")), HOUR_MS, 1_000 + nth);
        assert!(store.create(&meta, &[], 0).await.unwrap());
    }
    let sessions: Vec<_> = (0..7).map(|it| format!("s{it}")).collect();
    for limit in [1, 2, 3, 7, 100] {
        assert_eq!(pages(store, &owner, Kind::Session, true, limit).await, sessions, "{limit}");
        let newest: Vec<_> = sessions.iter().rev().cloned().collect();
        assert_eq!(pages(store, &owner, Kind::Session, false, limit).await, newest, "{limit}");
    }
    // Who is talked in comes to the front; a completion keeps its place.
    store.append(&of(Kind::Session, "s2"), &new_append("t1")).await.unwrap();
    assert_eq!(
        pages(store, &owner, Kind::Session, false, 2).await,
        ["s2", "s6", "s5", "s4", "s3", "s1", "s0"]
    );
    let note = Change::Describe { title: Some("x".into()), metadata: None, ttl_ms: None };
    done(store.change(&of(Kind::Completion, "c2"), Some(0), &note).await.unwrap());
    assert!(store.delete(&of(Kind::Completion, "c5")).await.unwrap());
    assert_eq!(pages(store, &owner, Kind::Completion, true, 2).await, ["c0", "c1", "c2", "c3", "c4", "c6"]);
    assert_eq!(pages(store, &Owner::tenant("nobody"), Kind::Session, true, 2).await, Vec::<String>::new());
    let none = store.list(&owner, Kind::Session, &Page { after: None, limit: 0, ascending: true }).await;
    assert_eq!(none.unwrap(), []);
}

async fn equal_times(store: &Store) {
    let mut expected = Vec::new();
    for nth in 0..25 {
        let id = format!("s{nth:02}");
        let meta = Meta::new(key("equal", &id), HOUR_MS, 1_000);
        assert!(store.create(&meta, &[], 0).await.unwrap());
        expected.push(id);
    }
    let owner = Owner::tenant("equal");
    for limit in [1, 4, 25] {
        assert_eq!(pages(store, &owner, Kind::Session, true, limit).await, expected, "{limit}");
    }
    expected.reverse();
    assert_eq!(pages(store, &owner, Kind::Session, false, 3).await, expected);
}

async fn ends(store: &Store) {
    let key = key("ends", "a");
    store.append(&key, &Append { ttl_ms: 400, ..new_append("t1") }).await.unwrap();
    let epoch = load(store, &key).await.meta.epoch;
    until("the end of a session", || async { store.meta(&key).await.unwrap().is_none() }).await;
    assert_eq!(store.load(&key, ALL).await.unwrap(), None);
    let page = Page { after: None, limit: 9, ascending: true };
    assert_eq!(store.list(&key.owner, Kind::Session, &page).await.unwrap(), []);
    let late = Append { epoch: Some(epoch), ..new_append("t2") };
    assert_eq!(store.append(&key, &late).await.unwrap(), Appended::Gone);
    let next = Append { ttl_ms: 0, ..new_append("t1") };
    assert_eq!(store.append(&key, &next).await.unwrap(), Appended::Stored { number: 0, version: 1 });
}

async fn large_turns(store: &Store) {
    let key = key("large", "a");
    let text: String = (0..100_000).map(|it| format!("this is line {it} of many;")).collect();
    let messages = Bytes::from(format!(r#"{{"role":"user","content":"{text}"}}"#));
    assert!(messages.len() > 2 << 20);
    let turn = Turn { messages, ..new_turn("t1") };
    store.append(&key, &Append { turn: turn.clone(), ..new_append("t1") }).await.unwrap();
    let held = load(store, &key).await;
    assert_eq!(held.turns, [turn]);
    assert!(held.meta.bytes < 1 << 20, "{}", held.meta.bytes);
}

async fn large_numbers(store: &Store) {
    let key = key("numbers", "a");
    let cost = Money::from_picos((1 << 53) + 1);
    for id in ["t1", "t2", "t3"] {
        let turn = Turn { cost: Some(cost), input_tokens: (1 << 54) + 1, ..new_turn(id) };
        store.append(&key, &Append { turn, ..new_append(id) }).await.unwrap();
    }
    let meta = load(store, &key).await.meta;
    assert_eq!(meta.cost, Money::from_picos(3 * cost.picos()));
    assert_eq!(meta.input_tokens, 3 * ((1 << 54) + 1));
    let meta = done(store.change(&key, Some(3), &Change::Clear { epoch: u64::MAX - 1 }).await.unwrap());
    assert_eq!(meta.epoch, u64::MAX - 1);
    let next = Append { epoch: Some(u64::MAX), ..new_append("t4") };
    assert_eq!(store.append(&key, &next).await.unwrap(), Appended::Gone);
}

async fn scans(store: &Store) {
    for nth in 0..40 {
        store.append(&key("scans", &format!("s{nth}")), &new_append("t1")).await.unwrap();
    }
    let (mut cursor, mut found) = (None, Vec::new());
    loop {
        let (keys, next) = store.scan(cursor).await.unwrap();
        found.extend(keys);
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    for nth in 0..40 {
        assert!(found.contains(&key("scans", &format!("s{nth}"))), "s{nth}");
    }
}

/// Turns that two gateways write into one session at once.
const WRITTEN: usize = 400;

async fn two_writers(stores: &[Arc<Store>; 2]) {
    let key = key("writers", "a");
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..WRITTEN {
        let (store, key) = (Arc::clone(&stores[nth % 2]), key.clone());
        tasks.spawn(async move {
            let append = new_append(&format!("t{nth}"));
            loop {
                // A machine under load may be late; a turn that was stored is not stored again.
                match store.append(&key, &append).await {
                    Ok(appended) => return (nth, appended),
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        });
    }
    let mut numbers = vec![None; WRITTEN];
    while let Some(written) = tasks.join_next().await {
        let (nth, Appended::Stored { number, .. }) = written.unwrap() else { panic!("a turn is gone") };
        assert_eq!(numbers[number as usize].replace(format!("t{nth}")), None);
    }
    let held = load(&stores[1], &key).await;
    let expected: Vec<String> = numbers.into_iter().flatten().collect();
    assert_eq!((ids(&held).len(), held.from, held.meta.version), (WRITTEN, 0, WRITTEN as u64));
    assert_eq!(ids(&held), expected);
}
