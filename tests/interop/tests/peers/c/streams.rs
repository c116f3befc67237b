//! Streams of bytes with `tokio_kcp`, which speaks KCP as the C original does.

use std::sync::Arc;

use kcp_transport::{Config, Endpoint, KcpStream, Listener, UdpSocket, Window};
use tokio::io::AsyncWriteExt;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream as TheirStream};

use super::{LOOPBACK, PATHS, WINDOW, check, link, passed};
use crate::exchange;
use crate::guard::{moved, while_moving};
use crate::seed::seed;

const PEER: &str = "tokio_kcp 0.9.8";

/// Bytes of a stream.
const BYTES: usize = 512 << 10;

/// Bytes of a write.
const CHUNK: usize = 10_000;

fn our_config(stream_mode: bool) -> Config {
    let window = Window::new(WINDOW.into()).expect("in range");
    Config::fast3()
        .send_window(window)
        .receive_window(window)
        .stream_mode(stream_mode)
}

fn their_config(stream_mode: bool) -> KcpConfig {
    KcpConfig {
        nodelay: KcpNoDelayConfig::fastest(),
        wnd_size: (WINDOW, WINDOW),
        flush_write: true,
        flush_acks_input: true,
        stream: stream_mode,
        ..KcpConfig::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_to_and_from_a_listener_of_tokio_kcp_are_whole() {
    for (number, path) in (0..).zip(PATHS) {
        for stream_mode in [false, true] {
            let seed = seed().wrapping_mul(1_000) + number;
            let bound = KcpListener::bind(their_config(stream_mode), LOOPBACK).await;
            let mut listener = bound.expect("bound");
            let relay = link(listener.local_addr().expect("bound"), path, seed);
            let config = our_config(stream_mode);
            let socket = UdpSocket::bind(LOOPBACK, &config, false).expect("bound");
            let endpoint = Endpoint::new(socket, Arc::new(config)).expect("bound");
            let ours = endpoint.connect(relay.local_addr()).await.expect("opened");
            let accept = async { listener.accept().await.expect("listening").0 };
            converse(ours, accept, seed).await;
            check(&endpoint.stats().await.expect("it lives"));
        }
    }
    passed(PEER, "dials", "512 KiB both ways at 0, 5 and 20 % loss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_to_and_from_a_dialler_of_tokio_kcp_are_whole() {
    for (number, path) in (0..).zip(PATHS) {
        for stream_mode in [false, true] {
            let seed = seed().wrapping_mul(1_000) + 500 + number;
            let bound = Listener::bind(LOOPBACK, our_config(stream_mode)).await;
            let mut listener = bound.expect("bound");
            let relay = link(listener.local_addr(), path, seed);
            let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.expect("bound");
            let config = their_config(stream_mode);
            let dialled =
                TheirStream::connect_with_socket(&config, socket, relay.local_addr()).await;
            let mut theirs = dialled.expect("opened");
            // The listener learns of the session by it.
            theirs.write_all(b"!").await.expect("it lives");
            let (mut ours, _) = listener.accept().await.expect("listening");
            let mut hello = [0];
            tokio::io::AsyncReadExt::read_exact(&mut ours, &mut hello)
                .await
                .expect("it lives");
            assert_eq!(hello, *b"!");
            converse(ours, async { theirs }, seed).await;
            check(&listener.stats().await.expect("it lives"));
        }
    }
    passed(PEER, "listens", "512 KiB both ways at 0, 5 and 20 % loss");
}

/// Streams in both directions at once. A dialler's peer exists only once it was written to.
async fn converse(ours: KcpStream, theirs: impl Future<Output = TheirStream>, seed: u64) {
    let info = ours.info();
    let (mut reader, mut writer) = ours.into_split();
    let (mine, yours) = (2 * seed, 2 * seed + 1);
    let write = async move {
        exchange::write(&mut writer, mine, BYTES, CHUNK).await?;
        Ok(writer)
    };
    let read = async { exchange::read(&mut reader, yours, BYTES).await };
    let other = async {
        let (mut reader, mut writer) = tokio::io::split(theirs.await);
        let write = exchange::write(&mut writer, yours, BYTES, CHUNK);
        let read = exchange::read(&mut reader, mine, BYTES);
        tokio::try_join!(write, read)?;
        // What it has not acknowledged yet it still must.
        Ok(reader.unsplit(writer))
    };
    let all = async {
        let (mut writer, (), theirs) = tokio::try_join!(write, read, other)?;
        writer.shutdown().await?;
        drop(theirs);
        std::io::Result::Ok(())
    };
    while_moving(moved(info), all)
        .await
        .expect("the sessions live");
}
