//! What tonic's `Endpoint` gains.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint, Error};
use tower_service::Service;

use crate::connector::Connector;
use crate::pool::{ChannelPool, Sessions};

/// Silence of the server after which it is pinged.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long it may take to answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// What tonic's `Endpoint` gains: channels over KCP.
///
/// `connector` is any service that makes connections to addresses: `kcp_transport`'s own, or one wrapped around it. Each
/// method applies [`kcp_defaults`](Self::kcp_defaults) first.
///
/// ```
/// # use kcp_transport::Listener;
/// # use tonic::transport::Server;
/// use kcp_tonic::EndpointExt;
/// use kcp_transport::{Config, Connector};
/// use tonic::transport::Endpoint;
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// # let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
/// # let (_, health) = tonic_health::server::health_reporter();
/// # let server = Server::builder().add_service(health);
/// # tokio::spawn(server.serve_with_incoming(kcp_tonic::incoming(listener)));
/// let connector = Connector::new(Config::default());
/// let at_once = endpoint.connect_kcp(connector.clone()).await?;
/// let with_the_first_call = endpoint.connect_kcp_lazy(connector);
/// for channel in [at_once, with_the_first_call] {
///     HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
/// }
/// # Ok(())
/// # }
/// ```
pub trait EndpointExt: Sized {
    /// Turns on HTTP/2 pings: after 20 s of silence, also without calls under way, and given up after 10 s more.
    ///
    /// KCP does not tell that a peer is gone, and tonic sends no pings by default. For other times, set them after this and
    /// use `connect_with_connector` with a [`Connector`].
    fn kcp_defaults(self) -> Self;

    /// Connects.
    ///
    /// KCP has no handshake: unless the configuration has a
    /// [probe](kcp_transport::Config::connect_probe), this succeeds though nobody listens, and the first call fails.
    ///
    /// # Errors
    /// If the URI cannot be resolved, or the connector fails.
    fn connect_kcp<C: Dial>(
        &self,
        connector: C,
    ) -> impl Future<Output = Result<Channel, Error>> + Send;

    /// A channel that connects with its first call.
    fn connect_kcp_lazy<C: Dial>(&self, connector: C) -> Channel;

    /// A pool of `k` channels, at least one, each with a session of its own. Each connects with its first call.
    fn connect_kcp_pool<C: Dial + Sessions>(&self, connector: C, k: usize) -> ChannelPool;
}

impl EndpointExt for Endpoint {
    fn kcp_defaults(self) -> Self {
        self.http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
    }

    fn connect_kcp<C: Dial>(
        &self,
        connector: C,
    ) -> impl Future<Output = Result<Channel, Error>> + Send {
        let endpoint = self.clone().kcp_defaults();
        async move {
            endpoint
                .connect_with_connector(Connector::new(connector))
                .await
        }
    }

    fn connect_kcp_lazy<C: Dial>(&self, connector: C) -> Channel {
        self.clone()
            .kcp_defaults()
            .connect_with_connector_lazy(Connector::new(connector))
    }

    fn connect_kcp_pool<C: Dial + Sessions>(&self, connector: C, k: usize) -> ChannelPool {
        ChannelPool::new(
            connector
                .sessions(k.max(1))
                .into_iter()
                .map(|connector| self.connect_kcp_lazy(connector)),
        )
    }
}

/// Services that connect to addresses, as tonic needs them. Implemented for all that fit.
pub trait Dial:
    Service<
        SocketAddr,
        Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
}

impl<C> Dial for C where
    C: Service<
            SocketAddr,
            Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
            Error: Into<Box<dyn std::error::Error + Send + Sync>>,
            Future: Send,
        > + Clone
        + Send
        + 'static
{
}
