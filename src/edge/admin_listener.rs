//! The admin port's own thread and runtime, so that probes and metrics answer while the calls' threads are busy.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::edge::admin;
use crate::edge::gateway::Gateway;

/// Connections to the admin port. A further one takes the place of the one that is idle longest: whoever holds them
/// all must not keep probes out.
const CONNECTIONS_MAX: usize = 1_024;

/// Time for a request's head, and for the next request of an open connection.
const HEAD_TIME: Duration = Duration::from_secs(10);

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
    let connections = Arc::new(Connections::default());
    loop {
        match listener.accept().await {
            Ok((tcp, _)) => {
                connections.make_room(CONNECTIONS_MAX);
                tokio::spawn(converse(Arc::clone(&gateway), tcp, connections.enter(), loopback));
            }
            Err(fault) => {
                if fault.kind() != ErrorKind::ConnectionAborted {
                    // Most likely file descriptors have run out: the next probe is worth more than an idle connection.
                    connections.close_idlest();
                }
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn converse(gateway: Arc<Gateway>, tcp: TcpStream, place: Place, loopback: bool) {
    let service = service_fn(|request: Request<Incoming>| {
        let gateway = Arc::clone(&gateway);
        place.note(true);
        let place = &place;
        async move {
            let response = admin::serve(gateway, request, loopback).await;
            place.note(false);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(tcp), service);
    tokio::select! {
        // Errors here are the asker's: it left, or it does not speak HTTP.
        _ = connection => {}
        () = place.close.cancelled() => {}
    }
}

/// The open connections and what each does.
#[derive(Default)]
struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    next: u64,
    states: HashMap<u64, State>,
}

/// One connection. Those that wait for a request are idle since the last answer, or since they were accepted.
struct State {
    answering: bool,
    since: Instant,
    close: CancellationToken,
}

impl Connections {
    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().expect("nothing panics while it holds this lock")
    }

    fn enter(self: &Arc<Self>) -> Place {
        let close = CancellationToken::new();
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        open.states.insert(id, State { answering: false, since: Instant::now(), close: close.clone() });
        drop(open);
        Place { connections: Arc::clone(self), id, close }
    }

    /// Closes connections until there is room for one more below `most`.
    fn make_room(&self, most: usize) {
        while self.lock().states.len() >= most {
            self.close_idlest();
        }
    }

    /// Closes the connection that is idle longest; where none is idle, the one that takes longest to answer.
    fn close_idlest(&self) {
        let mut open = self.lock();
        let idlest = open.states.iter().min_by_key(|(_, it)| (it.answering, it.since)).map(|(id, _)| *id);
        if let Some(state) = idlest.and_then(|id| open.states.remove(&id)) {
            state.close.cancel();
        }
    }
}

/// A connection's entry among the open ones.
struct Place {
    connections: Arc<Connections>,
    id: u64,
    close: CancellationToken,
}

impl Place {
    /// A request has come, or its answer is on its way.
    fn note(&self, answering: bool) {
        if let Some(state) = self.connections.lock().states.get_mut(&self.id) {
            (state.answering, state.since) = (answering, Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().states.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_is_idle_longest_makes_room() {
        let connections = Arc::new(Connections::default());
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(connections.enter());
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let closed = |places: &[Place]| places.iter().map(|it| it.close.is_cancelled()).collect::<Vec<_>>();
        // The first is being answered and the second has just been.
        places[0].note(true);
        places[1].note(true);
        places[1].note(false);
        connections.make_room(5);
        assert_eq!(closed(&places), [false, false, false, false]);
        connections.make_room(4);
        assert_eq!(closed(&places), [false, false, true, false]);
        connections.make_room(2);
        assert_eq!(closed(&places), [false, true, true, true]);
        connections.make_room(1);
        assert_eq!(closed(&places), [true, true, true, true]);
        places.truncate(1);
        let _next = connections.enter();
        places.clear();
        assert_eq!(connections.lock().states.len(), 1);
    }
}
