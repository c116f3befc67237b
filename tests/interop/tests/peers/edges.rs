//! Windows and datagrams as small and as large as they can be.

use interop::go::{Go, Release};

use crate::cell::{CODES, Cell, ROLES, Size, Traffic};
use crate::matrix::run;
use crate::record;
use crate::seed::seed;

/// The smallest window and the largest that a header can tell, on either side.
const WINDOWS: [(usize, usize); 5] = [
    (1, 1),
    (1, 1_024),
    (1_024, 1),
    (65_535, 65_535),
    (1, 65_535),
];

/// The smallest datagram that we send, which has room for data with every header, and the largest.
const MTUS: [(usize, usize); 4] = [(64, 64), (1_500, 1_500), (64, 1_500), (1_500, 64)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_and_datagrams_at_their_edges_carry_every_byte() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        let mut cells = Vec::new();
        for &role in ROLES {
            for window in WINDOWS {
                let lossy = Some("delay=3ms loss=5%");
                for (path, cipher, code) in [(None, "aes", 0), (lossy, "salsa20", 1)] {
                    cells.push(Cell {
                        role,
                        cipher,
                        codes: CODES[code],
                        path,
                        window,
                        size: Size::Exactly(if window.0.min(window.1) == 1 {
                            40_000
                        } else {
                            1 << 20
                        }),
                        chunk: 3_000,
                        ..Cell::plain()
                    });
                }
            }
            for mtu in MTUS {
                // The header of a code and, of the current release, the longest of a cipher.
                for (cipher, code) in [("aes", 1), ("null", 0), ("aes-128-gcm", 1)] {
                    cells.push(Cell {
                        role,
                        cipher,
                        codes: CODES[code],
                        path: Some("delay=3ms loss=5%"),
                        mtu,
                        size: Size::Exactly(20_000),
                        traffic: Traffic::Echo,
                        ..Cell::plain()
                    });
                }
            }
        }
        cells.retain(|cell| cell.is_possible(release));
        run(go, release, cells, seed()).await;
        record::passed(record::Row {
            peer: record::name(release),
            role: "dials, listens",
            cipher: match release {
                Release::Current => "aes, aes-128-gcm, null, salsa20",
                Release::Old => "aes, null, salsa20",
            },
            code: "none, 10/3",
            what: "windows of 1 and 65,535 segments, datagrams of 64 and 1,500 bytes, at either end; 0 and 5 % loss",
        });
    }
}
