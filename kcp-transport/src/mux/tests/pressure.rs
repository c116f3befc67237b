//! Back-pressure: bounded memory, no starving, and many streams at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::frame::{ACK, SYN};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_session_holds_no_more_than_its_send_buffer_and_a_frame() {
    let (send_buffer, frame_size) = (64 * KIB, 16 * KIB);
    let config = MuxConfig::default()
        .send_buffer(send_buffer)
        .and_then(|config| config.frame_size(frame_size))
        .unwrap();
    // Nobody reads at the other end.
    let (near, _far) = duplex(4 * KIB);
    let (session, _incoming) = MuxSession::client(near, config.keep_alive(None));
    let mut writers = JoinSet::new();
    for _ in 0..50 {
        let mut stream = session.open().await.unwrap();
        writers.spawn(async move { stream.write_all(&pattern(100 * KIB)).await });
    }
    let mut peak = 0;
    for _ in 0..100 {
        sleep(SECOND / 100).await;
        peak = peak.max(session.stats().buffered);
    }
    let headers = 12 * (50 + (send_buffer + frame_size) / frame_size + 8);
    assert!(peak >= send_buffer, "{peak}");
    assert!(peak <= send_buffer + frame_size + headers, "{peak}");
    assert!(writers.try_join_next().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_never_reads_costs_its_window_and_nothing_more() {
    let config = MuxConfig::default().window_growth(0).unwrap();
    let mut pair = Pair::new(64 * KIB, config);
    let (mut writer, _unread) = pair.stream().await;
    let (mut other, mut answer) = pair.stream().await;
    let bytes = pattern(KIB);
    let mut taken = 0;
    while let Ok(n) = timeout(SECOND, writer.write(&bytes)).await {
        taken += n.unwrap();
    }
    assert_eq!(taken, 256 * KIB);
    assert_eq!(pair.client.stats().buffered, 0);
    tokio::spawn(async move {
        other.write_all(&pattern(512 * KIB)).await.unwrap();
        other.shutdown().await.unwrap();
    });
    assert!(read_all(&mut answer).await.0 == pattern(512 * KIB));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_ignores_its_window_loses_the_session() {
    let (mut peer, session, mut incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let _unread = soon(incoming.accept()).await.unwrap();
    peer.send_data(0, 1, &pattern(256 * KIB)).await;
    peer.send_data(0, 1, b"x").await;
    let cause = soon(session.closed()).await;
    assert!(
        matches!(cause, crate::mux::MuxError::BrokenProtocol(_)),
        "{cause:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_for_answers_but_never_reads_them_is_not_read_any_more() {
    let config = MuxConfig::default().keep_alive(None);
    let (mut peer, session, _incoming) = RawPeer::with_server(config);
    let ping = Header::ping(7).encode().repeat(1_000);
    let mut asked = 0;
    while let Ok(result) = timeout(SECOND, peer.io.write_all(&ping)).await {
        result.unwrap();
        asked += ping.len();
        assert!(asked < 10_000 * KIB, "answers fill the memory");
    }
    assert!(session.stats().buffered < 1_600 * KIB);
    // It goes on where it stopped once they are read.
    let mut scratch = vec![0; 64 * KIB];
    let mut answered = 0;
    while let Ok(n) = timeout(SECOND, peer.io.read(&mut scratch)).await {
        answered += n.unwrap();
    }
    assert!(answered >= asked);
}

/// A connection that sends nothing before it is flushed, and counts what is asked of it.
struct Buffered {
    io: tokio::io::BufWriter<DuplexStream>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    writes: AtomicUsize,
    flushes: AtomicUsize,
}

impl AsyncRead for Buffered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Buffered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.counts.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.counts.flushes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn frames_of_one_wake_up_go_out_in_one_write_and_one_flush() {
    let (near, far) = duplex(64 * KIB);
    let counts = Arc::new(Counts::default());
    let io = Buffered {
        io: tokio::io::BufWriter::new(near),
        counts: Arc::clone(&counts),
    };
    let (session, _incoming) = MuxSession::client(io, MuxConfig::default());
    let mut peer = RawPeer { io: far };
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(session.open().await.unwrap());
        assert_eq!(peer.recv_header().await.flags, SYN);
    }
    sleep(SECOND).await;
    counts.writes.store(0, Ordering::Relaxed);
    counts.flushes.store(0, Ordering::Relaxed);
    for stream in &mut streams {
        stream.write_all(b"hello").await.unwrap();
    }
    for _ in 0..10 {
        assert_eq!(peer.recv().await.1, b"hello");
    }
    assert_eq!(counts.writes.load(Ordering::Relaxed), 1);
    assert_eq!(counts.flushes.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_streams_run_at_once() {
    let config = MuxConfig::default()
        .max_outbound(1_000)
        .and_then(|config| config.accept_backlog(1_000))
        .unwrap();
    let mut pair = Pair::new(64 * KIB, config);
    tokio::spawn(async move {
        while let Ok(stream) = pair.server_incoming.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = tokio::io::split(stream);
                tokio::io::copy(&mut reader, &mut writer).await.unwrap();
                writer.shutdown().await.unwrap();
            });
        }
    });
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        streams.push(pair.client.open().await.unwrap());
    }
    assert_eq!(pair.client.stats().outbound, 1_000);
    let mut tasks = JoinSet::new();
    for (number, mut stream) in streams.into_iter().enumerate() {
        tasks.spawn(async move {
            let sent = pattern(10 * KIB + number);
            stream.write_all(&sent).await.unwrap();
            stream.shutdown().await.unwrap();
            let (got, end) = read_all(&mut stream).await;
            end.unwrap();
            assert!(got == sent);
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    sleep(SECOND).await;
    assert_eq!(pair.client.stats().outbound, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_does_not_slow_the_others() {
    let mut pair = Pair::with_defaults();
    let (mut slow_writer, mut slow_reader) = pair.stream().await;
    let slow = tokio::spawn(async move {
        let mut byte = [0];
        while slow_reader.read(&mut byte).await.is_ok_and(|n| n > 0) {
            sleep(SECOND).await;
        }
    });
    tokio::spawn(async move { slow_writer.write_all(&pattern(10_000 * KIB)).await });
    let mut fast = JoinSet::new();
    for _ in 0..10 {
        let (mut writer, mut reader) = pair.stream().await;
        fast.spawn(async move {
            writer.write_all(&pattern(3_000 * KIB)).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        fast.spawn(async move {
            assert!(read_all(&mut reader).await.0 == pattern(3_000 * KIB));
        });
    }
    // Nothing but the slow reader waits for the clock.
    while let Some(result) = timeout(SECOND, fast.join_next()).await.unwrap() {
        result.unwrap();
    }
    assert!(!slow.is_finished());
}

// H7: hashicorp/yamux sends a whole window in one frame; the yamux crate takes 1 MiB at most.
#[tokio::test(start_paused = true)]
async fn a_frame_of_several_mebibytes_is_taken() {
    let (mut peer, _session, mut incoming) = RawPeer::with_server(MuxConfig::default());
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let stream = soon(incoming.accept()).await.unwrap();
    let credit = grow_window(&mut peer, stream, 4_000 * KIB).await;
    assert!(credit >= 4_000 * KIB, "{credit}");
}

#[tokio::test(start_paused = true)]
async fn the_window_of_a_go_peer_stays_within_one_mebibyte() {
    let (mut peer, _session, mut incoming) = RawPeer::with_server(MuxConfig::go_peer());
    peer.send(Kind::WindowUpdate, SYN, 1, 0).await;
    let stream = soon(incoming.accept()).await.unwrap();
    let credit = grow_window(&mut peer, stream, 4_000 * KIB).await;
    assert!((512 * KIB..=1_024 * KIB).contains(&credit), "{credit}");
}

/// Writes all its credit as one frame, again and again, until the credit at one time is `enough` or
/// grows no more. The largest credit seen.
///
/// yamux doubles a window that is used up within two round trips. It measures these with the real
/// clock, from a ping to its answer: the peer sends a mebibyte before it answers, so that the next
/// 128 KiB certainly take less than twice that time.
async fn grow_window(peer: &mut RawPeer, mut stream: MuxStream, enough: usize) -> usize {
    tokio::spawn(async move {
        let mut scratch = vec![0; 64 * KIB];
        while stream.read(&mut scratch).await.is_ok_and(|n| n > 0) {}
    });
    let mut credit = 256 * KIB;
    let mut largest = credit;
    let mut sent = 0;
    let mut ping = None;
    while largest < enough && sent < 50_000 * KIB {
        if let Some(value) = ping.filter(|_| sent > 1_000 * KIB) {
            peer.send(Kind::Ping, ACK, 0, value).await;
            ping = None;
        }
        peer.send_data(0, 1, &pattern(credit)).await;
        sent += credit;
        credit = 0;
        while let Ok(header) = timeout(SECOND / 100, next_header(peer)).await {
            match header.kind {
                Kind::WindowUpdate => credit += header.length as usize,
                Kind::Ping if !header.has(ACK) => ping = Some(header.length),
                Kind::Ping | Kind::Data | Kind::GoAway => {}
            }
        }
        largest = largest.max(credit);
    }
    largest
}

async fn next_header(peer: &mut RawPeer) -> Header {
    let mut header = [0; HEADER_LEN];
    soon(peer.io.read_exact(&mut header)).await.unwrap();
    Header::decode(&header).unwrap()
}

/// Real threads instead of the paused clock: what is looked for is a lost wake-up.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn streams_on_several_threads_lose_no_wake_up() {
    let config = MuxConfig::default().send_buffer(8 * KIB).unwrap();
    let mut pair = Pair::new(4 * KIB, config);
    let mut tasks = JoinSet::new();
    for number in 0..50 {
        let (client, server) = pair.stream().await;
        for stream in [client, server] {
            let (mut reader, mut writer) = tokio::io::split(stream);
            let sent = pattern(300 * KIB + number);
            let expected = sent.clone();
            tasks.spawn(async move {
                writer.write_all(&sent).await.unwrap();
                writer.shutdown().await.unwrap();
            });
            tasks.spawn(async move {
                let mut got = Vec::new();
                reader.read_to_end(&mut got).await.unwrap();
                assert!(got == expected);
            });
        }
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
}
