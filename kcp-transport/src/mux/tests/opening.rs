//! H5 and cancellation: when the peer learns of a stream, and what becomes of callers who leave.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

use tokio::time::{sleep, timeout};

use super::super::frame::{FIN, RST, SYN};
use super::*;

#[tokio::test(start_paused = true)]
async fn the_acceptor_may_speak_first() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = timeout(SECOND, pair.stream()).await.unwrap();
    server.write_all(b"welcome").await.unwrap();
    let mut got = [0; 7];
    soon(client.read_exact(&mut got)).await.unwrap();
    assert_eq!(&got, b"welcome");
}

#[tokio::test(start_paused = true)]
async fn a_lazy_stream_is_announced_by_its_first_bytes() {
    let (mut peer, session, _incoming) =
        RawPeer::with_client(MuxConfig::default().eager_open(false));
    let mut stream = session.open().await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    let (header, body) = peer.recv().await;
    assert_eq!((header.flags, &body[..]), (SYN, &b"hello"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_lazy_stream_is_announced_when_its_opener_reads_or_shuts_down_first() {
    let (mut peer, session, _incoming) =
        RawPeer::with_client(MuxConfig::default().eager_open(false));
    let mut reader = session.open().await.unwrap();
    let mut finisher = session.open().await.unwrap();
    assert!(timeout(SECOND, reader.read_u8()).await.is_err());
    assert_eq!(peer.recv_header().await.flags, SYN);
    finisher.shutdown().await.unwrap();
    assert_eq!(peer.recv_header().await.flags, SYN);
    assert_eq!(peer.recv_header().await.flags, FIN);
}

#[tokio::test(start_paused = true)]
async fn both_ends_open_streams() {
    let mut pair = Pair::with_defaults();
    let mut from_client = pair.client.open().await.unwrap();
    let mut from_server = pair.server.open().await.unwrap();
    assert_eq!((from_client.id(), from_server.id()), (1, 2));
    from_client.write_all(b"c").await.unwrap();
    from_server.write_all(b"s").await.unwrap();
    let mut at_server = soon(pair.server_incoming.accept()).await.unwrap();
    let mut at_client = soon(pair.client_incoming.accept()).await.unwrap();
    assert_eq!(soon(at_server.read_u8()).await.unwrap(), b'c');
    assert_eq!(soon(at_client.read_u8()).await.unwrap(), b's');
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_takes_no_place() {
    let config = MuxConfig::default().max_outbound(1).unwrap();
    let (mut peer, session, _incoming) = RawPeer::with_client(config);
    let mut cx = Context::from_waker(Waker::noop());
    // Left before the driver has opened the stream.
    assert!(pin!(session.open()).poll(&mut cx).is_pending());
    sleep(SECOND).await;
    {
        // Left after that, while another waits for the place and leaves as well.
        let mut opening = pin!(session.open());
        assert!(opening.as_mut().poll(&mut cx).is_pending());
        sleep(SECOND).await;
        assert!(timeout(SECOND, session.open()).await.is_err());
    }
    let stream = timeout(SECOND, session.open()).await.unwrap().unwrap();
    assert_eq!(session.stats().outbound, 1);
    drop(stream);
    let mut flags = Vec::new();
    for _ in 0..4 {
        let header = peer.recv_header().await;
        flags.push((header.stream, header.flags));
    }
    assert_eq!(flags, [(1, SYN), (1, RST), (3, SYN), (3, RST)]);
}

#[tokio::test(start_paused = true)]
async fn an_accept_that_is_cancelled_loses_no_stream() {
    let mut pair = Pair::with_defaults();
    assert!(
        timeout(SECOND, pair.server_incoming.accept())
            .await
            .is_err()
    );
    let opened = pair.client.open().await.unwrap();
    sleep(SECOND).await;
    assert_eq!(
        soon(pair.server_incoming.accept()).await.unwrap().id(),
        opened.id()
    );
}
