//! Every cipher with every code in either role, and all other choices spread over them.

use std::time::Instant;

use interop::go::{Go, Release};
use tokio::sync::Semaphore;

use crate::cell::{CIPHERS, CODES, Cell, LEVELS, ROLES, Size, Traffic};
use crate::design::cover;
use crate::record;
use crate::seed::seed;

/// Conversations at a time in this process: most of them wait for a lossy link.
static SLOTS: Semaphore = Semaphore::const_new(6);

/// Designs for each release, each with other losses and other choices that meet: `KCP_INTEROP_ROUNDS`, by default 1.
/// Three in a row are what a change of the protocol should pass.
fn rounds() -> u64 {
    std::env::var("KCP_INTEROP_ROUNDS").map_or(1, |text| {
        text.parse().expect("KCP_INTEROP_ROUNDS is a number")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_and_code_carries_every_byte_to_and_from_kcp_go() {
    for round in 0..rounds() {
        run_design(Release::Current, seed() + round).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_and_code_carries_every_byte_to_and_from_the_old_kcp_go() {
    for round in 0..rounds() {
        run_design(Release::Old, seed() + round).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_arrive_whole_in_every_cipher() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    // The other choices change with every cipher, each at a pace of its own, so that all meet all sooner or later.
    let cells = CIPHERS.iter().enumerate().map(|(number, &cipher)| Cell {
        role: ROLES[number % ROLES.len()],
        cipher,
        codes: CODES[number % CODES.len()],
        path: LONG_PATHS[number % LONG_PATHS.len()],
        stream: number % 4 < 2,
        ipv6: number % 8 < 4,
        traffic: LONG_TRAFFIC[(number / 3) % LONG_TRAFFIC.len()],
        size: Size::Exactly(64 << 20),
        chunk: 65_536,
        window: (1_024, 1_024),
        ..Cell::plain()
    });
    run(go, Release::Current, cells.collect(), seed()).await;
    record::passed(record::Row {
        peer: record::name(Release::Current),
        role: "dials, listens",
        cipher: "every one",
        code: "every one",
        what: "64 MiB: one way and both ways, stream and message mode, IPv4 and IPv6; 0, 5 and 20 % loss",
    });
}

/// Links for a long stream.
const LONG_PATHS: [Option<&str>; 3] = [None, Some("delay=3ms loss=5%"), Some("delay=3ms loss=20%")];

/// Directions of a long stream.
const LONG_TRAFFIC: [Traffic; 3] = [Traffic::ToPeer, Traffic::FromPeer, Traffic::BothWays];

/// Every role with every cipher and every code, and every pair of all other choices.
async fn run_design(release: Release, seed: u64) {
    let Some(go) = Go::find(release) else {
        return;
    };
    let possible = |row: &[usize]| Cell::from_row(row).is_possible(release);
    let rows = cover(LEVELS, 3, possible, seed);
    let cells = rows.iter().map(|row| Cell::from_row(row)).collect();
    run(go, release, cells, seed).await;
}

/// Runs cells, and panics with all those that failed.
pub(crate) async fn run(go: Go, release: Release, cells: Vec<Cell>, seed: u64) {
    let only: Option<usize> = std::env::var("KCP_INTEROP_CELL")
        .ok()
        .map(|text| text.parse().expect("KCP_INTEROP_CELL is a number"));
    let runs: Vec<_> = cells
        .into_iter()
        .enumerate()
        .filter(|(number, _)| only.is_none_or(|only| only == *number))
        .map(|(number, cell)| {
            tokio::spawn(async move {
                let _slot = SLOTS.acquire().await.expect("never closed");
                let began = Instant::now();
                let talk = cell.clone();
                let talk = tokio::spawn(async move {
                    let seed = seed.wrapping_mul(1_000_003) + number as u64;
                    talk.run(go, 2 * seed).await;
                });
                let passed = talk.await.is_ok();
                println!("{number} {cell:?}: {passed} after {:?}", began.elapsed());
                record::cell(release, &cell, passed);
                (number, cell, passed)
            })
        })
        .collect();
    let mut failed = String::new();
    for run in runs {
        let (number, cell, passed) = run.await.expect("panics are caught inside");
        if !passed {
            failed += &format!("KCP_INTEROP_SEED={seed} KCP_INTEROP_CELL={number}: {cell:?}\n");
        }
    }
    assert!(
        failed.is_empty(),
        "failed with {}:\n{failed}",
        record::name(release)
    );
}
