//! Opens sessions: by name, by address, or as a tower service.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::net::{ToSocketAddrs, lookup_host};
use tower_service::Service;

use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::error::ConnectError;
use crate::io::socket::{DatagramSocket, UdpSocket};
use crate::mux::{ConnectionInfo, MuxConfig, MuxConnector};
use crate::stream::KcpStream;

/// Opens sessions, each from a socket of its own, as a kcp-go listener needs it.
///
/// A `tower_service::Service<SocketAddr>`, so it serves wherever tower makes connections. Clones share everything.
///
/// ```
/// use std::time::Duration;
///
/// use kcp_transport::{Cipher, Config, Connector, Listener};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "secret")?);
/// let mut listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
/// let address = listener.local_addr();
///
/// // The probe makes sure that someone answers. Names are resolved: `connect("example.org:4000")`.
/// let connector = Connector::new(config.connect_probe(Duration::from_secs(5)));
/// let mut by_method = connector.connect(address).await?;
/// by_method.write_all(b"hello").await?;
/// let mut by_tower = tower::ServiceExt::oneshot(connector, address).await?;
/// by_tower.write_all(b"hello").await?;
///
/// for _ in 0..2 {
///     let (mut accepted, _) = listener.accept().await?;
///     let mut greeting = [0; 5];
///     accepted.read_exact(&mut greeting).await?;
///     assert_eq!(&greeting, b"hello");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<Config>,
    local: Option<SocketAddr>,
    shared: Option<Arc<SharedEndpoints>>,
}

/// One endpoint for each address family, bound when first needed.
#[derive(Debug, Default)]
struct SharedEndpoints {
    v4: Mutex<Option<Endpoint>>,
    v6: Mutex<Option<Endpoint>>,
}

impl Connector {
    /// A connector for sessions of this configuration.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            local: None,
            shared: None,
        }
    }

    /// Binds sockets to `addr` instead of any address and port. With a port, only one session at a time is possible,
    /// unless the socket is [shared](Self::shared_socket).
    pub fn local_addr(mut self, addr: SocketAddr) -> Self {
        self.local = Some(addr);
        self
    }

    /// Opens all sessions, of all clones, from one socket per address family.
    ///
    /// Saves sockets and NAT bindings, and lets sessions to one peer share FEC groups. Only for peers of this crate: a
    /// kcp-go listener holds one session per address and would close the earlier ones.
    pub fn shared_socket(mut self) -> Self {
        self.shared = Some(Arc::default());
        self
    }

    /// The configuration of its sessions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Opens a session with the first address of `addr` that works: with a
    /// [probe](crate::Config::connect_probe) the first that answers, otherwise the first that a socket can send to.
    ///
    /// # Errors
    /// [`ConnectError`] of the last address that was tried.
    pub async fn connect(&self, addr: impl ToSocketAddrs) -> Result<KcpStream, ConnectError> {
        let mut last_error = None;
        for peer in lookup_host(addr).await? {
            match self.connect_addr(peer).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last_error = Some(error),
            }
        }
        Err(last_error.unwrap_or(ConnectError::NoAddress))
    }

    /// Opens a session with `peer`.
    ///
    /// # Errors
    /// [`ConnectError`] if no socket can be bound, or the peer does not answer the probe.
    pub async fn connect_addr(&self, peer: SocketAddr) -> Result<KcpStream, ConnectError> {
        self.endpoint_for(peer)?.connect(peer).await
    }

    /// Opens a session over a socket of any kind; kcp-go's `NewConn`.
    ///
    /// # Errors
    /// [`ConnectError`] if the socket fails, or the peer does not answer the probe.
    pub async fn connect_over<S: DatagramSocket + Unpin>(
        &self,
        socket: S,
        peer: SocketAddr,
    ) -> Result<KcpStream, ConnectError> {
        Endpoint::new(socket, Arc::clone(&self.config))?
            .connect(peer)
            .await
    }

    /// Multiplexes: a service that opens streams over sessions which it keeps for each address.
    pub fn mux(self, config: MuxConfig) -> MuxConnector<Self, SocketAddr> {
        MuxConnector::with_info(self, config, |stream| ConnectionInfo::from(stream))
    }

    fn endpoint_for(&self, peer: SocketAddr) -> io::Result<Endpoint> {
        let Some(shared) = &self.shared else {
            return self.bind(peer);
        };
        let slot = if peer.is_ipv4() {
            &shared.v4
        } else {
            &shared.v6
        };
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        match &*slot {
            Some(endpoint) if !endpoint.is_closed() => Ok(endpoint.clone()),
            Some(_) | None => Ok(slot.insert(self.bind(peer)?).clone()),
        }
    }

    fn bind(&self, peer: SocketAddr) -> io::Result<Endpoint> {
        let any = if peer.is_ipv4() {
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
        } else {
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
        };
        let socket = UdpSocket::bind(self.local.unwrap_or(any), &self.config, false)?;
        Endpoint::new(socket, Arc::clone(&self.config))
    }
}

impl Service<SocketAddr> for Connector {
    type Response = KcpStream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<KcpStream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, peer: SocketAddr) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move { connector.connect_addr(peer).await })
    }
}
