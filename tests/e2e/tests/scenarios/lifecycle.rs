//! Servers and channels that come and go: graceful shutdown, restart, and pools of sessions.

use e2e::World;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use kcp_tonic::EndpointExt;
use kcp_transport::Bare;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Server;

use crate::server::{Running, ms, packet};

async fn a_graceful_shutdown_finishes_what_has_begun(world: World) {
    let mut server = Running::start(&world);
    let mut uploads = JoinSet::new();
    let mut halves = Vec::new();
    for _ in 0..3 {
        let client = server.client(&world);
        for _ in 0..5 {
            let (upload, packets) = mpsc::channel(1);
            let mut client = client.clone();
            uploads.spawn(async move { client.count(ReceiverStream::new(packets)).await });
            upload.send(packet(1_000)).await.unwrap();
            halves.push(upload);
        }
    }
    let (say, said) = mpsc::channel(1);
    let mut chat = server
        .client(&world)
        .chat(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    server.has_active(16).await;
    let addr = server.addr;
    let done = tokio::spawn(server.shut_down());
    tokio::time::sleep(ms(200)).await;
    // Whatever was under way goes on, however long it takes.
    for upload in halves {
        upload.send(packet(50_000)).await.unwrap();
    }
    for total in uploads.join_all().await {
        assert_eq!(total.unwrap().into_inner().bytes, 51_000);
    }
    for length in 0..10 {
        say.send(packet(length)).await.unwrap();
        assert_eq!(chat.message().await.unwrap(), Some(packet(length)));
    }
    assert!(!done.is_finished());
    drop(say);
    assert_eq!(chat.message().await.unwrap(), None);
    done.await.unwrap();
    // The sessions end with their streams, and the socket with the sessions.
    world.wait_until_free(addr).await;
}

/// Listens at an address as soon as its socket is closed.
async fn rebind(world: &World, addr: std::net::SocketAddr) -> Running {
    world.wait_until_free(addr).await;
    Running::start_at(world, world.listen_at(addr))
}

async fn a_channel_finds_the_server_again_after_a_restart(world: World) {
    let server = Running::start(&world);
    let mut client = server.client(&world);
    client.echo(packet(1)).await.unwrap();
    let addr = server.addr;
    server.shut_down().await;
    let server = rebind(&world, addr).await;
    // The old connection said goodbye, so not even one call fails.
    client.echo(packet(2)).await.unwrap();
    drop(server);
}

async fn calls_during_a_restart_fail_or_succeed_but_none_hangs(world: World) {
    let server = Running::start(&world);
    let addr = server.addr;
    let client = server.client(&world);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let (mut client, stopped) = (client.clone(), stopped.clone());
        callers.spawn(async move {
            let mut answered = 0;
            let mut failed = Vec::new();
            while !*stopped.borrow() || answered == 0 {
                match client.echo(packet(100)).await {
                    Ok(_) => answered += 1,
                    Err(status) => failed.push(status),
                }
            }
            (answered, failed)
        });
    }
    tokio::time::sleep(ms(200)).await;
    server.shut_down().await;
    let _server = rebind(&world, addr).await;
    // Whoever dialled while the old server left may have a connection that died with it: that call fails, and the next
    // one dials anew.
    if client.clone().echo(packet(1)).await.is_err() {
        client.clone().echo(packet(1)).await.unwrap();
    }
    stop.send_replace(true);
    for (answered, failed) in callers.join_all().await {
        assert!(answered > 0);
        for status in failed {
            assert!(
                matches!(
                    status.code(),
                    Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal
                ),
                "{status:?}"
            );
        }
    }
}

async fn a_pool_spreads_calls_over_sessions_of_their_own(world: World) {
    let mut server = Running::start(&world);
    let dialer = world.dialer();
    let pool = server.endpoint().connect_kcp_pool(dialer.clone().mux(), 3);
    let mut hanging = JoinSet::new();
    for _ in 0..9 {
        let mut client = ProbeClient::new(pool.clone());
        hanging.spawn(async move { client.hang(packet(1)).await.map(drop) });
    }
    server.has_active(9).await;
    assert_eq!(pool.under_way().collect::<Vec<_>>(), [3, 3, 3]);
    assert_eq!(dialer.dials(), 3);
    hanging.shutdown().await;
    assert_eq!(pool.under_way().collect::<Vec<_>>(), [0, 0, 0]);
}

async fn a_pool_without_multiplexing_spreads_as_well(world: World) {
    let (listener, (probe, mut active)) = (world.listen(), Probe::new());
    let addr = listener.local_addr();
    let router = Server::builder().add_service(ProbeServer::new(probe));
    tokio::spawn(router.serve_with_incoming(kcp_tonic::incoming(listener.bare())));
    let dialer = world.dialer();
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{addr}")).unwrap();
    let pool = endpoint.connect_kcp_pool(Bare(dialer.clone()), 2);
    let mut hanging = JoinSet::new();
    for _ in 0..4 {
        let mut client = ProbeClient::new(pool.clone());
        hanging.spawn(async move { client.hang(packet(1)).await.map(drop) });
    }
    active.wait_for(|calls| *calls == 4).await.unwrap();
    assert_eq!(pool.under_way().collect::<Vec<_>>(), [2, 2]);
    assert_eq!(dialer.dials(), 2);
}

in_both_worlds! {
    a_graceful_shutdown_finishes_what_has_begun,
    a_channel_finds_the_server_again_after_a_restart,
    calls_during_a_restart_fail_or_succeed_but_none_hangs,
    a_pool_spreads_calls_over_sessions_of_their_own,
    a_pool_without_multiplexing_spreads_as_well,
}

with_direct_ends! {
    a_graceful_shutdown_finishes_what_has_begun,
    a_channel_finds_the_server_again_after_a_restart,
    calls_during_a_restart_fail_or_succeed_but_none_hangs,
}
