//! The streams of all connections of a listener.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::mux::{ConnectionInfo, MuxError, MuxIncoming};

/// A listener that the test hands its connections.
struct Listener(mpsc::UnboundedReceiver<io::Result<DuplexStream>>);

impl Stream for Listener {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx)
    }
}

type Incoming = MuxIncoming<Listener, DuplexStream>;

struct Network(mpsc::UnboundedSender<io::Result<DuplexStream>>);

impl Network {
    fn new(config: MuxConfig) -> (Self, Incoming) {
        let (connections, listener) = mpsc::unbounded_channel();
        (
            Self(connections),
            MuxIncoming::new(Listener(listener), config),
        )
    }

    fn connect(&self) -> MuxSession {
        let (near, far) = duplex(64 * KIB);
        self.0.send(Ok(far)).unwrap();
        MuxSession::client(near, MuxConfig::default()).0
    }
}

async fn next<S: Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)).await
}

async fn accept(incoming: &mut Incoming) -> MuxStream {
    timeout(SECOND, next(incoming))
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn streams_of_all_connections_arrive() {
    let (network, mut incoming) = Network::new(MuxConfig::default());
    let clients: Vec<_> = (0..100).map(|_| network.connect()).collect();
    for (number, client) in clients.iter().enumerate() {
        let mut stream = client.open().await.unwrap();
        stream.write_u8(number as u8).await.unwrap();
        stream.shutdown().await.unwrap();
    }
    let mut numbers = Vec::new();
    for _ in 0..100 {
        numbers.push(soon(accept(&mut incoming).await.read_u8()).await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..100).collect::<Vec<u8>>());
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_listener_or_of_a_session_ends_nothing() {
    let (network, mut incoming) = Network::new(MuxConfig::default());
    let (mut broken, far) = duplex(KIB);
    network.0.send(Ok(far)).unwrap();
    broken.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    network
        .0
        .send(Err(io::ErrorKind::ConnectionAborted.into()))
        .unwrap();
    let client = network.connect();
    let _opened = client.open().await.unwrap();
    let error = next(&mut incoming).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    accept(&mut incoming).await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_the_listener_and_its_sessions_have() {
    let (network, mut incoming) = Network::new(MuxConfig::default());
    let client = network.connect();
    drop(network);
    let opened = client.open().await.unwrap();
    drop(accept(&mut incoming).await);
    assert!(timeout(SECOND, next(&mut incoming)).await.is_err());
    drop((opened, client));
    assert!(
        timeout(SECOND, next(&mut incoming))
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_it_leaves_its_streams_alive_and_closes_idle_sessions() {
    let (network, mut incoming) = Network::new(MuxConfig::default());
    let (busy, idle) = (network.connect(), network.connect());
    let mut opened = busy.open().await.unwrap();
    let mut accepted = accept(&mut incoming).await;
    let mut waiting = busy.open().await.unwrap();
    drop(incoming);
    assert!(network.0.is_closed());
    assert!(matches!(
        timeout(SECOND, idle.closed()).await.unwrap(),
        MuxError::ClosedByPeer
    ));
    // Neither one that waits nor a later one is accepted any more.
    assert_eq!(
        kind(read_all(&mut waiting).await.1),
        io::ErrorKind::ConnectionReset
    );
    let mut late = busy.open().await.unwrap();
    assert_eq!(
        kind(read_all(&mut late).await.1),
        io::ErrorKind::ConnectionReset
    );
    drop((waiting, late));
    sleep(100 * SECOND).await;
    opened.write_all(b"alive").await.unwrap();
    opened.shutdown().await.unwrap();
    assert_eq!(read_all(&mut accepted).await.0, b"alive");
    accepted.shutdown().await.unwrap();
    drop((opened, accepted));
    assert!(matches!(
        timeout(SECOND, busy.closed()).await.unwrap(),
        MuxError::ClosedByPeer
    ));
}

#[tokio::test(start_paused = true)]
async fn the_accept_queue_is_bounded_over_all_sessions() {
    let (network, mut incoming) = Network::new(MuxConfig::default().accept_backlog(3).unwrap());
    let clients = [network.connect(), network.connect()];
    // Takes up the connections.
    assert!(timeout(SECOND, next(&mut incoming)).await.is_err());
    let mut opened = Vec::new();
    for client in clients.iter().cycle().take(8) {
        opened.push(client.open().await.unwrap());
    }
    sleep(SECOND).await;
    let mut refused = 0;
    for stream in &mut opened {
        if let Ok(result) = timeout(SECOND, stream.read_u8()).await {
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
            refused += 1;
        }
    }
    assert_eq!(refused, 5);
    for _ in 0..3 {
        accept(&mut incoming).await;
    }
    assert!(timeout(SECOND, next(&mut incoming)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_knows_its_connection() {
    let (connections, listener) = mpsc::unbounded_channel();
    let describe = |_: &DuplexStream| ConnectionInfo {
        peer_addr: Some(([127, 0, 0, 1], 9).into()),
        ..Default::default()
    };
    let mut incoming = MuxIncoming::with_info(Listener(listener), MuxConfig::default(), describe);
    let client = Network(connections).connect();
    let _opened = client.open().await.unwrap();
    let stream = accept(&mut incoming).await;
    assert_eq!(
        stream.connection_info().peer_addr,
        Some(([127, 0, 0, 1], 9).into())
    );
}
