//! Bytes on their way between an application and its session, and the pool they come from and return to.

use core::fmt;

/// Capacity of a chunk that carries bulk data.
pub(crate) const LARGE: usize = 64 * 1024;

/// Capacity of a chunk that carries a small message, or one segment that waits for an earlier one.
pub(crate) const SMALL: usize = 2 * 1024;

/// A run of bytes that moves instead of being copied: filled at its end, emptied at its front.
#[derive(Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    start: usize,
}

impl Chunk {
    /// An empty chunk fit for `len` bytes, or for as much of them as one chunk takes.
    pub fn for_len(len: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(if len <= SMALL { SMALL } else { LARGE }),
            start: 0,
        }
    }

    /// The bytes not taken yet.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many bytes are not taken yet.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether every byte was taken.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that [`push`](Self::push) would still take.
    pub fn room(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    /// Bytes it can hold in all.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends as much of `bytes` as there is room for; returns how much that was.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        self.bytes.extend_from_slice(&bytes[..len]);
        len
    }

    /// Appends all of `bytes`, growing where there is no room.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Takes `len` bytes off the front.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.len(), "advanced past the end of a chunk");
        self.start += len;
    }

    /// Empties the chunk; its memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.start = 0;
    }
}

impl From<Vec<u8>> for Chunk {
    /// Takes the bytes as they are, without copying.
    fn from(bytes: Vec<u8>) -> Self {
        Self { bytes, start: 0 }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} of {} bytes)", self.len(), self.capacity())
    }
}

/// Empty chunks kept for reuse, so that a steady flow allocates nothing.
///
/// One pool serves every session of a socket. What it holds is bounded; beyond that chunks are freed.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    small: Vec<Chunk>,
    large: Vec<Chunk>,
}

impl Pool {
    /// Large chunks kept: 4 MiB, the chunks of a window of 3,000 full segments. What writers bring with them is given
    /// back here, more than they take from it, so a busy endpoint holds as many in the end.
    const MAX_LARGE: usize = 64;

    /// Small chunks kept: 4 MiB.
    const MAX_SMALL: usize = 2_048;

    /// An empty chunk for a small message or a single segment.
    pub(crate) fn small(&mut self) -> Chunk {
        self.small.pop().unwrap_or_else(|| Chunk::for_len(SMALL))
    }

    /// An empty chunk for bulk data.
    pub(crate) fn large(&mut self) -> Chunk {
        self.large.pop().unwrap_or_else(|| Chunk::for_len(LARGE))
    }

    /// A kept chunk fit for `len` bytes, if there is one.
    pub(crate) fn spare(&mut self, len: usize) -> Option<Chunk> {
        if len <= SMALL {
            self.small.pop()
        } else {
            self.large.pop()
        }
    }

    /// Keeps a chunk's memory for later, if it has one of the pool's sizes.
    pub(crate) fn give(&mut self, mut chunk: Chunk) {
        chunk.clear();
        match chunk.capacity() {
            LARGE if self.large.len() < Self::MAX_LARGE => self.large.push(chunk),
            SMALL if self.small.len() < Self::MAX_SMALL => self.small.push(chunk),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_what_it_has_room_for() {
        let mut chunk = Chunk::for_len(10);
        assert_eq!(chunk.push(&[7; SMALL + 5]), SMALL);
        assert_eq!(chunk.room(), 0);
        chunk.advance(SMALL - 1);
        assert_eq!(chunk.bytes(), [7]);
        chunk.clear();
        assert!(chunk.is_empty());
        assert_eq!(chunk.room(), SMALL);
    }

    #[test]
    fn the_pool_returns_the_same_memory() {
        let mut pool = Pool::default();
        let mut chunk = pool.large();
        chunk.push(b"x");
        let address = chunk.bytes().as_ptr();
        pool.give(chunk);
        let mut chunk = pool.large();
        chunk.push(b"y");
        assert_eq!(chunk.bytes().as_ptr(), address);
    }
}
