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

/// Opens streams, no faster than a server can accept them. Ends early if the session does.
async fn flood(peer: &mut KcpStream, count: u32) {
    let open = |number: u32| {
        let id = (2 * number + 3).to_le_bytes();
        [2, 0, 0, 0, id[0], id[1], id[2], id[3]]
    };
    for first in (0..count).step_by(500) {
        let frames: Vec<u8> = (first..count.min(first + 500)).flat_map(open).collect();
        if peer.write_all(&frames).await.is_err() {
            return;
        }
        tokio::time::sleep(ms(20)).await;
    }
}

/// Streams that a session has at most.
const MOST_STREAMS: u32 = 16_384;

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_limit_are_refused_and_the_others_live() {
    let flags = ["--nocomp"];
    let (world, mut server) = World::new("delay=5ms", &flags);
    let mut peer = raw(&world, 1, &flags).await;
    let surplus = 3_000;
    flood(&mut peer, MOST_STREAMS + surplus).await;
    // What the server says about itself, on a stream that nobody has.
    let mut hello = [0; 19];
    within(secs(60), peer.read_exact(&mut hello)).await.unwrap();
    assert_eq!(hello[..8], [2, 2, 11, 0, 0, 0, 0, 0]);
    // Each is refused by a FIN, and nothing else comes before.
    for number in 0..surplus {
        let mut frame = [0; 8];
        within(secs(60), peer.read_exact(&mut frame)).await.unwrap();
        let id = (2 * (MOST_STREAMS + number) + 3).to_le_bytes();
        assert_eq!(frame, [2, 1, 0, 0, id[0], id[1], id[2], id[3]]);
    }
    let status = server.server.status();
    assert_eq!(status.connections, u64::from(MOST_STREAMS));
    assert_eq!(status.connections_total, u64::from(MOST_STREAMS));
    assert_eq!(status.sessions[0].streams, MOST_STREAMS as usize);
    let mut first = server.target().await;
    peer.write_all(&[2, 2, 5, 0, 3, 0, 0, 0]).await.unwrap();
    peer.write_all(b"alive").await.unwrap();
    let mut got = [0; 5];
    within(secs(60), first.io.read_exact(&mut got))
        .await
        .unwrap();
    assert_eq!(&got, b"alive");
    for _ in 1..MOST_STREAMS {
        server.target().await;
    }
    serves(&world, &mut server).await;
}

#[tokio::test(start_paused = true)]
async fn who_floods_with_streams_and_does_not_read_loses_the_session() {
    let flags = ["--nocomp", "--rcvwnd", "32"];
    let (world, mut server) = World::new("delay=5ms", &flags);
    let mut peer = raw(&world, 1, &flags).await;
    let flooding = tokio::spawn(async move {
        flood(&mut peer, 200_000).await;
        peer
    });
    let mut most = 0;
    within(secs(60), async {
        loop {
            let status = server.server.status();
            most = most.max(status.connections);
            if status.sessions_total == 1 && status.sessions.is_empty() {
                break;
            }
            tokio::time::sleep(ms(1)).await;
        }
    })
    .await;
    assert_eq!(most, u64::from(MOST_STREAMS));
    flooding.abort();
    let _ = flooding.await;
    for _ in 0..MOST_STREAMS {
        server.target().await;
    }
    within(secs(60), async {
        while server.server.status().connections > 0 {
            tokio::time::sleep(ms(100)).await;
        }
    })
    .await;
    serves(&world, &mut server).await;
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
