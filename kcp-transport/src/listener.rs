//! Accepts sessions that peers open.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::net::{ToSocketAddrs, lookup_host};
use tokio::sync::mpsc;

use crate::config::Config;
use crate::endpoint::{Endpoint, poll_accepted};
use crate::error::SessionError;
use crate::io::pipe::Opened;
use crate::io::socket::{DatagramSocket, UdpSocket};
use crate::mux::{ConnectionInfo, MuxConfig, MuxIncoming};
use crate::stats::EndpointStats;
use crate::stream::KcpStream;

/// Accepts sessions that peers open.
///
/// Dropping it stops accepting; sessions already accepted live on.
///
/// ```
/// use kcp_transport::{Config, Connector, Listener};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let address = listener.local_addr();
/// tokio::spawn(async move {
///     while let Ok((stream, peer)) = listener.accept().await {
///         tokio::spawn(async move {
///             let (mut reader, mut writer) = stream.into_split();
///             let ended = tokio::io::copy(&mut reader, &mut writer).await;
///             println!("{peer} is gone: {ended:?}");
///         });
///     }
/// });
///
/// let mut client = Connector::new(Config::default()).connect(address).await?;
/// client.write_all(b"echo").await?;
/// let mut echo = [0; 4];
/// client.read_exact(&mut echo).await?;
/// assert_eq!(&echo, b"echo");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    endpoints: Vec<Endpoint>,
    accepted: mpsc::Receiver<Opened>,
}

impl Listener {
    /// Binds a UDP socket and takes sessions on it. `[::]` takes IPv4 peers, too, where the system allows it.
    ///
    /// # Errors
    /// If the address cannot be resolved or bound.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn bind(addr: impl ToSocketAddrs, config: Config) -> io::Result<Self> {
        Self::bind_shards(addr, 1, config).await
    }

    /// As [`bind`](Self::bind), with `shards` sockets at the same address, each with a driver task of its own. The
    /// system spreads peers over them, and a multi-threaded runtime the drivers over cores.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn bind_shards(
        addr: impl ToSocketAddrs,
        shards: usize,
        config: Config,
    ) -> io::Result<Self> {
        let config = Arc::new(config);
        let shards = shards.max(1);
        let mut last_error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for addr in lookup_host(addr).await? {
            match UdpSocket::bind(addr, &config, shards > 1) {
                Ok(first) => {
                    let bound = first.local_addr()?;
                    let mut sockets = vec![first];
                    for _ in 1..shards {
                        sockets.push(UdpSocket::bind(bound, &config, true)?);
                    }
                    return Self::start(sockets, &config);
                }
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }

    /// Takes sessions on a socket of any kind.
    ///
    /// # Errors
    /// If the socket does not know its address.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn from_socket<S: DatagramSocket + Unpin>(socket: S, config: Config) -> io::Result<Self> {
        Self::start(vec![socket], &Arc::new(config))
    }

    fn start<S: DatagramSocket + Unpin>(sockets: Vec<S>, config: &Arc<Config>) -> io::Result<Self> {
        let (sender, accepted) = mpsc::channel(config.accept_backlog);
        let endpoints = sockets
            .into_iter()
            .map(|socket| Endpoint::accepting(socket, Arc::clone(config), sender.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self {
            endpoints,
            accepted,
        })
    }

    /// Waits for the next session.
    ///
    /// # Errors
    /// Once the listener is [closed](Self::close) or its socket has failed; it stays so.
    pub async fn accept(&mut self) -> io::Result<(KcpStream, SocketAddr)> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// As [`accept`](Self::accept), by polling.
    pub fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(KcpStream, SocketAddr)>> {
        let stream = ready!(poll_accepted(&mut self.accepted, cx));
        Poll::Ready(match stream {
            Some(stream) => {
                let peer = stream.peer_addr();
                Ok((stream, peer))
            }
            None => Err(SessionError::EndpointClosed.into()),
        })
    }

    /// The sessions as a stream, which ends when the listener does.
    pub fn incoming(self) -> Incoming {
        Incoming { listener: self }
    }

    /// The streams of all sessions, for peers that multiplex.
    pub fn mux(self, config: MuxConfig) -> MuxIncoming<Incoming, KcpStream> {
        MuxIncoming::with_info(self.incoming(), config, |stream| {
            ConnectionInfo::from(stream)
        })
    }

    /// The bound address, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.endpoints[0].local_addr()
    }

    /// The sockets behind it: each also opens sessions, from the address that is listened on.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// Counters of all its sockets, added up.
    ///
    /// # Errors
    /// [`SessionError::EndpointClosed`] once a driver has ended.
    pub async fn stats(&self) -> Result<EndpointStats, SessionError> {
        let mut sum = EndpointStats::default();
        for endpoint in &self.endpoints {
            sum.add(&endpoint.stats().await?);
        }
        Ok(sum)
    }

    /// Takes no more sessions. Those already accepted live on; those that wait can still be accepted.
    pub fn close(&mut self) {
        for endpoint in &self.endpoints {
            endpoint.stop_accepting();
        }
        self.accepted.close();
    }

    /// Stops accepting and ends all sessions at once.
    pub fn abort(&mut self) {
        self.close();
        for endpoint in &self.endpoints {
            endpoint.close();
        }
    }
}

/// The sessions of a [`Listener`] as a stream. Errors of single sessions do not show here; the stream ends when the
/// listener does.
///
/// ```
/// use kcp_transport::{Config, Connector, Listener};
/// use tokio::io::AsyncWriteExt;
/// use tokio_stream::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let mut client = Connector::new(Config::default()).connect(listener.local_addr()).await?;
/// client.write_all(b"hello").await?;
///
/// let mut incoming = listener.incoming();
/// let accepted = incoming.next().await.expect("the listener lives")?;
/// assert_eq!(accepted.conv(), client.conv());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Incoming {
    listener: Listener,
}

impl Incoming {
    /// The listener behind it.
    pub fn listener(&self) -> &Listener {
        &self.listener
    }

    /// The listener behind it.
    pub fn listener_mut(&mut self) -> &mut Listener {
        &mut self.listener
    }
}

impl Stream for Incoming {
    type Item = io::Result<KcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        poll_accepted(&mut self.listener.accepted, cx).map(|stream| stream.map(Ok))
    }
}
