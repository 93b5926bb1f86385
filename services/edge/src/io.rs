//! Two wrappers around a connection that bound what hyper does not: slow readers and slow heads.
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

/// Fails a write on which the peer made no progress for `limit`.
pub struct WriteLimit<I> {
    inner: I,
    limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<I> WriteLimit<I> {
    /// Wraps a socket.
    pub fn new(inner: I, limit: Duration) -> Self {
        WriteLimit {
            inner,
            limit,
            stalled: None,
        }
    }

    fn judge<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        ready!(
            self.stalled
                .get_or_insert_with(|| Box::pin(sleep(limit)))
                .as_mut()
                .poll(cx)
        );
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteLimit<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteLimit<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.judge(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.judge(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// What the service tells [`HeadLimit`]: how many heads arrived, how many are being answered.
#[derive(Debug, Default)]
pub struct Heads {
    arrived: AtomicU64,
    answering: AtomicU32,
}

/// A request being answered; until it is dropped, no head is due.
pub struct Answering(Arc<Heads>);

impl Heads {
    /// How many heads arrived.
    pub fn count(&self) -> u64 {
        self.arrived.load(Relaxed)
    }

    /// Notes that a head arrived.
    pub fn arrived(self: &Arc<Self>) -> Answering {
        self.arrived.fetch_add(1, Relaxed);
        self.answering.fetch_add(1, Relaxed);
        Answering(self.clone())
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answering.fetch_sub(1, Relaxed);
    }
}

/// Fails an HTTP/1 connection whose request head is not complete `limit` after its first byte.
///
/// hyper's own `header_read_timeout` also runs while a kept-alive connection idles, so it has to be
/// long; this one starts with the head, and once with the connection.
pub struct HeadLimit<I> {
    inner: I,
    heads: Arc<Heads>,
    limit: Duration,
    due: Option<(Instant, u64)>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<I> HeadLimit<I> {
    /// Wraps a connection whose service notes heads in `heads`.
    pub fn new(inner: I, heads: Arc<Heads>, limit: Duration) -> Self {
        HeadLimit {
            inner,
            heads,
            limit,
            due: Some((Instant::now() + limit, 0)),
            alarm: None,
        }
    }

    /// Bytes came: they begin a head unless one is under way already.
    fn begin(&mut self) {
        let arrived = self.heads.arrived.load(Relaxed);
        if self.due.is_none_or(|(_, since)| since != arrived) {
            self.due = Some((Instant::now() + self.limit, arrived));
            self.alarm = None;
        }
    }

    /// Whether a head is overdue; registers for the moment when it will be.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            let Some((at, since)) = self.due else {
                return false;
            };
            if self.heads.arrived.load(Relaxed) != since {
                (self.due, self.alarm) = (None, None);
                return false;
            }
            if self
                .alarm
                .get_or_insert_with(|| Box::pin(sleep_until(at)))
                .as_mut()
                .poll(cx)
                .is_pending()
            {
                return false;
            }
            if self.heads.answering.load(Relaxed) == 0 {
                return true;
            }
            // Pipelined bytes wait behind an answer: the clock starts anew.
            (self.due, self.alarm) = (Some((Instant::now() + self.limit, since)), None);
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for HeadLimit<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_ready() {
            if buf.filled().len() > before {
                self.begin();
            }
            return read;
        }
        if self.is_overdue(cx) {
            Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
        } else {
            Poll::Pending
        }
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for HeadLimit<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const LIMIT: Duration = Duration::from_secs(10);

    fn limited() -> (DuplexStream, HeadLimit<DuplexStream>, Arc<Heads>) {
        let (client, server) = duplex(64);
        let heads = Arc::new(Heads::default());
        (client, HeadLimit::new(server, heads.clone(), LIMIT), heads)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_progress_fails_after_its_limit() {
        let (_client, server) = duplex(4);
        let start = Instant::now();
        let error = WriteLimit::new(server, LIMIT)
            .write_all(b"too much")
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), start.elapsed()),
            (io::ErrorKind::TimedOut, LIMIT)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn trickling_a_head_does_not_stretch_its_limit() {
        let (mut client, mut server, _) = limited();
        let start = Instant::now();
        tokio::spawn(async move {
            while client.write_all(b"a").await.is_ok() {
                sleep(Duration::from_secs(3)).await;
            }
        });
        let mut byte = [0];
        let error = loop {
            if let Err(error) = server.read_exact(&mut byte).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_gets_the_same_limit() {
        let (_client, mut server, _) = limited();
        let start = Instant::now();
        assert!(server.read(&mut [0]).await.is_err());
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_left_alone_after_its_request() {
        let (mut client, mut server, heads) = limited();
        client.write_all(b"a").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        drop(heads.arrived());
        let idle = tokio::time::timeout(Duration::from_secs(25), server.read(&mut [0])).await;
        assert!(idle.is_err(), "still waiting after 25 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pipelined_head_is_not_due_before_the_answer_ahead_of_it() {
        let (mut client, mut server, heads) = limited();
        let answering = heads.arrived();
        client.write_all(b"a").await.unwrap();
        server.read_exact(&mut [0]).await.unwrap();
        let waiting = tokio::time::timeout(Duration::from_secs(15), server.read(&mut [0])).await;
        assert!(waiting.is_err(), "the answer takes its time");
        drop(answering);
        let start = Instant::now();
        assert!(server.read(&mut [0]).await.is_err());
        assert!(start.elapsed() <= LIMIT);
    }
}
