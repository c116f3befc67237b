//! The bytes of a session as a tokio stream.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::config::{Mtu, Window, clamp_interval};
use crate::error::{SendError, SessionError};
use crate::io::clock;
use crate::io::pipe::{Handle, Opened};
use crate::io::turn::{Turn, step_back};
use crate::proto::{Change, Chunk};
use crate::stats::SessionStats;

/// An unanswered probe is repeated after this long, then ever later.
const FIRST_PROBE_WAIT: Duration = Duration::from_millis(200);

/// Probes are never further apart.
const LONGEST_PROBE_WAIT: Duration = Duration::from_secs(5);

/// Bytes read in the midst of a chunk are reported in steps of this size.
const REPORT_AFTER: usize = 16 * 1024;

/// The bytes of a session.
///
/// Reading never ends by itself: KCP cannot tell that the peer has closed. A peer that is gone shows as an error of
/// kind `TimedOut` after the [idle timeout](crate::Config::idle_timeout). Use multiplexing, or a protocol on top that
/// marks its end, where that matters.
///
/// `poll_shutdown` completes when the peer has acknowledged everything written; reading goes on. Dropping the stream
/// (both halves, if split) closes the session: what was written is still sent, for the
/// [linger time](crate::Config::linger) at most.
///
/// ```
/// use kcp_transport::{Config, Connector, Listener};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let mut client = Connector::new(Config::default()).connect(listener.local_addr()).await?;
/// client.write_u32(5).await?; // there is no end of stream, so say how much comes
/// client.write_all(b"hello").await?;
///
/// let (server, _) = listener.accept().await?;
/// let (mut reader, mut writer) = server.into_split();
/// let mut greeting = vec![0; reader.read_u32().await? as usize];
/// reader.read_exact(&mut greeting).await?;
/// writer.write_all(&greeting).await?;
///
/// client.read_exact(&mut greeting).await?;
/// assert_eq!(client.stats().bytes_received, 5);
/// println!("round trip {:?}", client.stats().rtt);
/// client.close().await?; // waits until the peer has everything
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KcpStream {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

/// The reading half of a [`KcpStream`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    handle: Handle,
    chunk: Option<Chunk>,
    /// Bytes read of `chunk` that the driver does not know of.
    unreported: usize,
    turn: Turn,
}

/// The writing half of a [`KcpStream`].
#[derive(Debug)]
pub struct OwnedWriteHalf {
    handle: Handle,
    shut_down: bool,
}

/// A look at a session that does not keep it open.
#[derive(Clone, Debug)]
pub struct SessionInfo(Arc<crate::io::pipe::Pipe>);

impl SessionInfo {
    /// The peer's address. Of an IPv4 peer on an IPv6 socket it is the mapped one.
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.identity().peer
    }

    /// The address of our socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.identity().local
    }

    /// The conversation number.
    pub fn conv(&self) -> u32 {
        self.0.identity().conv
    }

    /// Counters and gauges as of the driver's last turn.
    pub fn stats(&self) -> SessionStats {
        self.0.stats()
    }

    /// Why the session ended, if it did.
    pub fn error(&self) -> Option<SessionError> {
        self.0.ended()
    }
}

impl KcpStream {
    pub(crate) fn new(Opened(handle): Opened) -> Self {
        Self {
            reader: OwnedReadHalf {
                handle: handle.clone(),
                chunk: None,
                unreported: 0,
                turn: Turn::new(),
            },
            writer: OwnedWriteHalf {
                handle,
                shut_down: false,
            },
        }
    }

    /// Splits it into halves for different tasks. The session closes when both are dropped.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        (self.reader, self.writer)
    }

    /// The peer's address. Of an IPv4 peer on an IPv6 socket it is the mapped one.
    pub fn peer_addr(&self) -> SocketAddr {
        self.handle().identity().peer
    }

    /// The address of our socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.handle().identity().local
    }

    /// The conversation number.
    pub fn conv(&self) -> u32 {
        self.handle().identity().conv
    }

    /// Counters and gauges as of the driver's last turn.
    pub fn stats(&self) -> SessionStats {
        self.handle().stats()
    }

    /// Why the session ended, if it did.
    pub fn error(&self) -> Option<SessionError> {
        self.handle().ended()
    }

    /// A look at the session that does not keep it open.
    pub fn info(&self) -> SessionInfo {
        SessionInfo(self.handle().pipe())
    }

    /// Asks the peer for a sign of life and waits for it. Returns at once if the peer was heard before.
    ///
    /// # Errors
    /// Why the session ended meanwhile.
    pub async fn probe(&self) -> Result<(), SessionError> {
        let mut wait = FIRST_PROBE_WAIT;
        loop {
            self.handle().request(|requests| requests.ask = true);
            let answered = poll_fn(|cx| self.handle().poll_answered(cx));
            if let Ok(result) = tokio::time::timeout(wait, answered).await {
                return result;
            }
            wait = (wait * 3 / 2).min(LONGEST_PROBE_WAIT);
        }
    }

    /// Waits until the peer has acknowledged everything written.
    ///
    /// # Errors
    /// Why the session ended before.
    pub async fn drain(&self) -> Result<(), SessionError> {
        poll_fn(|cx| self.handle().poll_drained(cx)).await
    }

    /// Waits until the peer has acknowledged everything written, then closes the session.
    ///
    /// # Errors
    /// Why the session ended before.
    pub async fn close(self) -> Result<(), SessionError> {
        self.drain().await
    }

    /// Ends the session at once. Written data that was not acknowledged may be lost.
    pub fn abort(self) {
        self.handle().abort();
    }

    /// Sends `message` beside the stream: unordered, unacknowledged, maybe lost, but encrypted.
    ///
    /// # Errors
    /// [`SendError`] without FEC, if it does not fit into one packet, or if the session has ended.
    pub fn send_oob(&self, message: &[u8]) -> Result<(), SendError> {
        let limit = self.max_oob().ok_or(SendError::NeedsFec)?;
        if message.len() > limit {
            return Err(SendError::TooLong {
                len: message.len(),
                limit,
            });
        }
        Ok(self.handle().send_oob(message.to_vec())?)
    }

    /// Longest message that [`send_oob`](Self::send_oob) takes, in bytes; `None` without FEC.
    pub fn max_oob(&self) -> Option<usize> {
        self.handle().identity().max_oob
    }

    /// Waits for a message that the peer sent beside the stream. The newest are dropped while 64 wait.
    ///
    /// # Errors
    /// Why the session ended.
    pub async fn recv_oob(&self) -> Result<Vec<u8>, SessionError> {
        poll_fn(|cx| self.handle().poll_oob(cx)).await
    }

    /// Changes [`Config::nodelay`](crate::Config::nodelay), [`interval`](crate::Config::interval) and
    /// [`resend`](crate::Config::resend) of this session.
    pub fn set_nodelay(&self, nodelay: bool, interval: Duration, resend: u32) {
        let interval = clamp_interval(interval);
        self.handle()
            .change(Change::NoDelay(nodelay, interval, resend));
    }

    /// Changes the windows of this session, in segments.
    pub fn set_windows(&self, send: Window, receive: Window) {
        self.handle().change(Change::Windows(send, receive));
    }

    /// Changes the longest datagram of this session; holds for data not yet cut into segments.
    pub fn set_mtu(&self, mtu: Mtu) {
        self.handle().change(Change::Mtu(mtu));
    }

    /// Changes [`Config::stream_mode`](crate::Config::stream_mode) of this session.
    pub fn set_stream_mode(&self, enabled: bool) {
        self.handle().change(Change::StreamMode(enabled));
    }

    /// Changes [`Config::write_delay`](crate::Config::write_delay) of this session.
    pub fn set_write_delay(&self, enabled: bool) {
        self.handle().change(Change::WriteDelay(enabled));
    }

    /// Changes [`Config::ack_no_delay`](crate::Config::ack_no_delay) of this session.
    pub fn set_ack_no_delay(&self, enabled: bool) {
        self.handle().change(Change::AckNoDelay(enabled));
    }

    /// Changes [`Config::duplicates`](crate::Config::duplicates) of this session.
    pub fn set_duplicates(&self, copies: u8) {
        self.handle().change(Change::Duplicates(copies));
    }

    /// Changes [`Config::max_bandwidth`](crate::Config::max_bandwidth) of this session, in bytes per second; kcp-go's
    /// `SetRateLimit`.
    pub fn set_max_bandwidth(&self, bytes_per_second: u64) {
        self.handle().change(Change::MaxBandwidth(bytes_per_second));
    }

    /// Sends at most this many of every group's parity packets. The group's shape stays, so any peer understands it.
    pub fn set_parity_limit(&self, packets: usize) {
        self.handle().change(Change::ParityLimit(packets));
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.reader.handle
    }
}

impl AsyncRead for OwnedReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            if let Some(chunk) = this.chunk.as_mut().filter(|chunk| !chunk.is_empty()) {
                let room = this.turn.room();
                if room == 0 {
                    this.turn.cut();
                    step_back(cx);
                    return Poll::Pending;
                }
                let len = chunk.len().min(buf.remaining()).min(room);
                this.turn.take(len, clock::now);
                buf.put_slice(&chunk.bytes()[..len]);
                chunk.advance(len);
                this.unreported += len;
                // A smaller window is always read to the end of its chunk, which reports the rest.
                if !this.handle.identity().messages && this.unreported >= REPORT_AFTER {
                    this.handle
                        .report_consumed(std::mem::take(&mut this.unreported));
                }
                return Poll::Ready(Ok(()));
            }
            let unreported = std::mem::take(&mut this.unreported);
            let next = this.handle.poll_read(cx, this.chunk.take(), unreported);
            if next.is_pending() {
                this.turn.end(clock::now);
            }
            this.chunk = Some(ready!(next)?);
        }
    }
}

impl OwnedWriteHalf {
    fn poll_write_any(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.shut_down {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        self.handle.poll_write(cx, buffers).map_err(Into::into)
    }
}

impl AsyncWrite for OwnedWriteHalf {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_any(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_any(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Written bytes leave by themselves, at once or, with a write delay, when the interval ends. This ends it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.handle.flush();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut_down = true;
        self.handle.poll_drained(cx).map_err(Into::into)
    }
}

impl AsyncRead for KcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.reader).poll_read(cx, buf)
    }
}

impl AsyncWrite for KcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::io::AsyncReadExt;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;
    use crate::config::Config;
    use crate::io::pipe::{Identity, Pipe};
    use crate::proto::{Hub, Time};

    /// A stream, and the pipe to its driver, which is not there.
    fn stream() -> (KcpStream, Arc<Pipe>) {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let config = Arc::new(Config::default());
        let mut hub = Hub::new(Arc::clone(&config), false, [1; 32]);
        let identity = Identity {
            key: hub
                .connect(Time::ZERO, addr, 1)
                .expect("nothing is in the way"),
            conv: 1,
            peer: addr,
            local: addr,
            messages: false,
            capacity: 1 << 20,
            mss: 1_376,
            max_message: 1 << 20,
            max_oob: None,
        };
        let pipe = Arc::new(Pipe::new(
            identity,
            Default::default(),
            &config,
            Arc::default(),
        ));
        let handle = Handle::new(Arc::clone(&pipe));
        (KcpStream::new(Opened(handle)), pipe)
    }

    #[tokio::test(flavor = "current_thread", start_paused = true)]
    async fn others_run_between_the_portions_of_a_reader() {
        let (mut stream, pipe) = stream();
        let mut chunks = vec![Chunk::from(vec![7; 60_000]), Chunk::from(vec![7; 60_000])];
        pipe.deliver(|| chunks.pop(), || None);
        let events = Rc::new(RefCell::new(Vec::new()));
        let tasks = LocalSet::new();
        tasks
            .run_until(async {
                let mut others = Vec::new();
                let mut bytes = 0;
                let mut buf = vec![0; 8 * 1024];
                while bytes < 120_000 {
                    let len = stream.read(&mut buf).await.expect("a live session");
                    bytes += len;
                    events.borrow_mut().push("read");
                    let events = Rc::clone(&events);
                    others.push(spawn_local(
                        async move { events.borrow_mut().push("other") },
                    ));
                }
                for other in others {
                    other.await.expect("nothing panics");
                }
            })
            .await;
        let events = events.borrow();
        let first = events.iter().position(|event| *event == "other");
        let last = events.iter().rposition(|event| *event == "read");
        assert!(first < last, "the reader took all before anybody else ran");
    }
}
