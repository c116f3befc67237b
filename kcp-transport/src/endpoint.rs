//! A bound socket with its driver: sessions are opened and accepted through it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::config::Config;
use crate::error::{ConnectError, SessionError};
use crate::io::driver::Driver;
use crate::io::mailbox::{Command, Mailbox};
use crate::io::pipe::Opened;
use crate::io::socket::DatagramSocket;
use crate::proto::crypto::Protection;
use crate::stats::EndpointStats;
use crate::stream::KcpStream;

/// A bound socket with its driver task: opens sessions to peers from that one socket.
///
/// Clones share it. When the last one is gone no further sessions begin, those that live go on, and the driver ends
/// with the last of them. A kcp-go listener holds one session per address: towards it, open one per endpoint, as
/// [`Connector`](crate::Connector) does.
///
/// ```
/// use std::sync::Arc;
///
/// use kcp_transport::{Config, Endpoint, Listener, UdpSocket};
/// use tokio::io::AsyncWriteExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default();
/// let mut listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
///
/// let socket = UdpSocket::bind("127.0.0.1:0".parse()?, &config, false)?;
/// let endpoint = Endpoint::new(socket, Arc::new(config))?;
/// let mut one = endpoint.connect(listener.local_addr()).await?;
/// let mut other = endpoint.connect(listener.local_addr()).await?;
/// one.write_all(b"one").await?;
/// other.write_all(b"other").await?;
///
/// for _ in 0..2 {
///     let (_session, peer) = listener.accept().await?;
///     assert_eq!(peer, endpoint.local_addr());
/// }
/// assert!(endpoint.stats().await?.sessions.bytes_sent >= 8);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    mailbox: Arc<Mailbox>,
    local: SocketAddr,
    connect_probe: Option<std::time::Duration>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A driver that is gone needs no telling.
        let _ = self.mailbox.command(Command::StopAccepting);
    }
}

impl Endpoint {
    /// Drives `socket`, for opening sessions only.
    ///
    /// # Errors
    /// If the socket does not know its address.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new<S: DatagramSocket + Unpin>(socket: S, config: Arc<Config>) -> io::Result<Self> {
        Self::start(socket, config, None)
    }

    /// Drives `socket`; sessions of peers go to the second value, too.
    pub(crate) fn accepting<S: DatagramSocket + Unpin>(
        socket: S,
        config: Arc<Config>,
        accepted: mpsc::Sender<Opened>,
    ) -> io::Result<Self> {
        Self::start(socket, config, Some(accepted))
    }

    fn start<S: DatagramSocket + Unpin>(
        socket: S,
        config: Arc<Config>,
        accepted: Option<mpsc::Sender<Opened>>,
    ) -> io::Result<Self> {
        let cipher = config.get_cipher();
        if cipher.protection() == Protection::Unprotected {
            warn!(cipher = cipher.name(), "packets will not be encrypted");
        }
        let local = socket.local_addr()?;
        let mailbox = Arc::new(Mailbox::default());
        let connect_probe = config.connect_probe;
        let driver = Driver::new(socket, config, Arc::clone(&mailbox), accepted)?;
        tokio::spawn(driver);
        Ok(Self(Arc::new(Inner {
            mailbox,
            local,
            connect_probe,
        })))
    }

    /// Opens a session with `peer`. Without a [probe](Config::connect_probe) this does not wait for the peer: KCP has
    /// no handshake.
    ///
    /// # Errors
    /// [`ConnectError`] if the endpoint is closed, or the peer does not answer the probe in time.
    pub async fn connect(&self, peer: SocketAddr) -> Result<KcpStream, ConnectError> {
        self.connect_conv(peer, None).await
    }

    /// As [`connect`](Self::connect), with a conversation number of the caller's choice instead of a random one.
    ///
    /// # Errors
    /// As [`connect`](Self::connect), and if a session with this peer and number lives.
    pub async fn connect_with_conv(
        &self,
        peer: SocketAddr,
        conv: u32,
    ) -> Result<KcpStream, ConnectError> {
        self.connect_conv(peer, Some(conv)).await
    }

    async fn connect_conv(
        &self,
        peer: SocketAddr,
        conv: Option<u32>,
    ) -> Result<KcpStream, ConnectError> {
        let (reply, opened) = oneshot::channel();
        self.0
            .mailbox
            .command(Command::Connect(peer, conv, reply))
            .map_err(|_| SessionError::EndpointClosed)?;
        let opened = opened.await.map_err(|_| SessionError::EndpointClosed)??;
        let stream = KcpStream::new(opened);
        if let Some(timeout) = self.0.connect_probe {
            tokio::time::timeout(timeout, stream.probe())
                .await
                .map_err(|_| ConnectError::NoAnswer(timeout))??;
        }
        Ok(stream)
    }

    /// The address that the socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.0.local
    }

    /// Counters of the socket and all its sessions, past ones included.
    ///
    /// # Errors
    /// [`SessionError::EndpointClosed`] once the driver has ended.
    pub async fn stats(&self) -> Result<EndpointStats, SessionError> {
        let (reply, stats) = oneshot::channel();
        self.0
            .mailbox
            .command(Command::Stats(reply))
            .map_err(|_| SessionError::EndpointClosed)?;
        stats.await.map_err(|_| SessionError::EndpointClosed)
    }

    /// Whether its driver has ended, by [`close`](Self::close) or because its socket failed.
    pub fn is_closed(&self) -> bool {
        self.0.mailbox.is_closed()
    }

    /// Takes no more sessions from peers.
    pub(crate) fn stop_accepting(&self) {
        let _ = self.0.mailbox.command(Command::StopAccepting);
    }

    /// Ends all sessions at once and closes the socket. Written data that was not acknowledged may be lost.
    pub fn close(&self) {
        let _ = self.0.mailbox.command(Command::Close);
    }
}

/// Waits for the next session of a peer.
pub(crate) fn poll_accepted(
    accepted: &mut mpsc::Receiver<Opened>,
    cx: &mut Context<'_>,
) -> Poll<Option<KcpStream>> {
    accepted.poll_recv(cx).map(|opened| {
        let Opened(handle) = opened?;
        handle.request(|requests| requests.accepted = true);
        Some(KcpStream::new(Opened(handle)))
    })
}
