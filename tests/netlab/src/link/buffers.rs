//! The bytes of packets on their way, in buffers that go round.

/// Names a stored packet. Whoever holds it must release it, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot(u32);

/// A pool of packet buffers. Once it has seen the busiest moment it allocates no more.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    slots: Vec<Vec<u8>>,
    free: Vec<Slot>,
    /// Sum of the capacities of `slots`.
    reserved: usize,
}

impl Buffers {
    /// Keeps a copy of `packet`; `None` when the memory limit is reached.
    pub(super) fn store(&mut self, packet: &[u8]) -> Option<Slot> {
        let slot = self.reserve(packet.len())?;
        self.slots[slot.0 as usize].extend_from_slice(packet);
        Some(slot)
    }

    /// Stores the packet in `slot` a second time.
    pub(super) fn copy(&mut self, slot: Slot) -> Option<Slot> {
        let copy = self.reserve(self.slots[slot.0 as usize].len())?;
        let [original, copy_of] = self
            .slots
            .get_disjoint_mut([slot.0 as usize, copy.0 as usize])
            .expect("a slot in use is not handed out again");
        copy_of.extend_from_slice(original);
        Some(copy)
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> &mut [u8] {
        &mut self.slots[slot.0 as usize]
    }

    pub(super) fn release(&mut self, slot: Slot) {
        self.free.push(slot);
    }

    /// An empty buffer with room for `len` bytes. The most recently used one is taken first.
    fn reserve(&mut self, len: usize) -> Option<Slot> {
        let slot = self.free.last().copied();
        let capacity = slot.map_or(0, |slot| self.slots[slot.0 as usize].capacity());
        let wanted = len.max(1).next_multiple_of(STEP).max(capacity);
        if self.reserved + (wanted - capacity) > MEMORY_LIMIT {
            return None;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Vec::new());
            Slot((self.slots.len() - 1) as u32)
        });
        let buffer = &mut self.slots[slot.0 as usize];
        buffer.clear();
        buffer.reserve_exact(wanted);
        self.reserved += buffer.capacity() - capacity;
        Some(slot)
    }

    /// Number of buffers ever made.
    #[cfg(test)]
    pub(super) fn made(&self) -> usize {
        self.slots.len()
    }
}

/// Most memory one link may use for packets, in bytes: 1 Gbit/s for two seconds.
const MEMORY_LIMIT: usize = 256 << 20;

/// Buffers grow in steps of this many bytes: most packets fit the first.
const STEP: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_buffers_are_used_again() {
        let mut buffers = Buffers::default();
        for round in 0..100_u8 {
            let first = buffers.store(&[round; 1400]).unwrap();
            let second = buffers.copy(first).unwrap();
            assert_eq!(buffers.get_mut(first), [round; 1400]);
            assert_eq!(buffers.get_mut(second), [round; 1400]);
            buffers.release(first);
            buffers.release(second);
        }
        assert_eq!(buffers.made(), 2);
        assert_eq!(buffers.reserved, 2 * STEP);
    }

    #[test]
    fn memory_has_a_limit_and_room_returns_with_a_release() {
        let mut buffers = Buffers::default();
        let packet = vec![0; 1 << 20];
        let slots: Vec<Slot> = std::iter::from_fn(|| buffers.store(&packet)).collect();
        assert_eq!(slots.len(), MEMORY_LIMIT >> 20);
        buffers.release(slots[0]);
        assert!(buffers.store(&packet).is_some());
        assert!(buffers.store(&packet).is_none());
    }
}
