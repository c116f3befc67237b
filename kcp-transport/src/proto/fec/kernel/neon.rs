//! 64-bit ARM: two table look-ups per vector of 16 bytes.

use super::tables::NIBBLES;
use super::{BLOCK, Block, define_fold};
use core::arch::aarch64::{
    uint8x16_t, vandq_u8, vdupq_n_u8, veorq_u8, vld1q_u8, vqtbl1q_u8, vshrq_n_u8, vst1q_u8,
};

const LANES: usize = 16;

/// Products with the low and with the high half of a byte.
type Multiplier = [uint8x16_t; 2];

#[inline]
#[target_feature(enable = "neon")]
fn multiplier(coefficient: u8) -> Multiplier {
    let [low, high] = &NIBBLES[usize::from(coefficient)];
    [load(low), load(high)]
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; LANES]) -> uint8x16_t {
    // SAFETY: the reference is valid for reads of `LANES` bytes, and the load needs no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn store(vector: uint8x16_t, bytes: &mut [u8; LANES]) {
    // SAFETY: the reference is valid for writes of `LANES` bytes, and the store needs no alignment.
    unsafe { vst1q_u8(bytes.as_mut_ptr(), vector) }
}

#[inline]
#[target_feature(enable = "neon")]
fn multiply([low, high]: &Multiplier, vector: uint8x16_t) -> uint8x16_t {
    let low = vqtbl1q_u8(*low, vandq_u8(vector, vdupq_n_u8(15)));
    let high = vqtbl1q_u8(*high, vshrq_n_u8::<4>(vector));
    veorq_u8(low, high)
}

#[inline]
#[target_feature(enable = "neon")]
fn add(a: uint8x16_t, b: uint8x16_t) -> uint8x16_t {
    veorq_u8(a, b)
}

define_fold!("neon");
