//! Every cipher with every code in either role, and all other choices spread over them.

use std::time::Instant;

use interop::go::{Go, Release};
use tokio::sync::Semaphore;

use crate::cell::{CODES, Cell, LEVELS, PATIENCE, Role, Size, Traffic};
use crate::design::cover;
use crate::record;
use crate::seed::seed;

/// Conversations at a time in this process: most of them wait for a lossy link.
static SLOTS: Semaphore = Semaphore::const_new(6);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_and_code_carries_every_byte_to_and_from_kcp_go() {
    run_design(Release::Current, seed()).await;
}

#[ignore = "two of its cells run out of time on two cores: run it alone until the cause is found"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cipher_and_code_carries_every_byte_to_and_from_the_old_kcp_go() {
    run_design(Release::Old, seed()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_mebibytes_arrive_whole() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let long = |role, cipher, code: usize, path| Cell {
        role,
        cipher,
        codes: CODES[code],
        path,
        size: Size::Exactly(64 << 20),
        chunk: 65_536,
        window: 1_024,
        ..Cell::plain()
    };
    let cells = vec![
        Cell {
            traffic: Traffic::ToPeer,
            ..long(Role::WeDial, "null", 0, None)
        },
        Cell {
            traffic: Traffic::FromPeer,
            ..long(Role::WeListen, "aes-128", 1, None)
        },
        long(Role::WeDial, "aes-128-gcm", 1, None),
        Cell {
            traffic: Traffic::ToPeer,
            ..long(Role::WeListen, "salsa20", 3, Some("delay=3ms loss=5%"))
        },
    ];
    run(go, Release::Current, cells, seed()).await;
    record::scenario(
        "kcp-go 5.6.72",
        "64 MiB, one way and both ways, also with 5 % loss",
    );
}

/// Ten designs for each release, 4,000 conversations: about an hour.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes an hour"]
async fn soak() {
    for round in 0..10 {
        for release in [Release::Current, Release::Old] {
            run_design(release, seed() + round).await;
        }
    }
}

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
                    tokio::time::timeout(PATIENCE, talk.run(go, 2 * seed))
                        .await
                        .expect("in time");
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
