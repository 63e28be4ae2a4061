//! Load whose own time does not count: many connections on one thread.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::wire::{Intake, Side};

/// Streams that are being opened at the same time: less than any contestant's queue of connections.
const OPENING_MAX: usize = 64;

/// One keep-alive connection.
pub struct Connection {
    socket: TcpStream,
    intake: Intake,
    buffer: Vec<u8>,
}

/// How a stream arrived.
#[derive(Default, Clone, Copy)]
pub struct Arrival {
    pub events: usize,
    pub reads: usize,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, intake: Intake::new(Side::Response), buffer: vec![0; 16 * 1024] })
    }

    async fn call(&mut self, request: &[u8]) -> io::Result<Arrival> {
        match self.ask(request).await? {
            (200, arrival) => Ok(arrival),
            (status, _) => Err(io::Error::other(format!("it answered {status}"))),
        }
    }

    /// One call, whatever it is answered.
    pub async fn ask(&mut self, request: &[u8]) -> io::Result<(u16, Arrival)> {
        self.send(request).await?;
        let mut reads = 1;
        while !self.receive().await? {
            reads += 1;
        }
        let summary = self.intake.summary();
        Ok((summary.status, Arrival { events: summary.events, reads }))
    }

    async fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.intake.begin();
        self.socket.write_all(request).await
    }

    /// One read; true at the end of the answer.
    async fn receive(&mut self) -> io::Result<bool> {
        let read = self.socket.read(&mut self.buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.intake.push(&self.buffer[..read])
    }
}

pub async fn open(address: SocketAddr, connections: usize) -> io::Result<Vec<Connection>> {
    let mut open = Vec::new();
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    Ok(open)
}

/// Makes `calls` calls, each connection taking the next one as soon as its last is answered.
pub async fn saturate(
    connections: Vec<Connection>,
    request: &Arc<[u8]>,
    calls: usize,
) -> io::Result<Vec<Connection>> {
    let left = Arc::new(AtomicUsize::new(calls));
    let mut callers = JoinSet::new();
    for mut connection in connections {
        let (left, request) = (Arc::clone(&left), Arc::clone(request));
        callers.spawn(async move {
            let claim = |left: usize| left.checked_sub(1);
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, claim).is_ok() {
                connection.call(&request).await?;
            }
            Ok(connection)
        });
    }
    outcomes(callers).await
}

/// Makes `calls` calls on each connection, every one of which has a request of its own.
pub async fn repeat(address: SocketAddr, requests: &[Arc<[u8]>], calls: usize) -> io::Result<()> {
    let mut callers = JoinSet::new();
    for (mut connection, request) in open(address, requests.len()).await?.into_iter().zip(requests) {
        let request = Arc::clone(request);
        callers.spawn(async move {
            for _ in 0..calls {
                connection.call(&request).await?;
            }
            Ok(())
        });
    }
    outcomes(callers).await.map(|_| ())
}

/// Reads one stream on each connection, all at once.
pub async fn stream(connections: Vec<Connection>, request: &Arc<[u8]>) -> io::Result<Arrival> {
    let mut readers = JoinSet::new();
    for mut connection in connections {
        let request = Arc::clone(request);
        readers.spawn(async move { connection.call(&request).await });
    }
    let arrivals = outcomes(readers).await?;
    Ok(arrivals.iter().fold(Arrival::default(), |sum, it| Arrival {
        events: sum.events + it.events,
        reads: sum.reads + it.reads,
    }))
}

pub async fn outcomes<T: 'static>(mut tasks: JoinSet<io::Result<T>>) -> io::Result<Vec<T>> {
    let mut outcomes = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        outcomes.push(outcome.map_err(io::Error::other)??);
    }
    Ok(outcomes)
}

/// Streams that go on until this is dropped.
pub struct OpenStreams {
    _readers: JoinSet<()>,
}

/// Opens `streams` streams and returns once each of them has brought an event.
pub async fn hold(address: SocketAddr, streams: usize, request: &Arc<[u8]>) -> io::Result<OpenStreams> {
    let opening = Arc::new(Semaphore::new(OPENING_MAX));
    // one message per stream at the most: its start, or its end if that comes first
    let (report, mut reports) = mpsc::channel(streams);
    let mut readers = JoinSet::new();
    for _ in 0..streams {
        let (opening, request, report) = (Arc::clone(&opening), Arc::clone(request), report.clone());
        readers.spawn(async move {
            let started = {
                let _permit = opening.acquire_owned().await;
                start_stream(address, &request).await
            };
            let (told, connection) = match started {
                Ok(connection) => (Ok(()), Some(connection)),
                Err(error) => (Err(error), None),
            };
            // nobody listens any more once one of them has failed
            drop(report.send(told).await);
            let Some(mut connection) = connection else { return };
            while connection.receive().await.is_ok_and(|ended| !ended) {}
        });
    }
    for _ in 0..streams {
        reports.recv().await.ok_or_else(|| io::Error::other("a stream was lost"))??;
    }
    Ok(OpenStreams { _readers: readers })
}

async fn start_stream(address: SocketAddr, request: &[u8]) -> io::Result<Connection> {
    let mut connection = Connection::open(address).await?;
    connection.send(request).await?;
    while connection.intake.summary().events == 0 {
        if connection.receive().await? {
            let status = connection.intake.summary().status;
            return Err(io::Error::other(format!("it ended a stream at once with {status}")));
        }
    }
    Ok(connection)
}
