//! A vendor that does as it is told, byte by byte: over plain TCP, so that it can also do what no server should.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::script::{Reply, Step};
use super::within;

/// A reader that takes nothing for this long has stopped.
const STOPPED: Duration = Duration::from_millis(500);

/// One request, as far as it has come.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// In order, names as they were spelled.
    pub headers: Vec<(String, String)>,
    /// What has come of the body, without its framing.
    pub body: Vec<u8>,
    pub body_complete: bool,
    /// Counted from 0 in the order they were accepted.
    pub connection: usize,
    /// The gateway left before the answer's end.
    pub client_gone: bool,
    /// Bytes of a flood that were out when the reader first stopped taking them.
    pub stopped_at: Option<usize>,
    /// It came on a connection that had served its share, and got a reset for an answer.
    pub dropped: bool,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Shared {
    script: Mutex<VecDeque<Reply>>,
    /// The answer to every call beyond the script.
    otherwise: Mutex<Option<Reply>>,
    /// Requests that a connection answers before it drops the next one.
    answers_max: AtomicUsize,
    seen: watch::Sender<Vec<Seen>>,
    faults: Mutex<Vec<String>>,
}

/// A scripted vendor. A call it was not told about fails the test, and so does an answer nobody asked for.
pub struct Vendor {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Vendor {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            otherwise: Mutex::default(),
            answers_max: AtomicUsize::new(usize::MAX),
            seen: watch::Sender::default(),
            faults: Mutex::default(),
        });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// A vendor that will answer these, in the order in which requests come in.
    pub async fn with(replies: impl IntoIterator<Item = Reply>) -> Self {
        let vendor = Self::start().await;
        replies.into_iter().for_each(|it| vendor.expect(it));
        vendor
    }

    /// One more call will come, and be answered so.
    pub fn expect(&self, reply: Reply) {
        self.shared.script.lock().unwrap().push_back(reply);
    }

    /// Any number of calls beyond the script will come, and be answered so.
    pub fn otherwise(&self, reply: Reply) {
        *self.shared.otherwise.lock().unwrap() = Some(reply);
    }

    /// Answers once on each connection. A further request on it is dropped with the connection, and takes no answer
    /// from the script: so does a vendor whose keep-alive time is over just when the request comes.
    pub fn answers_once_per_connection(&self) {
        self.shared.answers_max.store(1, Relaxed);
    }

    /// For `base_url`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub fn calls(&self) -> usize {
        self.shared.seen.borrow().len()
    }

    /// Waits until `wanted` is true of the requests.
    pub async fn wait_until(&self, what: &str, mut wanted: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        within(what, seen.wait_for(|it| wanted(it))).await.expect("the vendor runs").clone()
    }

    /// The `index`th request, once it is there in full.
    pub async fn request(&self, index: usize) -> Seen {
        let seen = self.wait_until("a request", |it| it.get(index).is_some_and(|it| it.body_complete)).await;
        seen[index].clone()
    }

    /// Waits until the gateway has left the `index`th request before its answer was over.
    pub async fn client_gone(&self, index: usize) {
        let gone = |it: &[Seen]| it.get(index).is_some_and(|it| it.client_gone);
        self.wait_until("the gateway's leaving", gone).await;
    }

    /// Checks that all went by the script. Dropping does it too.
    pub fn finish(self) {}
}

impl Drop for Vendor {
    fn drop(&mut self) {
        self.task.abort();
        if std::thread::panicking() {
            return;
        }
        let faults = self.shared.faults.lock().unwrap();
        assert!(faults.is_empty(), "the vendor met what its script does not have: {faults:#?}");
        let unused = self.shared.script.lock().unwrap().len();
        assert_eq!(unused, 0, "answers that nobody asked for");
    }
}

/// A port that refuses every connection, and that nobody else can be given.
pub struct Refusing {
    pub address: SocketAddr,
    _socket: TcpSocket,
}

impl Refusing {
    pub fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self { address: socket.local_addr().unwrap(), _socket: socket }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // Dropped with the vendor, and every connection with it.
    let mut connections = tokio::task::JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        stream.set_nodelay(true).unwrap();
        let connection = Connection { stream, buffer: Vec::new(), number, shared: Arc::clone(&shared) };
        connections.spawn(connection.serve());
        number += 1;
    }
}

/// Why a connection is over: the other side left, or the script says so.
struct Over;

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: usize,
    shared: Arc<Shared>,
}

impl Connection {
    async fn serve(mut self) {
        let mut answered = 0;
        while let Some((index, length)) = self.read_head().await {
            if answered == self.shared.answers_max.load(Relaxed) {
                self.note(index, |it| it.dropped = true);
                self.stream.set_zero_linger().unwrap();
                return;
            }
            answered += 1;
            let Some(reply) = self.next_reply() else {
                let seen = self.shared.seen.borrow()[index].clone();
                let fault = format!("unscripted: {} {}", seen.method, seen.target);
                self.shared.faults.lock().unwrap().push(fault);
                return;
            };
            if reply.reads_body && self.read_body(index, length).await.is_err() {
                self.note(index, |it| it.client_gone = true);
                return;
            }
            if self.answer(index, reply).await.is_err() {
                return;
            }
        }
    }

    fn next_reply(&self) -> Option<Reply> {
        let scripted = self.shared.script.lock().unwrap().pop_front();
        scripted.or_else(|| self.shared.otherwise.lock().unwrap().clone())
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Seen)) {
        self.shared.seen.send_modify(|it| change(&mut it[index]));
    }

    /// The next request's place in the record, and the length of its body; `None` is chunked.
    async fn read_head(&mut self) -> Option<(usize, Option<usize>)> {
        let end = loop {
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break end + 4;
            }
            self.fill().await.ok()?;
        };
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let mut words = lines.next()?.split(' ');
        let mut seen = Seen {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            connection: self.number,
            ..Seen::default()
        };
        let headers = lines.map(|it| it.split_once(':').unwrap());
        seen.headers = headers.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
        let chunked = seen.header("transfer-encoding").is_some_and(|it| it.contains("chunked"));
        let length = seen.header("content-length").map_or(0, |it| it.parse().unwrap());
        let mut index = 0;
        self.shared.seen.send_modify(|it| {
            index = it.len();
            it.push(seen);
        });
        Some((index, (!chunked).then_some(length)))
    }

    async fn read_body(&mut self, index: usize, length: Option<usize>) -> Result<(), Over> {
        match length {
            Some(length) => self.read_data(index, length).await?,
            None => loop {
                let line = self.read_line().await?;
                let length = usize::from_str_radix(line.trim(), 16).unwrap();
                self.read_data(index, length).await?;
                self.read_line().await?;
                if length == 0 {
                    break;
                }
            },
        }
        self.note(index, |it| it.body_complete = true);
        Ok(())
    }

    /// Records what comes as it comes, so that a test can see a body that is still on its way.
    async fn read_data(&mut self, index: usize, mut length: usize) -> Result<(), Over> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.fill().await?;
            }
            let data: Vec<u8> = self.buffer.drain(..self.buffer.len().min(length)).collect();
            length -= data.len();
            self.note(index, |it| it.body.extend_from_slice(&data));
        }
        Ok(())
    }

    async fn read_line(&mut self) -> Result<String, Over> {
        loop {
            if let Some(end) = find(&self.buffer, b"\r\n") {
                return Ok(String::from_utf8(self.buffer.drain(..end + 2).collect()).unwrap());
            }
            self.fill().await?;
        }
    }

    async fn fill(&mut self) -> Result<(), Over> {
        let mut piece = vec![0; 64 << 10];
        match self.stream.read(&mut piece).await {
            Ok(0) | Err(_) => Err(Over),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                Ok(())
            }
        }
    }

    async fn answer(&mut self, index: usize, reply: Reply) -> Result<(), Over> {
        let closes = !reply.reads_body;
        for step in reply.all_steps() {
            let gone = match step {
                Step::Close => return Err(Over),
                Step::Reset => {
                    self.stream.set_zero_linger().unwrap();
                    return Err(Over);
                }
                Step::Write(bytes) => self.stream.write_all(&bytes).await.map_err(|_| Over),
                Step::Gate(gate) => tokio::select! {
                    () = gate.pass() => Ok(()),
                    () = self.left() => Err(Over),
                },
                Step::Stall => {
                    self.left().await;
                    Err(Over)
                }
                Step::Every { piece, pause, times } => self.beat(&piece, pause, times).await,
                Step::Flood { piece, bytes } => self.flood(index, &piece, bytes).await,
            };
            if gone.is_err() {
                self.note(index, |it| it.client_gone = true);
                return Err(Over);
            }
        }
        if closes { Err(Over) } else { Ok(()) }
    }

    async fn beat(&mut self, piece: &Bytes, pause: Duration, times: usize) -> Result<(), Over> {
        for _ in 0..times {
            tokio::time::sleep(pause).await;
            self.stream.write_all(piece).await.map_err(|_| Over)?;
        }
        Ok(())
    }

    /// Ready when the other side has closed or reset the connection.
    async fn left(&mut self) {
        while self.fill().await.is_ok() {}
    }

    async fn flood(&mut self, index: usize, piece: &Bytes, bytes: usize) -> Result<(), Over> {
        let (mut out, mut stopped) = (0, false);
        while out < bytes {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let write = self.stream.write(rest);
                let written = match tokio::time::timeout(STOPPED, write).await {
                    Ok(written) => written.map_err(|_| Over)?,
                    Err(_) => {
                        if !std::mem::replace(&mut stopped, true) {
                            self.note(index, |it| it.stopped_at = Some(out));
                        }
                        continue;
                    }
                };
                rest = &rest[written..];
                out += written;
            }
        }
        Ok(())
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|it| it == needle)
}
