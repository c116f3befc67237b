//! Peers that are gone without a word: KCP has no goodbye, so pings find out.

use std::time::Duration;

use e2e::World;
use e2e::generated::Order;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use kcp_transport::mux::{KeepAlive, MuxConfig};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Status};

use crate::server::{Limits, Running, packet};

/// Silence after which a peer is pinged here, and how long it may take to answer.
const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(3);

/// A channel that pings.
fn pinging_channel(world: &World, endpoint: Endpoint, mux: MuxConfig) -> Channel {
    let connector = kcp_tonic::Connector::new(world.dialer().mux_with(mux));
    endpoint
        .http2_keep_alive_interval(INTERVAL)
        .keep_alive_timeout(TIMEOUT)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(connector)
}

/// Whether a call failed because its connection did.
fn is_loss(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::Unknown)
}

fn pinging_server() -> Server {
    Server::builder()
        .http2_keepalive_interval(Some(INTERVAL))
        .http2_keepalive_timeout(Some(TIMEOUT))
}

async fn a_download_from_a_server_that_vanishes_is_an_error_and_not_an_end(world: World) {
    let server = Running::start(&world);
    // Pings of HTTP/2 alone.
    let quiet = MuxConfig::default().keep_alive(None);
    let mut client = ProbeClient::new(pinging_channel(&world, server.endpoint(), quiet));
    let endless = Order {
        packets: u64::MAX,
        length: 1_000,
    };
    let mut packets = client.download(endless).await.unwrap().into_inner();
    for _ in 0..10 {
        packets.message().await.unwrap().unwrap();
    }
    server.vanish();
    let status = loop {
        match packets.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("half a download looks like a whole one"),
            Err(status) => break status,
        }
    };
    assert!(is_loss(&status), "{status:?}");
}

async fn the_next_call_after_a_server_vanished_and_came_back_is_answered(world: World) {
    let server = Running::start(&world);
    // The session has to be given up, too, not only the HTTP/2 connection in it.
    let keep_alive = KeepAlive::new(INTERVAL, TIMEOUT).unwrap();
    let config = MuxConfig::default().keep_alive(Some(keep_alive));
    let channel = pinging_channel(&world, server.endpoint(), config);
    let mut client = ProbeClient::new(channel);
    client.echo(packet(1)).await.unwrap();
    let addr = server.vanish();
    // Nobody told the client.
    let status = client.echo(packet(2)).await.unwrap_err();
    assert!(is_loss(&status), "{status:?}");
    world.wait_until_free(addr).await;
    let _server = Running::start_on(world.listen_at(addr));
    let mut attempts = 0;
    while let Err(status) = client.echo(packet(3)).await {
        attempts += 1;
        assert!(attempts < 3, "{status:?}");
    }
}

async fn a_call_of_a_client_that_vanished_ends_at_the_server(world: World) {
    let mut server = Running::start_with(world.listen(), pinging_server(), Limits::default());
    let dialer = world.dialer();
    let channel = server
        .endpoint()
        .connect_with_connector_lazy(kcp_tonic::Connector::new(dialer.clone().mux()));
    let (say, said) = mpsc::channel(1);
    let mut client = ProbeClient::new(channel);
    let mut heard = client
        .chat(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    say.send(packet(1)).await.unwrap();
    assert_eq!(heard.message().await.unwrap(), Some(packet(1)));
    server.has_active(1).await;
    dialer.vanish();
    server.has_active(0).await;
    let status = heard.message().await.unwrap_err();
    assert_ne!(status.code(), Code::Ok);
}

async fn without_multiplexing_a_vanished_server_is_found_as_well(world: World) {
    let (listener, (probe, _)) = (world.listen(), Probe::new());
    let addr = listener.local_addr();
    let socket = listener.endpoints()[0].clone();
    let router = Server::builder().add_service(ProbeServer::new(probe));
    let serving = tokio::spawn(router.serve_with_incoming(kcp_tonic::incoming(listener)));
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
    let channel = endpoint
        .http2_keep_alive_interval(INTERVAL)
        .keep_alive_timeout(TIMEOUT)
        .connect_with_connector_lazy(kcp_tonic::Connector::new(world.dialer()));
    let mut client = ProbeClient::new(channel);
    client.echo(packet(1)).await.unwrap();
    serving.abort();
    socket.close();
    let status = client.hang(packet(1)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

async fn a_session_whose_peer_vanished_ends_by_the_multiplexers_own_pings(world: World) {
    let server = Running::start(&world);
    let keep_alive = KeepAlive::new(INTERVAL, TIMEOUT).unwrap();
    let config = MuxConfig::default().keep_alive(Some(keep_alive));
    let connector = kcp_tonic::Connector::new(world.dialer().mux_with(config));
    let mut client = ProbeClient::new(server.endpoint().connect_with_connector_lazy(connector));
    client.echo(packet(1)).await.unwrap();
    server.vanish();
    let status = client.hang(packet(1)).await.unwrap_err();
    assert!(is_loss(&status), "{status:?}");
}

in_both_worlds! {
    a_download_from_a_server_that_vanishes_is_an_error_and_not_an_end,
    the_next_call_after_a_server_vanished_and_came_back_is_answered,
    a_call_of_a_client_that_vanished_ends_at_the_server,
    without_multiplexing_a_vanished_server_is_found_as_well,
    a_session_whose_peer_vanished_ends_by_the_multiplexers_own_pings,
}

/// The times are those that the crates' documentation promises.
#[test]
fn by_default_a_server_that_vanished_is_found_and_used_again_within_40_s() {
    World::simulated(|world| async move {
        let server = Running::start(&world);
        let mut client = server.client(&world);
        client.echo(packet(1)).await.unwrap();
        let addr = server.vanish();
        let start = tokio::time::Instant::now();
        let status = client.hang(packet(1)).await.unwrap_err();
        assert!(is_loss(&status), "{status:?}");
        let _server = Running::start_on(world.listen_at(addr));
        while client.echo(packet(1)).await.is_err() {}
        assert!(start.elapsed() < Duration::from_secs(40));
    });
}
