use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout};

use super::*;

/// Time after which something that should happen at once has failed to happen.
const PATIENCE: Duration = Duration::from_secs(10);

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

fn relay(server: &UdpSocket, up: &str, down: &str) -> Relay {
    let server = server.local_addr().unwrap();
    Relay::start(server, up.parse().unwrap(), down.parse().unwrap(), 7).unwrap()
}

async fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let received = timeout(PATIENCE, socket.recv_from(&mut buffer)).await;
    let (len, from) = received.expect("a packet arrives").unwrap();
    buffer.truncate(len);
    (buffer, from)
}

/// A packet whose length and content depend on its number.
fn packet(client: usize, number: usize) -> Vec<u8> {
    let mut bytes = format!("{client}:{number}:").into_bytes();
    bytes.resize(bytes.len() + number * 37 % 1_400, client as u8);
    bytes
}

#[tokio::test]
async fn a_clean_relay_carries_every_packet_of_every_client_both_ways() {
    const CLIENTS: usize = 3;
    const PACKETS: usize = 300;
    let server = socket().await;
    let relay = relay(&server, "clean", "clean");
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(socket().await);
    }
    let mut peers = BTreeSet::new();
    // In flights of ten, so that no kernel buffer overflows on a busy machine.
    for first in (0..PACKETS).step_by(10) {
        let flight = first..first + 10;
        let mut sent = BTreeSet::new();
        for (n, client) in clients.iter().enumerate() {
            for number in flight.clone() {
                client
                    .send_to(&packet(n, number), relay.local_addr())
                    .await
                    .unwrap();
                sent.insert(packet(n, number));
            }
        }
        // The server sends each back to where it came from.
        for _ in 0..sent.len() {
            let (bytes, from) = receive(&server).await;
            assert!(sent.remove(&bytes));
            peers.insert(from);
            server.send_to(&bytes, from).await.unwrap();
        }
        for (n, client) in clients.iter().enumerate() {
            for number in flight.clone() {
                assert_eq!(
                    receive(client).await,
                    (packet(n, number), relay.local_addr())
                );
            }
        }
    }
    assert_eq!(peers.len(), CLIENTS);
    let stats = relay.stats();
    let all = (CLIENTS * PACKETS) as u64;
    assert_eq!((stats.up.delivered, stats.down.delivered), (all, all));
    assert_eq!((stats.up.lost(), stats.down.lost()), (0, 0));
    assert_eq!((stats.clients, stats.socket_errors), (CLIENTS as u64, 0));
}

#[tokio::test]
async fn datagrams_keep_their_boundaries_whatever_their_lengths() {
    let server = socket().await;
    // Held back for a moment, they leave together.
    let relay = relay(&server, "delay=20ms", "clean");
    let client = socket().await;
    let lengths = [
        1200, 1200, 1200, 400, 1200, 0, 0, 1, 1, 9000, 9000, 60_000, 3, 1200,
    ];
    for len in lengths {
        client
            .send_to(&vec![len as u8; len], relay.local_addr())
            .await
            .unwrap();
    }
    for len in lengths {
        assert_eq!(receive(&server).await.0, vec![len as u8; len]);
    }
    assert_eq!(relay.stats().socket_errors, 0);
}

#[tokio::test]
async fn loss_and_duplication_show_at_the_other_end() {
    let server = socket().await;
    let relay = relay(&server, "loss=20% duplicate=10%", "clean");
    let client = socket().await;
    let mut received = 0;
    for number in 0..2_000 {
        client
            .send_to(&packet(0, number), relay.local_addr())
            .await
            .unwrap();
        while relay.stats().up.sent <= number as u64 {
            tokio::task::yield_now().await;
        }
        while received < relay.stats().up.delivered {
            receive(&server).await;
            received += 1;
        }
    }
    let stats = relay.stats().up;
    // Four standard deviations of a binomial count.
    assert!(stats.lost_random.abs_diff(400) < 72, "{stats}");
    assert!(stats.duplicated.abs_diff(160) < 48, "{stats}");
    assert_eq!(
        stats.delivered,
        2_000 - stats.lost_random + stats.duplicated
    );
}

#[tokio::test]
async fn a_packet_is_never_early() {
    let server = socket().await;
    let relay = relay(&server, "delay=15ms", "delay=25ms");
    let client = socket().await;
    let start = Instant::now();
    client.send_to(b"ping", relay.local_addr()).await.unwrap();
    let (_, from) = receive(&server).await;
    assert!(start.elapsed() >= Duration::from_millis(15));
    server.send_to(b"pong", from).await.unwrap();
    assert_eq!(receive(&client).await.0, b"pong");
    assert!(start.elapsed() >= Duration::from_millis(40));
}

#[tokio::test]
async fn a_rebinding_changes_the_port_the_server_sees_and_only_that() {
    let server = socket().await;
    let relay = relay(&server, "clean", "clean");
    let client = socket().await;
    client.send_to(b"before", relay.local_addr()).await.unwrap();
    let (_, before) = receive(&server).await;
    relay.rebind_upstream();
    client.send_to(b"after", relay.local_addr()).await.unwrap();
    let (_, after) = receive(&server).await;
    assert_ne!(before, after);
    // The old mapping is gone, the new one leads to the same client.
    server.send_to(b"to the old port", before).await.unwrap();
    server.send_to(b"to the new port", after).await.unwrap();
    assert_eq!(receive(&client).await.0, b"to the new port");
    assert_eq!(relay.stats().clients, 1);
}

#[tokio::test]
async fn a_blackout_and_new_links_take_effect_at_once() {
    let server = socket().await;
    let relay = relay(&server, "clean", "clean");
    let client = socket().await;
    relay.blackout(true);
    client.send_to(b"lost", relay.local_addr()).await.unwrap();
    while relay.stats().up.lost_blackout == 0 {
        tokio::task::yield_now().await;
    }
    relay.blackout(false);
    relay.set_links("mask=0".parse().unwrap(), LinkConfig::new());
    client.send_to(b"masked", relay.local_addr()).await.unwrap();
    client
        .send_to(b"through", relay.local_addr())
        .await
        .unwrap();
    assert_eq!(receive(&server).await.0, b"through");
    assert_eq!(relay.stats().up.lost_masked, 1);
}

#[tokio::test]
async fn only_the_server_gets_through_to_a_client() {
    let server = socket().await;
    let relay = relay(&server, "clean", "clean");
    let client = socket().await;
    client.send_to(b"hello", relay.local_addr()).await.unwrap();
    let (_, from) = receive(&server).await;
    socket().await.send_to(b"stranger", from).await.unwrap();
    server.send_to(b"server", from).await.unwrap();
    assert_eq!(receive(&client).await.0, b"server");
    assert_eq!(relay.stats().down.sent, 1);
}

#[tokio::test]
async fn dropping_the_relay_frees_its_port() {
    let server = socket().await;
    let relay = relay(&server, "clean", "clean");
    let address = relay.local_addr();
    drop(relay);
    let bound = timeout(PATIENCE, async {
        while UdpSocket::bind(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    });
    bound.await.expect("the port is free again");
}
