//! The connections of a listener, as tonic's server takes them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use kcp_hyper::{IntoIncoming, KcpConnectInfo, KcpIo};
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic::{Request, Status};

/// The connections of `listener`, for `serve_with_incoming` and `serve_with_incoming_shutdown`.
///
/// Multiplexed, for clients that are; `kcp_tonic::incoming(listener.bare())` is for clients that are not. See
/// [`IntoIncoming`].
///
/// When a graceful shutdown drops it, no session begins any more; those that live are served to their end.
pub fn incoming<L: IntoIncoming>(listener: L) -> Incoming<L::Incoming> {
    Incoming::new(listener.into_incoming())
}

/// Gives `Request::remote_addr()` the peer's address: an interceptor for the whole server.
///
/// tonic itself knows only TCP peers. [`KcpConnectInfo`] in the request's extensions says more, and needs no interceptor.
///
/// ```
/// use tonic::service::InterceptorLayer;
/// use tonic::transport::Server;
///
/// let server = Server::builder().layer(InterceptorLayer::new(kcp_tonic::remote_addr));
/// ```
///
/// # Errors
/// Never.
pub fn remote_addr(mut request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(info) = connect_info(&request) {
        let info = TcpConnectInfo {
            local_addr: Some(info.local_addr()),
            remote_addr: Some(info.peer_addr()),
        };
        request.extensions_mut().insert(info);
    }
    Ok(request)
}

fn connect_info(request: &Request<()>) -> Option<&KcpConnectInfo> {
    let plain = request.extensions().get();
    #[cfg(any(feature = "tls-ring", feature = "tls-aws-lc"))]
    let plain = plain.or_else(|| {
        use tonic::transport::server::TlsConnectInfo;
        let below_tls = request.extensions().get::<TlsConnectInfo<KcpConnectInfo>>();
        below_tls.map(TlsConnectInfo::get_ref)
    });
    plain
}

/// The connections of any stream as they are, as tonic's server takes them. [`incoming`] multiplexes those of a listener
/// first.
///
/// Errors are passed on; tonic ignores them and goes on.
///
/// ```
/// use kcp_tonic::{EndpointExt, Incoming};
/// use kcp_transport::mux::MuxConfig;
/// use kcp_transport::{Config, Connector, Listener};
/// use tonic::transport::{Endpoint, Server};
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
/// let (_, health) = tonic_health::server::health_reporter();
/// let incoming = Incoming::new(listener.mux(MuxConfig::default()));
/// tokio::spawn(Server::builder().add_service(health).serve_with_incoming(incoming));
///
/// let connector = Connector::new(Config::default()).mux(MuxConfig::default());
/// let channel = endpoint.connect_kcp(connector).await?;
/// HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
/// # Ok(())
/// # }
/// ```
#[pin_project]
#[derive(Debug)]
pub struct Incoming<S> {
    #[pin]
    connections: S,
}

impl<S> Incoming<S> {
    /// Wraps each connection of `connections`.
    pub fn new(connections: S) -> Self {
        Self { connections }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.connections
    }
}

impl<S, IO> Stream for Incoming<S>
where
    S: Stream<Item = io::Result<IO>>,
{
    type Item = io::Result<ServerIo<IO>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.project()
            .connections
            .poll_next(cx)
            .map(|next| next.map(|io| io.map(ServerIo)))
    }
}

/// A connection that tells tonic's server what it is.
#[pin_project]
#[derive(Debug)]
pub struct ServerIo<IO>(#[pin] IO);

impl<IO> ServerIo<IO> {
    /// The connection itself.
    pub fn get_ref(&self) -> &IO {
        &self.0
    }

    /// The connection itself.
    pub fn into_inner(self) -> IO {
        self.0
    }
}

impl<IO: KcpIo> Connected for ServerIo<IO> {
    type ConnectInfo = KcpConnectInfo;

    fn connect_info(&self) -> KcpConnectInfo {
        self.0.connect_info()
    }
}

impl<IO: AsyncRead> AsyncRead for ServerIo<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.project().0.poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite> AsyncWrite for ServerIo<IO> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().0.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().0.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().0.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().0.poll_shutdown(cx)
    }
}
