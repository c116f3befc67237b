//! Triple DES from tables that join each S-box with the permutation behind it.
//!
//! Source: FIPS 46-3. Bits are numbered there from 1, the most significant one first; the tables below keep that.
//! The crate `des` computes the permutations bit by bit and is several times slower.

use cfb_mode::cipher::consts::{U4, U8};
use cfb_mode::cipher::inout::InOut;
use cfb_mode::cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    ParBlocks, ParBlocksSizeUser,
};

/// Rounds of one DES.
const ROUNDS: usize = 16;

/// Triple DES with three keys: encrypt, decrypt, encrypt.
pub(super) struct TripleDes {
    rounds: [RoundKey; 3 * ROUNDS],
}

/// The eight 6-bit pieces of a round's key, one per byte: those of the first, third, fifth and seventh S-box, then
/// the others.
type RoundKey = [u32; 2];

impl TripleDes {
    pub(super) fn new(key: &[u8; 24]) -> Self {
        let mut rounds = [RoundKey::default(); 3 * ROUNDS];
        for (key, rounds) in key
            .as_chunks::<8>()
            .0
            .iter()
            .zip(rounds.chunks_exact_mut(ROUNDS))
        {
            rounds.copy_from_slice(&schedule(u64::from_be_bytes(*key)));
        }
        rounds[ROUNDS..2 * ROUNDS].reverse();
        Self { rounds }
    }

    /// Encrypts `N` blocks side by side, so that the table look-ups of one fill the waits of the others.
    #[inline(always)]
    fn encrypt<const N: usize>(&self, blocks: [u64; N]) -> [u64; N] {
        let mut halves = blocks.map(initial_permutation);
        // Between two passes the final permutation of one and the initial of the next cancel; the swap remains.
        for pass in self.rounds.as_chunks::<ROUNDS>().0 {
            for [first, second] in pass.as_chunks::<2>().0 {
                for [left, right] in &mut halves {
                    *left ^= feistel(*right, first);
                }
                for [left, right] in &mut halves {
                    *right ^= feistel(*left, second);
                }
            }
            halves = halves.map(|[left, right]| [right, left]);
        }
        halves.map(final_permutation)
    }
}

impl BlockSizeUser for TripleDes {
    type BlockSize = U8;
}

impl ParBlocksSizeUser for TripleDes {
    type ParBlocksSize = U4;
}

impl BlockCipherEncrypt for TripleDes {
    fn encrypt_with_backend(&self, f: impl BlockCipherEncClosure<BlockSize = U8>) {
        f.call(self);
    }
}

impl BlockCipherEncBackend for TripleDes {
    #[inline]
    fn encrypt_block(&self, mut block: InOut<'_, '_, Block<Self>>) {
        let [output] = self.encrypt([u64::from_le_bytes(block.get_in().0)]);
        *block.get_out() = Array(output.to_le_bytes());
    }

    #[inline]
    fn encrypt_par_blocks(&self, mut blocks: InOut<'_, '_, ParBlocks<Self>>) {
        let output = self.encrypt(blocks.get_in().0.map(|block| u64::from_le_bytes(block.0)));
        *blocks.get_out() = Array(output.map(|block| Array(block.to_le_bytes())));
    }
}

/// The function of one round. Halves are kept rotated right by three bits: the six bits that enter an S-box, of which
/// neighbours share two, then lie in the low end of a byte, for every other box without any shift.
#[inline(always)]
fn feistel(half: u32, key: &RoundKey) -> u32 {
    let odd = (half ^ key[0]).to_be_bytes();
    let even = (half.rotate_left(4) ^ key[1]).to_be_bytes();
    let look_up = |sbox: usize, byte: u8| BOXES[sbox][usize::from(byte & 63)];
    (look_up(0, odd[0]) ^ look_up(2, odd[1]) ^ look_up(4, odd[2]) ^ look_up(6, odd[3]))
        ^ (look_up(1, even[0]) ^ look_up(3, even[1]) ^ look_up(5, even[2]) ^ look_up(7, even[3]))
}

/// IP. As an 8×8 matrix of bits with the last byte on top, the block is transposed; the odd columns become the left
/// half, the even ones the right. Taking the bytes as little-endian puts the last byte on top.
#[inline(always)]
fn initial_permutation(block: u64) -> [u32; 2] {
    let rows = transpose(block);
    [rows, rows >> 8].map(|rows| {
        let bytes = rows & 0x00ff_00ff_00ff_00ff;
        let pairs = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
        ((pairs | pairs >> 16) as u32).rotate_right(3)
    })
}

/// The inverse of [`initial_permutation`].
#[inline(always)]
fn final_permutation(halves: [u32; 2]) -> u64 {
    let [left, right] = halves.map(|half| {
        let pairs = u64::from(half.rotate_left(3));
        let pairs = (pairs | pairs << 16) & 0x0000_ffff_0000_ffff;
        (pairs | pairs << 8) & 0x00ff_00ff_00ff_00ff
    });
    transpose(left | right << 8)
}

/// Transposes an 8×8 matrix of bits: 1×1 cells across the diagonal of 2×2 blocks, then 2×2 in 4×4, then 4×4 in 8×8.
#[inline(always)]
fn transpose(mut rows: u64) -> u64 {
    for (distance, mask) in [
        (7, 0x00aa_00aa_00aa_00aa),
        (14, 0x0000_cccc_0000_cccc),
        (28, 0xf0f0_f0f0),
    ] {
        let swapped = (rows ^ rows >> distance) & mask;
        rows ^= swapped ^ swapped << distance;
    }
    rows
}

/// The keys of the sixteen rounds.
fn schedule(key: u64) -> [RoundKey; ROUNDS] {
    let rotate = |half: u64, by: u32| (half << by | half >> (28 - by)) & 0x0fff_ffff;
    let chosen = select(key, 64, &PC1);
    let (mut c, mut d) = (chosen >> 28, chosen & 0x0fff_ffff);
    KEY_ROTATIONS.map(|by| {
        (c, d) = (rotate(c, by), rotate(d, by));
        let pieces = select(c << 28 | d, 56, &PC2);
        let piece = |sbox: u32| (pieces >> (42 - 6 * sbox) & 63) as u8;
        [0, 1].map(|odd| u32::from_be_bytes([0, 2, 4, 6].map(|sbox| piece(sbox + odd))))
    })
}

/// The bits of a word of `width` bits that `table` names, in its order.
const fn select(word: u64, width: u8, table: &[u8]) -> u64 {
    let mut selected = 0;
    let mut i = 0;
    while i < table.len() {
        selected = selected << 1 | (word >> (width - table[i]) & 1);
        i += 1;
    }
    selected
}

/// What each S-box contributes to the other half: substituted, permuted by P, and rotated like the halves.
static BOXES: [[u32; 64]; 8] = boxes();

const fn boxes() -> [[u32; 64]; 8] {
    let mut boxes = [[0; 64]; 8];
    let mut sbox = 0;
    while sbox < 8 {
        let mut input = 0;
        while input < 64 {
            // The outer two bits choose the row, the inner four the column.
            let row = input >> 4 & 2 | input & 1;
            let column = input >> 1 & 15;
            let output = (S[sbox][16 * row + column] as u64) << (28 - 4 * sbox);
            boxes[sbox][input] = (select(output, 32, &P) as u32).rotate_right(3);
            input += 1;
        }
        sbox += 1;
    }
    boxes
}

const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60,
    52, 44, 36, //
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5,
    28, 20, 12, 4,
];

const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2, //
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

const KEY_ROTATIONS: [u32; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, //
    2, 8, 24, 14, 32, 27, 3, 9, 19, 13, 30, 6, 22, 11, 4, 25,
];

#[rustfmt::skip]
const S: [[u8; 64]; 8] = [
    [
        14, 4, 13, 1, 2, 15, 11, 8, 3, 10, 6, 12, 5, 9, 0, 7,
        0, 15, 7, 4, 14, 2, 13, 1, 10, 6, 12, 11, 9, 5, 3, 8,
        4, 1, 14, 8, 13, 6, 2, 11, 15, 12, 9, 7, 3, 10, 5, 0,
        15, 12, 8, 2, 4, 9, 1, 7, 5, 11, 3, 14, 10, 0, 6, 13,
    ],
    [
        15, 1, 8, 14, 6, 11, 3, 4, 9, 7, 2, 13, 12, 0, 5, 10,
        3, 13, 4, 7, 15, 2, 8, 14, 12, 0, 1, 10, 6, 9, 11, 5,
        0, 14, 7, 11, 10, 4, 13, 1, 5, 8, 12, 6, 9, 3, 2, 15,
        13, 8, 10, 1, 3, 15, 4, 2, 11, 6, 7, 12, 0, 5, 14, 9,
    ],
    [
        10, 0, 9, 14, 6, 3, 15, 5, 1, 13, 12, 7, 11, 4, 2, 8,
        13, 7, 0, 9, 3, 4, 6, 10, 2, 8, 5, 14, 12, 11, 15, 1,
        13, 6, 4, 9, 8, 15, 3, 0, 11, 1, 2, 12, 5, 10, 14, 7,
        1, 10, 13, 0, 6, 9, 8, 7, 4, 15, 14, 3, 11, 5, 2, 12,
    ],
    [
        7, 13, 14, 3, 0, 6, 9, 10, 1, 2, 8, 5, 11, 12, 4, 15,
        13, 8, 11, 5, 6, 15, 0, 3, 4, 7, 2, 12, 1, 10, 14, 9,
        10, 6, 9, 0, 12, 11, 7, 13, 15, 1, 3, 14, 5, 2, 8, 4,
        3, 15, 0, 6, 10, 1, 13, 8, 9, 4, 5, 11, 12, 7, 2, 14,
    ],
    [
        2, 12, 4, 1, 7, 10, 11, 6, 8, 5, 3, 15, 13, 0, 14, 9,
        14, 11, 2, 12, 4, 7, 13, 1, 5, 0, 15, 10, 3, 9, 8, 6,
        4, 2, 1, 11, 10, 13, 7, 8, 15, 9, 12, 5, 6, 3, 0, 14,
        11, 8, 12, 7, 1, 14, 2, 13, 6, 15, 0, 9, 10, 4, 5, 3,
    ],
    [
        12, 1, 10, 15, 9, 2, 6, 8, 0, 13, 3, 4, 14, 7, 5, 11,
        10, 15, 4, 2, 7, 12, 9, 5, 6, 1, 13, 14, 0, 11, 3, 8,
        9, 14, 15, 5, 2, 8, 12, 3, 7, 0, 4, 10, 1, 13, 11, 6,
        4, 3, 2, 12, 9, 5, 15, 10, 11, 14, 1, 7, 6, 0, 8, 13,
    ],
    [
        4, 11, 2, 14, 15, 0, 8, 13, 3, 12, 9, 7, 5, 10, 6, 1,
        13, 0, 11, 7, 4, 9, 1, 10, 14, 3, 5, 12, 2, 15, 8, 6,
        1, 4, 11, 13, 12, 3, 7, 14, 10, 15, 6, 8, 0, 5, 9, 2,
        6, 11, 13, 8, 1, 4, 10, 7, 9, 5, 0, 15, 14, 2, 3, 12,
    ],
    [
        13, 2, 8, 4, 6, 15, 11, 1, 10, 9, 3, 14, 5, 0, 12, 7,
        1, 15, 13, 8, 10, 3, 7, 4, 12, 5, 6, 11, 0, 14, 9, 2,
        7, 11, 4, 1, 9, 12, 14, 2, 0, 6, 10, 13, 15, 3, 5, 8,
        2, 1, 14, 7, 4, 10, 8, 13, 15, 12, 9, 0, 3, 5, 6, 11,
    ],
];

#[cfg(test)]
mod tests {
    use super::*;
    use ::des::TdesEde3;
    use cfb_mode::cipher::KeyInit;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn blocks_come_out_as_from_the_crate_des(key: [u8; 24], blocks: [[u8; 8]; 7]) {
            let (ours, reference) = (TripleDes::new(&key), TdesEde3::new(&key.into()));
            let mut encrypted = blocks.map(Array);
            let mut expected = encrypted;
            ours.encrypt_blocks(&mut encrypted);
            reference.encrypt_blocks(&mut expected);
            prop_assert_eq!(encrypted, expected);
        }
    }
}
