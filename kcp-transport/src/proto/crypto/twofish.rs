//! Twofish with its S-boxes and its matrix computed once per key into four tables.
//!
//! Source: B. Schneier et al., "Twofish: A 128-Bit Block Cipher", 1998; section numbers are of that paper. The crate
//! `twofish` computes every S-box at every use and is a hundred times slower.

use cfb_mode::cipher::consts::{U4, U16};
use cfb_mode::cipher::inout::InOut;
use cfb_mode::cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    ParBlocks, ParBlocksSizeUser,
};

/// Words that are mixed into the block before the first round and after the last.
const WHITENING: usize = 4;

/// Twofish under one key of 128, 192 or 256 bits.
pub(super) struct Twofish {
    /// For each byte of a word: its keyed S-box, multiplied by its column of the matrix.
    tables: Box<[[u32; 256]; 4]>,
    before: [u32; WHITENING],
    after: [u32; WHITENING],
    /// Two words for each of the sixteen rounds, two rounds to an entry.
    rounds: [[u32; 4]; 8],
}

impl Twofish {
    /// None if the key has another length than 16, 24 or 32 bytes.
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let (pairs, []) = key.as_chunks::<8>() else {
            return None;
        };
        if !(2..=4).contains(&pairs.len()) {
            return None;
        }
        // §4.3: the even words of the key, the odd ones, and the key of the S-boxes, which goes backwards.
        let half = |half: usize| {
            pairs
                .iter()
                .map(move |pair| core::array::from_fn(|i| pair[4 * half + i]))
        };
        let even: Vec<[u8; 4]> = half(0).collect();
        let odd: Vec<[u8; 4]> = half(1).collect();
        let sbox_key: Vec<[u8; 4]> = pairs.iter().rev().map(reed_solomon).collect();

        let mut subkeys = (0_u8..20).flat_map(|i| {
            let a = h([2 * i; 4], &even);
            let b = h([2 * i + 1; 4], &odd).rotate_left(8);
            let a = a.wrapping_add(b);
            [a, a.wrapping_add(b).rotate_left(9)]
        });
        let mut take = || core::array::from_fn(|_| subkeys.next().expect("there are 40 subkeys"));
        let (before, after) = (take(), take());
        let rounds = core::array::from_fn(|_| take());

        let mut tables = Box::new([[0; 256]; 4]);
        for (column, table) in tables.iter_mut().enumerate() {
            for (input, entry) in (0..=u8::MAX).zip(table) {
                *entry = mds_column(column, keyed_sbox(column, input, &sbox_key));
            }
        }
        Some(Self {
            tables,
            before,
            after,
            rounds,
        })
    }

    /// Encrypts `N` blocks side by side, so that the table look-ups of one fill the waits of the others.
    #[inline(always)]
    fn encrypt<const N: usize>(&self, blocks: &mut [[u32; 4]; N]) {
        for block in &mut *blocks {
            block
                .iter_mut()
                .zip(&self.before)
                .for_each(|(word, key)| *word ^= key);
        }
        for [k0, k1, k2, k3] in &self.rounds {
            for [a, b, c, d] in &mut *blocks {
                self.round([*a, *b], [c, d], [*k0, *k1]);
            }
            for [a, b, c, d] in &mut *blocks {
                self.round([*c, *d], [a, b], [*k2, *k3]);
            }
        }
        for block in &mut *blocks {
            // The swap of the last round is undone.
            block.rotate_left(2);
            block
                .iter_mut()
                .zip(&self.after)
                .for_each(|(word, key)| *word ^= key);
        }
    }

    /// §4.1: mixes two words into the other two.
    #[inline(always)]
    fn round(&self, [a, b]: [u32; 2], [c, d]: [&mut u32; 2], key: [u32; 2]) {
        let t0 = self.g(a);
        let t1 = self.g(b.rotate_left(8));
        let sum = t0.wrapping_add(t1);
        *c = (*c ^ sum.wrapping_add(key[0])).rotate_right(1);
        *d = d.rotate_left(1) ^ sum.wrapping_add(t1).wrapping_add(key[1]);
    }

    #[inline(always)]
    fn g(&self, word: u32) -> u32 {
        let [a, b, c, d] = word.to_le_bytes().map(usize::from);
        self.tables[0][a] ^ self.tables[1][b] ^ self.tables[2][c] ^ self.tables[3][d]
    }
}

impl BlockSizeUser for Twofish {
    type BlockSize = U16;
}

impl ParBlocksSizeUser for Twofish {
    type ParBlocksSize = U4;
}

impl BlockCipherEncrypt for Twofish {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U16>) {
        f.call(self);
    }
}

impl BlockCipherEncBackend for Twofish {
    #[inline]
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let mut words = [words(block.get_in())];
        self.encrypt(&mut words);
        *block.get_out() = bytes(words[0]);
    }

    #[inline]
    fn encrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let mut words = blocks.get_in().0.each_ref().map(words);
        self.encrypt(&mut words);
        *blocks.get_out() = Array(words.map(bytes));
    }
}

#[inline(always)]
fn words(block: &Array<u8, U16>) -> [u32; 4] {
    core::array::from_fn(|i| u32::from_le_bytes(core::array::from_fn(|j| block[4 * i + j])))
}

#[inline(always)]
fn bytes(words: [u32; 4]) -> Array<u8, U16> {
    let bytes = words.map(u32::to_le_bytes);
    Array::from_fn(|i| bytes.as_flattened()[i])
}

/// §4.3.2: the function behind both the S-boxes and the subkeys.
fn h(input: [u8; 4], key: &[[u8; 4]]) -> u32 {
    (0..4).fold(0, |word, i| {
        word ^ mds_column(i, keyed_sbox(i, input[i], key))
    })
}

/// Sends one byte through permutations with bytes of the key between them.
fn keyed_sbox(column: usize, input: u8, key: &[[u8; 4]]) -> u8 {
    let (last, before) = PERMUTATIONS[column]
        .split_last()
        .expect("five permutations");
    let used = &before[before.len() - key.len()..];
    let keyed = used
        .iter()
        .zip(key.iter().rev())
        .fold(input, |byte, (&q, word)| permute(q, byte) ^ word[column]);
    permute(*last, keyed)
}

/// Which of `q0` and `q1` a byte of each column meets, in order. A key of 256 bits takes all five, of 192 bits the
/// last four, of 128 bits the last three. Source: figure 2.
const PERMUTATIONS: [[usize; 5]; 4] = [
    [1, 1, 0, 0, 1],
    [0, 1, 1, 0, 0],
    [0, 0, 0, 1, 1],
    [1, 0, 1, 1, 0],
];

/// §4.3.5: the byte permutations `q0` and `q1`, made of four tables of half bytes each.
fn permute(q: usize, byte: u8) -> u8 {
    let mix = |a: u8, b: u8| (a ^ b, a ^ (b >> 1 | b << 3 & 8) ^ (a << 3 & 8));
    let [t0, t1, t2, t3] = HALF_BYTES[q];
    let (a, b) = mix(byte >> 4, byte & 15);
    let (a, b) = mix(t0[usize::from(a)], t1[usize::from(b)]);
    t3[usize::from(b)] << 4 | t2[usize::from(a)]
}

#[rustfmt::skip]
const HALF_BYTES: [[[u8; 16]; 4]; 2] = [
    [
        [0x8, 0x1, 0x7, 0xd, 0x6, 0xf, 0x3, 0x2, 0x0, 0xb, 0x5, 0x9, 0xe, 0xc, 0xa, 0x4],
        [0xe, 0xc, 0xb, 0x8, 0x1, 0x2, 0x3, 0x5, 0xf, 0x4, 0xa, 0x6, 0x7, 0x0, 0x9, 0xd],
        [0xb, 0xa, 0x5, 0xe, 0x6, 0xd, 0x9, 0x0, 0xc, 0x8, 0xf, 0x3, 0x2, 0x4, 0x7, 0x1],
        [0xd, 0x7, 0xf, 0x4, 0x1, 0x2, 0x6, 0xe, 0x9, 0xb, 0x3, 0x0, 0x8, 0x5, 0xc, 0xa],
    ],
    [
        [0x2, 0x8, 0xb, 0xd, 0xf, 0x7, 0x6, 0xe, 0x3, 0x1, 0x9, 0x4, 0x0, 0xa, 0xc, 0x5],
        [0x1, 0xe, 0x2, 0xb, 0x4, 0xc, 0x3, 0x7, 0x6, 0xd, 0xa, 0x5, 0xf, 0x9, 0x0, 0x8],
        [0x4, 0xc, 0x7, 0x5, 0x1, 0x6, 0x9, 0xa, 0x0, 0xe, 0xd, 0x8, 0x2, 0xb, 0x3, 0xf],
        [0xb, 0x9, 0x5, 0x1, 0xc, 0x3, 0xd, 0xe, 0x6, 0x4, 0x7, 0xf, 0x2, 0x0, 0x8, 0xa],
    ],
];

/// §4.2: a byte times its column of the MDS matrix, over x⁸ + x⁶ + x⁵ + x³ + 1.
fn mds_column(column: usize, byte: u8) -> u32 {
    const MDS: [[u8; 4]; 4] = [
        [0x01, 0x5b, 0xef, 0xef],
        [0xef, 0xef, 0x5b, 0x01],
        [0x5b, 0xef, 0x01, 0xef],
        [0x5b, 0x01, 0xef, 0x5b],
    ];
    u32::from_le_bytes(MDS[column].map(|factor| multiply(factor, byte, 0x69)))
}

/// §4.3: the part of the S-box key that eight bytes of the key give, over x⁸ + x⁶ + x³ + x² + 1.
fn reed_solomon(key: &[u8; 8]) -> [u8; 4] {
    const RS: [[u8; 8]; 4] = [
        [0x01, 0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e],
        [0xa4, 0x56, 0x82, 0xf3, 0x1e, 0xc6, 0x68, 0xe5],
        [0x02, 0xa1, 0xfc, 0xc1, 0x47, 0xae, 0x3d, 0x19],
        [0xa4, 0x55, 0x87, 0x5a, 0x58, 0xdb, 0x9e, 0x03],
    ];
    RS.map(|row| {
        row.iter().zip(key).fold(0, |sum, (&factor, &byte)| {
            sum ^ multiply(factor, byte, 0x4d)
        })
    })
}

/// Multiplies in GF(2⁸) modulo x⁸ plus the polynomial in `rest`.
fn multiply(a: u8, b: u8, rest: u8) -> u8 {
    (0..8).rev().fold(0, |product: u8, bit| {
        let reduce = if product & 0x80 == 0 { 0 } else { rest };
        let add = if b >> bit & 1 == 0 { 0 } else { a };
        product << 1 ^ reduce ^ add
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cfb_mode::cipher::KeyInit;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_come_out_as_from_the_crate_twofish(key: [u8; 32], blocks: [[u8; 16]; 7]) {
            for key in [&key[..16], &key[..24], &key[..]] {
                let ours = Twofish::new(key).unwrap();
                let reference = ::twofish::Twofish::new_from_slice(key).unwrap();
                let mut encrypted = blocks.map(Array);
                let mut expected = encrypted;
                ours.encrypt_blocks(&mut encrypted);
                reference.encrypt_blocks(&mut expected);
                prop_assert_eq!(encrypted, expected);
            }
        }
    }
}
