//! What keeps a session alive, and how it is closed.

use tokio::time::{sleep, timeout};

use super::super::frame::{ACK, FIN, RST, SYN};
use super::*;
use crate::io::clock;
use crate::mux::MuxError;

#[tokio::test(start_paused = true)]
async fn a_stream_keeps_its_session_alive() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    drop(pair);
    sleep(100 * SECOND).await;
    client.write_all(b"alive").await.unwrap();
    client.shutdown().await.unwrap();
    let (got, end) = read_all(&mut server).await;
    assert_eq!(got, b"alive");
    end.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_session_ends_with_its_last_stream() {
    let (mut peer, session, incoming) = RawPeer::with_client(MuxConfig::default());
    let stream = session.open().await.unwrap();
    drop((session, incoming));
    assert_eq!(peer.recv_header().await.flags, SYN);
    drop(stream);
    assert_eq!(peer.recv_header().await.flags, RST);
    let farewell = peer.recv_header().await;
    assert_eq!((farewell.kind, farewell.length), (Kind::GoAway, 0));
    // Gone, although the peer does not say that it knows.
    let mut rest = Vec::new();
    soon(peer.io.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, Header::ping(u32::MAX).encode());
}

#[tokio::test(start_paused = true)]
async fn an_acceptor_alone_keeps_its_session_alive() {
    let (near, far) = duplex(64 * KIB);
    let (client, _) = MuxSession::client(near, MuxConfig::default());
    let (_, mut incoming) = MuxSession::server(far, MuxConfig::default());
    sleep(100 * SECOND).await;
    let _stream = client.open().await.unwrap();
    soon(incoming.accept()).await.unwrap();
    drop(incoming);
    let cause = timeout(SECOND, client.closed()).await.unwrap();
    assert!(matches!(cause, MuxError::ClosedByPeer), "{cause:?}");
}

#[tokio::test(start_paused = true)]
async fn without_its_acceptor_a_session_resets_what_the_peer_opens() {
    let (near, far) = duplex(64 * KIB);
    let (client, _) = MuxSession::client(near, MuxConfig::default());
    let (server, _incoming) = MuxSession::server(far, MuxConfig::default());
    let mut refused = server.open().await.unwrap();
    assert_eq!(
        kind(read_all(&mut refused).await.1),
        io::ErrorKind::ConnectionReset
    );
    assert!(client.open().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_streams_and_refuses_new_ones() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    let session = pair.client.clone();
    let closing = tokio::spawn(async move { session.close().await });
    sleep(SECOND).await;
    assert!(!closing.is_finished());
    assert!(pair.client.is_closed());
    assert!(matches!(pair.client.open().await, Err(MuxError::Closed)));
    let mut refused = pair.server.open().await.unwrap();
    assert_eq!(
        kind(read_all(&mut refused).await.1),
        io::ErrorKind::ConnectionReset
    );
    client.write_all(b"last words").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await.0, b"last words");
    server.shutdown().await.unwrap();
    drop((client, server));
    closing.await.unwrap();
    assert!(matches!(soon(pair.client.closed()).await, MuxError::Closed));
    drop(refused);
    assert!(matches!(
        soon(pair.server.closed()).await,
        MuxError::ClosedByPeer
    ));
    assert!(matches!(
        soon(pair.server_incoming.accept()).await,
        Err(MuxError::ClosedByPeer)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_waits_to_open_is_told_that_the_session_closes() {
    let config = MuxConfig::default().max_outbound(1).unwrap();
    let mut pair = Pair::new(64 * KIB, config);
    let (stream, _peer) = pair.stream().await;
    let session = pair.client.clone();
    let waiting = tokio::spawn(async move { session.open().await.map(drop) });
    sleep(SECOND).await;
    let session = pair.client.clone();
    tokio::spawn(async move { session.close().await });
    assert!(matches!(waiting.await.unwrap(), Err(MuxError::Closed)));
    drop(stream);
    soon(pair.client.closed()).await;
}

#[tokio::test(start_paused = true)]
async fn closing_with_a_limit_resets_the_streams_that_are_left() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    let start = clock::now();
    pair.client.close_within(3 * SECOND).await;
    assert_eq!(clock::now() - start, 3 * SECOND);
    let error = soon(client.read_u8()).await.unwrap_err();
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<MuxError>());
    assert!(matches!(cause, Some(MuxError::Closed)), "{error:?}");
    assert_eq!(
        kind(read_all(&mut server).await.1),
        io::ErrorKind::ConnectionReset
    );
    drop(server);
    assert!(matches!(
        soon(pair.server.closed()).await,
        MuxError::ClosedByPeer
    ));
}

// hashicorp/yamux means by GoAway: open no more. The yamux crate would drop every stream.
#[tokio::test(start_paused = true)]
async fn streams_outlive_a_peer_that_takes_no_more_of_them() {
    let (mut peer, session, _incoming) = RawPeer::with_client(MuxConfig::default());
    let mut stream = session.open().await.unwrap();
    assert_eq!(peer.recv_header().await.flags, SYN);
    peer.send(Kind::GoAway, 0, 0, 0).await;
    sleep(SECOND).await;
    assert!(session.is_closed());
    assert!(matches!(session.open().await, Err(MuxError::ClosedByPeer)));
    stream.write_all(b"request").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(peer.recv().await.1, b"request");
    assert_eq!(peer.recv_header().await.flags, FIN);
    peer.send_data(ACK | FIN, 1, b"answer").await;
    assert_eq!(read_all(&mut stream).await.0, b"answer");
    drop(stream);
    assert!(matches!(
        soon(session.closed()).await,
        MuxError::ClosedByPeer
    ));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_gives_up_says_why() {
    let (mut peer, session, _incoming) = RawPeer::with_client(MuxConfig::default());
    let mut stream = session.open().await.unwrap();
    peer.send(Kind::GoAway, 0, 0, 2).await;
    drop(peer);
    assert!(matches!(soon(session.closed()).await, MuxError::GivenUp(2)));
    assert_eq!(
        kind(read_all(&mut stream).await.1),
        io::ErrorKind::ConnectionAborted
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_yamux_ends_the_session_and_is_answered() {
    let (mut peer, session, _incoming) = RawPeer::with_client(MuxConfig::default());
    peer.io.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let farewell = peer.recv_header().await;
    assert_eq!((farewell.kind, farewell.length), (Kind::GoAway, 1));
    let cause = soon(session.closed()).await;
    assert!(matches!(cause, MuxError::BrokenProtocol(_)), "{cause:?}");
}

// Over KCP the peer would wait for an answer until its keep-alive gives up.
#[tokio::test(start_paused = true)]
async fn a_stream_that_the_peer_opens_while_the_session_closes_is_reset() {
    let (mut peer, session, _incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send_data(SYN, 1, b"first").await;
    // In the middle of a frame.
    peer.send(Kind::Data, 0, 1, 6).await;
    peer.io.write_all(b"sec").await.unwrap();
    sleep(SECOND).await;
    let closing = tokio::spawn(async move { session.close_within(Duration::ZERO).await });
    sleep(SECOND).await;
    peer.io.write_all(b"ond").await.unwrap();
    peer.send_data(SYN, 3, b"crossing").await;
    let acknowledged = peer.recv_header().await;
    assert_eq!((acknowledged.stream, acknowledged.flags), (1, ACK));
    assert_eq!(peer.recv_header().await, Header::reset(1));
    assert_eq!(peer.recv_header().await, Header::go_away(0));
    assert!(!closing.is_finished());
    // Answers the ping that follows.
    assert_eq!(peer.recv_header().await, Header::reset(3));
    timeout(SECOND, closing).await.unwrap().unwrap();
    assert_eq!(peer.io.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_session_is_confirmed_to_the_peer_that_ended_it() {
    let (mut peer, session, _incoming) = RawPeer::with_client(MuxConfig::default());
    peer.send(Kind::GoAway, 0, 0, 0).await;
    assert_eq!(peer.recv_header().await, Header::go_away(0));
    assert!(matches!(
        soon(session.closed()).await,
        MuxError::ClosedByPeer
    ));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_let_go_delays_the_end_only_so_long() {
    // Nobody reads at the other end, so the last frames cannot be sent.
    let (near, _far) = duplex(16);
    let (session, incoming) = MuxSession::client(near, MuxConfig::default());
    drop(incoming);
    let start = clock::now();
    soon(session.close()).await;
    assert_eq!(clock::now() - start, 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_stops_leaves_nobody_waiting() {
    let (near, _far) = duplex(64 * KIB);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let (session, mut incoming) = {
        let _inside = runtime.enter();
        MuxSession::client(near, MuxConfig::default())
    };
    runtime.shutdown_background();
    assert!(session.open().await.is_err());
    assert!(soon(incoming.accept()).await.is_err());
    soon(session.closed()).await;
}
