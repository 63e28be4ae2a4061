//! A client's connection under its timers: silent clients, slow headers, clients that take no bytes. hyper has one timer
//! for heads that also ends idle connections, and none for writing; here each has its own, in one sleep per connection.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::edge::options::LimitOptions;

/// How many calls a connection serves now; told by the service, read by the timers.
#[derive(Clone, Default)]
pub struct Calls(Arc<AtomicU32>);

impl Calls {
    /// Counts a call until its answer has ended.
    pub fn begin(&self) -> CallPlace {
        self.0.fetch_add(1, Relaxed);
        CallPlace(self.clone())
    }

    fn any(&self) -> bool {
        self.0.load(Relaxed) > 0
    }
}

/// One call of a connection.
pub struct CallPlace(Calls);

impl Drop for CallPlace {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Relaxed);
    }
}

/// What a connection waits for from its client.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Waiting {
    /// Its first byte.
    Silent,
    /// The rest of a head.
    Head,
    /// The next request.
    Idle,
    /// Nothing: a call is served, and its answer has timers of its own.
    Served,
}

/// Time limits of a connection.
#[derive(Clone, Copy)]
struct Limits {
    head: Duration,
    idle: Duration,
    stall: Duration,
}

/// An HTTP/2 connection says so in its first bytes (RFC 9113, section 3.4).
const H2_PREFACE: &[u8] = b"PRI ";

/// The answer to a head that never ended; the connection closes behind it.
const HEAD_TIMEOUT: &[u8] = b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 154\r\n\r\n{\"error\":{\"message\":\"The request headers did not arrive in time (`limits.header_read_ms`).\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"timeout\"}}";

/// A client's connection.
pub struct TimedIo<T> {
    io: T,
    limits: Limits,
    calls: Calls,
    waiting: Waiting,
    since: Instant,
    is_h2: bool,
    read_timer: Option<Pin<Box<Sleep>>>,
    /// Running while the client refuses to take bytes.
    write_timer: Option<Pin<Box<Sleep>>>,
}

/// A lone HTTP/2 PING frame (RFC 9113, section 6.7), mostly the answer to ours: a sign of life, but not of work.
fn is_ping(bytes: &[u8]) -> bool {
    const PING: u8 = 6;
    bytes.len() == 17 && bytes[3] == PING
}

impl<T> TimedIo<T> {
    pub fn new(io: T, limits: &LimitOptions, calls: Calls) -> Self {
        let limits = Limits {
            head: Duration::from_millis(limits.header_read_ms),
            idle: Duration::from_millis(limits.keepalive_ms),
            stall: Duration::from_millis(limits.write_stall_ms),
        };
        Self {
            io,
            limits,
            calls,
            waiting: Waiting::Silent,
            since: Instant::now(),
            is_h2: false,
            read_timer: None,
            write_timer: None,
        }
    }

    /// Bytes came: which wait do they end, which do they begin?
    fn note_read(&mut self, bytes: &[u8]) {
        if self.waiting == Waiting::Silent {
            self.is_h2 = bytes.starts_with(H2_PREFACE);
        }
        let next = if self.calls.any() {
            Waiting::Served
        } else if self.is_h2 {
            Waiting::Idle
        } else {
            Waiting::Head
        };
        if next != self.waiting || (next == Waiting::Idle && !is_ping(bytes)) {
            self.since = Instant::now();
        }
        self.waiting = next;
    }

    /// When the present wait has lasted too long; none while a call is served.
    fn deadline(&mut self) -> Option<Instant> {
        // An answer that is still going out has a timer of its own.
        let busy = self.calls.any() || self.write_timer.is_some();
        match (busy, self.waiting) {
            (true, _) => {
                self.waiting = Waiting::Served;
                None
            }
            (false, Waiting::Served) => {
                self.waiting = Waiting::Idle;
                self.since = Instant::now();
                Some(self.since + self.limits.idle)
            }
            (false, Waiting::Idle) => Some(self.since + self.limits.idle),
            (false, Waiting::Silent | Waiting::Head) => Some(self.since + self.limits.head),
        }
    }

    /// Ready when the present wait has lasted too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let deadline = self.deadline();
            // A timer that runs and wakes us in time, then to look again, need not be touched: most reads end here.
            let running = self.read_timer.as_ref().filter(|it| !it.is_elapsed());
            if running.is_some_and(|it| deadline.is_none_or(|deadline| it.deadline() <= deadline)) {
                return Poll::Pending;
            }
            if deadline.is_some_and(|it| it <= Instant::now()) {
                return Poll::Ready(());
            }
            // While a call is served the timer only wakes to look again: the end of a call does not pass here.
            let wake = deadline.unwrap_or_else(|| Instant::now() + self.limits.idle);
            let timer = self.read_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(wake)));
            if timer.deadline() > wake || timer.is_elapsed() {
                timer.as_mut().reset(wake);
            }
            ready!(timer.as_mut().poll(cx));
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for TimedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(result) => {
                this.note_read(&buf.filled()[before..]);
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.poll_patience(cx));
                if this.waiting == Waiting::Head {
                    // A word if it fits into the socket's buffer; the close that follows says it as well.
                    let _ = Pin::new(&mut this.io).poll_write(cx, HEAD_TIMEOUT);
                    let _ = Pin::new(&mut this.io).poll_flush(cx);
                }
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> TimedIo<T> {
    /// Passes a write's outcome on; one that waits for the client too long fails.
    fn stalled<R>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let stall = self.limits.stall;
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        timer.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for TimedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, buf);
        self.stalled(cx, polled)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.stalled(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_shutdown(cx);
        self.stalled(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.stalled(cx, polled)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn timed(calls: &Calls) -> (DuplexStream, TimedIo<DuplexStream>) {
        let limits = LimitOptions {
            header_read_ms: 1_000,
            keepalive_ms: 5_000,
            write_stall_ms: 2_000,
            ..LimitOptions::default()
        };
        let (client, server) = duplex(64);
        (client, TimedIo::new(server, &limits, calls.clone()))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_left_after_the_head_time() {
        let (_client, mut io) = timed(&Calls::default());
        let begun = Instant::now();
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_millis(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickled_head_ends_after_the_head_time_however_often_a_byte_comes() {
        let (mut client, mut io) = timed(&Calls::default());
        let begun = Instant::now();
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                if client.write_all(b"G").await.is_err() {
                    return;
                }
            }
        };
        let read = async { while io.read_u8().await.is_ok() {} };
        tokio::select! { () = read => {}, () = trickle => {} }
        assert_eq!(begun.elapsed().as_millis(), 1_300);
    }

    #[tokio::test(start_paused = true)]
    async fn between_calls_a_connection_may_rest_for_the_keepalive_time() {
        let calls = Calls::default();
        let (mut client, mut io) = timed(&calls);
        client.write_all(b"G").await.unwrap();
        io.read_u8().await.unwrap();
        let place = calls.begin();
        let begun = Instant::now();
        let (read, ()) = tokio::join!(io.read_u8(), async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            drop(place);
        });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((65_000..=70_000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_no_bytes_is_left() {
        let (_client, mut io) = timed(&Calls::default());
        let begun = Instant::now();
        let fault = io.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!((fault.kind(), begun.elapsed().as_millis()), (io::ErrorKind::TimedOut, 2_000));
    }

    #[test]
    fn the_timeout_answer_is_framed() {
        let text = std::str::from_utf8(HEAD_TIMEOUT).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
        serde_json::from_str::<serde_json::Value>(body).unwrap();
    }
}
