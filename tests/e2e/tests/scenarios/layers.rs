//! Connectors and listeners among tower's own layers, and streams of connections among adapters.

use std::collections::HashSet;

use e2e::World;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use futures_util::future::join_all;
use kcp_tonic::{EndpointExt, Incoming};
use kcp_transport::mux::{ConnectionInfo, MuxConfig, MuxConnector};
use kcp_transport::{Config, Connector, KcpStream, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::{Endpoint, Server};
use tower::balance::p2c::Balance;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::server::{Running, many_streams, packet, secs};

/// A server that answers each session with the conversation's number.
async fn numbers(mut listener: Listener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let _ = stream.read_u8().await;
            let _ = stream.write_u32(stream.conv()).await;
            let _ = stream.drain().await;
        });
    }
}

/// Whether the other end is at work.
async fn is_answered(stream: &mut KcpStream) -> bool {
    stream.write_u8(0).await.unwrap();
    stream.read_u32().await.unwrap() == stream.conv()
}

async fn a_connector_takes_timeout_limit_and_balance(world: World) {
    let listener = world.listen();
    let addr = listener.local_addr();
    tokio::spawn(numbers(listener));
    let members = (0..3).map(|_| {
        let service = ServiceBuilder::new()
            .timeout(secs(5))
            .concurrency_limit(2)
            .service(world.dialer());
        PendingRequests::new(service, CompleteOnResponse::default())
    });
    let balance = Balance::new(ServiceList::new(members.collect::<Vec<_>>()));
    let service = BoxCloneService::new(ServiceBuilder::new().buffer(16).service(balance));
    let mut sessions = JoinSet::new();
    for _ in 0..12 {
        let service = service.clone();
        sessions.spawn(async move {
            let mut stream = service.oneshot(addr).await.unwrap();
            assert!(is_answered(&mut stream).await);
            stream.conv()
        });
    }
    let convs: HashSet<u32> = sessions.join_all().await.into_iter().collect();
    assert_eq!(convs.len(), 12);
}

async fn a_probe_within_a_timeout_finds_that_nobody_is_there(world: World) {
    let world = world.with(|config| config.connect_probe(secs(1_000)));
    let nobody = world.listen();
    let addr = nobody.local_addr();
    drop(nobody);
    world.wait_until_free(addr).await;
    let mut service = ServiceBuilder::new()
        .timeout(secs(1))
        .service(world.dialer());
    let error = service.ready().await.unwrap().call(addr).await.unwrap_err();
    assert!(error.is::<tower::timeout::error::Elapsed>(), "{error}");
}

async fn a_multiplexer_takes_layers_below_and_above(world: World) {
    let server = Running::start(&world);
    let below = ServiceBuilder::new()
        .concurrency_limit(1)
        .timeout(secs(5))
        .service(world.dialer());
    let describe = |stream: &KcpStream| ConnectionInfo::from(stream);
    let mux = MuxConnector::with_info(below, MuxConfig::default(), describe);
    let above = ServiceBuilder::new()
        .concurrency_limit(8)
        .timeout(secs(5))
        .service(mux);
    let channel = server.endpoint().connect_kcp(above).await.unwrap();
    ProbeClient::new(channel).echo(packet(9)).await.unwrap();
}

async fn a_balanced_set_of_channels_is_a_client(world: World) {
    let mut server = Running::start(&world);
    let dialer = world.dialer();
    let mux = dialer.clone().mux().sessions_per_target(3);
    let members = (0..3).map(|session| {
        let channel = server.endpoint().connect_kcp_lazy(mux.pin(session));
        PendingRequests::new(channel, CompleteOnResponse::default())
    });
    let balance = Balance::new(ServiceList::new(members.collect::<Vec<_>>()));
    let service = BoxCloneService::new(ServiceBuilder::new().buffer(64).service(balance));
    let client = ProbeClient::new(service);
    let hanging = (0..30).map(|_| {
        let mut client = client.clone();
        async move { client.hang(packet(1)).await }
    });
    tokio::select! {
        ended = join_all(hanging) => panic!("{ended:?}"),
        () = server.has_active(30) => {}
    }
    assert_eq!(dialer.dials(), 3);
    server.has_active(0).await;
}

async fn a_listener_is_a_stream_that_adapters_filter(world: World) {
    let (listener, (probe, _)) = (world.listen(), Probe::new());
    let addr = listener.local_addr();
    // Takes one session, and then no more.
    let sessions = listener.incoming().take(1);
    let streams = kcp_transport::mux::MuxIncoming::with_info(sessions, many_streams(), |session| {
        ConnectionInfo::from(session)
    });
    let router = Server::builder()
        .timeout(secs(5))
        .concurrency_limit_per_connection(4)
        .add_service(ProbeServer::new(probe));
    tokio::spawn(router.serve_with_incoming(Incoming::new(Box::pin(streams))));
    let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
    let channel = endpoint.connect_kcp_lazy(world.dialer().mux());
    let mut first = ProbeClient::new(channel);
    first.echo(packet(1)).await.unwrap();
    let status = first.hang(packet(1)).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    let channel = endpoint.connect_kcp_lazy(world.dialer().mux());
    let second = tokio::time::timeout(secs(1), async move {
        ProbeClient::new(channel).echo(packet(1)).await
    });
    assert!(second.await.is_err(), "nobody accepts it");
}

in_both_worlds! {
    a_connector_takes_timeout_limit_and_balance,
    a_probe_within_a_timeout_finds_that_nobody_is_there,
    a_multiplexer_takes_layers_below_and_above,
    a_balanced_set_of_channels_is_a_client,
    a_listener_is_a_stream_that_adapters_filter,
}

/// What a program uses on real sockets, and not its stand-in for both worlds.
#[test]
fn the_connector_itself_is_a_service_for_layers() {
    World::real(|_| async {
        let listener = Listener::bind("127.0.0.1:0", Config::default())
            .await
            .unwrap();
        let addr = listener.local_addr();
        tokio::spawn(numbers(listener));
        let service = ServiceBuilder::new()
            .buffer(4)
            .concurrency_limit(2)
            .timeout(secs(30))
            .service(Connector::new(Config::default()));
        let mut stream = service.oneshot(addr).await.unwrap();
        assert!(is_answered(&mut stream).await);
    });
}
