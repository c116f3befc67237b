use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::timeout;

use super::*;
use crate::smux::{Config, Session, Version, Watch};

type TestRelay = Relay<DuplexStream, Stream>;

/// A relay in the first session, the stream's other end, and the application's.
async fn relay(capacity: usize, pipe: usize) -> (TestRelay, Stream, DuplexStream) {
    let (relay, other, app, _) = relay_and_session(capacity, pipe).await;
    (relay, other, app)
}

/// As [`relay`], with the other session.
async fn relay_and_session(
    capacity: usize,
    pipe: usize,
) -> (TestRelay, Stream, DuplexStream, Watch) {
    let (near, far) = duplex(capacity);
    let config = Config::new(Version::V2).announce(true);
    let (client, server) = (
        Session::client(near, config.clone()),
        Session::server(far, config),
    );
    let stream = client.open().unwrap();
    let other = server.accept().await.unwrap();
    let (local, app) = duplex(pipe);
    let relay = Relay::new(local, stream, Duration::ZERO);
    (relay, other, app, server.watch())
}

/// Writes until nothing has been taken for a second. Returns how much was.
async fn fill(writer: &mut (impl AsyncWrite + Unpin)) -> usize {
    let mut taken = 0;
    let second = Duration::from_secs(1);
    while let Ok(len) = timeout(second, writer.write(&[7; 5_000])).await {
        taken += len.unwrap();
    }
    taken
}

#[tokio::test(start_paused = true)]
async fn an_application_is_read_no_further_than_its_stream_has_room() {
    let (mut relay, mut other, mut app) = relay(1_000, 100).await;
    let running = tokio::spawn(async move { relay.run().await });
    let taken = fill(&mut app).await;
    // The peer's first window, what may wait in the stream, and the pipe.
    assert_eq!(taken, 262_144 + 65_536 + 100);
    drop(app);
    let mut got = Vec::new();
    other.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), taken);
    drop(other);
    assert!(matches!(running.await.unwrap(), End::Finished));
}

#[tokio::test(start_paused = true)]
async fn what_an_application_does_not_take_is_not_asked_for_again() {
    let (mut relay, mut other, mut app) = relay(1_000, 100).await;
    let running = tokio::spawn(async move { relay.run().await });
    let taken = fill(&mut other).await;
    assert!(taken <= 262_144 + 65_536 + 100, "{taken} bytes taken");
    drop(other);
    let mut got = Vec::new();
    // The session ends meanwhile; what the peer had finished is delivered all the same.
    app.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), taken);
    drop(app);
    assert!(matches!(running.await.unwrap(), End::Finished));
}

#[tokio::test(start_paused = true)]
async fn what_has_arrived_is_delivered_after_the_session_is_lost() {
    let (mut relay, mut other, mut app, watch) = relay_and_session(1_000_000, 100).await;
    let running = tokio::spawn(async move { relay.run().await });
    other.write_all(&[7; 60_000]).await.unwrap();
    // Ends one direction only: the application may still send when the session goes.
    other.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    watch.close();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut got = Vec::new();
    app.read_to_end(&mut got).await.unwrap();
    assert_eq!(got.len(), 60_000);
    assert!(matches!(running.await.unwrap(), End::Session(_)));
}

#[tokio::test(start_paused = true)]
async fn a_relay_is_unused_until_something_happens_to_it() {
    let (mut relay, mut other, mut app) = relay(1_000, 100).await;
    let second = Duration::from_secs(1);
    assert!(timeout(second, relay.run()).await.is_err());
    assert!(relay.is_unused());
    other.write_all(b"!").await.unwrap();
    assert!(timeout(second, relay.run()).await.is_err());
    assert!(!relay.is_unused());
    assert_eq!(relay.moved(), (0, 1));
    assert_eq!(app.read_u8().await.unwrap(), b'!');
}

#[tokio::test(start_paused = true)]
async fn an_application_that_breaks_off_ends_the_relay() {
    let (mut relay, mut other, app) = relay(1_000, 100).await;
    drop(app);
    other.write_all(&[1; 1_000]).await.unwrap();
    assert!(matches!(relay.run().await, End::Local(_)));
}
