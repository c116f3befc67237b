//! Pseudo-random bytes from a seed, the same in Rust and in `go/stream.go`: either end of a connection knows
//! what the other must have sent.

/// SplitMix64 as an endless stream of bytes: every output word in little-endian order.
///
/// Source: Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", 2014. Any seed is good.
#[derive(Clone, Debug)]
pub struct Stream {
    state: u64,
    word: [u8; 8],
    used: usize,
}

impl Stream {
    /// The stream of `seed`, from its first byte.
    pub const fn new(seed: u64) -> Self {
        Self {
            state: seed,
            word: [0; 8],
            used: 8,
        }
    }

    /// The next 64 bits, for tests that need numbers; bytes left over from the last word are skipped.
    pub fn next_word(&mut self) -> u64 {
        self.used = 8;
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    /// Fills `out` with the next bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        let left = (self.word.len() - self.used).min(out.len());
        let (head, tail) = out.split_at_mut(left);
        head.copy_from_slice(&self.word[self.used..self.used + left]);
        self.used += left;
        for piece in tail.chunks_mut(8) {
            self.word = self.next_word().to_le_bytes();
            self.used = piece.len();
            piece.copy_from_slice(&self.word[..piece.len()]);
        }
    }
}

impl Iterator for Stream {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if self.used == self.word.len() {
            self.word = self.next_word().to_le_bytes();
            self.used = 0;
        }
        let byte = self.word[self.used];
        self.used += 1;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_published_generator() {
        let mut stream = Stream::new(1_234_567);
        let words = [(); 3].map(|()| stream.next_word());
        assert_eq!(
            words,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn the_stream_does_not_depend_on_how_it_is_cut() {
        let mut cut = Stream::new(7);
        let mut bytes = cut.bytes(3);
        bytes.extend(cut.bytes(0));
        bytes.extend(cut.bytes(14));
        assert_eq!(bytes, Stream::new(7).bytes(17));
        assert_eq!(bytes[..8], Stream::new(7).next_word().to_le_bytes());
    }
}
