//! tonic over TCP and over our sessions.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::TryStreamExt;
use hyper_util::rt::TokioIo;
use kcp_tonic::{EndpointExt, KcpConnectInfo, KcpIo};
use kcp_transport::mux::{MuxConfig, MuxStream};
use kcp_transport::{Config, Connector, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Endpoint, Server as TonicServer};

use super::rpc::{RpcClient, routes};
use super::tcp::Tcp;
use super::{Server, Transport};
use crate::client::Client;

/// A channel for every connection.
pub(super) struct Grpc {
    below: Below,
}

/// What is below tonic.
pub(super) enum Below {
    Tcp(Tcp),
    Kcp(Config),
    KcpMux(Config),
}

impl Grpc {
    pub(super) fn new(below: Below) -> Self {
        Self { below }
    }
}

impl Transport for Grpc {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let router = TonicServer::builder().add_routes(routes());
            Ok(match &self.below {
                Below::Tcp(tcp) => {
                    let listener = tcp.listen(listen)?;
                    let addr = listener.local_addr()?;
                    let serving = router.serve_with_incoming(TcpListenerStream::new(listener));
                    Server::new(addr, async { serving.await.map_err(io::Error::other) })
                }
                Below::Kcp(config) => {
                    let listener = Listener::bind(listen, config.clone()).await?;
                    let addr = listener.local_addr();
                    let serving = router.serve_with_incoming(kcp_tonic::incoming(listener));
                    Server::new(addr, async { serving.await.map_err(io::Error::other) })
                }
                Below::KcpMux(config) => {
                    let listener = Listener::bind(listen, config.clone()).await?;
                    let addr = listener.local_addr();
                    let streams = listener.mux(MuxConfig::default());
                    let serving =
                        router.serve_with_incoming(kcp_tonic::Incoming::new(streams.map_ok(Muxed)));
                    Server::new(addr, async { serving.await.map_err(io::Error::other) })
                }
            })
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        Box::pin(async move {
            let uri: http::Uri = format!("http://{server}")
                .parse()
                .map_err(io::Error::other)?;
            let endpoint = Endpoint::from(uri.clone());
            let channel = match &self.below {
                Below::Tcp(tcp) => {
                    let tcp = *tcp;
                    let dial =
                        move |_: http::Uri| async move { tcp.dial(server).await.map(TokioIo::new) };
                    endpoint
                        .connect_with_connector(tower::service_fn(dial))
                        .await
                }
                Below::Kcp(config) => endpoint.connect_kcp(Connector::new(config.clone())).await,
                Below::KcpMux(config) => {
                    let connector = Connector::new(config.clone());
                    endpoint
                        .connect_kcp(connector.mux(MuxConfig::default()))
                        .await
                }
            };
            let channel = channel.map_err(io::Error::other)?;
            Ok(Box::new(RpcClient::new(channel, uri)) as Box<dyn Client>)
        })
    }
}

/// A stream of a multiplexed session, as tonic's server takes it.
struct Muxed(MuxStream);

impl KcpIo for Muxed {
    fn connect_info(&self) -> KcpConnectInfo {
        let session = self.0.connection_info().session.clone();
        session.expect("our listener accepts sessions only").into()
    }
}

impl AsyncRead for Muxed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Muxed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
