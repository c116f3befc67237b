//! Nonces for outgoing packets, from a seed that the caller draws once.

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aes::{Aes256Enc, Block};

/// Blocks made at a time. A larger pool is no faster.
const POOL: usize = 64;
/// Blocks at the front of each pool that become the next key.
const KEY_BLOCKS: usize = 2;

/// A source of packet nonces: unpredictable without the seed, the same for the same seed.
///
/// AES-256 in counter mode fills a pool of blocks at a time. The first two blocks of a pool are never handed out:
/// they are the key of the next one, so no key makes more than one pool, the counter cannot run out, and past nonces
/// cannot be computed from the present state. Construction: "fast key erasure", D. J. Bernstein, 2017.
pub(crate) struct Nonces {
    pool: Box<[Block; POOL]>,
    used: usize,
}

impl Nonces {
    /// Nonces from 32 random bytes. Two sources with one seed give the same nonces, which breaks AEAD ciphers: draw a
    /// new seed for every source.
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        let mut pool = Box::new([Block::default(); POOL]);
        pool[0].copy_from_slice(&seed[..16]);
        pool[1].copy_from_slice(&seed[16..]);
        Self { pool, used: POOL }
    }

    /// The next nonce.
    #[inline]
    pub(super) fn draw(&mut self) -> [u8; 16] {
        if self.used == POOL {
            self.refill();
        }
        let nonce = self.pool[self.used].0;
        self.used += 1;
        nonce
    }

    #[cold]
    fn refill(&mut self) {
        let key: Array<u8, _> = self.pool[0].concat(self.pool[1]);
        for (counter, block) in (0_u128..).zip(self.pool.iter_mut()) {
            *block = Array(counter.to_be_bytes());
        }
        Aes256Enc::new(&key).encrypt_blocks(&mut self.pool[..]);
        self.used = KEY_BLOCKS;
    }
}

impl core::fmt::Debug for Nonces {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
impl Nonces {
    /// Draws the same nonce until the pool is used up, to repeat recorded packets.
    pub(super) fn repeating(nonce: [u8; 16]) -> Self {
        Self {
            pool: Box::new([Array(nonce); POOL]),
            used: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_nonce_comes_twice() {
        let mut nonces = Nonces::new([7; 32]);
        let drawn: HashSet<_> = (0..10_000).map(|_| nonces.draw()).collect();
        assert_eq!(drawn.len(), 10_000);
    }

    #[test]
    fn one_seed_always_gives_the_same_nonces_and_another_seed_gives_others() {
        let draw = |seed| {
            let mut nonces = Nonces::new(seed);
            core::array::from_fn::<_, 200, _>(|_| nonces.draw())
        };
        assert_eq!(draw([1; 32]), draw([1; 32]));
        assert!(
            draw([1; 32])
                .iter()
                .all(|nonce| !draw([2; 32]).contains(nonce))
        );
    }

    #[test]
    fn the_bytes_that_become_the_next_key_are_never_handed_out() {
        let mut nonces = Nonces::new([3; 32]);
        let first = nonces.draw();
        let key = [nonces.pool[0].0, nonces.pool[1].0];
        let drawn: Vec<_> = core::iter::once(first)
            .chain((1..500).map(|_| nonces.draw()))
            .collect();
        assert!(key.iter().all(|secret| !drawn.contains(secret)));
    }
}
