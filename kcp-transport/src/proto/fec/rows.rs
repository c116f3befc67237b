//! Sums of shards, each multiplied by a coefficient: parity on its way out, or lost data on its way back.

use super::kernel::{BLOCK, Block, Kernel};

/// Sums that grow together: one pass over a shard adds it to all of them.
///
/// Nothing is ever cleared: what has not been written since [`begin`](Self::begin) is undefined, counts as zero, and is
/// overwritten.
pub(super) struct Rows {
    kernel: Kernel,
    /// The first block of each row, then the second of each, and so on.
    blocks: Vec<Block>,
    /// How many sums there are.
    count: usize,
    /// Blocks at the front of each row that are defined.
    filled: usize,
    /// Length of the longest shard, in bytes.
    len: usize,
}

impl Rows {
    /// Rows that hold no memory yet.
    pub(super) fn new() -> Self {
        Self::with_kernel(Kernel::detect())
    }

    pub(super) fn with_kernel(kernel: Kernel) -> Self {
        Self {
            kernel,
            blocks: Vec::new(),
            count: 0,
            filled: 0,
            len: 0,
        }
    }

    /// Starts `count` new sums.
    pub(super) fn begin(&mut self, count: usize) {
        self.count = count;
        self.filled = 0;
        self.len = 0;
    }

    /// Adds `coefficients[r] · shard` to row `r`; there is a coefficient for every row.
    pub(super) fn add(&mut self, coefficients: &[u8], shard: &[u8]) {
        let Self { count, filled, .. } = *self;
        let blocks = shard.len().div_ceil(BLOCK);
        if self.blocks.len() < blocks * count {
            self.blocks.resize(blocks * count, Block::ZERO);
        }
        self.kernel
            .fold(&mut self.blocks, count, filled, coefficients, shard);
        self.filled = filled.max(blocks);
        self.len = self.len.max(shard.len());
    }

    /// Gives the memory back.
    pub(super) fn shrink(&mut self) {
        self.blocks = Vec::new();
    }

    /// Length of every row: that of the longest shard, in bytes.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies the sum of row `r` to `out`, or as much of it as fits.
    pub(super) fn copy_row(&self, r: usize, out: &mut [u8]) {
        let (whole, tail) = out.as_chunks_mut();
        // Fewer blocks than rows may be left over from sums that were more or fewer.
        let blocks = self.blocks.chunks_exact(self.count);
        let mut blocks = blocks.map(|blocks| blocks[r].0);
        for (out, block) in whole.iter_mut().zip(blocks.by_ref()) {
            *out = block;
        }
        if let Some(block) = blocks.next() {
            tail.copy_from_slice(&block[..tail.len()]);
        }
    }
}

#[cfg(test)]
impl Rows {
    /// Bytes of memory held.
    pub(super) fn capacity(&self) -> usize {
        self.blocks.capacity() * BLOCK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_reach_into_what_is_left_of_others() {
        let mut rows = Rows::new();
        rows.begin(3);
        rows.add(&[1, 1, 1], &[7; BLOCK]);
        // The three blocks are one of each of two rows, and a third that belongs to neither.
        rows.begin(2);
        rows.add(&[1, 2], &[9; BLOCK]);
        let mut sum = [0; BLOCK];
        rows.copy_row(1, &mut sum);
        assert_eq!(sum, [18; BLOCK]);
    }
}
