//! Connections to Redis that something in between forgets or slows down.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;
use tollgate::session::record::{Append, Window};
use tollgate::session::redis::options::RedisOptions;

use crate::redis_faults::key;
use crate::stores::new_append;
use crate::support::redis::store;
use crate::support::{Hop, RedisServer, within};

const ALL: Window = Window { turns_max: 100, bytes_max: 1 << 30 };

/// Stands before a server and forgets connections, as balancers do: they stay open, and nothing passes any more.
struct Forgetful {
    port: u16,
    /// Connections so far, and how many of the first of them are forgotten.
    made: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
    _task: AbortOnDropHandle<()>,
}

impl Forgetful {
    async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let [made, forgotten] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let (count, limit) = (Arc::clone(&made), Arc::clone(&forgotten));
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (mine, limit) = (count.fetch_add(1, SeqCst), Arc::clone(&limit));
                connections.spawn(pass(client, to, move || mine < limit.load(SeqCst)));
            }
        });
        Self { port, made, forgotten, _task: AbortOnDropHandle::new(task) }
    }

    fn forget(&self) {
        self.forgotten.store(self.made.load(SeqCst), SeqCst);
    }
}

async fn pass(client: TcpStream, to: u16, is_forgotten: impl Fn() -> bool) {
    let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
    let ((mut from, mut back), (mut answers, mut server)) = (client.into_split(), server.into_split());
    let there = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            if !is_forgotten() {
                server.write_all(&buffer[..count]).await.unwrap();
            }
        }
    };
    // Whichever side ends it.
    tokio::select! {
        () = there => {}
        _ = copy(&mut answers, &mut back) => {}
    }
}

#[tokio::test]
async fn a_connection_that_was_forgotten_on_the_way_costs_no_call() {
    let server = RedisServer::start().await;
    let between = Forgetful::start(server.port).await;
    let options = RedisOptions { connect_ms: 10_000, command_ms: 300, ..RedisOptions::default() };
    let store = store(&format!("redis://127.0.0.1:{}", between.port), &options);
    store.append(&key("a"), &new_append("t1")).await.unwrap();
    between.forget();
    assert_eq!(within("a load", store.load(&key("a"), ALL)).await.unwrap().unwrap().turns.len(), 1);
    between.forget();
    within("a turn", store.append(&key("a"), &new_append("t2"))).await.unwrap();
    between.forget();
    within("a trial", store.check()).await.unwrap();
    assert_eq!(store.load(&key("a"), ALL).await.unwrap().unwrap().turns.len(), 2);
}

#[tokio::test]
async fn an_answer_that_is_coming_may_take_longer_than_silence_may() {
    let server = RedisServer::start().await;
    let hop = Hop::start(server.port, Duration::from_millis(20)).await;
    let options = RedisOptions { connect_ms: 10_000, command_ms: 500, ..RedisOptions::default() };
    let slow = store(&format!("redis://127.0.0.1:{}", hop.port), &options);
    let mut long = Append { compress_bytes_min: usize::MAX, ..new_append("t1") };
    // At 64 KiB each 20 ms at most.
    let text = "x".repeat(4 << 20);
    long.turn.messages = Bytes::from(format!(r#"{{"role":"user","content":"{text}"}}"#));
    server.store().append(&key("a"), &long).await.unwrap();
    let start = std::time::Instant::now();
    let held = within("a long load", slow.load(&key("a"), ALL)).await.unwrap().unwrap();
    assert!(start.elapsed() > Duration::from_millis(500), "{:?}", start.elapsed());
    assert_eq!(held.turns[0].messages.len(), long.turn.messages.len());
}
