//! How streams end: half-close, reset, loss of the session, and streams dropped half-closed.

use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::super::frame::{ACK, FIN, RST, SYN};
use super::*;
use crate::mux::MuxError;

#[tokio::test(start_paused = true)]
async fn an_echo_ends_when_both_sides_have_shut_down() {
    let mut pair = Pair::with_defaults();
    let (client, server) = pair.stream().await;
    let echo = tokio::spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(server);
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    });
    let (mut reader, mut writer) = tokio::io::split(client);
    let sent = pattern(1_000 * KIB);
    let expected = sent.clone();
    let write = tokio::spawn(async move {
        writer.write_all(&sent).await?;
        writer.shutdown().await?;
        Ok::<_, io::Error>(writer)
    });
    let mut echoed = Vec::new();
    reader.read_to_end(&mut echoed).await.unwrap();
    assert!(echoed == expected);
    let mut writer = write.await.unwrap().unwrap();
    echo.await.unwrap().unwrap();
    assert_eq!(kind(writer.write_all(b"more").await), BrokenPipe);
    writer.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn dropping_a_stream_resets_it_after_what_was_written() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    client.write_all(b"half a message").await.unwrap();
    drop(client);
    let (got, end) = read_all(&mut server).await;
    assert_eq!(got, b"half a message");
    assert_eq!(kind(end), ConnectionReset);
    assert_eq!(kind(server.write_all(b"x").await), ConnectionReset);
    assert_eq!(kind(server.flush().await), ConnectionReset);
    assert_eq!(kind(server.shutdown().await), ConnectionReset);
}

// yamux itself says FIN here, which the peer would take for a complete answer.
#[tokio::test(start_paused = true)]
async fn dropping_a_stream_resets_it_even_if_the_peer_has_finished() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_all(&mut server).await.0, b"request");
    server.write_all(b"half an ans").await.unwrap();
    drop(server);
    let (got, end) = read_all(&mut client).await;
    assert_eq!(got, b"half an ans");
    assert_eq!(kind(end), ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_finished_stays_so_when_it_is_reset_later() {
    let (mut peer, _session, mut incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send_data(SYN | FIN, 1, b"all").await;
    let mut stream = soon(incoming.accept()).await.unwrap();
    peer.send(Kind::Data, RST, 1, 0).await;
    let (got, end) = read_all(&mut stream).await;
    assert_eq!(got, b"all");
    end.unwrap();
    // Whatever was on its way, it has arrived now.
    sleep(SECOND).await;
    assert_eq!(kind(stream.write_all(b"x").await), ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_aborts_readers_and_writers_with_its_cause() {
    let (peer, _session, mut incoming) = RawPeer::with_server(MuxConfig::default());
    let mut peer = peer;
    peer.send_data(SYN, 1, b"cut").await;
    let (mut reader, mut writer) = tokio::io::split(soon(incoming.accept()).await.unwrap());
    // Exhausts the credit, so that the writer waits.
    let write = tokio::spawn(async move { writer.write_all(&pattern(300 * KIB)).await });
    let mut got = [0; 3];
    soon(reader.read_exact(&mut got)).await.unwrap();
    let read = tokio::spawn(async move { reader.read_u8().await.map(drop) });
    let drain = tokio::spawn(async move {
        let mut scratch = vec![0; 300 * KIB];
        let _ = timeout(SECOND, peer.io.read_exact(&mut scratch)).await;
    });
    drain.await.unwrap();
    for result in [read.await.unwrap(), write.await.unwrap()] {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ConnectionAborted);
        let cause = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<MuxError>());
        assert!(matches!(cause, Some(MuxError::ClosedByPeer)), "{cause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frame_cut_by_the_end_of_the_connection_is_no_end_of_file() {
    let (mut peer, _session, mut incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send_data(SYN, 1, b"start").await;
    let mut stream = soon(incoming.accept()).await.unwrap();
    // Announces the last 100 bytes of the stream, but brings only 3.
    peer.send(Kind::Data, FIN, 1, 100).await;
    peer.io.write_all(b"end").await.unwrap();
    drop(peer);
    let (got, end) = read_all(&mut stream).await;
    assert_eq!(got, b"start");
    assert_eq!(kind(end), ConnectionAborted);
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_finish_writing_to_a_stream_that_was_shut_down_and_dropped() {
    let mut pair = Pair::with_defaults();
    let (mut client, mut server) = pair.stream().await;
    client.shutdown().await.unwrap();
    drop(client);
    // More than the peer has credit for.
    soon(server.write_all(&pattern(1_000 * KIB))).await.unwrap();
    server.shutdown().await.unwrap();
    drop(server);
    sleep(SECOND).await;
    assert_eq!(pair.client.stats().outbound, 0);
    assert_eq!(pair.server.stats().inbound, 0);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_writes_for_ever_to_a_dropped_stream_is_reset_after_the_linger() {
    let mut pair = Pair::new(64 * KIB, MuxConfig::default().linger(5 * SECOND));
    let (mut client, mut server) = pair.stream().await;
    client.shutdown().await.unwrap();
    drop(client);
    let started = crate::io::clock::now();
    let result = soon(async {
        loop {
            server.write_all(&pattern(KIB)).await?;
            sleep(SECOND / 10).await;
        }
    })
    .await;
    assert_eq!(kind(result), ConnectionReset);
    let lasted = crate::io::clock::now() - started;
    assert!(lasted >= 5 * SECOND && lasted < 6 * SECOND, "{lasted:?}");
    drop(server);
    sleep(SECOND).await;
    assert_eq!(pair.client.stats().outbound, 0);
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_a_split_stream_wake_their_own_tasks() {
    let mut pair = Pair::new(4 * KIB, MuxConfig::default());
    let (client, server) = pair.stream().await;
    let total = 3_000 * KIB;
    let mut tasks = Vec::new();
    for stream in [client, server] {
        let (mut reader, mut writer) = tokio::io::split(stream);
        tasks.push(tokio::spawn(async move {
            writer.write_all(&pattern(total)).await.unwrap();
            writer.shutdown().await.unwrap();
        }));
        tasks.push(tokio::spawn(async move {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).await.unwrap();
            assert!(got == pattern(total));
        }));
    }
    for task in tasks {
        timeout(60 * SECOND, task)
            .await
            .expect("no wake-up is lost")
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn slices_are_gathered_into_one_frame() {
    let (mut peer, session, _incoming) = RawPeer::with_client(MuxConfig::default());
    let mut stream = session.open().await.unwrap();
    assert!(stream.is_write_vectored());
    let slices = [&b""[..], b"head", b"", b"body"].map(io::IoSlice::new);
    assert_eq!(stream.write_vectored(&slices).await.unwrap(), 8);
    let opening = peer.recv_header().await;
    assert_eq!(
        (opening.kind, opening.flags, opening.stream),
        (Kind::Data, SYN, 1)
    );
    let (header, body) = peer.recv().await;
    assert_eq!(
        (header.kind, header.flags, &body[..]),
        (Kind::Data, 0, &b"headbody"[..])
    );
    peer.send(Kind::WindowUpdate, ACK, 1, 0).await;
}
