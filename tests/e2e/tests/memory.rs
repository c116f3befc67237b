//! A reader that never reads costs what the windows allow and nothing more, whatever the writer does.
//!
//! Counts every byte that is allocated, so each test runs by itself: they share a lock.

use std::alloc::System;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use e2e::World;
use e2e::generated::Order;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use kcp_tonic::{Connector, Incoming};
use kcp_transport::mux::{MuxConfig, MuxSession};
use kcp_transport::{Config, Window};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;
use tonic::transport::{Endpoint, Server};
use tower::ServiceExt;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

static ALONE: Mutex<()> = Mutex::new(());

const KIB: usize = 1024;

/// Segments of a KCP window here, and what both windows of a session hold at most: each may take twice its segments.
const SEGMENTS: usize = 128;
const KCP: usize = 2 * 2 * SEGMENTS * 1_500;

/// Bytes that are allocated.
fn held() -> usize {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated + usize::try_from(stats.bytes_reallocated.max(0)).unwrap())
        .saturating_sub(stats.bytes_deallocated)
}

fn small(config: Config) -> Config {
    let window = Window::new(SEGMENTS).unwrap();
    config
        .send_window(window)
        .receive_window(window)
        .send_buffer(64 * KIB)
}

/// What is allocated beyond the beginning, at most, in a minute.
async fn peak_of_a_minute(before: usize) -> usize {
    let mut peak = 0;
    for _ in 0..600 {
        sleep(Duration::from_millis(100)).await;
        peak = peak.max(held().saturating_sub(before));
    }
    peak
}

#[test]
fn streams_that_nobody_reads_hold_their_windows_and_no_more() {
    const STREAMS: usize = 20;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    World::simulated_over("delay=5ms", |world| async move {
        let world = world.with(small);
        let config = MuxConfig::default()
            .window_growth(0)
            .and_then(|config| config.send_buffer(64 * KIB))
            .unwrap();
        let mut listener = world.listen();
        let dialed = world.dialer().oneshot(listener.local_addr()).await.unwrap();
        let (client, _) = MuxSession::client(dialed, config.clone());
        let first = client.open().await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let (_server, mut incoming) = MuxSession::server(accepted, config);
        let mut unread = vec![incoming.accept().await.unwrap()];
        let mut writers = vec![first];
        for _ in 1..STREAMS {
            writers.push(client.open().await.unwrap());
            unread.push(incoming.accept().await.unwrap());
        }
        let before = held();
        for mut writer in writers {
            tokio::spawn(async move {
                let bytes = vec![7; 16 * KIB];
                while writer.write_all(&bytes).await.is_ok() {}
            });
        }
        let peak = peak_of_a_minute(before).await;
        let windows = STREAMS * 256 * KIB;
        assert!(peak > windows, "{peak}: nothing was sent");
        // Each writer has its 16 KiB, yamux's channels hold a few frames of each stream.
        let limit = windows + windows / 2 + KCP + 3 * 64 * KIB + STREAMS * 64 * KIB;
        assert!(peak < limit, "{peak} of {limit}");
        // Full is full.
        let (then, later) = (held(), peak_of_a_minute(before).await);
        assert!(later <= then.saturating_sub(before) + 64 * KIB, "{later}");
    });
}

#[test]
fn a_download_that_nobody_reads_holds_its_windows_and_no_more() {
    const WINDOW: usize = 256 * KIB;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    World::simulated_over("delay=5ms", |world| async move {
        let world = world.with(small);
        let config = MuxConfig::default()
            .window_growth(0)
            .and_then(|config| config.send_buffer(64 * KIB))
            .unwrap();
        let listener = world.listen();
        let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr())).unwrap();
        let incoming = Incoming::new(listener.mux(config.clone()));
        let server = Server::builder().add_service(ProbeServer::new(Probe::new().0));
        tokio::spawn(server.serve_with_incoming(incoming));
        let channel = endpoint
            .initial_stream_window_size(WINDOW as u32)
            .initial_connection_window_size(4 * WINDOW as u32)
            .connect_with_connector_lazy(Connector::new(world.dialer().mux_with(config)));
        let mut client = ProbeClient::new(channel);
        let endless = Order {
            packets: u64::MAX,
            length: 10_000,
        };
        let before = held();
        let mut unread = Vec::new();
        for _ in 0..20 {
            unread.push(client.download(endless).await.unwrap());
        }
        let peak = peak_of_a_minute(before).await;
        // The client's window, its connection, and what hyper's server holds back for each stream: 400 KiB by default.
        assert!(peak > 4 * WINDOW, "{peak}: nothing was sent");
        let limit = 2 * 4 * WINDOW + 20 * 450 * KIB + 2 * 256 * KIB + KCP + 3 * 64 * KIB;
        assert!(peak < limit, "{peak} of {limit}");
        let (then, later) = (held(), peak_of_a_minute(before).await);
        assert!(later <= then.saturating_sub(before) + 64 * KIB, "{later}");
    });
}
