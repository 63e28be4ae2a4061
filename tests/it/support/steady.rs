//! A vendor that answers whoever asks, however often, and remembers who asked: for load, for attacks and for TLS, where
//! a script would have to say the same many times.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::script::completion;
use super::vendor::Seen;

/// What it says to a request: the content of a chat completion.
type Say = dyn Fn(&Seen) -> String + Send + Sync;

struct Shared {
    say: Box<Say>,
    tls: Option<TlsAcceptor>,
    seen: Mutex<Vec<Seen>>,
}

/// A vendor that answers everything with a chat completion.
pub struct Steady {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Steady {
    /// It always says `text`.
    pub async fn start(text: &str) -> Self {
        let text = text.to_owned();
        Self::saying(move |_| text.clone()).await
    }

    /// What it says depends on what it was asked.
    pub async fn saying(say: impl Fn(&Seen) -> String + Send + Sync + 'static) -> Self {
        Self::open(Box::new(say), None, any_port().await)
    }

    /// At a port that the test has kept for it.
    pub fn at(text: &str, listener: TcpListener) -> Self {
        let text = text.to_owned();
        Self::open(Box::new(move |_| text.clone()), None, listener)
    }

    /// The same over TLS.
    pub async fn over_tls(text: &str, tls: Arc<ServerConfig>) -> Self {
        let text = text.to_owned();
        Self::open(Box::new(move |_| text.clone()), Some(tls.into()), any_port().await)
    }

    fn open(say: Box<Say>, tls: Option<TlsAcceptor>, listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { say, tls, seen: Mutex::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// For `base_url`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The only request that came.
    pub fn only(&self) -> Seen {
        let seen = self.seen();
        assert_eq!(seen.len(), 1, "{seen:#?}");
        seen[0].clone()
    }
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn any_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((tcp, _)) = listener.accept().await {
        connections.spawn(welcome(tcp, number, Arc::clone(&shared)));
        number += 1;
    }
}

async fn welcome(tcp: TcpStream, number: usize, shared: Arc<Shared>) {
    tcp.set_nodelay(true).unwrap();
    match shared.tls.clone() {
        None => attend(tcp, number, shared).await,
        // A client that does not trust us is what some tests are about.
        Some(tls) => {
            if let Ok(io) = tls.accept(tcp).await {
                attend(io, number, shared).await;
            }
        }
    }
}

async fn attend<T>(io: T, number: usize, shared: Arc<Shared>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(answer(&shared, number, request).await) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(io), service).await;
}

async fn answer(shared: &Shared, number: usize, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|it| it.to_bytes().to_vec());
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body_complete: body.is_ok(),
        body: body.unwrap_or_default(),
        connection: number,
        ..Seen::default()
    };
    let said = completion(&(shared.say)(&seen));
    shared.seen.lock().unwrap().push(seen);
    Response::builder().header("content-type", "application/json").body(Full::new(said.into())).unwrap()
}
