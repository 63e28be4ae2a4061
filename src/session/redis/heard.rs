//! A connection's bytes, and when the last of them came.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// What was heard on a connection.
pub(super) struct Ears {
    begun: Instant,
    bytes: AtomicU64,
    /// Milliseconds since it began.
    last_ms: AtomicU64,
}

impl Ears {
    pub fn new() -> Self {
        Self { begun: Instant::now(), bytes: AtomicU64::new(0), last_ms: AtomicU64::new(0) }
    }

    /// Since it began.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Time since something came.
    pub fn silence(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Relaxed)))
    }

    fn hear(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Relaxed);
        self.last_ms.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }
}

/// A stream that is listened to.
pub(super) struct Heard {
    stream: Box<dyn Stream>,
    ears: Arc<Ears>,
}

impl Heard {
    pub fn new(stream: Box<dyn Stream>, ears: Arc<Ears>) -> Self {
        Self { stream, ears }
    }
}

impl AsyncRead for Heard {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context, buf: &mut ReadBuf) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf));
        self.ears.hear(buf.filled().len() - before);
        Poll::Ready(read)
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context,
        bufs: &[IoSlice],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_comes_breaks_the_silence() {
        let (ours, mut theirs) = duplex(16);
        let ears = Arc::new(Ears::new());
        let mut heard = Heard::new(Box::new(ours), Arc::clone(&ears));
        advance(Duration::from_secs(40)).await;
        heard.write_all(b"to them").await.unwrap();
        assert_eq!((ears.bytes(), ears.silence()), (0, Duration::from_secs(40)));
        theirs.write_all(b"back").await.unwrap();
        heard.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!((ears.bytes(), ears.silence()), (4, Duration::ZERO));
        advance(Duration::from_secs(1)).await;
        assert_eq!(ears.silence(), Duration::from_secs(1));
    }
}
