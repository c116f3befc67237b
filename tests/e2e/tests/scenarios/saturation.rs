//! Hazard H0: a hundred streams that saturate both directions for a minute never stall, although pings cross among
//! their bytes and a tenth of the packets is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use e2e::World;
use e2e::generated::Packet;
use e2e::generated::probe_client::ProbeClient;
use kcp_tonic::EndpointExt;
use kcp_transport::Config;
use kcp_transport::mux::{KeepAlive, MuxConfig, MuxSession, MuxStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::sleep;
use tower::ServiceExt;

use crate::server::{Running, packet, secs};

const STREAMS: usize = 100;

/// Bytes per second that the sessions send, and what the link carries: a little more than that.
const RATE: u64 = 900_000;
const LINK: &str = "delay=20ms loss=10% rate=8mbit queue=400kB";

/// The same for a hundred streams of one HTTP/2 connection, each of which gets some 32 KiB whenever it is its turn.
const FAST_RATE: u64 = 3_600_000;
const FAST_LINK: &str = "delay=20ms loss=10% rate=32mbit queue=1600kB";

/// Bytes that came back, by reader.
type Progress = Arc<[AtomicU64]>;

fn progress(readers: usize) -> Progress {
    (0..readers).map(|_| AtomicU64::new(0)).collect()
}

fn counts(progress: &Progress) -> Vec<u64> {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    progress.iter().map(load).collect()
}

/// Fails if one of the readers gets nothing within 5 s of a minute, or all together little.
async fn moves_for_a_minute(progress: &Progress) {
    // Windows fill first.
    sleep(secs(5)).await;
    for start in (5..65).step_by(5) {
        let before = counts(progress);
        sleep(secs(5)).await;
        let moved: Vec<u64> = counts(progress)
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .collect();
        let still = moved.iter().filter(|&&bytes| bytes == 0).count();
        let total: u64 = moved.iter().sum();
        assert_eq!(
            still,
            0,
            "of {} readers, from {start} s on: {moved:?}",
            moved.len()
        );
        assert!(total > RATE, "only {total} bytes from {start} s on");
    }
}

fn paced(config: Config) -> Config {
    config.max_bandwidth(RATE)
}

fn paced_fast(config: Config) -> Config {
    config.max_bandwidth(FAST_RATE)
}

/// Pings in every second, at both ends at once.
fn pinging() -> MuxConfig {
    let keep_alive = KeepAlive::new(secs(1), secs(30)).unwrap();
    MuxConfig::default().keep_alive(Some(keep_alive))
}

async fn write_for_ever(mut writer: WriteHalf<MuxStream>) {
    let bytes = packet(16 << 10).data;
    while writer.write_all(&bytes).await.is_ok() {}
}

async fn read_for_ever(mut reader: ReadHalf<MuxStream>, progress: Progress, number: usize) {
    let mut bytes = vec![0; 16 << 10];
    while let Ok(n) = reader.read(&mut bytes).await {
        progress[number].fetch_add(n as u64, Ordering::Relaxed);
    }
}

#[test]
fn a_hundred_multiplexed_streams_saturated_both_ways_never_stall() {
    World::simulated_over(LINK, |world| async move {
        let world = world.with(paced);
        let mut listener = world.listen();
        let dialed = world.dialer().oneshot(listener.local_addr()).await.unwrap();
        let (client, _) = MuxSession::client(dialed, pinging());
        let mut opened = client.open().await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (server, mut incoming) = MuxSession::server(accepted, pinging());
        let progress = progress(2 * STREAMS);
        for number in 0..STREAMS {
            let accepted = incoming.accept().await.unwrap();
            let next = client.open().await.unwrap();
            let opened = std::mem::replace(&mut opened, next);
            for (end, stream) in [opened, accepted].into_iter().enumerate() {
                let (reader, writer) = tokio::io::split(stream);
                tokio::spawn(write_for_ever(writer));
                tokio::spawn(read_for_ever(reader, progress.clone(), 2 * number + end));
            }
        }
        moves_for_a_minute(&progress).await;
        assert!(client.stats().round_trip.is_some() && server.stats().round_trip.is_some());
    });
}

/// `channels` of gRPC over one session, each with its share of a hundred chats that echo all they are sent.
async fn saturate_grpc(world: World, channels: usize) {
    let server = Running::start_on(world.listen());
    let mux = world.dialer().mux_with(pinging());
    let progress = progress(STREAMS);
    let mut chats = Vec::new();
    for number in 0..channels {
        // As much as the path holds: what waits longer would be nobody's progress for seconds.
        let endpoint = server
            .endpoint()
            .initial_connection_window_size(512 << 10)
            .initial_stream_window_size(64 << 10);
        let channel = endpoint.connect_kcp_lazy(mux.clone());
        for number in (number..STREAMS).step_by(channels) {
            let (mut client, progress) = (ProbeClient::new(channel.clone()), progress.clone());
            chats.push(tokio::spawn(async move {
                let endless = tokio_stream::iter(std::iter::repeat(packet(4 << 10)));
                let mut heard = client.chat(endless).await.unwrap().into_inner();
                while let Some(Packet { data }) = heard.message().await.unwrap() {
                    progress[number].fetch_add(data.len() as u64, Ordering::Relaxed);
                }
            }));
        }
    }
    moves_for_a_minute(&progress).await;
    assert!(!chats.iter().any(tokio::task::JoinHandle::is_finished));
}

#[test]
fn a_hundred_grpc_streams_of_one_channel_never_stall() {
    World::simulated_over(FAST_LINK, |world| saturate_grpc(world.with(paced_fast), 1));
}

#[test]
fn a_hundred_grpc_streams_of_ten_channels_over_one_session_never_stall() {
    World::simulated_over(LINK, |world| saturate_grpc(world.with(paced), 10));
}
