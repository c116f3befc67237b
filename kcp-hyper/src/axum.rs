//! A listener for `axum::serve`.

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use futures_core::Stream;
use kcp_transport::Listener;
use tracing::warn;

use crate::info::{KcpConnectInfo, KcpIo};

/// A listener for `axum::serve`.
///
/// Handlers get [`ConnectInfo`](axum::extract::ConnectInfo)`<`[`KcpConnectInfo`]`>` if the router is served with
/// `into_make_service_with_connect_info::<KcpConnectInfo>()`.
///
/// ```
/// use axum::Router;
/// use axum::extract::ConnectInfo;
/// use axum::routing::get;
/// use http_body_util::BodyExt;
/// use kcp_hyper::{AxumListener, KcpConnectInfo};
/// use kcp_transport::{Config, Connector, Listener};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// async fn hello(ConnectInfo(peer): ConnectInfo<KcpConnectInfo>) -> String {
///     format!("hello {}, at a loss of {}", peer.peer_addr().ip(), peer.stats().loss_rate)
/// }
///
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let uri = format!("http://{}/", listener.local_addr()).parse()?;
/// let router = Router::new().route("/", get(hello));
/// let service = router.into_make_service_with_connect_info::<KcpConnectInfo>();
/// tokio::spawn(async move { axum::serve(AxumListener::from(listener), service).await });
///
/// # #[cfg(feature = "client")]
/// # {
/// let client = kcp_hyper::client::<_, String>(Connector::new(Config::default()));
/// let answer = client.get(uri).await?.into_body().collect().await?.to_bytes();
/// assert_eq!(answer, "hello 127.0.0.1, at a loss of 0");
/// # }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AxumListener<S> {
    /// `None` once it has ended.
    incoming: Option<S>,
    local_addr: SocketAddr,
}

impl<S> AxumListener<S> {
    /// Serves the connections of `incoming`, which come in at `local_addr`.
    pub fn new(incoming: S, local_addr: SocketAddr) -> Self {
        Self {
            incoming: Some(incoming),
            local_addr,
        }
    }
}

impl From<Listener> for AxumListener<kcp_transport::Incoming> {
    fn from(listener: Listener) -> Self {
        let local_addr = listener.local_addr();
        Self::new(listener.incoming(), local_addr)
    }
}

impl<S, IO> axum::serve::Listener for AxumListener<S>
where
    S: Stream<Item = io::Result<IO>> + Unpin + Send + 'static,
    IO: KcpIo + Unpin + Send + 'static,
{
    type Io = IO;
    type Addr = SocketAddr;

    /// Waits for ever once the listener has ended: axum knows no other end than its shutdown signal.
    async fn accept(&mut self) -> (IO, SocketAddr) {
        while let Some(incoming) = &mut self.incoming {
            match poll_fn(|cx| Pin::new(&mut *incoming).poll_next(cx)).await {
                Some(Ok(io)) => {
                    let peer = io.connect_info().peer_addr();
                    return (io, peer);
                }
                Some(Err(error)) => {
                    warn!(%error, "cannot accept");
                    tokio::task::yield_now().await;
                }
                None => self.incoming = None,
            }
        }
        pending().await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local_addr)
    }
}

impl<S, IO> Connected<IncomingStream<'_, AxumListener<S>>> for KcpConnectInfo
where
    S: Stream<Item = io::Result<IO>> + Unpin + Send + 'static,
    IO: KcpIo + Unpin + Send + 'static,
{
    fn connect_info(stream: IncomingStream<'_, AxumListener<S>>) -> Self {
        stream.io().connect_info()
    }
}
