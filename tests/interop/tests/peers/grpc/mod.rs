//! gRPC across languages: grpc-go over hashicorp/yamux over kcp-go, and tonic over our own of each.

mod calls;
mod service;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use interop::go::{Cipher as GoCipher, GrpcOptions, GrpcPeer};
use interop::reference::FecParams;
use kcp_tonic::{DirectChannel, EndpointExt};
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Cipher, Config, Connector, Fec, Listener};
use netlab::relay::Relay;
use tonic::transport::{Endpoint, Server};

use crate::guard::while_moving;
use crate::record;
use crate::seed::seed;
use calls::Channel;
pub(crate) use calls::call_all;
pub(crate) use service::BytesService;

const PASSPHRASE: &str = "a passphrase";

/// Calls of a test.
const CALLS: u64 = 10_000;

/// Calls at a time.
const WORKERS: u64 = 64;

/// What lies between the two, in the text form of netlab.
const PATH: &str = "delay=3ms loss=5%";

/// What is varied.
#[derive(Clone, Copy, Debug)]
struct Cell {
    mux: bool,
    cipher: &'static str,
    code: Option<(usize, usize)>,
    /// Ours does without tonic's transport.
    direct: bool,
}

/// Multiplexed with the settings for new deployments; and, in every other way, without.
const MUX: Cell = Cell {
    mux: true,
    cipher: "aes-128-gcm",
    code: Some((10, 3)),
    direct: false,
};
const PLAIN: Cell = Cell {
    mux: false,
    cipher: "aes",
    code: None,
    direct: false,
};
const DIRECT: Cell = Cell {
    direct: true,
    ..MUX
};

impl Cell {
    fn config(self) -> Config {
        let cipher = Cipher::kcptun(self.cipher, PASSPHRASE).expect("a cipher of kcptun");
        let code = |(data, parity)| Fec::new(data, parity).expect("a code");
        Config::fast3().cipher(cipher).fec(self.code.map(code))
    }

    fn peer_options(self) -> GrpcOptions {
        GrpcOptions {
            cipher: GoCipher::new(self.cipher, PASSPHRASE),
            fec: self
                .code
                .and_then(|(data, parity)| FecParams::new(data, parity)),
            mux: self.mux,
            calls: CALLS as usize,
            workers: WORKERS as usize,
            seed: seed(),
            timeout: Duration::from_secs(300),
        }
    }

    fn passed(self, role: &'static str) {
        record::passed(record::Row {
            peer: if self.mux {
                "grpc-go 1.85.0, yamux 0.1.2, kcp-go 5.6.72"
            } else {
                "grpc-go 1.85.0, kcp-go 5.6.72"
            },
            role,
            cipher: self.cipher,
            code: if self.code.is_some() { "10/3" } else { "none" },
            what: if self.direct {
                "the same without tonic's transport"
            } else {
                "10,000 calls with 5 % loss: unary, all kinds of streams, metadata, errors"
            },
        });
    }
}

/// A lossy link to `server`.
fn link(server: SocketAddr) -> Relay {
    let link: netlab::link::LinkConfig = PATH.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed()).expect("started")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_multiplexed_tonic_client_has_ten_thousand_calls_answered_by_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_client(program, MUX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tonic_client_without_mux_has_ten_thousand_calls_answered_by_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_client(program, PLAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_multiplexed_tonic_server_answers_ten_thousand_calls_of_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_server(program, MUX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tonic_server_without_mux_answers_ten_thousand_calls_of_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_server(program, PLAIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_channel_has_ten_thousand_calls_answered_by_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_client(program, DIRECT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_direct_server_answers_ten_thousand_calls_of_grpc_go() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    our_server(program, DIRECT).await;
}

async fn our_client(program: &Path, cell: Cell) {
    let (mut peer, addr) = GrpcPeer::serve(program, &cell.peer_options()).await;
    let relay = link(addr);
    let endpoint = Endpoint::from_shared(format!("http://{}", relay.local_addr()));
    let endpoint = endpoint.expect("a URI");
    let connector = Connector::new(cell.config());
    if cell.direct {
        let connector = connector.mux(MuxConfig::go_peer());
        let channel = DirectChannel::new(connector, endpoint.uri().clone());
        have_calls_answered(channel.expect("a target")).await;
    } else {
        let channel = if cell.mux {
            endpoint
                .connect_kcp(connector.mux(MuxConfig::go_peer()))
                .await
        } else {
            endpoint.connect_kcp(connector.bare()).await
        };
        have_calls_answered(channel.expect("KCP always connects")).await;
    }
    check(&mut peer, cell).await;
    cell.passed("calls");
}

async fn have_calls_answered(channel: impl Channel) {
    let done = Arc::new(AtomicU64::new(0));
    let calls = call_all(channel, CALLS, WORKERS, seed(), Arc::clone(&done));
    while_moving(|| done.load(Ordering::Relaxed), calls).await;
}

async fn our_server(program: &Path, cell: Cell) {
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let listener = Listener::bind(loopback, cell.config())
        .await
        .expect("bound");
    let relay = link(listener.local_addr());
    let service = BytesService::default();
    let answered = Arc::clone(&service.calls);
    let server = tokio::spawn(async move {
        let server = Server::builder();
        if cell.direct {
            kcp_tonic::serve_direct(listener.mux(MuxConfig::go_peer()), service).await;
            Ok(())
        } else if cell.mux {
            let incoming = kcp_tonic::Incoming::new(listener.mux(MuxConfig::go_peer()));
            server.serve_with_incoming(service, incoming).await
        } else {
            let incoming = kcp_tonic::incoming(listener.bare());
            server.serve_with_incoming(service, incoming).await
        }
    });
    let mut peer = GrpcPeer::call(program, relay.local_addr(), &cell.peer_options());
    let called = while_moving(|| answered.load(Ordering::Relaxed), peer.called()).await;
    assert_eq!(called.len() as u64, CALLS);
    assert_eq!(answered.load(Ordering::Relaxed), CALLS);
    check(&mut peer, cell).await;
    server.abort();
    cell.passed("serves");
}

/// What the peer's kcp-go counted.
async fn check(peer: &mut GrpcPeer, cell: Cell) {
    let snmp = peer.snmp().await;
    assert_eq!(snmp.in_csum_errors, 0, "{snmp:?}");
    assert_eq!(snmp.kcp_in_errors, 0, "{snmp:?}");
    assert_eq!(snmp.fec_errs, 0, "{snmp:?}");
    assert_eq!(snmp.fec_recovered > 0, cell.code.is_some(), "{snmp:?}");
}
