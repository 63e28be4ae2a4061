//! Moving sessions between stores: all of them, once however often it is asked, and nothing at the target is lost.

use tollgate::session::embedded::Embedded;
use tollgate::session::key::{Kind, Owner, SessionId, SessionKey};
use tollgate::session::migrate::{Migrated, migrate};
use tollgate::session::record::{Append, Change, Changed, Held, Meta, Window};
use tollgate::session::store::Store;
use tollgate::session::turn::Turn;

use crate::cli::Folder;

const ALL: Window = Window { turns_max: u64::MAX, bytes_max: u64::MAX };
const HOUR: u64 = 3_600_000;

fn key(name: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(name).unwrap())
}

fn turn(id: &str) -> Turn {
    let messages = format!(r#"{{"role":"user","content":"{}"}}"#, "long ".repeat(id.len() * 100));
    Turn { id: id.into(), messages: messages.into(), output_tokens: 1, ..Turn::default() }
}

async fn append(store: &Store, name: &str, id: &str) {
    let append = Append {
        turn: turn(id),
        epoch: None,
        system: Some(format!(r#"{{"role":"system","content":"{id}"}}"#).into()),
        title: Some(format!("title of {name}")),
        ttl_ms: HOUR,
        bounds: Window { turns_max: 150, ..ALL },
        compress_bytes_min: 100,
    };
    store.append(&key(name), &append).await.unwrap();
}

/// Renames a session at a time that differs from its last one.
async fn describe_later(store: &Store, name: &str, title: &str) {
    let before = store.meta(&key(name)).await.unwrap().unwrap();
    let (mut version, mut now) = (before.version, before.updated_at);
    while now == before.updated_at {
        let change = Change::Describe { title: Some(title.into()), metadata: None, ttl_ms: None };
        let Changed::Done(meta) = store.change(&key(name), Some(version), &change).await.unwrap() else {
            panic!("{name} changed beside the test");
        };
        (version, now) = (meta.version, meta.updated_at);
    }
}

async fn held(store: &Store, key: &SessionKey) -> Held {
    store.turns(key, 0, u64::MAX).await.unwrap().unwrap()
}

fn memory() -> Store {
    Store::Embedded(Embedded::memory())
}

/// Counts of what was copied, completed, there and refused.
async fn moved(from: &Store, to: &Store) -> [u64; 4] {
    let mut done = Migrated::default();
    migrate(from, to, 100, &mut done).await.unwrap();
    [done.copied, done.completed, done.there, done.refused.len() as u64]
}

/// A long session of which turns left, a short one, one without turns, and a stored completion.
async fn fill(store: &Store) -> Vec<SessionKey> {
    for nth in 0..260 {
        append(store, "long", &format!("r{nth}")).await;
    }
    append(store, "short", "r1").await;
    let completion = SessionKey { kind: Kind::Completion, ..key("chatcmpl-1") };
    let metadata = [("topic".to_owned(), "moving".to_owned())].into();
    let made = Meta { metadata, object: Some("{}".into()), ..Meta::new(completion.clone(), 0, 5) };
    assert!(store.create(&made, &[turn("c1")], 100).await.unwrap());
    assert!(store.create(&Meta::new(key("empty"), HOUR, 7), &[], 100).await.unwrap());
    vec![key("long"), key("short"), key("empty"), completion]
}

#[tokio::test]
async fn everything_moves_to_another_store_and_back_unchanged() {
    let folder = Folder::with(&[]);
    let first = Store::Embedded(Embedded::file(folder.path().join("first.redb")));
    let last = Store::Embedded(Embedded::file(folder.path().join("last.redb")));
    let between = memory();
    let keys = fill(&first).await;
    assert_eq!(moved(&first, &between).await, [4, 0, 0, 0]);
    assert_eq!(moved(&first, &between).await, [0, 0, 4, 0]);
    assert_eq!(moved(&between, &last).await, [4, 0, 0, 0]);
    for key in &keys {
        assert_eq!(held(&last, key).await, held(&first, key).await);
    }
    assert_eq!(held(&last, &keys[0]).await.from, 110);
    // Turns are known at the target by their ids.
    append(&last, "long", "r110").await;
    assert_eq!(held(&last, &keys[0]).await, held(&first, &keys[0]).await);
}

#[tokio::test]
async fn repeated_it_brings_what_came_since_and_keeps_what_the_target_has() {
    let (from, to) = (memory(), memory());
    for name in ["ahead", "behind", "named"] {
        append(&from, name, "r1").await;
    }
    assert_eq!(moved(&from, &to).await, [3, 0, 0, 0]);
    append(&from, "ahead", "r2").await;
    append(&from, "ahead", "r3").await;
    append(&to, "behind", "r2").await;
    describe_later(&from, "named", "renamed").await;
    assert_eq!(moved(&from, &to).await, [0, 2, 1, 0]);
    let (source, target) = (held(&from, &key("ahead")).await, held(&to, &key("ahead")).await);
    assert_eq!((&source.turns, &source.meta.system), (&target.turns, &target.meta.system));
    assert_eq!(source.meta.output_tokens, target.meta.output_tokens);
    assert_eq!(held(&to, &key("behind")).await.turns.len(), 2);
    assert_eq!(held(&to, &key("named")).await.meta.title.as_deref(), Some("renamed"));
    assert_eq!(moved(&from, &to).await, [0, 0, 3, 0]);
}

#[tokio::test]
async fn two_records_of_one_name_stay_two() {
    let (from, to) = (memory(), memory());
    append(&from, "apart", "r1").await;
    append(&from, "other", "r1").await;
    append(&to, "other", "r1").await;
    assert_eq!(moved(&from, &to).await, [1, 0, 0, 1]);
    append(&from, "apart", "r2").await;
    append(&to, "apart", "r3").await;
    let before = held(&to, &key("apart")).await;
    assert_eq!(moved(&from, &to).await, [0, 0, 0, 2]);
    assert_eq!(held(&to, &key("apart")).await, before);
}

#[tokio::test]
async fn the_command_copies_says_how_many_and_fails_where_something_was_refused() {
    let folder = Folder::with(&[("gateway.yaml", "sessions: { file: own.redb }\n")]);
    let with_file = async |file: &str, id: &str| {
        let store = Store::Embedded(Embedded::file(folder.path().join(file)));
        append(&store, "a", id).await;
        append(&store, id, id).await;
    };
    with_file("old.redb", "r1").await;
    let check = async |from: &str, to: &str, code: i32, says: &str| {
        let said = folder.run(&["sessions", "migrate", "--from", from, "--to", to]).await;
        let text = said.out + &said.err;
        assert!(said.code == Some(code) && text.contains(says), "{from} to {to}: {:?} {text}", said.code);
    };
    check("embedded:old.redb", "configured", 0, "copied 2, completed 0, there already 0, refused 0").await;
    check("embedded:old.redb", "configured", 0, "copied 0, completed 0, there already 2, refused 0").await;
    with_file("other.redb", "r2").await;
    check("embedded:other.redb", "embedded:own.redb", 1, "refused: session a of owner").await;
    check("embedded:typo.redb", "configured", 1, "--from: there is no file").await;
    assert!(!folder.path().join("typo.redb").exists());
    check("configured", "embedded:own.redb", 1, "are the same store").await;
    check("memory", "configured", 1, "`memory` keeps nothing").await;
    check("hunter2", "configured", 1, "--from: a store is `embedded`").await;
}
