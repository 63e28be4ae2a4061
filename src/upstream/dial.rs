//! Opens connections to one upstream: name look-up, TCP, proxy, TLS, all under one timer. Keeps none: that is the pool's.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::{Service, ServiceExt};

use crate::telemetry::series::{InFlight, UpstreamMetrics};
use crate::upstream::spec::{ProxySpec, UpstreamSpec};

/// Time after which an idle TCP connection is asked whether it still lives, and between two questions.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Time after which unacknowledged bytes end a connection: a vanished host is noticed before every timer above.
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to one upstream. Cheap to clone.
#[derive(Clone)]
pub struct Dialer(Arc<Shared>);

struct Shared {
    http: HttpConnector,
    tls: Option<TlsConnector>,
    proxy: Option<Matcher>,
    timeout: Duration,
    metrics: Arc<UpstreamMetrics>,
}

impl Dialer {
    /// `tls` is needed for an `https` base URL; `metrics` counts the connections that are open.
    pub fn new(
        spec: &UpstreamSpec,
        tls: Option<Arc<rustls::ClientConfig>>,
        metrics: Arc<UpstreamMetrics>,
    ) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_keepalive(Some(TCP_KEEPALIVE));
        http.set_keepalive_interval(Some(TCP_KEEPALIVE));
        http.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT));
        Self(Arc::new(Shared {
            http,
            tls: tls.map(TlsConnector::from),
            proxy: matcher(&spec.proxy),
            timeout: spec.connect_timeout(),
            metrics,
        }))
    }

    async fn dial(self, to: Uri) -> io::Result<Link> {
        let shared = &self.0;
        tokio::time::timeout(shared.timeout, shared.connect(&to))
            .await
            .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "connect timer")))
    }
}

impl Shared {
    async fn connect(&self, to: &Uri) -> io::Result<Link> {
        let proxy = self.proxy.as_ref().and_then(|it| it.intercept(to));
        let secure = to.scheme_str() == Some("https");
        // Cleartext calls go to an HTTP proxy as they are, in absolute form (RFC 9112, section 3.2.2); all else tunnels.
        // A proxy that wants a password gets it with the tunnel.
        let absolute_form = !secure && proxy.as_ref().is_some_and(|it| it.basic_auth().is_none());
        let tcp = match &proxy {
            None => self.tcp(to).await?,
            Some(proxy) if absolute_form => self.tcp(proxy.uri()).await?,
            Some(proxy) => self.tunnel(proxy, to).await?,
        };
        let io = match (secure, &self.tls) {
            (false, _) => Io::Plain(TokioIo::new(tcp)),
            (true, None) => return Err(io::Error::other("no TLS configuration")),
            (true, Some(tls)) => Io::Tls(Box::new(TokioIo::new(tls.connect(server_name(to)?, tcp).await?))),
        };
        Ok(Link { io, absolute_form, uses: LinkUses::default(), _open: self.metrics.connection_opened() })
    }

    async fn tcp(&self, to: &Uri) -> io::Result<TcpStream> {
        let tcp = self.http.clone().oneshot(to.clone()).await.map_err(io::Error::other)?;
        Ok(tcp.into_inner())
    }

    async fn tunnel(&self, proxy: &Intercept, to: &Uri) -> io::Result<TcpStream> {
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.http.clone());
        if let Some(auth) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(auth.clone());
        }
        let tcp = tunnel.oneshot(to.clone()).await.map_err(io::Error::other)?;
        Ok(tcp.into_inner())
    }
}

fn server_name(to: &Uri) -> io::Result<ServerName<'static>> {
    let host = to.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    ServerName::try_from(host.to_owned()).map_err(io::Error::other)
}

fn matcher(proxy: &ProxySpec) -> Option<Matcher> {
    match proxy {
        ProxySpec::Off => None,
        ProxySpec::Url(url) => Some(Matcher::builder().all(url.reveal().to_owned()).build()),
        ProxySpec::Environment { http, https, except } => {
            let mut builder = Matcher::builder();
            if let Some(url) = http {
                builder = builder.http(url.reveal().to_owned());
            }
            if let Some(url) = https {
                builder = builder.https(url.reveal().to_owned());
            }
            (http.is_some() || https.is_some())
                .then(|| builder.no(except.clone().unwrap_or_default()).build())
        }
    }
}

impl Service<Uri> for Dialer {
    type Response = Link;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Link>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        Box::pin(self.clone().dial(to))
    }
}

/// How many answers a connection has given; tells a stale pooled connection from a fresh one.
#[derive(Clone, Default)]
pub struct LinkUses(pub Arc<AtomicU32>);

/// One open connection.
pub struct Link {
    io: Io,
    absolute_form: bool,
    uses: LinkUses,
    _open: InFlight,
}

enum Io {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        let connected = Connected::new().proxy(self.absolute_form).extra(self.uses.clone());
        match &self.io {
            Io::Tls(tls) if tls.inner().get_ref().1.alpn_protocol() == Some(b"h2") => {
                connected.negotiated_h2()
            }
            _ => connected,
        }
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_read(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_read(cx, buf),
        }
    }
}

impl Write for Link {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write(cx, buf),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_flush(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(io) => io.is_write_vectored(),
            Io::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
            Io::Tls(io) => Pin::new(io.as_mut()).poll_write_vectored(cx, bufs),
        }
    }
}
