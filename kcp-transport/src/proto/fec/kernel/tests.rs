//! Every implementation against the multiplication of `reed-solomon-erasure`, byte by byte.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use reed_solomon_erasure::galois_8::mul;

/// What `fold` must do to the rows, each of them whole.
fn fold_slowly(rows: &mut [Vec<u8>], filled: usize, coefficients: &[u8], shard: &[u8]) {
    let touched = shard.len().next_multiple_of(BLOCK);
    for (row, &coefficient) in rows.iter_mut().zip(coefficients) {
        for (at, byte) in row[..touched].iter_mut().enumerate() {
            let old = if at < filled * BLOCK { *byte } else { 0 };
            *byte = old ^ mul(coefficient, shard.get(at).copied().unwrap_or(0));
        }
    }
}

fn interleave(rows: &[Vec<u8>]) -> Vec<Block> {
    let blocks = rows.first().map_or(0, |row| row.len() / BLOCK);
    (0..blocks)
        .flat_map(|at| rows.iter().map(move |row| row.as_chunks().0[at]))
        .map(Block)
        .collect()
}

fn assert_fold(coefficients: &[u8], filled: usize, shard: &[u8]) {
    let blocks = shard.len().div_ceil(BLOCK) + 1;
    let garbage = |row| {
        (0..blocks * BLOCK)
            .map(move |at| (at * 7 + row * 13) as u8)
            .collect()
    };
    let mut expected: Vec<Vec<u8>> = (0..coefficients.len()).map(garbage).collect();
    let before = interleave(&expected);
    fold_slowly(&mut expected, filled, coefficients, shard);
    for kernel in Kernel::available() {
        let mut blocks = before.clone();
        kernel.fold(&mut blocks, coefficients.len(), filled, coefficients, shard);
        assert!(
            blocks
                .iter()
                .map(|block| block.0)
                .eq(interleave(&expected).iter().map(|block| block.0)),
            "{kernel:?}, {coefficients:?}, {filled}, {} bytes",
            shard.len()
        );
    }
}

#[test]
fn every_coefficient_times_every_byte_is_right() {
    let shard: Vec<u8> = (0..=255).collect();
    for coefficient in 0..=255 {
        assert_fold(&[coefficient], 0, &shard);
        assert_fold(&[coefficient], 4, &shard);
    }
}

#[test]
fn every_length_of_shard_is_right() {
    let bytes: Vec<u8> = (0..1_501).map(|i| (i * i % 253) as u8).collect();
    for len in 0..=1_500 {
        // One byte in, so that the shard is aligned to nothing.
        assert_fold(&[1, 0x8e, 0xff], len / 100, &bytes[1..=len]);
    }
}

#[test]
fn the_fastest_available_kernel_is_chosen() {
    let available: Vec<_> = Kernel::available().collect();
    assert_eq!(available.first(), Some(&Kernel(Instructions::Scalar)));
    assert_eq!(available.last(), Some(&Kernel::detect()));
}

proptest! {
    #[test]
    fn any_number_of_rows_is_right(
        coefficients in vec(any::<u8>(), 1..20),
        filled in 0..6_usize,
        shard in vec(any::<u8>(), 0..400),
        offset in 0..64_usize,
    ) {
        assert_fold(&coefficients, filled, &shard[offset.min(shard.len())..]);
    }
}
