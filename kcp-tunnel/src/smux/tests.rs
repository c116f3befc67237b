use core::time::Duration;
use std::io::{ErrorKind, IoSlice};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio::time::{Instant, timeout};

use super::*;

/// A client and a server over a pipe of `capacity` bytes a direction.
fn pair(config: &Config, capacity: usize) -> (Session, Session) {
    let (near, far) = duplex(capacity);
    (
        Session::client(near, config.clone()),
        Session::server(far, config.clone()),
    )
}

async fn stream_pair(client: &Session, server: &Session) -> (Stream, Stream) {
    let near = client.open().unwrap();
    let far = server.accept().await.unwrap();
    assert_eq!(near.id(), far.id());
    (near, far)
}

fn v1() -> Config {
    Config::new(Version::V1)
}

fn v2() -> Config {
    Config::new(Version::V2)
}

/// Whether `future` still waits after everything that can happen has happened.
async fn waits<F: Future>(future: F) -> bool {
    timeout(Duration::from_secs(1), future).await.is_err()
}

/// The session's error inside an error of a stream.
fn session_error(error: &std::io::Error) -> &SessionError {
    error
        .get_ref()
        .and_then(|inner| inner.downcast_ref())
        .expect("the session was lost")
}

/// Sends back what comes in, then finishes.
async fn echo(mut stream: Stream) {
    let mut buf = vec![0; 4_096];
    loop {
        let len = stream.read(&mut buf).await.unwrap();
        if len == 0 {
            break;
        }
        stream.write_all(&buf[..len]).await.unwrap();
    }
    stream.shutdown().await.unwrap();
}

async fn serve_echo(server: Session) {
    while let Ok(stream) = server.accept().await {
        tokio::spawn(echo(stream));
    }
}

async fn a_thousand_echoes(config: &Config) {
    let (client, server) = pair(config, 64 * 1_024);
    tokio::spawn(serve_echo(server));
    let tasks: Vec<_> = (0..1_000_u32)
        .map(|i| {
            let stream = client.open().unwrap();
            tokio::spawn(async move {
                let sent: Vec<u8> = (0..10_000).map(|n| (n * (i + 1) / 7) as u8).collect();
                let (mut reader, mut writer) = tokio::io::split(stream);
                let write = async {
                    writer.write_all(&sent).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let mut got = Vec::new();
                let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
                read.unwrap();
                assert!(got == sent);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(client.stream_count(), 0);
}

#[tokio::test]
async fn a_thousand_streams_share_a_session_v1() {
    a_thousand_echoes(&v1()).await;
}

#[tokio::test]
async fn a_thousand_streams_share_a_session_v2() {
    a_thousand_echoes(&v2()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_share_a_session_across_threads() {
    a_thousand_echoes(&v2()).await;
}

/// Both ends write to every stream as fast as they can, over a pipe smaller than a frame.
#[tokio::test(start_paused = true)]
async fn saturation_in_both_directions_does_not_deadlock() {
    let (client, server) = pair(&v2(), 1_000);
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (near, far) = stream_pair(&client, &server).await;
        for stream in [near, far] {
            tasks.push(tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(stream);
                let write = async {
                    writer.write_all(&vec![7; 2_000_000]).await.unwrap();
                    writer.shutdown().await.unwrap();
                };
                let mut got = Vec::new();
                let (_, read) = tokio::join!(write, reader.read_to_end(&mut got));
                assert_eq!(read.unwrap(), 2_000_000);
            }));
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_v2_writer_waits_for_its_reader() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let mut written = 0;
    while let Ok(len) = timeout(Duration::from_secs(1), near.write(&[0; 10_000])).await {
        written += len.unwrap();
    }
    assert_eq!(written, 262_144 + 65_536);
    let mut got = vec![0; written];
    far.read_exact(&mut got).await.unwrap();
    assert!(!waits(near.write(&[0; 10_000])).await);
}

#[tokio::test(start_paused = true)]
async fn a_v1_writer_waits_for_the_whole_sessions_readers() {
    let (client, server) = pair(&v1().buffers(50_000, 50_000).unwrap(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    let mut written = 0;
    while let Ok(len) = timeout(Duration::from_secs(1), near.write(&[0; 10_000])).await {
        written += len.unwrap();
    }
    assert!(
        (50_000..50_000 + 3 * 65_536).contains(&written),
        "{written}"
    );
    let mut got = vec![0; written];
    far.read_exact(&mut got).await.unwrap();
    assert!(!waits(near.write(&[0; 10_000])).await);
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_stays_open() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    assert!(
        timeout(Duration::from_secs(3_600), near.read_u8())
            .await
            .is_err()
    );
    far.write_u8(7).await.unwrap();
    assert_eq!(near.read_u8().await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_noticed_after_the_timeout_by_readers_writers_and_acceptors() {
    let (near, _far) = duplex(100_000);
    let start = Instant::now();
    let client = Session::client(near, v2());
    let mut stream = client.open().unwrap();
    let error = stream.read_u8().await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(matches!(session_error(&error), SessionError::PeerSilent(_)));
    assert_eq!(
        stream.write_u8(1).await.unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert_eq!(
        stream.flush().await.unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    assert!(matches!(
        client.accept().await,
        Err(SessionError::PeerSilent(_))
    ));
    assert!(matches!(
        client.open(),
        Err(OpenError::Session(SessionError::PeerSilent(_)))
    ));
    assert!(matches!(client.closed().await, SessionError::PeerSilent(_)));
}

/// A frame of version 2.
fn raw(command: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![2, command, payload.len() as u8, 0];
    out.extend_from_slice(&stream.to_le_bytes());
    out.extend_from_slice(payload);
    out
}

#[tokio::test]
async fn the_end_of_a_stream_and_the_loss_of_the_session_are_told_apart() {
    let (near, mut peer) = duplex(1_000);
    let client = Session::client(near, v2());
    let (mut finished, mut cut) = (client.open().unwrap(), client.open().unwrap());
    let frames = [raw(2, 3, b"all"), raw(1, 3, &[]), raw(2, 5, b"some")].concat();
    peer.write_all(&frames).await.unwrap();
    drop(peer);
    let mut got = Vec::new();
    assert_eq!(finished.read_to_end(&mut got).await.unwrap(), 3);
    assert_eq!(cut.read(&mut [0; 100]).await.unwrap(), 4);
    let error = cut.read_u8().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(matches!(session_error(&error), SessionError::PeerClosed));
}

#[tokio::test]
async fn a_peer_that_breaks_the_protocol_is_named_as_the_cause() {
    let (near, mut peer) = duplex(1_000);
    let server = Session::server(near, v2());
    peer.write_all(&[1, 0, 0, 0, 3, 0, 0, 0]).await.unwrap();
    let expected = ProtocolError::Version {
        expected: 2,
        actual: 1,
    };
    assert!(
        matches!(server.accept().await, Err(SessionError::Protocol(error)) if error == expected)
    );
    assert!(matches!(server.closed().await, SessionError::Protocol(_)));
    assert_eq!(
        peer.read(&mut [0; 8]).await.unwrap(),
        0,
        "the transport was dropped"
    );
}

#[tokio::test(start_paused = true)]
async fn a_reader_behind_a_half_close_gets_the_answer() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(b"request").await.unwrap();
    near.shutdown().await.unwrap();
    assert_eq!(
        near.write(b"x").await.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    let mut got = Vec::new();
    far.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"request");
    far.write_all(b"answer").await.unwrap();
    drop(far);
    got.clear();
    near.read_to_end(&mut got).await.unwrap();
    assert_eq!(got, b"answer");
}

#[tokio::test(start_paused = true)]
async fn a_writer_learns_that_its_half_closed_peer_has_gone() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.shutdown().await.unwrap();
    let mut write = core::pin::pin!(far.write_all(&[0; 1_000_000]));
    assert!(waits(&mut write).await);
    drop(near);
    assert_eq!(write.await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_the_window_and_can_be_cancelled() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(&[1; 262_144 + 32_768]).await.unwrap();
    assert!(waits(near.shutdown()).await);
    let mut got = Vec::new();
    let (shutdown, read) = tokio::join!(near.shutdown(), far.read_to_end(&mut got));
    shutdown.unwrap();
    assert_eq!(read.unwrap(), 262_144 + 32_768);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_accept_loses_no_stream() {
    let (client, server) = pair(&v2(), 1_000);
    assert!(waits(server.accept()).await);
    let opened = client.open().unwrap();
    tokio::task::yield_now().await;
    assert_eq!(server.accept().await.unwrap().id(), opened.id());
}

#[tokio::test(start_paused = true)]
async fn every_one_of_several_acceptors_gets_a_stream() {
    let (client, server) = pair(&v2(), 1_000);
    let accept = || {
        let server = server.clone();
        tokio::spawn(async move { server.accept().await.unwrap() })
    };
    let acceptors = [accept(), accept()];
    tokio::task::yield_now().await;
    let _opened = [client.open().unwrap(), client.open().unwrap()];
    for acceptor in acceptors {
        acceptor.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn closing_sends_what_was_written_and_ends_the_peer() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    near.write_all(&[1; 30_000]).await.unwrap();
    client.close();
    assert_eq!(
        near.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionAborted
    );
    assert_eq!(
        near.write_u8(1).await.unwrap_err().kind(),
        ErrorKind::ConnectionAborted
    );
    assert!(client.is_closed());
    far.read_exact(&mut [0; 30_000]).await.unwrap();
    assert_eq!(
        far.read_u8().await.unwrap_err().kind(),
        ErrorKind::ConnectionReset
    );
    assert!(matches!(client.closed().await, SessionError::Closed));
    assert!(matches!(server.closed().await, SessionError::PeerClosed));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_cannot_send_closes_after_the_timeout_all_the_same() {
    let (near, mut far) = duplex(100);
    let client = Session::client(near, v2());
    let mut stream = client.open().unwrap();
    stream.write_all(&[1; 30_000]).await.unwrap();
    let start = Instant::now();
    client.close();
    let alive = tokio::spawn(async move {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            if far.write_all(&raw(3, 0, &[])).await.is_err() {
                return;
            }
        }
    });
    assert!(matches!(client.closed().await, SessionError::Closed));
    assert_eq!(start.elapsed(), Duration::from_secs(30));
    alive.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn streams_outlive_the_sessions_handle_and_the_session_outlives_no_handle() {
    let (client, server) = pair(&v2(), 1_000);
    let (mut near, mut far) = stream_pair(&client, &server).await;
    drop(server);
    let mut refused = client.open().unwrap();
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    far.write_all(b"still here").await.unwrap();
    let mut got = [0; 10];
    near.read_exact(&mut got).await.unwrap();
    drop(far);
    assert_eq!(near.read(&mut got).await.unwrap(), 0);
    assert!(matches!(client.closed().await, SessionError::PeerClosed));
}

#[test]
fn handles_fail_once_the_runtime_is_gone() {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let first = runtime();
    let (near, _far) = duplex(1_000);
    let (client, mut stream) = first.block_on(async {
        let client = Session::client(near, v2());
        let stream = client.open().unwrap();
        (client, stream)
    });
    drop(first);
    runtime().block_on(async {
        assert!(matches!(client.closed().await, SessionError::Closed));
        assert_eq!(
            stream.read_u8().await.unwrap_err().kind(),
            ErrorKind::ConnectionAborted
        );
    });
}

#[tokio::test]
async fn slices_written_together_leave_in_one_frame() {
    let (near, mut peer) = duplex(1_000);
    let client = Session::client(near, v2());
    let mut stream = client.open().unwrap();
    let slices = [
        IoSlice::new(b"head "),
        IoSlice::new(b""),
        IoSlice::new(b"body"),
    ];
    assert_eq!(stream.write_vectored(&slices).await.unwrap(), 9);
    let expected = [raw(0, 3, &[]), raw(2, 3, b"head body")].concat();
    let mut got = vec![0; expected.len()];
    peer.read_exact(&mut got).await.unwrap();
    assert_eq!(got, expected);
}
