//! Accepts connections and hands their requests on: HTTP/1.1 and HTTP/2, cleartext or TLS, bounded in number and time.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use crate::edge::body::Body;
use crate::edge::connection::{Calls, TimedIo};
use crate::edge::gateway::{Gateway, Serving};
use crate::edge::serve::serve;
use crate::edge::spec::TlsSpec;

/// Connections the kernel keeps while we are busy.
const BACKLOG: i32 = 4_096;

/// Rest after a failed accept, such as for want of file descriptors: others may close theirs.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Calls of one client on one HTTP/2 connection, and the window of each, in bytes: what a stream may hold in memory.
const H2_STREAMS_MAX: u32 = 250;
const H2_WINDOW: u32 = 1 << 20;
const H2_SEND_BYTES_MAX: usize = 64 << 10;

/// Silence after which a client's HTTP/2 connection is asked whether it lives.
const H2_PING: Duration = Duration::from_secs(30);

/// What hyper may buffer of one HTTP/1 connection, in bytes, beside the head.
const H1_BUFFER_BYTES: usize = 64 << 10;

/// Binds `address`.
pub fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restarted gateway need not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// The open connections. Their limit is read anew whenever one may be accepted, so that a reload can change it.
#[derive(Default)]
pub struct Connections {
    open: AtomicUsize,
    changed: Notify,
}

impl Connections {
    /// To be called when the limit may have changed. Where it shrank, connections that are open stay.
    pub fn review(&self) {
        self.changed.notify_one();
    }

    /// The next connection that there is room for.
    async fn accept(&self, gateway: &Gateway, listener: &TcpListener) -> std::io::Result<TcpStream> {
        loop {
            let room = self.open.load(Relaxed) < gateway.serving().limits.connections_max;
            tokio::select! {
                accepted = listener.accept(), if room => return accepted.map(|(tcp, _)| tcp),
                () = self.changed.notified() => {}
            }
        }
    }

    fn enter(self: &Arc<Self>) -> Place {
        self.open.fetch_add(1, Relaxed);
        Place(Arc::clone(self))
    }
}

/// One open connection.
struct Place(Arc<Connections>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
        self.0.changed.notify_one();
    }
}

/// Serves calls on `listener` until `stop`; then tells connections to close after what they serve, and returns
/// when all have closed.
pub async fn run(
    gateway: Arc<Gateway>,
    connections: Arc<Connections>,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) {
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = connections.accept(&gateway, &listener) => accepted,
            () = &mut stop => break,
        };
        let Ok(tcp) = accepted else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        prepare(&tcp);
        let place = connections.enter();
        let (gateway, watcher) = (Arc::clone(&gateway), graceful.watcher());
        tokio::spawn(async move {
            let _open = gateway.metrics.connection_opened();
            let serving = gateway.serving();
            match serving.tls.clone() {
                None => Box::pin(converse(&gateway, &serving, tcp, watcher)).await,
                Some(tls) => {
                    let patience = Duration::from_millis(serving.limits.header_read_ms);
                    let handshake = TlsAcceptor::from(tls).accept(tcp);
                    if let Ok(Ok(io)) = tokio::time::timeout(patience, handshake).await {
                        Box::pin(converse(&gateway, &serving, io, watcher)).await;
                    }
                }
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Small events leave at once, and a vanished client is noticed. A failure here costs speed, not correctness.
fn prepare(tcp: &TcpStream) {
    let _ = tcp.set_nodelay(true);
    let keepalive =
        TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    let _ = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

/// The server side of TLS, or what is wrong with the certificate.
pub fn server_config(tls: &TlsSpec) -> Result<Arc<ServerConfig>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&tls.cert_pem).collect();
    let chain = chain.map_err(|it| format!("tls.cert is not PEM: {it}"))?;
    let key =
        PrivateKeyDer::from_pem_slice(&tls.key_pem).map_err(|it| format!("tls.key is not PEM: {it}"))?;
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|it| it.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|it| format!("tls.cert and tls.key: {it}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn converse<T>(
    gateway: &Arc<Gateway>,
    serving: &Serving,
    io: T,
    watcher: hyper_util::server::graceful::Watcher,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let calls = Calls::default();
    let io = TimedIo::new(io, &serving.limits, calls.clone());
    let service = service_fn(|request: Request<Incoming>| answer(gateway, &calls, request));
    let builder = builder(serving.limits.header_bytes_max);
    let connection = builder.serve_connection(TokioIo::new(io), service);
    // Errors here are the client's: it left, or it does not speak HTTP.
    let _ = watcher.watch(connection).await;
}

type Answering = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn answer(gateway: &Arc<Gateway>, calls: &Calls, request: Request<Incoming>) -> Answering {
    let (gateway, place) = (Arc::clone(gateway), calls.begin());
    Box::pin(async move {
        let mut response = serve(gateway, request).await;
        response.body_mut().occupy(place);
        Ok(response)
    })
}

/// HTTP/1 and HTTP/2 with every bound named. Timers for heads and silence are [`TimedIo`]'s.
fn builder(header_bytes_max: usize) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_buf_size(header_bytes_max.max(H1_BUFFER_BYTES));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .initial_stream_window_size(H2_WINDOW)
        .initial_connection_window_size(H2_WINDOW * 4)
        .max_send_buf_size(H2_SEND_BYTES_MAX)
        .max_header_list_size(header_bytes_max as u32)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING);
    builder
}
