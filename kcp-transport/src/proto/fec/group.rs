//! What arrived of one group, and the repair of what did not.

use super::Code;
use super::header::{HEADER, MAX_SHARD, SHARD};
use super::rows::Rows;
use super::solver::Solver;
use core::slice;

/// One group on the receiving side.
#[derive(Default)]
pub(super) struct Group {
    /// Number of its first packet.
    first: u32,
    stage: Stage,
    /// Positions that arrived.
    arrived: Positions,
    /// Positions that were rebuilt.
    rebuilt: Positions,
    /// Packets at hand.
    shards: Vec<Shard>,
}

/// What a group still keeps packets for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    /// To rebuild the lost ones, once there are as many as the group has data packets.
    #[default]
    Collecting,
    /// To compare the rebuilt ones with the next packet that arrives: all data is kept.
    Rebuilt,
    /// For nothing.
    Closed,
}

/// What a packet did for its group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Progress {
    /// Nothing: it has arrived before.
    Repeated,
    /// Nothing yet, or nothing any more.
    Pending,
    /// There are as many packets as a repair needs.
    Enough,
    /// It showed that the packets of the group do not belong together.
    Contradiction,
}

/// What came of the attempt to repair a group.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Repair {
    /// Too few packets arrived, or it was repaired before.
    Impossible,
    /// All data packets arrived.
    Unneeded,
    /// The lost data packets are rebuilt, so many.
    Rebuilt(u64),
    /// The packets of the group do not belong together.
    Contradiction,
}

/// A packet from the protected part on.
struct Shard {
    position: u8,
    bytes: Vec<u8>,
}

impl Group {
    /// Becomes the empty group that begins with this number.
    pub(super) fn restart(&mut self, first: u32) {
        *self = Self {
            first,
            shards: core::mem::take(&mut self.shards),
            ..Self::default()
        };
    }

    /// Takes in the packet at `position`.
    pub(super) fn insert(
        &mut self,
        code: &Code,
        position: u8,
        shard: &[u8],
        scratch: &mut Scratch,
    ) -> Progress {
        if !self.arrived.insert(position) {
            return Progress::Repeated;
        }
        match self.stage {
            Stage::Collecting => {
                self.keep(position, shard, scratch);
                if self.shards.len() < code.shape().data() {
                    Progress::Pending
                } else {
                    Progress::Enough
                }
            }
            Stage::Rebuilt if self.agrees(code, position, shard, scratch) => {
                self.close(scratch);
                Progress::Pending
            }
            Stage::Rebuilt => Progress::Contradiction,
            Stage::Closed => Progress::Pending,
        }
    }

    /// Rebuilds what is lost if enough has arrived.
    ///
    /// `plausible` is asked whether a KCP packet that was rebuilt can be one.
    pub(super) fn repair(
        &mut self,
        code: &Code,
        scratch: &mut Scratch,
        mut plausible: impl FnMut(&[u8]) -> bool,
    ) -> Repair {
        let data = code.shape().data();
        if self.stage != Stage::Collecting || self.shards.len() < data {
            return Repair::Impossible;
        }
        let is_data = |shard: &Shard| usize::from(shard.position) < data;
        if self.shards.iter().filter(|shard| is_data(shard)).count() == data {
            self.close(scratch);
            return Repair::Unneeded;
        }

        let Scratch { rows, solver, pool } = scratch;
        // More than needed arrive only while the shape is unproven.
        while self.shards.len() > data
            && let Some(surplus) = self.shards.iter().rposition(|shard| !is_data(shard))
        {
            let surplus = self.shards.swap_remove(surplus);
            self.arrived.remove(surplus.position);
            pool.give(surplus.bytes);
        }
        solver.solve(code, &self.arrived);
        rows.begin(solver.lost().len());
        for shard in &self.shards {
            rows.add(solver.coefficients(code, shard.position), &shard.bytes);
        }
        let is_longest = |shard: &Shard| shard.bytes.len() == rows.len();
        if !self
            .shards
            .iter()
            .all(|shard| is_data(shard) || is_longest(shard))
        {
            return Repair::Contradiction;
        }
        while let Some(parity) = self.shards.iter().position(|shard| !is_data(shard)) {
            pool.give(self.shards.swap_remove(parity).bytes);
        }
        for (row, &position) in solver.lost().iter().enumerate() {
            let mut bytes = pool.sum(rows, row);
            if !cut(&mut bytes) || !plausible(&bytes[HEADER - SHARD..]) {
                return Repair::Contradiction;
            }
            self.shards.push(Shard { position, bytes });
            self.rebuilt.insert(position);
        }
        self.stage = Stage::Rebuilt;
        Repair::Rebuilt(solver.lost().len() as u64)
    }

    /// Keeps nothing any longer.
    pub(super) fn close(&mut self, scratch: &mut Scratch) {
        self.stage = Stage::Closed;
        for shard in self.shards.drain(..) {
            scratch.pool.give(shard.bytes);
        }
    }

    /// Data packets that are kept, in vain if nothing else arrives.
    pub(super) fn unrepaired(&self, code: &Code) -> u64 {
        if self.stage != Stage::Collecting {
            return 0;
        }
        let data = code.shape().data();
        let kept = self.shards.iter();
        kept.filter(|shard| usize::from(shard.position) < data)
            .count() as u64
    }

    /// Number of the first packet.
    pub(super) fn first(&self) -> u32 {
        self.first
    }

    /// The packets that were rebuilt.
    pub(super) fn repairs(&self) -> Repairs<'_> {
        Repairs {
            shards: self.shards.iter(),
            first: self.first,
            rebuilt: self.rebuilt,
        }
    }

    /// Gives back the memory of a group that is closed.
    pub(super) fn shrink(&mut self) {
        self.shards = Vec::new();
    }

    fn keep(&mut self, position: u8, shard: &[u8], scratch: &mut Scratch) {
        let bytes = scratch.pool.copy(shard);
        self.shards.push(Shard { position, bytes });
    }

    /// Whether a packet that arrives when all data is known is what that data makes of it.
    fn agrees(&self, code: &Code, position: u8, shard: &[u8], scratch: &mut Scratch) -> bool {
        if let Some(known) = self.shards.iter().find(|known| known.position == position) {
            return shard.starts_with(&known.bytes);
        }
        let Scratch { rows, pool, .. } = scratch;
        let parity = usize::from(position) - code.shape().data();
        rows.begin(1);
        for shard in &self.shards {
            rows.add(&[code.column(shard.position)[parity]], &shard.bytes);
        }
        let expected = pool.sum(rows, 0);
        let agrees = expected == shard;
        pool.give(expected);
        agrees
    }
}

/// A data packet that was lost and rebuilt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Repaired<'a> {
    /// The number it was sent with.
    pub(crate) seqid: u32,
    /// The KCP packet, without the FEC header.
    pub(crate) packet: &'a [u8],
}

/// What one packet allowed to rebuild, in ascending order.
#[derive(Default)]
pub(crate) struct Repairs<'a> {
    shards: slice::Iter<'a, Shard>,
    first: u32,
    rebuilt: Positions,
}

impl<'a> Iterator for Repairs<'a> {
    type Item = Repaired<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let shard = self
            .shards
            .find(|shard| self.rebuilt.contains(shard.position))?;
        Some(Repaired {
            seqid: self.first + u32::from(shard.position),
            packet: &shard.bytes[HEADER - SHARD..],
        })
    }
}

/// What the groups of a decoder share: means of repair, and memory.
pub(super) struct Scratch {
    rows: Rows,
    solver: Solver,
    pool: Pool,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self {
            rows: Rows::new(),
            solver: Solver::default(),
            pool: Pool(Vec::new()),
        }
    }

    /// Gives back all memory that no group holds.
    pub(super) fn shrink(&mut self) {
        *self = Self::new();
    }
}

/// Buffers for shards that are not in use.
struct Pool(Vec<Vec<u8>>);

impl Pool {
    /// A buffer that holds a copy of the shard.
    fn copy(&mut self, shard: &[u8]) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.extend_from_slice(shard);
        buffer
    }

    /// A buffer that holds the sum of a row.
    fn sum(&mut self, rows: &Rows, row: usize) -> Vec<u8> {
        let mut buffer = self.take();
        buffer.resize(rows.len(), 0);
        rows.copy_row(row, &mut buffer);
        buffer
    }

    fn take(&mut self) -> Vec<u8> {
        self.0
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(MAX_SHARD))
    }

    fn give(&mut self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.0.push(buffer);
    }
}

/// A set of positions in a group.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Positions([u64; 4]);

impl Positions {
    /// Adds a position; false if it was in the set already.
    pub(super) fn insert(&mut self, position: u8) -> bool {
        let added = !self.contains(position);
        self.0[usize::from(position / 64)] |= 1 << (position % 64);
        added
    }

    fn remove(&mut self, position: u8) {
        self.0[usize::from(position / 64)] &= !(1 << (position % 64));
    }

    pub(super) fn contains(&self, position: u8) -> bool {
        self.0[usize::from(position / 64)] >> (position % 64) & 1 == 1
    }
}

/// Removes the zeros that make a rebuilt shard as long as the others. False if the size in front of it is not that of
/// any packet.
fn cut(shard: &mut Vec<u8>) -> bool {
    let size = shard
        .first_chunk()
        .map_or(0, |size| u16::from_le_bytes(*size));
    let valid = (HEADER - SHARD..=shard.len()).contains(&usize::from(size));
    shard.truncate(usize::from(size));
    valid
}

#[cfg(test)]
impl Group {
    /// Buffers in use.
    pub(super) fn held(&self) -> usize {
        self.shards.len()
    }
}

#[cfg(test)]
impl Scratch {
    /// Buffers not in use.
    pub(super) fn spare(&self) -> usize {
        self.pool.0.len()
    }
}
