//! The store in a file of the gateway's own: what it acknowledged outlives everything, and nobody else's file is touched.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tollgate::session::embedded::{Embedded, RETRY};
use tollgate::session::key::{Owner, SessionId, SessionKey};
use tollgate::session::record::{Append, Appended, Held, Window};
use tollgate::session::store::StoreFault;
use tollgate::session::turn::Turn;

use crate::cli::Folder;
use crate::support::within;

const ALL: Window = Window { turns_max: u64::MAX, bytes_max: u64::MAX };

/// Names the file to the process that is to be killed.
const CHILD_FILE: &str = "TOLLGATE_TEST_SESSIONS_FILE";

fn key(name: &str) -> SessionKey {
    SessionKey::session(Owner::tenant("shop"), SessionId::parse(name).unwrap())
}

fn turn(id: &str) -> Turn {
    let messages = format!(r#"{{"role":"user","content":"{id}"}},{{"role":"assistant","content":"yes"}}"#);
    Turn { id: id.into(), messages: messages.into(), input_tokens: 3, ..Turn::default() }
}

fn append(id: &str) -> Append {
    Append {
        turn: turn(id),
        epoch: None,
        system: None,
        title: Some("A title".into()),
        ttl_ms: 0,
        bounds: ALL,
        compress_bytes_min: 4_096,
    }
}

/// The number a turn was stored at.
async fn stored(store: &Embedded, key: &SessionKey, append: &Append) -> u64 {
    match within("an append", store.append(key, append)).await.unwrap() {
        Appended::Stored { number, .. } => number,
        Appended::Gone => panic!("{} is gone", append.turn.id),
    }
}

async fn held(store: &Embedded, key: &SessionKey) -> Held {
    within("a load", store.load(key, ALL)).await.unwrap().unwrap()
}

fn ids(held: &Held) -> Vec<&str> {
    held.turns.iter().map(|it| it.id.as_str()).collect()
}

fn away(fault: StoreFault) -> String {
    match fault {
        StoreFault::Away(why) => why,
        other => panic!("{other:?}"),
    }
}

/// Lets the time pass after which a file is opened again.
async fn later() {
    tokio::time::pause();
    tokio::time::advance(RETRY).await;
    tokio::time::resume();
}

fn file_in(folder: &Folder) -> PathBuf {
    folder.path().join("sessions.redb")
}

#[tokio::test]
async fn a_file_is_made_when_it_is_needed_for_its_user_alone_and_holds_what_was_written() {
    let folder = Folder::with(&[]);
    let path = file_in(&folder);
    let store = Embedded::file(&path);
    assert!(!path.exists());
    for id in ["r1", "r2"] {
        stored(&store, &key("a"), &append(id)).await;
    }
    let before = held(&store, &key("a")).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    drop(store);
    let store = Embedded::file(&path);
    assert_eq!(held(&store, &key("a")).await, before);
    assert_eq!(ids(&before), ["r1", "r2"]);
    assert_eq!((before.meta.turns, before.meta.input_tokens, before.meta.version), (2, 6, 2));
    assert_eq!(before.meta.title.as_deref(), Some("A title"));
}

#[tokio::test]
async fn a_closed_store_frees_its_file_and_stays_away() {
    let folder = Folder::with(&[]);
    let store = Embedded::file(file_in(&folder));
    stored(&store, &key("a"), &append("r1")).await;
    within("a close", store.close()).await;
    assert!(away(store.check().await.unwrap_err()).contains("closed"));
    assert_eq!(ids(&held(&Embedded::file(file_in(&folder)), &key("a")).await), ["r1"]);
}

/// Sixteen writers, each with so many turns, on four sessions; says what was acknowledged.
async fn append_from_all_sides(store: Arc<Embedded>, turns: usize) {
    let writers = (0..16).map(|writer| {
        let store = store.clone();
        tokio::spawn(async move {
            let key = key(&format!("s{}", writer % 4));
            for nth in 0..turns {
                let id = format!("w{writer}-{nth}");
                let number = stored(&store, &key, &append(&id)).await;
                println!("\nstored {} {number} {id}", key.id);
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}

/// Other tests run this one in a process of its own, without end, and kill it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_on_all_sides_lose_nothing() {
    if let Ok(path) = std::env::var(CHILD_FILE) {
        return append_from_all_sides(Arc::new(Embedded::file(path)), usize::MAX).await;
    }
    let folder = Folder::with(&[]);
    let store = Arc::new(Embedded::file(file_in(&folder)));
    append_from_all_sides(Arc::clone(&store), 5).await;
    for session in ["s0", "s1", "s2", "s3"] {
        assert_eq!(held(&store, &key(session)).await.turns.len(), 20);
    }
}

fn child(path: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "embedded::writers_on_all_sides_lose_nothing", "--nocapture"])
        .env(CHILD_FILE, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The next acknowledged turn: its session, number and id.
async fn acknowledged(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<(String, u64, String)> {
    while let Some(line) = within("a line of the child", lines.next_line()).await.unwrap() {
        let words: Vec<_> = line.split(' ').collect();
        if let ["stored", session, number, id] = words[..] {
            return Some((session.into(), number.parse().unwrap(), id.into()));
        }
    }
    None
}

#[tokio::test]
async fn what_a_killed_process_acknowledged_is_there_once_and_in_order() {
    let folder = Folder::with(&[]);
    let mut all: HashMap<(String, u64), String> = HashMap::new();
    for _ in 0..3 {
        let (mut child, mut lines) = child(&file_in(&folder));
        for _ in 0..150 {
            let (session, number, id) = acknowledged(&mut lines).await.unwrap();
            all.insert((session, number), id);
        }
        child.kill().await.unwrap();
        while let Some((session, number, id)) = acknowledged(&mut lines).await {
            all.insert((session, number), id);
        }
        // Of the next one the same ids are other turns.
        let store = Embedded::file(file_in(&folder));
        let mut found = 0;
        for session in ["s0", "s1", "s2", "s3"] {
            let held = held(&store, &key(session)).await;
            assert_eq!((held.from, held.meta.turns), (0, held.turns.len() as u64));
            for (number, turn) in (0..).zip(&held.turns) {
                found += 1;
                if let Some(id) = all.remove(&(session.to_owned(), number)) {
                    assert_eq!(turn.id, id);
                }
            }
            assert!(within("a delete", store.delete(&key(session))).await.unwrap());
        }
        assert!(all.is_empty() && found >= 150, "lost {all:?}");
    }
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_away_until_that_ends() {
    let folder = Folder::with(&[]);
    let (mut child, mut lines) = child(&file_in(&folder));
    let (session, ..) = acknowledged(&mut lines).await.unwrap();
    let store = Embedded::file(file_in(&folder));
    let why = away(store.load(&key(&session), ALL).await.unwrap_err());
    assert!(why.contains("another process has it open") && why.contains("sessions.file"), "{why}");
    child.kill().await.unwrap();
    assert_eq!(away(store.check().await.unwrap_err()), why, "it is not tried all the time");
    later().await;
    assert!(!held(&store, &key(&session)).await.turns.is_empty());
    stored(&store, &key(&session), &append("after")).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_is_away_and_says_what_to_do() {
    let folder = Folder::with(&[("plain", "no folder"), ("text", &"no file of sessions".repeat(1_000))]);
    for (file, says) in [
        ("missing/sessions.redb", "make it and its folder writable, or set sessions.file"),
        ("plain/sessions.redb", "make it and its folder writable, or set sessions.file"),
        ("text", "move it away"),
    ] {
        let store = Embedded::file(folder.path().join(file));
        let why = away(store.append(&key("a"), &append("r1")).await.unwrap_err());
        assert!(why.contains(file) && why.contains(says), "{why}");
        assert_eq!(away(store.check().await.unwrap_err()), why);
    }
    let text = std::fs::read_to_string(folder.path().join("text")).unwrap();
    assert!(text.starts_with("no file"), "another's file was written to");
}

#[tokio::test]
async fn a_store_comes_back_once_its_folder_is_there() {
    let folder = Folder::with(&[]);
    let inner = folder.path().join("inner");
    let store = Embedded::file(inner.join("sessions.redb"));
    away(store.check().await.unwrap_err());
    std::fs::create_dir(&inner).unwrap();
    away(store.check().await.unwrap_err());
    later().await;
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn turns_at_once_are_all_there_once_and_numbered_without_gaps() {
    let folder = Folder::with(&[]);
    for store in [Embedded::file(file_in(&folder)), Embedded::memory()] {
        let store = Arc::new(store);
        let writers: Vec<_> = (0..600)
            .map(|nth| {
                let store = store.clone();
                tokio::spawn(async move {
                    let (key, append) = (key(&format!("s{}", nth % 3)), append(&format!("r{nth}")));
                    // Asked twice at once, it is one turn.
                    tokio::join!(stored(&store, &key, &append), stored(&store, &key, &append))
                })
            })
            .collect();
        let mut numbers = vec![Vec::new(); 3];
        for (nth, writer) in writers.into_iter().enumerate() {
            let (one, other) = writer.await.unwrap();
            assert_eq!(one, other);
            numbers[nth % 3].push((one, format!("r{nth}")));
        }
        for (session, mut told) in numbers.into_iter().enumerate() {
            told.sort();
            let held = held(&store, &key(&format!("s{session}"))).await;
            let found: Vec<_> = (0..).zip(held.turns.iter().map(|it| it.id.clone())).collect();
            assert_eq!(found, told);
        }
    }
}
