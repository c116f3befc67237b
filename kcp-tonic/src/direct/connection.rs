//! What both ends do about their connection: windows, pings, and what its end means for calls.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};
use tonic::Status;

/// Bytes of one call that the peer may send ahead: as hyper's client.
pub(super) const STREAM_WINDOW: u32 = 2 << 20;

/// Bytes of all calls of a connection that the peer may send ahead: as hyper's client.
pub(super) const CONNECTION_WINDOW: u32 = 5 << 20;

/// Bytes of one call that wait here: as hyper's client.
pub(super) const SEND_BUFFER: usize = 1 << 20;

/// Headers of one message: as hyper.
pub(super) const MAX_HEADERS: u32 = 16 << 10;

/// Silence after which the peer is pinged: as [`EndpointExt::kcp_defaults`](crate::EndpointExt::kcp_defaults).
const INTERVAL: Duration = Duration::from_secs(20);

/// How long it may take to give a sign of life.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An error of HTTP/2 as gRPC knows it: without a connection a call may be tried again elsewhere.
pub(super) fn status(error: h2::Error) -> Status {
    if !error.is_io() && !error.is_go_away() {
        return Status::from(error);
    }
    let mut status = Status::unavailable(format!("the connection is gone: {error}"));
    status.set_source(Arc::new(error));
    status
}

/// A connection that remembers whether anything came.
#[derive(Debug)]
pub(super) struct Heard<IO> {
    io: IO,
    heard: Arc<AtomicBool>,
}

impl<IO> Heard<IO> {
    /// The connection, and whether something came since that was last cleared.
    pub(super) fn new(io: IO) -> (Self, Arc<AtomicBool>) {
        let heard = Arc::new(AtomicBool::new(false));
        let sign = Arc::clone(&heard);
        (Self { io, heard }, sign)
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Heard<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.io).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(read)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Heard<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// Pings a peer that is silent. Ready when it stays so.
pub(super) struct Silence {
    heard: Arc<AtomicBool>,
    pings: Option<PingPong>,
    /// A ping was sent that had no effect yet.
    asked: bool,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    pub(super) fn new(heard: Arc<AtomicBool>) -> Self {
        Self {
            heard,
            pings: None,
            asked: false,
            timer: Box::pin(sleep(INTERVAL)),
        }
    }

    /// Before this it waits, but does not ask.
    pub(super) fn ping_with(&mut self, pings: Option<PingPong>) {
        self.pings = pings;
    }
}

impl Future for Silence {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            if let Some(pings) = &mut this.pings
                && this.asked
            {
                // Takes the answer, so that the next ping may be sent; errors end the connection elsewhere.
                let _ = pings.poll_pong(cx);
            }
            ready!(this.timer.as_mut().poll(cx));
            let wait = if this.heard.swap(false, Ordering::Relaxed) {
                this.asked = false;
                INTERVAL
            } else if this.asked {
                return Poll::Ready(());
            } else {
                if let Some(pings) = &mut this.pings {
                    let _ = pings.send_ping(Ping::opaque());
                }
                this.asked = true;
                TIMEOUT
            };
            this.timer.as_mut().reset(Instant::now() + wait);
        }
    }
}
