//! Both adapters with every cipher, both address families, multiplexed and not, and with TLS on top.

use std::net::SocketAddr;

use bytes::Bytes;
use e2e::World;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use http::Response;
use http_body_util::{BodyExt, Empty};
use kcp_hyper::KcpConnectInfo;
use kcp_tonic::{EndpointExt, Incoming};
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Cipher, Config, Connector, Fec, Listener};
use tonic::transport::{Endpoint, Server};

use crate::http1::full;
use crate::server::packet;
use crate::tls::SelfSigned;

#[derive(Clone, Copy, Debug)]
struct Cell {
    cipher: &'static str,
    ip: &'static str,
    mux: bool,
    fec: bool,
}

fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for &cipher in Cipher::KCPTUN_NAMES {
        for ip in ["127.0.0.1", "[::1]"] {
            for mux in [false, true] {
                let fec = mux == (ip == "[::1]");
                cells.push(Cell {
                    cipher,
                    ip,
                    mux,
                    fec,
                });
            }
        }
    }
    cells
}

impl Cell {
    fn config(self) -> Config {
        let cipher = Cipher::kcptun(self.cipher, "matrix").unwrap();
        let fec = self.fec.then(|| Fec::new(10, 3).unwrap());
        Config::default().cipher(cipher).fec(fec)
    }

    async fn listen(self) -> Listener {
        Listener::bind(format!("{}:0", self.ip), self.config())
            .await
            .unwrap()
    }

    fn connector(self) -> Connector {
        Connector::new(self.config())
    }
}

/// One call, in plain text or with TLS on top.
async fn call(cell: Cell, tls: Option<&SelfSigned>) {
    let listener = cell.listen().await;
    let addr = listener.local_addr();
    let service = ProbeServer::new(Probe::new().0);
    let mut server = tls.map_or_else(Server::builder, SelfSigned::server);
    let router = server.add_service(service);
    let endpoint = match tls {
        Some(tls) => tls.endpoint(addr),
        None => Endpoint::from_shared(format!("http://{addr}")).unwrap(),
    };
    let channel = if cell.mux {
        let incoming = Incoming::new(listener.mux(MuxConfig::default()));
        tokio::spawn(router.serve_with_incoming(incoming));
        let connector = cell.connector().mux(MuxConfig::default());
        endpoint.connect_kcp(connector).await
    } else {
        tokio::spawn(router.serve_with_incoming(kcp_tonic::incoming(listener)));
        endpoint.connect_kcp(cell.connector()).await
    };
    let mut client = ProbeClient::new(channel.unwrap());
    let echoed = client.echo(packet(5_000)).await;
    assert!(echoed.unwrap().into_inner() == packet(5_000), "{cell:?}");
}

/// One request with HTTP/1 and one with HTTP/2.
async fn get(cell: Cell) {
    let listener = cell.listen().await;
    let addr = listener.local_addr();
    let hello =
        |_| async { Ok::<_, std::convert::Infallible>(Response::new(full(packet(5_000).data))) };
    let service = hyper::service::service_fn(hello);
    if cell.mux {
        tokio::spawn(kcp_hyper::serve(
            listener.mux(MuxConfig::default()),
            service,
        ));
        let connector = cell.connector().mux(MuxConfig::default());
        ask(kcp_hyper::client(connector.clone()), addr, cell).await;
        ask(kcp_hyper::http2_client(connector), addr, cell).await;
    } else {
        tokio::spawn(kcp_hyper::serve(listener.incoming(), service));
        ask(kcp_hyper::client(cell.connector()), addr, cell).await;
        ask(kcp_hyper::http2_client(cell.connector()), addr, cell).await;
    }
}

async fn ask<C>(
    client: hyper_util::client::legacy::Client<C, Empty<Bytes>>,
    server: SocketAddr,
    cell: Cell,
) where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let uri = format!("http://{server}/").parse().unwrap();
    let response = client.get(uri).await.unwrap();
    let info = response.extensions().get::<KcpConnectInfo>().unwrap();
    assert_eq!(info.peer_addr(), server);
    assert_eq!(info.stream_id().is_some(), cell.mux);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert!(body == packet(5_000).data, "{cell:?}");
}

#[test]
fn grpc_works_with_every_cipher_and_address_multiplexed_or_not() {
    World::real(|_| async {
        for cell in cells() {
            call(cell, None).await;
        }
    });
}

#[test]
fn http_works_with_every_cipher_and_address_multiplexed_or_not() {
    World::real(|_| async {
        for cell in cells() {
            get(cell).await;
        }
    });
}

#[test]
fn tls_works_on_top_of_every_cipher_and_address_multiplexed_or_not() {
    let certificate = SelfSigned::new();
    World::real(|_| async {
        for cell in cells() {
            call(cell, Some(&certificate)).await;
        }
    });
}
