//! A place that gives out credentials, or asks for them: answers each request by a function of it, and remembers all.

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
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::vendor::Seen;
use super::within;

/// Status and body for a request, which is counted from 0.
type Say = dyn FnMut(usize, &Seen) -> (u16, String) + Send;

struct Shared {
    say: Mutex<Box<Say>>,
    seen: watch::Sender<Vec<Seen>>,
}

/// Answers with JSON, or with XML where the body is some.
pub struct Desk {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Desk {
    pub async fn start(say: impl FnMut(usize, &Seen) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { say: Mutex::new(Box::new(say)), seen: watch::Sender::default() });
        let task = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self { address, shared, task }
    }

    /// Its address and `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.borrow().clone()
    }

    pub fn calls(&self) -> usize {
        self.shared.seen.borrow().len()
    }

    /// Waits for so many requests.
    pub async fn asked(&self, count: usize) -> Vec<Seen> {
        let mut seen = self.shared.seen.subscribe();
        within("a request", seen.wait_for(|it| it.len() >= count)).await.expect("the desk runs").clone()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((tcp, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            let service = service_fn(|request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(answer(&shared, request).await) }
            });
            let _ =
                auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(tcp), service).await;
        });
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|it| it.to_bytes().to_vec()).unwrap_or_default();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let seen = Seen {
        method: head.method.to_string(),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        headers: head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body_complete: true,
        body,
        ..Seen::default()
    };
    let (status, body) = (shared.say.lock().unwrap())(shared.seen.borrow().len(), &seen);
    shared.seen.send_modify(|it| it.push(seen));
    let kind = if body.starts_with('<') { "text/xml" } else { "application/json" };
    Response::builder().status(status).header("content-type", kind).body(Full::new(body.into())).unwrap()
}

/// The fields of a form.
pub fn form(seen: &Seen) -> Vec<(String, String)> {
    let decoded = |it: &str| percent_encoding::percent_decode_str(it).decode_utf8_lossy().into_owned();
    let pairs = seen.text().split('&').filter_map(|it| it.split_once('='));
    pairs.map(|(name, value)| (decoded(name), decoded(value))).collect()
}

/// One field of a form.
pub fn field(seen: &Seen, name: &str) -> String {
    form(seen).into_iter().find(|(it, _)| it == name).unwrap_or_else(|| panic!("no {name}")).1
}
