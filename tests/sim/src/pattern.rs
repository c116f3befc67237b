//! Bytes that tell where they belong.

use std::sync::{Arc, OnceLock};

use interop::stream::Stream;

/// Length of the repeated block: a prime above 1 MiB, so that no power of two, no segment size and no buffer size of
/// the code under test divides a shift of the stream by a whole block.
const BLOCK_LEN: usize = 1_048_583;

/// An endless stream of pseudo-random bytes, made and checked at the speed of memory. Copies of equal origin agree.
#[derive(Clone, Debug)]
pub struct Pattern {
    block: Arc<[u8]>,
    at: usize,
}

impl Pattern {
    /// The stream of this number: streams of different numbers differ.
    pub fn new(number: u64) -> Self {
        static BLOCK: OnceLock<Arc<[u8]>> = OnceLock::new();
        let block = BLOCK.get_or_init(|| Stream::new(0x5eed).bytes(BLOCK_LEN).into());
        Self {
            block: Arc::clone(block),
            at: (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % BLOCK_LEN as u64) as usize,
        }
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let part = self.part(len - bytes.len());
            bytes.extend_from_slice(&self.block[part]);
        }
        bytes
    }

    /// Whether the next bytes are these.
    pub fn matches(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let part = self.part(bytes.len());
            let (head, tail) = bytes.split_at(part.len());
            if self.block[part] != *head {
                return false;
            }
            bytes = tail;
        }
        true
    }

    /// Takes up to `len` bytes off the block, where it does not end before.
    fn part(&mut self, len: usize) -> std::ops::Range<usize> {
        let end = BLOCK_LEN.min(self.at + len);
        let part = self.at..end;
        self.at = end % BLOCK_LEN;
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_recognises_its_own_bytes_however_they_are_cut() {
        let bytes = Pattern::new(3).bytes(3 * BLOCK_LEN);
        let mut check = Pattern::new(3);
        assert!(bytes.chunks(77_777).all(|part| check.matches(part)));
        assert!(!Pattern::new(3).matches(&bytes[1..100]));
        assert!(!Pattern::new(4).matches(&bytes[..100]));
    }
}
