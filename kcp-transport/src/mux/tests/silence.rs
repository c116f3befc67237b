//! H8: a silent peer is found, a living one is kept.

use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::io::clock;
use crate::mux::wire::OWN_PING;
use crate::mux::{KeepAlive, MuxError};

fn keep_alive() -> MuxConfig {
    MuxConfig::default().keep_alive(Some(KeepAlive::new(SECOND, 5 * SECOND).unwrap()))
}

async fn since(start: Instant, wait: impl Future<Output = MuxError>) -> (Duration, MuxError) {
    let error = wait.await;
    (clock::now() - start, error)
}

#[tokio::test(start_paused = true)]
async fn a_session_whose_peer_is_silent_ends_in_time() {
    let start = clock::now();
    let (_peer, session, _incoming) = RawPeer::with_client(keep_alive());
    let mut stream = session.open().await.unwrap();
    let error = soon(stream.read_u8()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    let (lasted, cause) = since(start, session.closed()).await;
    assert!(
        matches!(cause, MuxError::PeerSilent(limit) if limit == 5 * SECOND),
        "{cause:?}"
    );
    assert!(lasted >= 5 * SECOND && lasted < 6 * SECOND, "{lasted:?}");
    assert!(session.open().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_writer_to_a_peer_that_takes_nothing_is_told_in_time() {
    let (near, _far) = duplex(4 * KIB);
    let (session, _incoming) = MuxSession::client(near, keep_alive());
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(session.open().await.unwrap());
    }
    let mut tasks = Vec::new();
    for mut stream in streams {
        // More than a window, more than the session holds.
        tasks.push(tokio::spawn(async move {
            stream.write_all(&pattern(500 * KIB)).await
        }));
    }
    for task in tasks {
        let result = timeout(6 * SECOND, task).await.unwrap().unwrap();
        assert_eq!(kind(result), io::ErrorKind::ConnectionAborted);
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_with_a_living_peer_is_kept_and_measured() {
    let mut pair = Pair::new(64 * KIB, keep_alive());
    let (mut client, mut server) = pair.stream().await;
    sleep(3_600 * SECOND).await;
    client.write_all(b"x").await.unwrap();
    assert_eq!(soon(server.read_u8()).await.unwrap(), b'x');
    assert_eq!(pair.client.stats().round_trip, Some(Duration::ZERO));
    // About one ping and one answer of 12 bytes a second from either end.
    let sent = pair.client.stats().bytes_sent;
    assert!((2 * 12 * 3_599..2 * 12 * 3_603).contains(&sent), "{sent}");
}

#[tokio::test(start_paused = true)]
async fn a_round_trip_longer_than_the_interval_is_measured() {
    let (mut peer, session, _incoming) = RawPeer::with_client(keep_alive());
    // The crate yamux sends pings of its own.
    let ping = loop {
        let mut header = [0; HEADER_LEN];
        soon(peer.io.read_exact(&mut header)).await.unwrap();
        let header = Header::decode(&header).unwrap();
        if header.kind == Kind::Ping && header.length & OWN_PING != 0 {
            break header;
        }
    };
    sleep(3 * SECOND).await;
    peer.send(Kind::Ping, ACK, 0, ping.length).await;
    sleep(SECOND / 10).await;
    assert_eq!(session.stats().round_trip, Some(3 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_a_silent_peer_is_waited_for() {
    let (_peer, session, _incoming) = RawPeer::with_client(MuxConfig::default().keep_alive(None));
    assert!(timeout(3_600 * SECOND, session.closed()).await.is_err());
}
