//! Every cipher with every code in either role, and all other choices spread over them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use interop::go::{Go, Release};
use tokio::sync::Semaphore;

use crate::cell::{Cell, LEVELS, PATIENCE};
use crate::design::cover;
use crate::seed::seed;

/// Conversations at a time: most of them wait for a lossy link.
const AT_ONCE: usize = 6;

/// Runs cells, and panics with all those that failed.
async fn run(go: Go, release: Release, cells: Vec<Cell>) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let runs: Vec<_> = cells
        .into_iter()
        .enumerate()
        .map(|(number, cell)| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move {
                let _slot = slots.acquire_owned().await.expect("never closed");
                let began = Instant::now();
                let talk = cell.clone();
                let talk = tokio::spawn(async move {
                    let seed = seed().wrapping_mul(1_000_003) + number as u64;
                    tokio::time::timeout(PATIENCE, talk.run(go, release, 2 * seed))
                        .await
                        .expect("in time");
                });
                (cell, talk.await.is_ok(), began.elapsed())
            })
        })
        .collect();
    let mut failed = Vec::new();
    let mut slowest = (Duration::ZERO, None);
    for run in runs {
        let (cell, passed, took) = run.await.expect("panics are caught inside");
        if took > slowest.0 {
            slowest = (took, Some(cell.clone()));
        }
        if !passed {
            failed.push(cell);
        }
    }
    println!("slowest: {slowest:?}");
    assert!(
        failed.is_empty(),
        "KCP_INTEROP_SEED={}: {} cells failed: {failed:#?}",
        seed(),
        failed.len()
    );
}

fn design(release: Release, product: usize) -> Vec<Cell> {
    let possible = |row: &[usize]| Cell::from_row(row).is_possible(release);
    let rows = cover(LEVELS, product, possible, seed());
    rows.iter().map(|row| Cell::from_row(row)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_and_code_carries_every_byte_in_either_role() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let mut cells = design(Release::Current, 3);
    if std::env::var("NOFEC").is_ok() {
        cells.retain(|cell| cell.codes.1.0.is_none());
    }
    if let Ok(text) = std::env::var("CELLS") {
        cells.truncate(text.parse().unwrap());
    }
    println!("{} cells", cells.len());
    run(go, Release::Current, cells).await;
}
