//! H0: streams that saturate both directions never stall, although pings cross among their bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{ReadHalf, WriteHalf};
use tokio::task::yield_now;
use tokio::time::advance;

use super::*;
use crate::mux::KeepAlive;

const STREAMS: usize = 100;

/// Bytes read by each reader.
type Progress = Arc<[AtomicU64]>;

async fn write_for_ever(mut writer: WriteHalf<MuxStream>) {
    let bytes = pattern(16 * KIB);
    while writer.write_all(&bytes).await.is_ok() {}
}

async fn read_for_ever(mut reader: ReadHalf<MuxStream>, progress: Progress, number: usize) {
    let mut bytes = vec![0; 16 * KIB];
    while let Ok(n) = reader.read(&mut bytes).await {
        progress[number].fetch_add(n as u64, Ordering::Relaxed);
    }
}

fn counts(progress: &Progress) -> Vec<u64> {
    progress
        .iter()
        .map(|count| count.load(Ordering::Relaxed))
        .collect()
}

/// Runs until all readers together have got `bytes` more.
async fn run_until_moved(progress: &Progress, bytes: u64) -> Result<(), &'static str> {
    let goal = counts(progress).iter().sum::<u64>() + bytes;
    for _ in 0..20_000 {
        if counts(progress).iter().sum::<u64>() >= goal {
            return Ok(());
        }
        yield_now().await;
    }
    Err("nothing moves any more")
}

async fn saturate_for_a_minute(size: usize) {
    let keep_alive = KeepAlive::new(SECOND, 30 * SECOND).unwrap();
    let mut pair = Pair::new(size, MuxConfig::default().keep_alive(Some(keep_alive)));
    let progress: Progress = (0..2 * STREAMS).map(|_| AtomicU64::new(0)).collect();
    for number in 0..STREAMS {
        let (client, server) = pair.stream().await;
        for (end, stream) in [client, server].into_iter().enumerate() {
            let (reader, writer) = tokio::io::split(stream);
            tokio::spawn(write_for_ever(writer));
            tokio::spawn(read_for_ever(reader, progress.clone(), 2 * number + end));
        }
    }
    // Both ends ping every second, in the same instant.
    for start in (0..60).step_by(10) {
        let before = counts(&progress);
        for tenth in 0..100 {
            if let Err(stall) = run_until_moved(&progress, 512 * KIB as u64).await {
                panic!("{stall} over {size} bytes at {start} s and {tenth} tenths");
            }
            advance(SECOND / 10).await;
        }
        let after = counts(&progress);
        let still = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before == after)
            .count();
        assert_eq!(
            still, 0,
            "streams starve over {size} bytes from {start} s on"
        );
    }
    assert!(pair.client.stats().round_trip.is_some() && pair.server.stats().round_trip.is_some());
}

#[tokio::test(start_paused = true)]
async fn saturated_streams_do_not_stall_over_4_kib() {
    saturate_for_a_minute(4 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn saturated_streams_do_not_stall_over_16_kib() {
    saturate_for_a_minute(16 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn saturated_streams_do_not_stall_over_64_kib() {
    saturate_for_a_minute(64 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn saturated_streams_do_not_stall_over_128_kib() {
    saturate_for_a_minute(128 * KIB).await;
}

#[tokio::test(start_paused = true)]
async fn saturated_streams_do_not_stall_over_256_kib() {
    saturate_for_a_minute(256 * KIB).await;
}
