//! A hop between a client and a server that holds back what the server says, and counts how often the client waited.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The hop. Its connections end with it.
pub struct Hop {
    pub port: u16,
    trips: Arc<Trips>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Trips {
    count: AtomicUsize,
    /// The client said the last word.
    is_out: AtomicBool,
}

impl Hop {
    /// To the server on that port; each answer is held back for so long.
    pub async fn start(to: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let trips = Arc::new(Trips::default());
        let counted = Arc::clone(&trips);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let ((from, back), (answers, server)) = (client.into_split(), server.into_split());
                connections.spawn(pass(from, server, Arc::clone(&counted), None));
                connections.spawn(pass(answers, back, Arc::clone(&counted), Some(delay)));
            }
        });
        Self { port, trips, task }
    }

    /// Times that the client sent something and then heard from the server, since this was last asked.
    pub fn trips(&self) -> usize {
        self.trips.count.swap(0, SeqCst)
    }
}

impl Drop for Hop {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    trips: Arc<Trips>,
    delay: Option<Duration>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
            trips.is_out.store(false, SeqCst);
        } else if !trips.is_out.swap(true, SeqCst) {
            trips.count.fetch_add(1, SeqCst);
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
