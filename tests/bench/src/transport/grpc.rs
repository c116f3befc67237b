//! tonic over TCP and over our sessions.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use kcp_tonic::{DirectChannel, EndpointExt};
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Config, Connector, Listener};
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
    /// Straight from HTTP/2.
    KcpDirect(Config),
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
                    let serving = router.serve_with_incoming(kcp_tonic::incoming(listener.bare()));
                    Server::new(addr, async { serving.await.map_err(io::Error::other) })
                }
                Below::KcpDirect(config) => {
                    let listener = Listener::bind(listen, config.clone()).await?;
                    let addr = listener.local_addr();
                    let serving = kcp_tonic::serve_direct(listener.bare(), routes().prepare());
                    Server::new(addr, async {
                        serving.await;
                        Ok(())
                    })
                }
                Below::KcpMux(config) => {
                    let listener = Listener::bind(listen, config.clone()).await?;
                    let addr = listener.local_addr();
                    let streams = listener.mux(MuxConfig::default());
                    let serving = router.serve_with_incoming(kcp_tonic::incoming(streams));
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
                Below::Kcp(config) => {
                    endpoint
                        .connect_kcp(Connector::new(config.clone()).bare())
                        .await
                }
                Below::KcpDirect(config) => {
                    let connector = Connector::new(config.clone()).bare();
                    let channel =
                        DirectChannel::new(connector, uri.clone()).map_err(io::Error::other)?;
                    return Ok(Box::new(RpcClient::new(channel, uri)) as Box<dyn Client>);
                }
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
