//! The operations over tables in memory, at a time the test says.

use redb::backends::InMemoryBackend;
use redb::{Database, ReadableDatabase, ReadableTableMetadata};

use crate::session::embedded::tables::{Fault, RECORDS, Record, Tables};
use crate::session::embedded::{Edit, read, write};
use crate::session::key::{Kind, Owner, SessionId, SessionKey};
use crate::session::record::{Append, Appended, Change, Changed, Held, Meta, Page, Window};
use crate::session::turn::{Turn, unpacked_bytes};

const ALL: Window = Window { turns_max: u64::MAX, bytes_max: u64::MAX };
const TTL: u64 = 1_000;

struct Store(Database);

impl Store {
    fn new() -> Self {
        Self(redb::Builder::new().create_with_backend(InMemoryBackend::new()).unwrap())
    }

    fn write<T>(&self, what: impl FnOnce(&mut Tables) -> Result<T, Fault>) -> T {
        let txn = self.0.begin_write().unwrap();
        let done = what(&mut Tables::open(&txn).unwrap()).unwrap();
        txn.commit().unwrap();
        done
    }

    fn append(&self, new: &Append, now: u64) -> Appended {
        let stored = new.turn.encode(usize::MAX);
        self.write(|tables| write::append(tables, &key("a"), new, &stored, now))
    }

    fn change(&self, version: Option<u64>, change: Change, now: u64) -> Changed {
        self.write(|tables| write::change(tables, &key("a"), version, &Edit::Plain(Box::new(change)), now))
    }

    fn load(&self, window: Window, now: u64) -> Option<(Held, bool)> {
        read::load(&self.0.begin_read().unwrap(), &key("a"), window, now).unwrap()
    }

    fn ids(&self, window: Window) -> Vec<String> {
        self.load(window, 0).unwrap().0.turns.into_iter().map(|it| it.id).collect()
    }

    fn list(&self, page: &Page, now: u64) -> Vec<String> {
        let found = read::list(&self.0.begin_read().unwrap(), &owner(), Kind::Session, page, now).unwrap();
        found.iter().map(|it| it.key.id.to_string()).collect()
    }

    /// Rows of each table but the one about the file.
    fn rows(&self) -> [u64; 5] {
        self.write(|it| {
            Ok([it.records.len()?, it.turns.len()?, it.ids.len()?, it.owned.len()?, it.expiry.len()?])
        })
    }
}

fn owner() -> Owner {
    Owner::tenant("shop")
}

fn key(id: &str) -> SessionKey {
    SessionKey::session(owner(), SessionId::parse(id).unwrap())
}

fn new(id: &str) -> Append {
    let turn = Turn { id: id.into(), messages: "{}".into(), output_tokens: 2, ..Turn::default() };
    Append {
        turn,
        epoch: None,
        system: None,
        title: None,
        ttl_ms: 0,
        bounds: ALL,
        compress_bytes_min: usize::MAX,
    }
}

fn lasting(id: &str) -> Append {
    Append { ttl_ms: TTL, ..new(id) }
}

fn done(changed: Changed) -> Meta {
    match changed {
        Changed::Done(meta) => *meta,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_window_holds_the_last_turns_and_always_the_last_one() {
    let store = Store::new();
    for id in ["r1", "r2", "r3"] {
        store.append(&new(id), 0);
    }
    let one = unpacked_bytes(&new("r1").turn.encode(usize::MAX));
    let check = |turns_max, bytes_max, ids: &[&str]| {
        let window = Window { turns_max, bytes_max };
        assert_eq!(store.ids(window), ids, "{window:?}");
        assert_eq!(store.load(window, 0).unwrap().0.from, 3 - ids.len() as u64);
    };
    check(9, u64::MAX, &["r1", "r2", "r3"]);
    check(2, u64::MAX, &["r2", "r3"]);
    check(9, 2 * one, &["r2", "r3"]);
    check(9, 2 * one - 1, &["r3"]);
    check(9, 0, &["r3"]);
    check(0, u64::MAX, &[]);
}

#[test]
fn old_turns_leave_and_their_numbers_and_counts_stay() {
    let store = Store::new();
    let one = new("r1").turn.encode(usize::MAX).len() as u64;
    let within =
        |id: &str, turns_max, bytes_max| Append { bounds: Window { turns_max, bytes_max }, ..new(id) };
    for id in ["r1", "r2", "r3"] {
        store.append(&within(id, 2, u64::MAX), 0);
    }
    let meta = store.load(ALL, 0).unwrap().0.meta;
    assert_eq!((meta.first, meta.turns, meta.bytes, meta.output_tokens), (1, 2, 2 * one, 6));
    assert_eq!(store.append(&new("r1"), 0), Appended::Stored { number: 0, version: 3 });
    store.append(&within("r4", 9, 1), 0);
    let meta = store.load(ALL, 0).unwrap().0.meta;
    assert_eq!((meta.first, meta.turns, meta.bytes), (3, 1, one));
    assert_eq!(store.ids(ALL), ["r4"]);
}

#[test]
fn the_last_thousand_turn_ids_are_known() {
    let store = Store::new();
    for nth in 0..1_001 {
        store.append(
            &Append { bounds: Window { turns_max: 3, bytes_max: u64::MAX }, ..new(&nth.to_string()) },
            0,
        );
    }
    assert_eq!(store.rows(), [1, 3, 1_000, 1, 0]);
    assert_eq!(store.append(&new("1"), 0), Appended::Stored { number: 1, version: 1_001 });
    assert_eq!(store.append(&new("0"), 0), Appended::Stored { number: 1_001, version: 1_002 });
}

#[test]
fn a_turn_that_began_before_a_clear_or_an_end_is_gone() {
    let store = Store::new();
    store.append(&Append { system: Some("{}".into()), ..new("r1") }, 0);
    let epoch = store.load(ALL, 0).unwrap().0.meta.epoch;
    let of = |id: &str, epoch| Append { epoch: Some(epoch), ..new(id) };
    assert_eq!(store.append(&of("r2", epoch), 0), Appended::Stored { number: 1, version: 2 });
    let meta = done(store.change(Some(2), Change::Clear { epoch: !epoch }, 1));
    assert_eq!((meta.first, meta.turns, meta.bytes, &*meta.system, meta.output_tokens), (2, 0, 0, "", 4));
    assert_eq!(store.append(&of("r3", epoch), 1), Appended::Gone);
    // Asked for again, it stays forgotten.
    assert_eq!(store.append(&new("r1"), 1), Appended::Stored { number: 0, version: 3 });
    assert_eq!(store.append(&of("r4", !epoch), 1), Appended::Stored { number: 2, version: 4 });
    assert!(store.write(|it| write::delete(it, &key("a"), 1)));
    assert!(!store.write(|it| write::delete(it, &key("a"), 1)));
    assert_eq!(store.append(&of("r5", !epoch), 1), Appended::Gone);
    assert_eq!(store.rows(), [0; 5]);
}

#[test]
fn an_edit_needs_the_version_it_saw_if_it_says_one() {
    let store = Store::new();
    let rename = |title: &str, ttl_ms| Change::Describe { title: Some(title.into()), metadata: None, ttl_ms };
    assert_eq!(store.change(Some(0), rename("x", None), 0), Changed::Missing);
    store.append(&Append { title: Some("first".into()), ..new("r1") }, 0);
    store.append(&Append { title: Some("other".into()), ..new("r2") }, 0);
    assert_eq!(store.load(ALL, 0).unwrap().0.meta.title.as_deref(), Some("first"));
    assert_eq!(store.change(Some(1), rename("x", None), 0), Changed::Stale);
    let meta = done(store.change(Some(2), rename("x", Some(TTL)), 5));
    assert_eq!((meta.title.as_deref(), meta.version, meta.updated_at), (Some("x"), 3, 5));
    assert_eq!(done(store.change(None, rename("", None), 5)).title, None);
    assert_eq!(store.load(ALL, 5 + TTL), None);
}

#[test]
fn a_turn_is_replaced_where_it_is_held() {
    let store = Store::new();
    store.append(&new("r1"), 0);
    let stored = Turn { messages: "{\"a\":1}".into(), ..new("r1").turn }.encode(usize::MAX);
    let replace = |version, number| {
        let edit = Edit::Replace { number, stored: stored.clone() };
        store.write(|tables| write::change(tables, &key("a"), Some(version), &edit, 0))
    };
    assert_eq!(replace(1, 1), Changed::Stale);
    assert_eq!(done(replace(1, 0)).bytes, stored.len() as u64);
    assert_eq!(store.load(ALL, 0).unwrap().0.turns[0].messages, "{\"a\":1}");
}

#[test]
fn a_session_ends_its_time_after_its_last_use() {
    let store = Store::new();
    store.append(&lasting("r1"), 0);
    assert!(store.load(ALL, TTL - 1).is_some());
    assert_eq!(store.load(ALL, TTL), None);
    // A use soon after the last one is not worth writing down.
    assert!(!store.load(ALL, TTL / 10).unwrap().1);
    assert!(store.load(ALL, TTL / 10 + 1).unwrap().1);
    store.write(|it| write::slide(it, &key("a").tag(), 600));
    assert!(store.load(ALL, 600 + TTL - 1).is_some());
    store.append(&lasting("r2"), 1_000);
    assert_eq!(store.load(ALL, 1_000 + TTL), None);
    // What ran out is not there for anybody, and a new one begins empty.
    let late = 1_000 + TTL;
    let epoch = store.load(ALL, 0).unwrap().0.meta.epoch;
    assert_eq!(store.append(&Append { epoch: Some(epoch), ..lasting("r3") }, late), Appended::Gone);
    assert_eq!(store.change(Some(2), Change::Clear { epoch: 1 }, late), Changed::Missing);
    assert!(store.list(&Page { after: None, limit: 9, ascending: true }, late).is_empty());
    assert_eq!(store.append(&lasting("r2"), late), Appended::Stored { number: 0, version: 1 });
    assert_eq!(store.rows(), [1; 5]);
}

#[test]
fn the_sweep_takes_away_what_ran_out_and_nothing_else() {
    let store = Store::new();
    store.append(&lasting("r1"), 0);
    let sweep = |now| store.write(|it| write::sweep(it, now));
    store.write(|it| write::slide(it, &key("a").tag(), 500));
    assert!(sweep(TTL));
    assert_eq!(store.rows(), [1; 5], "it was used since");
    let turns: Vec<_> = (0..3_000).map(|it| (it.to_string(), new("x").turn.encode(usize::MAX))).collect();
    let many = Meta::new(key("b"), TTL, 0);
    assert!(store.write(|it| write::create(it, &many, &turns, 0)));
    assert!(!sweep(500 + TTL), "more than one sweep takes");
    assert!(store.rows()[1] > 0);
    while !sweep(500 + TTL) {}
    assert_eq!(store.rows(), [0; 5]);
    assert!(store.write(|it| write::create(it, &Meta::new(key("c"), 0, 0), &[], 0)));
    assert!(sweep(u64::MAX));
    assert_eq!(store.rows(), [1, 0, 0, 1, 0]);
}

#[test]
fn a_time_to_live_that_is_taken_away_ends_nothing() {
    let store = Store::new();
    store.append(&lasting("r1"), 0);
    done(store.change(Some(1), Change::Describe { title: None, metadata: None, ttl_ms: Some(0) }, 0));
    assert!(store.write(|it| write::sweep(it, 2 * TTL)));
    assert_eq!(store.rows(), [1, 1, 1, 1, 0]);
    done(store.change(Some(2), Change::Describe { title: None, metadata: None, ttl_ms: Some(1) }, 2 * TTL));
    assert!(store.write(|it| write::sweep(it, 2 * TTL + 1)));
    assert_eq!(store.rows(), [0; 5]);
}

#[test]
fn lists_go_both_ways_and_on_behind_any_record() {
    let store = Store::new();
    for (id, at) in [("a", 1), ("b", 2), ("c", 2), ("d", 3)] {
        assert!(store.write(|it| write::create(it, &Meta::new(key(id), 0, at), &[], 0)));
        assert!(!store.write(|it| write::create(it, &Meta::new(key(id), 0, at), &[], 0)));
    }
    let check = |after: Option<(u64, &str)>, limit, ascending, ids: &[&str]| {
        let page = Page { after: after.map(|(at, id)| (at, id.to_owned())), limit, ascending };
        assert_eq!(store.list(&page, 0), ids, "{page:?}");
    };
    check(None, 9, true, &["a", "b", "c", "d"]);
    check(None, 9, false, &["d", "c", "b", "a"]);
    check(None, 2, false, &["d", "c"]);
    check(Some((2, "c")), 9, false, &["b", "a"]);
    check(Some((2, "b")), 9, true, &["c", "d"]);
    check(Some((2, "bb")), 9, true, &["c", "d"]);
    check(Some((3, "d")), 9, true, &[]);
    check(Some((1, "a")), 9, false, &[]);
    // A change moves a session to the front.
    store.append(&new("r1"), 9);
    check(None, 9, false, &["a", "d", "c", "b"]);
}

#[test]
fn a_scan_meets_every_record_in_steps() {
    let store = Store::new();
    store.write(|it| {
        (0..450).try_for_each(|nth| {
            let meta = Meta::new(key(&format!("s{nth}")), u64::from(nth % 2 == 0), 0);
            it.put(Record::new(meta, 0), None)
        })
    });
    let (mut keys, mut cursor, mut steps) = (Vec::new(), None, 0);
    loop {
        let (found, next) = read::scan(&store.0.begin_read().unwrap(), cursor, 5).unwrap();
        keys.extend(found.iter().map(|it| it.id.to_string()));
        steps += 1;
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    keys.sort();
    keys.dedup();
    assert_eq!((keys.len(), steps), (225, 3));
    assert_eq!(store.0.begin_read().unwrap().open_table(RECORDS).unwrap().len().unwrap(), 450);
}

#[test]
fn what_cannot_be_read_is_said_to_be_corrupt() {
    let store = Store::new();
    store.append(&new("r1"), 0);
    let tag = key("a").tag();
    let load = || read::load(&store.0.begin_read().unwrap(), &key("a"), ALL, 0).unwrap_err();
    store.write(|it| Ok(it.turns.insert((&tag, 0), "?".as_bytes()).map(|_| ())?));
    assert!(matches!(load(), Fault::Record(_)));
    store.write(|it| Ok(it.records.insert(&tag, (0, 0, "{}".as_bytes())).map(|_| ())?));
    assert!(matches!(load(), Fault::Record(_)));
}
