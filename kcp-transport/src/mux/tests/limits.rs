//! H1, H2, H6: limits make callers wait or reset single streams; the session survives.

use std::io::ErrorKind::ConnectionReset;

use tokio::time::{sleep, timeout};

use super::super::frame::{ACK, FIN, RST, SYN};
use super::*;

fn limited(outbound: usize, inbound: usize) -> MuxConfig {
    MuxConfig::default()
        .max_outbound(outbound)
        .unwrap()
        .max_inbound(inbound)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn opening_beyond_the_limit_waits_until_a_stream_is_dropped() {
    let mut pair = Pair::new(64 * KIB, limited(2, 3));
    let (first, _a) = pair.stream().await;
    let (mut second, mut b) = pair.stream().await;
    assert!(timeout(SECOND, pair.client.open()).await.is_err());
    drop(first);
    let (_third, _c) = timeout(SECOND, pair.stream()).await.unwrap();
    second.write_all(b"still here").await.unwrap();
    let mut got = [0; 10];
    soon(b.read_exact(&mut got)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_never_exceeded_by_streams_that_come_and_go() {
    let mut pair = Pair::new(64 * KIB, limited(4, 4));
    tokio::spawn(async move {
        while let Ok(mut stream) = pair.server_incoming.accept().await {
            tokio::spawn(async move { stream.write_all(b"welcome").await });
        }
    });
    let mut tasks = Vec::new();
    for _ in 0..64 {
        let client = pair.client.clone();
        tasks.push(tokio::spawn(async move {
            for _ in 0..10 {
                let mut got = [0; 7];
                client
                    .open()
                    .await
                    .unwrap()
                    .read_exact(&mut got)
                    .await
                    .unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_too_many_from_the_peer_is_reset_and_the_others_live_on() {
    let (near, far) = duplex(64 * KIB);
    let (client, _) = MuxSession::client(near, limited(3, 0));
    let (server, mut incoming) = MuxSession::server(far, limited(3, 2));
    let mut first = client.open().await.unwrap();
    let second = client.open().await.unwrap();
    let (mut a, b) = (
        soon(incoming.accept()).await.unwrap(),
        soon(incoming.accept()).await.unwrap(),
    );
    let mut surplus = client.open().await.unwrap();
    assert_eq!(kind(read_all(&mut surplus).await.1), ConnectionReset);
    first.write_all(b"x").await.unwrap();
    assert_eq!(soon(a.read_u8()).await.unwrap(), b'x');
    assert_eq!(server.stats().inbound, 2);
    drop((second, b, surplus));
    sleep(SECOND).await;
    let _fourth = client.open().await.unwrap();
    soon(incoming.accept()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_refused_stream_is_skipped() {
    let (mut peer, _session, mut incoming) = RawPeer::with_server(limited(1, 1));
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let _kept = soon(incoming.accept()).await.unwrap();
    peer.send_data(SYN, 3, &pattern(50 * KIB)).await;
    peer.send_data(FIN, 3, b"more").await;
    let acknowledged = peer.recv_header().await;
    assert_eq!((acknowledged.flags, acknowledged.stream), (ACK, 1));
    let refused = peer.recv_header().await;
    assert_eq!((refused.flags, refused.stream), (RST, 3));
    drop(_kept);
    assert_eq!(peer.recv_header().await.stream, 1);
    peer.send_data(SYN | FIN, 5, b"intact").await;
    let mut next = soon(incoming.accept()).await.unwrap();
    assert_eq!(read_all(&mut next).await.0, b"intact");
}

#[tokio::test(start_paused = true)]
async fn streams_beyond_the_accept_backlog_are_reset() {
    let (near, far) = duplex(64 * KIB);
    let (client, _) = MuxSession::client(near, MuxConfig::default());
    let config = MuxConfig::default().accept_backlog(1).unwrap();
    let (_server, mut incoming) = MuxSession::server(far, config);
    let mut first = client.open().await.unwrap();
    let mut second = client.open().await.unwrap();
    assert_eq!(kind(read_all(&mut second).await.1), ConnectionReset);
    first.write_all(b"x").await.unwrap();
    assert_eq!(
        soon(incoming.accept())
            .await
            .unwrap()
            .read_u8()
            .await
            .unwrap(),
        b'x'
    );
}

#[tokio::test(start_paused = true)]
async fn streams_that_the_peer_does_not_acknowledge_hold_up_no_other() {
    let config = MuxConfig::default().max_outbound(300).unwrap();
    let (mut peer, session, _incoming) = RawPeer::with_client(config);
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(session.open().await.unwrap());
    }
    let opener = session.clone();
    let waiting = tokio::spawn(async move { opener.open().await.unwrap().id() });
    for _ in 0..256 {
        assert_eq!(peer.recv_header().await.flags, SYN);
    }
    assert!(!waiting.is_finished());
    // The others go on meanwhile, both ways.
    streams[7].write_all(b"ping").await.unwrap();
    assert_eq!(peer.recv().await.1, b"ping");
    peer.send_data(0, 15, b"pong").await;
    let mut got = [0; 4];
    soon(streams[7].read_exact(&mut got)).await.unwrap();
    sleep(SECOND).await;
    assert!(!waiting.is_finished());
    peer.send(Kind::WindowUpdate, ACK, 1, 0).await;
    assert_eq!(timeout(SECOND, waiting).await.unwrap().unwrap(), 513);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_the_peer_is_acknowledged_as_it_arrives() {
    let (mut peer, _session, _incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let acknowledged = peer.recv_header().await;
    assert_eq!((acknowledged.flags, acknowledged.stream), (ACK, 1));
}

#[tokio::test(start_paused = true)]
async fn a_number_that_the_peer_uses_twice_does_not_upset_the_count() {
    let (mut peer, session, mut incoming) = RawPeer::with_server(limited(1, 2));
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let first = soon(incoming.accept()).await.unwrap();
    // The header comes while the number is in use, the body when it is not any more.
    peer.send(Kind::Data, SYN, 1, 5).await;
    sleep(SECOND).await;
    drop(first);
    sleep(SECOND).await;
    peer.io.write_all(b"again").await.unwrap();
    let second = soon(incoming.accept()).await.unwrap();
    assert_eq!(session.stats().inbound, 1);
    drop(second);
    sleep(SECOND).await;
    assert_eq!(session.stats().inbound, 0);
    assert!(!session.is_closed());
}
