//! The admin port's own thread and runtime, so that probes and metrics answer while the calls' threads are busy.

use std::convert::Infallible;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::edge::admin;
use crate::edge::gateway::Gateway;

/// Connections to the admin port.
const CONNECTIONS_MAX: usize = 256;

/// Time for a request's head, and for the next request of an open connection.
const HEAD_TIME: Duration = Duration::from_secs(75);

/// Rest after a failed accept.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Serves the admin port until the process ends.
pub fn spawn(gateway: Arc<Gateway>, listener: StdListener) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let loopback = listener.local_addr()?.ip().is_loopback();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("admin".into()).spawn(move || {
        let serving = async {
            match TcpListener::from_std(listener) {
                Ok(listener) => accept(gateway, listener, loopback).await,
                Err(fault) => tracing::error!(event = "admin_failed", %fault),
            }
        };
        runtime.block_on(serving);
    })?;
    Ok(())
}

async fn accept(gateway: Arc<Gateway>, listener: TcpListener, loopback: bool) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("this semaphore is never closed");
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
            continue;
        };
        let gateway = Arc::clone(&gateway);
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| {
                let gateway = Arc::clone(&gateway);
                async move { Ok::<_, Infallible>(admin::serve(gateway, request, loopback).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .serve_connection(TokioIo::new(tcp), service);
            // Errors here are the asker's: it left, or it does not speak HTTP.
            let _ = connection.await;
            drop(place);
        });
    }
}
