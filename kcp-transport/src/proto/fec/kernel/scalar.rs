//! For processors without any of the vector instructions we know, and the reference for those: the table look-ups of
//! `reed-solomon-erasure`.

use super::{BLOCK, Block, define_fold};
use reed_solomon_erasure::galois_8::mul_slice;

const LANES: usize = BLOCK;

fn multiplier(coefficient: u8) -> u8 {
    coefficient
}

fn load(bytes: &[u8; LANES]) -> [u8; LANES] {
    *bytes
}

fn store(vector: [u8; LANES], bytes: &mut [u8; LANES]) {
    *bytes = vector;
}

fn multiply(multiplier: &u8, vector: [u8; LANES]) -> [u8; LANES] {
    let mut product = [0; LANES];
    mul_slice(*multiplier, &vector, &mut product);
    product
}

fn add(mut a: [u8; LANES], b: [u8; LANES]) -> [u8; LANES] {
    for (a, b) in a.iter_mut().zip(b) {
        *a ^= b;
    }
    a
}

define_fold!();
