//! Handles of a session: opening, accepting, closing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::config::MuxConfig;
use super::driver::{Command, Driver};
use super::error::MuxError;
use super::gate::Gate;
use super::ledger::Mode;
use super::stream::MuxStream;
use crate::stream::{KcpStream, SessionInfo};

/// What is known of the connection below a session.
///
/// Given when the session is made, and handed out by each of its streams.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// Address of the peer.
    pub peer_addr: Option<SocketAddr>,
    /// Our own address.
    pub local_addr: Option<SocketAddr>,
    /// The KCP session, if it is one: its number and its live statistics.
    pub session: Option<SessionInfo>,
}

impl From<&KcpStream> for ConnectionInfo {
    fn from(stream: &KcpStream) -> Self {
        Self {
            peer_addr: Some(stream.peer_addr()),
            local_addr: Some(stream.local_addr()),
            session: Some(stream.info()),
        }
    }
}

/// A snapshot of a session.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct MuxStats {
    /// Streams of ours that are open, or that the peer may still write to after we dropped them.
    pub outbound: usize,
    /// The same for streams of the peer.
    pub inbound: usize,
    /// Bytes that wait for the connection below.
    pub buffered: usize,
    /// Bytes given to the connection below, headers included.
    pub bytes_sent: u64,
    /// Bytes taken from the connection below, headers included.
    pub bytes_received: u64,
    /// How long the peer took to answer the latest ping; `None` until it did so once.
    pub round_trip: Option<Duration>,
}

/// One connection that carries many streams: a handle to open them and to end the session.
///
/// Clones are handles of the same session. It lives as long as any handle, its [`MuxAcceptor`] or
/// any stream does; when the last of them is dropped, it is closed as by [`close`](Self::close).
///
/// Both ends may open streams:
///
/// ```
/// use kcp_transport::mux::{MuxConfig, MuxSession};
/// use kcp_transport::{Config, Connector, Listener};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let stream = Connector::new(Config::default()).connect(listener.local_addr()).await?;
/// let (client, mut from_server) = MuxSession::client(stream, MuxConfig::default());
/// let mut request = client.open().await?;
/// request.write_all(b"hello").await?;
///
/// let (stream, _) = listener.accept().await?;
/// let (server, mut from_client) = MuxSession::server(stream, MuxConfig::default());
/// let mut notice = server.open().await?;
/// notice.write_all(b"welcome").await?;
/// notice.shutdown().await?;
///
/// let mut text = String::new();
/// from_server.accept().await?.read_to_string(&mut text).await?;
/// assert_eq!(text, "welcome");
/// let accepted = from_client.accept().await?;
/// assert_eq!(accepted.id(), request.id());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct MuxSession {
    user: Arc<User>,
}

/// Tells the driver when the last handle is dropped.
#[derive(Debug)]
struct User(Arc<Shared>);

impl Drop for User {
    fn drop(&mut self) {
        self.0.command(Command::Release);
    }
}

impl MuxSession {
    /// The session of the end that made the connection.
    ///
    /// Starts a task that moves the bytes. The ends must take different roles: one the client, one
    /// the server.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn client<IO>(io: IO, config: MuxConfig) -> (Self, MuxAcceptor)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::client_with(io, config, ConnectionInfo::default())
    }

    /// Like [`client`](Self::client), with what is known of `io`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn client_with<IO>(io: IO, config: MuxConfig, info: ConnectionInfo) -> (Self, MuxAcceptor)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start_accepting(io, Mode::Client, config, info)
    }

    /// The session of the end that accepted the connection. Both ends may open streams.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn server<IO>(io: IO, config: MuxConfig) -> (Self, MuxAcceptor)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::server_with(io, config, ConnectionInfo::default())
    }

    /// Like [`server`](Self::server), with what is known of `io`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn server_with<IO>(io: IO, config: MuxConfig, info: ConnectionInfo) -> (Self, MuxAcceptor)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start_accepting(io, Mode::Server, config, info)
    }

    /// Opens a stream. Waits while [`MuxConfig::max_outbound`] streams are open.
    ///
    /// Cancel safe: a stream that was opened for a caller who left is reset.
    ///
    /// # Errors
    /// [`MuxError`] once the session ends, or has been told to.
    pub async fn open(&self) -> Result<MuxStream, MuxError> {
        let shared = self.shared();
        let permit = Arc::clone(&shared.permits).acquire_owned().await;
        let permit = permit.map_err(|_| shared.refusal())?;
        let (reply, stream) = oneshot::channel();
        shared.command(Command::Open { permit, reply });
        stream.await.map_err(|_| shared.refusal())
    }

    /// Closes the session once every stream has been dropped, and waits for that.
    ///
    /// From the first poll on, no stream can be opened by either end.
    pub async fn close(&self) {
        self.shared().command(Command::Close { within: None });
        self.closed().await;
    }

    /// Like [`close`](Self::close), but cuts the streams that are left after `limit`.
    ///
    /// Their peers find them reset; our readers and writers get [`MuxError::Closed`].
    pub async fn close_within(&self, limit: Duration) {
        self.shared().command(Command::Close {
            within: Some(limit),
        });
        self.closed().await;
    }

    /// Waits until the session has ended and let go of the connection below: why it ended.
    pub async fn closed(&self) -> MuxError {
        self.shared().commands.closed().await;
        self.shared().cause()
    }

    /// Whether no stream can be opened any more, although some may live on.
    pub fn is_closed(&self) -> bool {
        self.shared().refusal.get().is_some()
    }

    /// What is known of the connection below.
    pub fn connection_info(&self) -> &ConnectionInfo {
        &self.shared().info
    }

    /// How the session stands.
    pub fn stats(&self) -> MuxStats {
        self.shared().stats()
    }

    /// Starts a session whose streams go to a queue of the caller's.
    pub(super) fn start<IO>(
        io: IO,
        mode: Mode,
        config: MuxConfig,
        info: ConnectionInfo,
        arrivals: mpsc::Sender<MuxStream>,
    ) -> Self
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (commands, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            commands,
            permits: Arc::new(Semaphore::new(config.max_outbound)),
            gate: Gate::new(config.send_buffer, config.frame_size),
            frame_size: config.frame_size,
            refusal: OnceLock::new(),
            cause: OnceLock::new(),
            stats: Mutex::default(),
            info,
        });
        let driver = Driver::new(io, mode, config, Arc::clone(&shared), requests, arrivals);
        tokio::spawn(driver.run());
        Self {
            user: Arc::new(User(shared)),
        }
    }

    fn start_accepting<IO>(
        io: IO,
        mode: Mode,
        config: MuxConfig,
        info: ConnectionInfo,
    ) -> (Self, MuxAcceptor)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (arrivals, queue) = mpsc::channel(config.accept_backlog);
        let session = Self::start(io, mode, config, info, arrivals);
        let shared = Arc::clone(session.shared());
        (session, MuxAcceptor { queue, shared })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.user.0
    }
}

/// The streams that the peer opens.
///
/// Dropping it resets those that nobody has accepted yet, and every one the peer opens later.
#[derive(Debug)]
pub struct MuxAcceptor {
    queue: mpsc::Receiver<MuxStream>,
    shared: Arc<Shared>,
}

impl MuxAcceptor {
    /// Waits for the next stream. Cancel safe.
    ///
    /// # Errors
    /// [`MuxError`] once the session has ended.
    pub async fn accept(&mut self) -> Result<MuxStream, MuxError> {
        let stream = self.queue.recv().await;
        stream.ok_or_else(|| self.shared.cause())
    }

    /// What is known of the connection below.
    pub fn connection_info(&self) -> &ConnectionInfo {
        &self.shared.info
    }
}

impl Stream for MuxAcceptor {
    type Item = io::Result<MuxStream>;

    /// Ends with the session; never yields an error.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(ready!(self.queue.poll_recv(cx)).map(Ok))
    }
}

/// What the driver, the handles and the streams of one session have in common.
#[derive(Debug)]
pub(super) struct Shared {
    commands: mpsc::UnboundedSender<Command>,
    pub(super) permits: Arc<Semaphore>,
    pub(super) gate: Gate,
    pub(super) frame_size: usize,
    pub(super) info: ConnectionInfo,
    /// Why no stream can be opened any more.
    refusal: OnceLock<MuxError>,
    /// Why the streams broke off. Set before they are told.
    cause: OnceLock<MuxError>,
    stats: Mutex<MuxStats>,
}

impl Shared {
    /// Sends the driver a command; one that has ended needs none.
    pub(super) fn command(&self, command: Command) {
        let _ = self.commands.send(command);
    }

    /// Lets no stream be opened any more; those that are live on.
    pub(super) fn refuse(&self, reason: MuxError) {
        // Only the first reason counts.
        let _ = self.refusal.set(reason);
        self.permits.close();
    }

    /// Records why the session ended, and ends all waiting to open or to write.
    pub(super) fn end(&self, cause: MuxError) {
        let _ = self.cause.set(cause.clone());
        self.refuse(cause);
        self.gate.close();
    }

    /// Why the session has ended.
    pub(super) fn cause(&self) -> MuxError {
        self.cause.get().cloned().unwrap_or(MuxError::Closed)
    }

    /// Whether the session has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.cause.get().is_some()
    }

    /// Changes the counters.
    pub(super) fn count(&self, change: impl FnOnce(&mut MuxStats)) {
        change(&mut self.lock_stats());
    }

    fn refusal(&self) -> MuxError {
        self.refusal.get().cloned().unwrap_or(MuxError::Closed)
    }

    fn stats(&self) -> MuxStats {
        MuxStats {
            buffered: self.gate.held(),
            ..*self.lock_stats()
        }
    }

    fn lock_stats(&self) -> MutexGuard<'_, MuxStats> {
        self.stats
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}
