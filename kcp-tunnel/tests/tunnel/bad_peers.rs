//! Peers that do not keep to the protocol.

use std::sync::Arc;

use kcp_transport::{Endpoint, KcpStream, Listener};
use kcp_tunnel::link::transport_config;
use kcp_tunnel::status::Tunnel as _;
use sim::Pattern;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::world::{Running, World, client_config, ms, secs, server_addr, within};

/// A bare KCP session with the server.
async fn raw(world: &World, port: u16, flags: &[&str]) -> KcpStream {
    let transport = transport_config(&client_config(flags).tunnel).unwrap();
    let socket = world.network.socket(([10, 0, 0, 3], port).into());
    let endpoint = Endpoint::new(socket, Arc::new(transport)).unwrap();
    endpoint.connect(server_addr()).await.unwrap()
}

async fn sessions_end(server: &Running) {
    within(secs(60), async {
        while !server.server.status().sessions.is_empty() {
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
}

/// Whether a proper client is still served.
async fn serves(world: &World, server: &mut Running) {
    let mut app = world.connect();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
}

/// Frames that no peer may send, by what is wrong with them.
fn bad_frames() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("another version", vec![1, 0, 0, 0, 3, 0, 0, 0]),
        ("an unknown command", vec![2, 9, 0, 0, 3, 0, 0, 0]),
        ("a SYN with a payload", vec![2, 0, 5, 0, 3, 0, 0, 0]),
        ("a UPD of a wrong length", vec![2, 4, 255, 255, 3, 0, 0, 0]),
        ("a stream of the wrong side", vec![2, 0, 0, 0, 4, 0, 0, 0]),
        ("noise", Pattern::new(9).bytes(5_000)),
        (
            "text",
            b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_client_that_breaks_the_protocol_loses_its_session_and_nothing_else() {
    let flags = ["--nocomp"];
    let (world, mut server) = World::new("delay=5ms loss=2%", &flags);
    for (port, (what, bytes)) in (1_u16..).zip(bad_frames()) {
        let mut peer = raw(&world, port, &flags).await;
        peer.write_all(&bytes).await.unwrap();
        tokio::time::sleep(secs(1)).await;
        assert!(server.server.status().sessions.is_empty(), "{what}");
    }
    serves(&world, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_compress_as_agreed_loses_its_session() {
    let (world, mut server) = World::new("delay=5ms", &[]);
    let oversized = [
        b"\xff\x06\0\0sNaPpY".as_slice(),
        &[0, 255, 255, 255],
        &[0; 900],
    ]
    .concat();
    for (port, bytes) in (1_u16..).zip([oversized, vec![2, 0, 0, 0, 3, 0, 0, 0]]) {
        let mut peer = raw(&world, port, &[]).await;
        peer.write_all(&bytes).await.unwrap();
        tokio::time::sleep(secs(1)).await;
        assert!(server.server.status().sessions.is_empty());
    }
    serves(&world, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_forgotten() {
    let (world, mut server) = World::new("delay=5ms", &[]);
    let peer = raw(&world, 1, &[]).await;
    tokio::time::sleep(secs(1)).await;
    assert_eq!(server.server.status().sessions.len(), 1);
    world.network.set_blackout(true);
    sessions_end(&server).await;
    world.network.set_blackout(false);
    drop(peer);
    serves(&world, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_frames_are_taken_whatever_our_own_size() {
    let flags = ["--nocomp", "--framesize", "100"];
    let (world, mut server) = World::new("delay=5ms", &flags);
    let mut peer = raw(&world, 1, &flags).await;
    let mut frames = vec![2, 0, 0, 0, 3, 0, 0, 0];
    frames.extend([2, 2, 255, 255, 3, 0, 0, 0]);
    frames.extend(Pattern::new(1).bytes(65_535));
    let write = tokio::spawn(async move {
        peer.write_all(&frames).await.unwrap();
        peer
    });
    let mut target = server.target().await;
    let mut got = vec![0; 65_535];
    target.io.read_exact(&mut got).await.unwrap();
    assert!(Pattern::new(1).matches(&got));
    drop(write.await);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_streams_is_bounded() {
    let flags = ["--nocomp"];
    let (world, mut server) = World::new("delay=5ms", &flags);
    let mut peer = raw(&world, 1, &flags).await;
    let flood = tokio::spawn(async move {
        let mut sent = 0_u32;
        for id in 0..200_000_u32 {
            let id = (2 * id + 3).to_le_bytes();
            let syn = [2, 0, 0, 0, id[0], id[1], id[2], id[3]];
            if peer.write_all(&syn).await.is_err() {
                break;
            }
            sent += 1;
        }
        sent
    });
    tokio::time::sleep(secs(60)).await;
    let status = server.server.status();
    assert!(status.connections <= 16_384, "{}", status.connections);
    flood.abort();
    let _ = flood.await;
    server.targets.close();
    while server.targets.recv().await.is_some() {}
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_breaks_the_protocol_is_left_and_tried_again() {
    let flags = ["--nocomp"];
    let world = World::without_server("delay=5ms", &flags, &[]);
    let transport = transport_config(&client_config(&flags).tunnel).unwrap();
    let socket = world.network.socket(server_addr());
    let mut listener = Listener::from_socket(socket, transport).unwrap();
    let bad = tokio::spawn(async move {
        for _ in 0..3 {
            let (mut session, _) = listener.accept().await.unwrap();
            session.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await.unwrap();
            tokio::time::sleep(secs(1)).await;
        }
        listener.abort();
    });
    let mut app = world.connect();
    within(secs(60), bad).await.unwrap();
    tokio::time::sleep(ms(10)).await;
    let mut server = world.start_server();
    let mut target = server.target().await;
    app.reaches(&mut target).await;
    assert!(world.client.status().sessions_total >= 4);
}
