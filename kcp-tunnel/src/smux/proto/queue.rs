//! Bytes on their way through a stream, in one direction.

use std::collections::VecDeque;

/// Some bytes of a stream, taken out of it as they lie.
#[derive(Debug)]
pub struct Block {
    bytes: Vec<u8>,
    start: usize,
}

/// Bytes in order: in at the back, out at the front.
///
/// Bytes are gathered in blocks, so a peer that sends single bytes takes no more memory than one
/// that sends full frames, and each block is given back once it is read: two blocks more than the
/// bytes held are allocated at most.
#[derive(Debug, Default)]
pub(super) struct ByteQueue {
    blocks: VecDeque<Vec<u8>>,
    /// Bytes of the first block that are already out.
    taken: usize,
    len: usize,
}

/// Blocks that were read and can be filled again: memory that goes back to the system with every
/// read comes back at the price of page faults.
#[derive(Debug, Default)]
pub(super) struct Spare(Vec<Vec<u8>>);

impl Spare {
    /// Keeps a block, unless there are enough or it is small.
    pub(super) fn put(&mut self, block: Block) {
        let Block { mut bytes, .. } = block;
        if bytes.capacity() >= MAX_BLOCK && self.0.len() < MAX_SPARE {
            bytes.clear();
            self.0.push(bytes);
        }
    }

    /// Gives all memory back.
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    fn take(&mut self, capacity: usize) -> Vec<u8> {
        let full = capacity == MAX_BLOCK;
        full.then(|| self.0.pop())
            .flatten()
            .unwrap_or_else(|| Vec::with_capacity(capacity))
    }
}

impl AsRef<[u8]> for Block {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl AsMut<[u8]> for Block {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..]
    }
}

impl Block {
    /// Drops the first `count` bytes, which must be there.
    pub(crate) fn advance(&mut self, count: usize) {
        self.start += count;
    }
}

impl ByteQueue {
    /// Appends `bytes`, in blocks of `spare` if there are any.
    pub(super) fn push(&mut self, mut bytes: &[u8], spare: &mut Spare) {
        while !bytes.is_empty() {
            if self
                .blocks
                .back()
                .is_none_or(|block| block.len() == block.capacity())
            {
                let capacity = (self.len + bytes.len()).clamp(MIN_BLOCK, MAX_BLOCK);
                self.blocks.push_back(spare.take(capacity));
            }
            let block = self
                .blocks
                .back_mut()
                .expect("one with room was just made sure of");
            let room = block.capacity() - block.len();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            block.extend_from_slice(now);
            self.len += now.len();
            bytes = later;
        }
    }

    /// The longest run of bytes at the front; empty only if there are none.
    pub(super) fn front(&self) -> &[u8] {
        self.blocks
            .front()
            .map_or(&[], |block| &block[self.taken..])
    }

    /// Drops the first `count` bytes, which must be there.
    pub(super) fn advance(&mut self, count: usize) {
        self.len -= count;
        self.taken += count;
        while let Some(block) = self.blocks.front() {
            if self.taken < block.len() {
                return;
            }
            self.taken -= block.len();
            self.blocks.pop_front();
        }
    }

    /// Takes the first block out.
    pub(super) fn pop(&mut self) -> Option<Block> {
        let bytes = self.blocks.pop_front()?;
        let start = core::mem::take(&mut self.taken);
        self.len -= bytes.len() - start;
        Some(Block { bytes, start })
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Smallest block: what a stream with a single byte costs.
const MIN_BLOCK: usize = 512;

/// Largest block.
const MAX_BLOCK: usize = 16 * 1_024;

/// Spare blocks of a session: about what its driver reads at once, twice.
const MAX_SPARE: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    impl ByteQueue {
        fn allocated(&self) -> usize {
            self.blocks.iter().map(Vec::capacity).sum()
        }
    }

    #[test]
    fn single_bytes_cost_no_more_than_one_large_push() {
        let mut queue = ByteQueue::default();
        (0..1_000_000_u32).for_each(|i| queue.push(&i.to_le_bytes()[..1], &mut Spare::default()));
        assert!(
            queue.allocated() <= 1_000_000 + MAX_BLOCK,
            "{}",
            queue.allocated()
        );
    }

    #[test]
    fn memory_is_given_back_as_bytes_leave() {
        let mut queue = ByteQueue::default();
        queue.push(&[1; 1_000_000], &mut Spare::default());
        queue.advance(999_999);
        assert!(queue.allocated() <= MAX_BLOCK);
        queue.advance(1);
        assert_eq!(queue.allocated(), 0);
        assert!(queue.front().is_empty());
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(steps in prop::collection::vec((0_usize..5_000, 0_usize..5_000, any::<bool>()), 1..50)) {
            let (mut queue, mut spare) = (ByteQueue::default(), Spare::default());
            let (mut model, mut out, mut next) = (VecDeque::new(), Vec::new(), 0_u8);
            for (push, take, whole) in steps {
                let bytes: Vec<u8> = (0..push).map(|_| { next = next.wrapping_add(1); next }).collect();
                queue.push(&bytes, &mut spare);
                model.extend(bytes);
                let mut take = take.min(queue.len());
                out.clear();
                if whole {
                    if let Some(block) = queue.pop() {
                        out.extend_from_slice(block.as_ref());
                        spare.put(block);
                        prop_assert!(spare.0.len() <= MAX_SPARE);
                    }
                    prop_assert!(!out.is_empty() || model.is_empty());
                } else {
                    while take > 0 {
                        let len = queue.front().len().min(take);
                        out.extend_from_slice(&queue.front()[..len]);
                        queue.advance(len);
                        take -= len;
                    }
                }
                prop_assert_eq!(&out, &model.drain(..out.len()).collect::<Vec<_>>());
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), queue.front().is_empty());
                prop_assert!(queue.allocated() <= queue.len() + 2 * MAX_BLOCK);
            }
        }
    }
}
