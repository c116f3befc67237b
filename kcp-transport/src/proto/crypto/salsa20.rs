//! Salsa20/20 as kcp-go lays it over a packet, eight blocks of key stream at a time.
//!
//! Source: D. J. Bernstein, "The Salsa20 family of stream ciphers", 2007.

use super::PacketCipher;
use crate::proto::batch::Span;
use core::array;
use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u32x4, u32x8};
use salsa20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

/// What stays in clear: the first half of the packet's nonce is the nonce of Salsa20. Source: kcp-go `crypt.go`.
const NONCE_LEN: usize = 8;
/// Bytes of one block of key stream.
const BLOCK_LEN: usize = 64;
/// Blocks made side by side.
const LANES: usize = 8;
/// Up to here the one-by-one blocks of the crate `salsa20` are sooner ready than a full set of lanes.
const SHORT: usize = 2 * BLOCK_LEN;

/// "expand 32-byte k", the diagonal of the state.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Salsa20 under one key.
pub(super) struct Salsa20 {
    key: [u8; 32],
    level: Level,
}

impl Salsa20 {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self {
            key: *key,
            level: Level::new(),
        }
    }

    /// The state of block 0: constants on the diagonal, key, nonce, and the block number in words 8 and 9.
    fn state(&self, nonce: &[u8; NONCE_LEN]) -> [u32; 16] {
        let word =
            |bytes: &[u8], i: usize| u32::from_le_bytes(array::from_fn(|j| bytes[4 * i + j]));
        array::from_fn(|i| match i {
            0 | 5 | 10 | 15 => CONSTANTS[i / 5],
            1..=4 => word(&self.key, i - 1),
            11..=14 => word(&self.key, i - 7),
            6 | 7 => word(nonce, i - 6),
            _ => 0,
        })
    }
}

impl PacketCipher for Salsa20 {
    fn encrypt(&self, buffer: &mut [u8], packets: &[Span]) {
        for packet in packets {
            self.decrypt(&mut buffer[packet.range()]);
        }
    }

    fn decrypt(&self, datagram: &mut [u8]) {
        let Some((nonce, data)) = datagram.split_first_chunk_mut::<NONCE_LEN>() else {
            return;
        };
        let set_len = LANES * BLOCK_LEN;
        let full = data.len() - data.len() % set_len;
        let wide = if data.len() - full > SHORT {
            data.len()
        } else {
            full
        };
        let (wide, short) = data.split_at_mut(wide);

        let mut state = self.state(nonce);
        for set in wide.chunks_mut(set_len) {
            dispatch!(self.level, simd => lay_over(simd, &state, set));
            state[8] += LANES as u32;
        }
        if !short.is_empty() {
            let mut stream = salsa20::Salsa20::new(&self.key.into(), &(*nonce).into());
            stream.seek(full);
            stream.apply_keystream(short);
        }
    }
}

/// Lays the key stream of up to eight blocks over `data`, the first being the block that `state` stands at.
#[inline(always)]
fn lay_over<S: Simd>(simd: S, state: &[u32; 16], data: &mut [u8]) {
    let mut start = state.map(|word| u32x8::splat(simd, word));
    start[8] += u32x8::load_array(simd, array::from_fn(|lane| lane as u32));
    let mut x = start;
    for _ in 0..10 {
        quarter_round(&mut x, [0, 4, 8, 12]);
        quarter_round(&mut x, [5, 9, 13, 1]);
        quarter_round(&mut x, [10, 14, 2, 6]);
        quarter_round(&mut x, [15, 3, 7, 11]);
        quarter_round(&mut x, [0, 1, 2, 3]);
        quarter_round(&mut x, [5, 6, 7, 4]);
        quarter_round(&mut x, [10, 11, 8, 9]);
        quarter_round(&mut x, [15, 12, 13, 14]);
    }

    // Lane by lane the words of one quarter of each block.
    let mut quarters = [[0_u32; 4 * LANES]; 4];
    for (q, quarter) in quarters.iter_mut().enumerate() {
        let words: [_; 4] = array::from_fn(|i| (x[4 * q + i] + start[4 * q + i]).split());
        let (low, high) = quarter.split_at_mut(16);
        u32x4::store_four_interleaved(words.map(|word| word.0), low);
        u32x4::store_four_interleaved(words.map(|word| word.1), high);
    }
    for (lane, block) in data.chunks_mut(BLOCK_LEN).enumerate() {
        for (quarter, part) in quarters.iter().zip(block.chunks_mut(BLOCK_LEN / 4)) {
            let words = &quarter.as_chunks::<4>().0[lane];
            let mask = words.map(u32::to_le_bytes);
            part.iter_mut()
                .zip(mask.as_flattened())
                .for_each(|(byte, mask)| *byte ^= mask);
        }
    }
}

#[inline(always)]
fn quarter_round<S: Simd>(x: &mut [u32x8<S>; 16], [a, b, c, d]: [usize; 4]) {
    x[b] ^= rotate_left(x[a] + x[d], 7);
    x[c] ^= rotate_left(x[b] + x[a], 9);
    x[d] ^= rotate_left(x[c] + x[b], 13);
    x[a] ^= rotate_left(x[d] + x[c], 18);
}

#[inline(always)]
fn rotate_left<S: Simd>(x: u32x8<S>, by: u32) -> u32x8<S> {
    (x << by) | (x >> (u32::BITS - by))
}

#[cfg(test)]
mod tests {
    use super::super::simd_levels;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn packets_of_any_length_come_out_as_from_the_crate_salsa20(
            key: [u8; 32],
            packet in proptest::collection::vec(any::<u8>(), 0..2_500),
        ) {
            let mut expected = packet.clone();
            if let Some((nonce, data)) = expected.split_first_chunk_mut() {
                salsa20::Salsa20::new(&key.into(), &(*nonce).into()).apply_keystream(data);
            }
            for level in simd_levels() {
                let mut encrypted = packet.clone();
                Salsa20 { key, level }.decrypt(&mut encrypted);
                prop_assert_eq!(&encrypted, &expected, "{:?}", level);
            }
        }
    }
}
