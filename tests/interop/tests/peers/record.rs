//! `docs/interop.md`: what was proven against whom. Written with `KCP_INTEROP_WRITE=1` after a run of all tests.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use interop::go::Release;

use crate::cell::{CIPHERS, CODES, Cell, PATHS, ROLES, Role};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/interop.md");

/// What this process has seen so far. Tests end in any order: each writes all that is known, the last one everything.
static RESULTS: Mutex<Results> = Mutex::new(Results {
    cells: BTreeMap::new(),
    rows: BTreeSet::new(),
});

struct Results {
    /// By release, role, cipher and code.
    cells: BTreeMap<(&'static str, Role, &'static str, &'static str), bool>,
    /// What else went well.
    rows: BTreeSet<Row>,
}

/// Something that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    /// The peer and its version.
    pub(crate) peer: &'static str,
    /// Ours.
    pub(crate) role: &'static str,
    pub(crate) cipher: &'static str,
    /// Data and parity shards.
    pub(crate) code: &'static str,
    /// What was done.
    pub(crate) what: &'static str,
}

/// Notes how a cell went; of several with the same entry in the table all must pass.
pub(crate) fn cell(release: Release, cell: &Cell, passed: bool) {
    let (code, _) = cell.codes;
    let key = (name(release), cell.role, cell.cipher, code);
    note(|results| *results.cells.entry(key).or_insert(true) &= passed);
}

/// Notes what went well: call it behind the last assertion.
pub(crate) fn passed(row: Row) {
    note(|results| {
        results.rows.insert(row);
    });
}

pub(crate) fn name(release: Release) -> &'static str {
    match release {
        Release::Current => "kcp-go 5.6.72",
        Release::Old => "kcp-go 5.6.1",
    }
}

fn note(change: impl FnOnce(&mut Results)) {
    let mut results = RESULTS.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut results);
    if std::env::var_os("KCP_INTEROP_WRITE").is_some_and(|value| value == "1") {
        let file = Path::new(FILE);
        std::fs::create_dir_all(file.parent().expect("in a folder")).expect("it can be made");
        std::fs::write(file, results.to_string()).expect("docs can be written");
    }
}

impl fmt::Display for Results {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEAD)?;
        writeln!(f, "Paths between the two ends:\n")?;
        for path in PATHS {
            writeln!(
                f,
                "- {}",
                path.map_or("loopback".into(), |path| format!("`{path}`"))
            )?;
        }
        for release in [Release::Current, Release::Old].map(name) {
            for &role in ROLES {
                write!(f, "\n## {release}, {role}\n\n| cipher |")?;
                for (code, _) in CODES {
                    write!(f, " {code} |")?;
                }
                writeln!(f, "\n|---|{}", "---|".repeat(CODES.len()))?;
                for &cipher in CIPHERS {
                    write!(f, "| {cipher} |")?;
                    for &(code, _) in CODES {
                        let result = self.cells.get(&(release, role, cipher, code));
                        let result = match result {
                            Some(true) => "pass",
                            Some(false) => "**fail**",
                            None => "–",
                        };
                        write!(f, " {result} |")?;
                    }
                    f.write_char('\n')?;
                }
            }
        }
        f.write_str("\n## What else passes\n\n")?;
        f.write_str("| peer | ours | cipher | code | what |\n|---|---|---|---|---|\n")?;
        for row in &self.rows {
            let Row {
                peer,
                role,
                cipher,
                code,
                what,
            } = row;
            writeln!(f, "| {peer} | {role} | {cipher} | {code} | {what} |")?;
        }
        f.write_str(TAIL)
    }
}

const HEAD: &str = "\
# Interoperability

What the tests in `tests/interop/tests/peers` have shown against real peers, which run as processes or tasks of their
own. Written by a run of all of them, on a machine with Go:

    KCP_INTEROP_WRITE=1 cargo test -p interop --test peers

`KCP_INTEROP_SEED` changes whatever is random: losses, bytes, and which choices meet. Without Go these tests say so and
pass; what real peers once said is then still checked, out of `tests/interop/vectors/conversations`. A longer run is
`cargo test -p interop --test peers soak -- --ignored --nocapture`, for `KCP_INTEROP_SOAK_MINUTES` (30). One of 30
minutes with seed 2026, in a debug build on two cores beside other work, held 23,913 conversations and one session as
long as all of them, checked every one of 50,829 MiB, and had peers come back on their port 10,515 times; memory stayed
between 133 and 152 MiB.

Every cell of the tables is at least three conversations, each with other losses, in which every byte is compared at
both ends, and neither end counts a malformed packet, an impossible repair or, where the path does not damage packets,
a wrong checksum. Besides cipher and code (data/parity shards) these vary from cell to cell, so that any two choices
meet in one: the path, stream mode, IPv4 or IPv6, the direction of the stream (one way, both ways, echo), its length,
bytes of a write, timing (`fast3`, `normal`, congestion control), windows (32, 256, 1,024, and different ones), MTU
(equal and different, 576 to 1,500), and acknowledging at once, delayed writes, duplicates.

";

const TAIL: &str = "
## Faults of peers

Shown by `tests/interop/tests/peers/known.rs`.

- kcp-go under SM4 damages packets of its own, because its sending and its receiving goroutine share scratch memory.
  Both ends count checksum errors on a clean path. Resends make up for it.
- kcp-go 5.6.1 spoils the stream of a peer that sends with other shard counts than its own, or with a code where it has
  none: until it has learned the shape it rebuilds packets that never were, and believes them. Give both ends the same
  counts; those cells are left out above.
- kcp-go 5.6.72 without a code spoils the stream of a kcp-go that has one if a parity packet with an odd number
  overtakes the first data: it presumes one data and one parity packet until a packet does not fit, and takes such
  parity for the data before it. It is enough to deliver packets 0 and 11 of 10/3 before all others. Ours does not send
  such parity before the peer has heard enough (W37a in `wire.md`), which `liberties.rs` shows in the same order of
  packets.
- kcp-go 5.4.20, which rpcx has, discards every packet without an FEC header if it has FEC. Ours acknowledges with such
  packets unless told otherwise: set `Config::protect_control` for these peers.
";
