//! One stream of a session: bytes both ways, each direction with an end of its own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::coop;

use super::driver::{Command, Retired};
use super::ledger::Fate;
use super::session::{ConnectionInfo, Shared};

/// A stream of a [`MuxSession`](super::MuxSession).
///
/// **Reading** ends with `Ok(0)` only if the peer shut its side down, so nothing is missing. If the
/// peer gave the stream up, reads fail with [`ConnectionReset`](io::ErrorKind::ConnectionReset); if
/// the session was lost, with [`ConnectionAborted`](io::ErrorKind::ConnectionAborted) and the
/// [`MuxError`](super::MuxError) inside. What arrived before can be read first.
///
/// **Writing** fails in the same way, and with [`BrokenPipe`](io::ErrorKind::BrokenPipe) after
/// `shutdown`. Written bytes need no flush. A writer waits while the peer grants no credit, or while
/// the session holds [`send_buffer`](super::MuxConfig::send_buffer) bytes.
///
/// **Shutting down** ends our side alone: the peer may go on writing.
///
/// **Dropping** it without `shutdown` resets it: the peer's reader gets all that was written, then
/// `ConnectionReset`. After `shutdown` nothing is cut short: what the peer still writes is discarded
/// for [`linger`](super::MuxConfig::linger).
///
/// The halves that `tokio::io::split` gives may be used by different tasks.
///
/// ```
/// use std::io::ErrorKind;
///
/// use kcp_transport::mux::{MuxConfig, MuxSession};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (near, far) = tokio::io::duplex(4096); // a KCP session, or anything else
/// let (client, _) = MuxSession::client(near, MuxConfig::default());
/// let (_server, mut incoming) = MuxSession::server(far, MuxConfig::default());
///
/// let mut whole = client.open().await?;
/// whole.write_all(b"all of it").await?;
/// whole.shutdown().await?;
/// let mut text = String::new();
/// incoming.accept().await?.read_to_string(&mut text).await?;
/// assert_eq!(text, "all of it");
///
/// let mut broken_off = client.open().await?;
/// broken_off.write_all(b"half of").await?;
/// drop(broken_off); // without `shutdown`: the reader learns that something is missing
/// let read = incoming.accept().await?.read_to_string(&mut text).await;
/// assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MuxStream {
    /// Present until dropped.
    stream: Option<yamux::Stream>,
    id: u32,
    fate: Arc<Fate>,
    shared: Arc<Shared>,
    permit: Option<OwnedSemaphorePermit>,
    /// Whether the peer knows, or will know by what is written, that the stream exists.
    announced: bool,
    /// Whether our side is shut down.
    shut: bool,
    /// Whether the writer waits at the session's gate.
    queued: bool,
}

impl MuxStream {
    /// A stream that we open, with the permit that is free once yamux has forgotten the stream, or
    /// one that the peer opened.
    pub(super) fn new(
        stream: yamux::Stream,
        fate: Arc<Fate>,
        shared: Arc<Shared>,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            id: stream.id().val(),
            stream: Some(stream),
            fate,
            shared,
            announced: permit.is_none(),
            permit,
            shut: false,
            queued: false,
        }
    }

    /// Number of the stream: unique within its session, odd if the session's client opened it.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// What is known of the connection below the session.
    pub fn connection_info(&self) -> &ConnectionInfo {
        &self.shared.info
    }

    /// Sends an empty frame: it tells the peer that the stream exists, or that we know of it.
    pub(super) fn poll_announce(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = ready!(futures_io::AsyncWrite::poll_write(self.yamux(), cx, &[]));
        self.announced = true;
        Poll::Ready(sent.map(drop).map_err(|_| self.lost()))
    }

    fn yamux(&mut self) -> Pin<&mut yamux::Stream> {
        Pin::new(self.stream.as_mut().expect("present until dropped"))
    }

    /// Why the stream neither gives nor takes bytes.
    fn lost(&self) -> io::Error {
        if self.fate.is_reset() {
            return io::Error::new(io::ErrorKind::ConnectionReset, "stream reset by the peer");
        }
        self.shared.cause().into()
    }

    fn check_open(&self) -> io::Result<()> {
        if self.fate.is_reset() || self.shared.has_ended() {
            return Err(self.lost());
        }
        Ok(())
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if !this.announced {
            ready!(this.poll_announce(cx))?;
        }
        let budget = ready!(coop::poll_proceed(cx));
        let out = buf.initialize_unfilled();
        let mut read = futures_io::AsyncRead::poll_read(this.yamux(), cx, out);
        if matches!(read, Poll::Ready(Err(_))) {
            // The session ended while yamux looked: from now on it gives what arrived before.
            read = futures_io::AsyncRead::poll_read(this.yamux(), cx, out);
        }
        let n = ready!(read).map_err(|_| this.lost())?;
        budget.made_progress();
        if n == 0 && !this.fate.is_finished() {
            return Poll::Ready(Err(this.lost()));
        }
        buf.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.shut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        this.check_open()?;
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let budget = ready!(coop::poll_proceed(cx));
        let len = buf.len().min(this.shared.frame_size);
        if ready!(
            this.shared
                .gate
                .poll_enter(cx, this.id, &mut this.queued, len)
        )
        .is_err()
        {
            return Poll::Ready(Err(this.lost()));
        }
        let written = futures_io::AsyncWrite::poll_write(this.yamux(), cx, &buf[..len]);
        let taken = match &written {
            Poll::Ready(Ok(n)) => *n,
            Poll::Ready(Err(_)) | Poll::Pending => 0,
        };
        if taken < len {
            this.shared.gate.leave(len - taken);
        }
        let n = ready!(written).map_err(|_| this.lost())?;
        budget.made_progress();
        this.announced = true;
        Poll::Ready(Ok(n))
    }

    /// Gathers `bufs` into one frame.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = bufs.iter().filter(|buf| !buf.is_empty());
        let first = filled.next().map_or(&[][..], |buf| buf);
        let frame_size = self.shared.frame_size;
        if first.len() >= frame_size || filled.clone().next().is_none() {
            return self.poll_write(cx, first);
        }
        let total = bufs.iter().map(|buf| buf.len()).sum::<usize>();
        let mut frame = Vec::with_capacity(total.min(frame_size));
        frame.extend_from_slice(first);
        for buf in filled {
            let len = buf.len().min(frame_size - frame.len());
            frame.extend_from_slice(&buf[..len]);
        }
        self.poll_write(cx, &frame)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Waits for nothing: written bytes are on their way already.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check_open())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.shut {
            return Poll::Ready(Ok(()));
        }
        this.check_open()?;
        if !this.announced {
            ready!(this.poll_announce(cx))?;
        }
        ready!(futures_io::AsyncWrite::poll_close(this.yamux(), cx)).map_err(|_| this.lost())?;
        this.shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Drop for MuxStream {
    /// Gives the stream back to the driver, which ends it.
    fn drop(&mut self) {
        if self.queued {
            self.shared.gate.forget(self.id);
        }
        if let Some(stream) = self.stream.take() {
            self.shared.command(Command::Retire(Retired {
                stream,
                fate: Arc::clone(&self.fate),
                permit: self.permit.take(),
                shut: self.shut,
            }));
        }
    }
}
