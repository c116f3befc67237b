//! tonic over HTTP/3, by the crate `tonic-h3` with quinn.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;
use tonic_h3::H3Channel;
use tonic_h3::quinn::h3_quinn::quinn::Endpoint;
use tonic_h3::quinn::{H3QuinnAcceptor, H3QuinnConnector};
use tonic_h3::server::H3Router;

use super::quic::{Ends, NAME};
use super::rpc::{RpcClient, routes};
use super::{Server, Transport};
use crate::client::Client;
use crate::names::Congestion;

/// A channel for every connection.
pub(super) struct H3 {
    ends: Ends,
    client: OnceCell<Endpoint>,
}

impl H3 {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            ends: Ends::new(Congestion::Cubic, b"h3")?,
            client: OnceCell::new(),
        })
    }
}

impl Transport for H3 {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let endpoint = self.ends.server(listen)?;
            let addr = endpoint.local_addr()?;
            Ok(Server::new(addr, async move {
                let acceptor = H3QuinnAcceptor::new(endpoint);
                let serving = H3Router::new(routes()).serve(acceptor);
                serving.await.map_err(io::Error::other)
            }))
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        Box::pin(async move {
            let endpoint = async || self.ends.client(server);
            let endpoint = self.client.get_or_try_init(endpoint).await?;
            let uri: http::Uri = format!("https://{server}")
                .parse()
                .map_err(io::Error::other)?;
            let connector = H3QuinnConnector::new(uri.clone(), NAME.to_owned(), endpoint.clone());
            let channel = H3Channel::new(connector, uri.clone(), None);
            Ok(Box::new(RpcClient::new(channel, uri)) as Box<dyn Client>)
        })
    }
}
