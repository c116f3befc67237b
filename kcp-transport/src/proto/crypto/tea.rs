//! TEA and XTEA, eight blocks at a time.
//!
//! Both are nothing but additions, shifts and exclusive ors of 32-bit words, so eight blocks side by side fill the
//! vector registers. Sources: D. Wheeler, R. Needham, "TEA, a Tiny Encryption Algorithm", 1994, and "Tea extensions",
//! 1997. Words are big-endian as in Go's `x/crypto`.

use cfb_mode::cipher::consts::U8;
use cfb_mode::cipher::inout::{InOut, InOutBuf};
use cfb_mode::cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    ParBlocks, ParBlocksSizeUser,
};
use core::marker::PhantomData;
use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u32x8};

/// The golden ratio in 32 bits: what the sum grows by in every cycle.
const DELTA: u32 = 0x9e37_79b9;

/// A cipher of the TEA family under one key.
pub(super) struct TeaFamily<R> {
    key: [u32; 4],
    level: Level,
    rounds: PhantomData<fn() -> R>,
}

impl<R> TeaFamily<R> {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let words = key.as_chunks::<4>().0;
        Self {
            key: core::array::from_fn(|i| u32::from_be_bytes(words[i])),
            level: Level::new(),
            rounds: PhantomData,
        }
    }
}

/// What distinguishes the ciphers of the family. A block is two words, `v0` and `v1`.
pub(super) trait Rounds {
    fn encrypt<S: Simd>(key: &[u32; 4], v0: &mut u32x8<S>, v1: &mut u32x8<S>);
}

/// TEA with 8 cycles instead of the usual 32. Source: kcp-go `crypt.go`, `tea.NewCipherWithRounds(key, 16)`.
pub(super) struct Tea;

impl Rounds for Tea {
    #[inline(always)]
    fn encrypt<S: Simd>(key: &[u32; 4], v0: &mut u32x8<S>, v1: &mut u32x8<S>) {
        for cycle in 1..=8 {
            let sum = DELTA.wrapping_mul(cycle);
            *v0 += ((*v1 << 4) + key[0]) ^ (*v1 + sum) ^ ((*v1 >> 5) + key[1]);
            *v1 += ((*v0 << 4) + key[2]) ^ (*v0 + sum) ^ ((*v0 >> 5) + key[3]);
        }
    }
}

/// XTEA with the usual 32 cycles.
pub(super) struct Xtea;

impl Rounds for Xtea {
    #[inline(always)]
    fn encrypt<S: Simd>(key: &[u32; 4], v0: &mut u32x8<S>, v1: &mut u32x8<S>) {
        for cycle in 0..32 {
            let sum = DELTA.wrapping_mul(cycle);
            let round_key = sum.wrapping_add(key[(sum & 3) as usize]);
            *v0 += (((*v1 << 4) ^ (*v1 >> 5)) + *v1) ^ round_key;
            let sum = sum.wrapping_add(DELTA);
            let round_key = sum.wrapping_add(key[(sum >> 11 & 3) as usize]);
            *v1 += (((*v0 << 4) ^ (*v0 >> 5)) + *v0) ^ round_key;
        }
    }
}

impl<R> BlockSizeUser for TeaFamily<R> {
    type BlockSize = U8;
}

impl<R: Rounds> BlockCipherEncrypt for TeaFamily<R> {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        dispatch!(self.level, simd => f.call(&Backend { cipher: self, simd }));
    }
}

struct Backend<'a, R, S> {
    cipher: &'a TeaFamily<R>,
    simd: S,
}

impl<R, S> BlockSizeUser for Backend<'_, R, S> {
    type BlockSize = U8;
}

impl<R, S> ParBlocksSizeUser for Backend<'_, R, S> {
    type ParBlocksSize = U8;
}

impl<R: Rounds, S: Simd> BlockCipherEncBackend for Backend<'_, R, S> {
    #[inline(always)]
    fn encrypt_block(&self, block: InOut<'_, '_, Block<Self>>) {
        let mut blocks = ParBlocks::<Self>::default();
        blocks[0] = *block.get_in();
        self.encrypt_par_blocks_inplace(&mut blocks);
        *block.into_out() = blocks[0];
    }

    #[inline(always)]
    fn encrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let words = blocks.get_in().0.map(|block| u64::from_be_bytes(block.0));
        let mut v0 = u32x8::load_array(self.simd, words.map(|word| (word >> 32) as u32));
        let mut v1 = u32x8::load_array(self.simd, words.map(|word| word as u32));
        R::encrypt(&self.cipher.key, &mut v0, &mut v1);
        for (i, block) in blocks.get_out().iter_mut().enumerate() {
            let word = u64::from(v0[i]) << 32 | u64::from(v1[i]);
            *block = Array(word.to_be_bytes());
        }
    }

    /// Pads to a full set of lanes: one set takes as long as a single block.
    #[inline(always)]
    fn encrypt_tail_blocks(&self, mut tail: InOutBuf<'_, '_, Block<Self>>) {
        if tail.is_empty() {
            return;
        }
        let mut blocks = ParBlocks::<Self>::default();
        let used = tail.len();
        blocks[..used].copy_from_slice(tail.get_in());
        self.encrypt_par_blocks_inplace(&mut blocks);
        tail.get_out().copy_from_slice(&blocks[..used]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd_levels;
    use super::*;
    use proptest::prelude::*;

    fn encrypt<R: Rounds>(key: &[u8; 16], level: Level, blocks: &mut [Array<u8, U8>]) {
        let cipher = TeaFamily::<R> {
            level,
            ..TeaFamily::new(key)
        };
        cipher.encrypt_blocks(blocks);
    }

    /// XTEA has no published test vectors of its authors; these two circulate with implementations of it.
    #[test]
    fn xtea_gives_known_blocks() {
        let key = core::array::from_fn(|i| i as u8);
        for (plain, expected) in [
            (*b"ABCDEFGH", 0x497d_f3d0_7261_2cb5_u64),
            ([0x41; 8], 0xe78f_2d13_7443_41d8),
        ] {
            let mut blocks = [Array(plain)];
            encrypt::<Xtea>(&key, Level::new(), &mut blocks);
            assert_eq!(u64::from_be_bytes(blocks[0].0), expected);
        }
    }

    proptest! {
        #[test]
        fn blocks_come_out_the_same_alone_together_and_with_any_instructions(
            key: [u8; 16],
            blocks: [[u8; 8]; 13],
        ) {
            for encrypt in [encrypt::<Tea>, encrypt::<Xtea>] {
                let mut expected = blocks.map(Array);
                for block in &mut expected {
                    encrypt(&key, Level::new(), core::slice::from_mut(block));
                }
                for level in simd_levels() {
                    let mut encrypted = blocks.map(Array);
                    encrypt(&key, level, &mut encrypted);
                    prop_assert_eq!(encrypted, expected, "{:?}", level);
                }
            }
        }
    }
}
