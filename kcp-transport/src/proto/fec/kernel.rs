//! Multiplication over GF(2⁸), polynomial 0x11d: the work of the Reed-Solomon code.
//!
//! One pass over a shard updates several rows, so each byte of it is loaded once for up to four rows. The instruction
//! set is found out at run time. This module and its children are the only place of the crate with `unsafe`: to call
//! what was compiled for instructions that detection has found, and to load and store vectors.

#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(any(target_arch = "aarch64", target_arch = "x86_64"))]
mod tables;
#[cfg(target_arch = "x86_64")]
mod x86;

/// Bytes that are multiplied at once. Rows are made of whole blocks, so only the shard has a tail to care for.
pub(super) const BLOCK: usize = 64;

/// A piece of a row, aligned so that no vector of it crosses a cache line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [u8; BLOCK]);

impl Block {
    pub(super) const ZERO: Self = Self([0; BLOCK]);
}

/// The fastest implementation that this processor runs.
///
/// The field is private and every value comes from [`Kernel::detect`] or [`Kernel::available`]: whoever holds one may
/// call the instructions it names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Kernel(Instructions);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Instructions {
    Scalar,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Ssse3,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    GfniAvx2,
    #[cfg(target_arch = "x86_64")]
    GfniAvx512,
}

impl Kernel {
    /// The fastest of the [available](Self::available) ones.
    pub(super) fn detect() -> Self {
        Self::available()
            .last()
            .unwrap_or(Self(Instructions::Scalar))
    }

    /// All that this processor runs, the fastest last.
    pub(super) fn available() -> impl Iterator<Item = Self> {
        let candidates = [
            (true, Instructions::Scalar),
            #[cfg(target_arch = "aarch64")]
            (
                std::arch::is_aarch64_feature_detected!("neon"),
                Instructions::Neon,
            ),
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("ssse3"), Instructions::Ssse3),
            #[cfg(target_arch = "x86_64")]
            (is_x86_feature_detected!("avx2"), Instructions::Avx2),
            #[cfg(target_arch = "x86_64")]
            (
                is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx2"),
                Instructions::GfniAvx2,
            ),
            #[cfg(target_arch = "x86_64")]
            (
                is_x86_feature_detected!("gfni") && is_x86_feature_detected!("avx512f"),
                Instructions::GfniAvx512,
            ),
        ];
        candidates
            .into_iter()
            .filter_map(|(usable, instructions)| usable.then_some(Self(instructions)))
    }

    /// Adds `coefficients[r] · shard` to row `r`. Of `blocks`, the first `rows` are the first block of each row, the next
    /// `rows` the second, and so on.
    ///
    /// From block `filled` of each row on they are overwritten instead. Behind its end the shard counts as zero, so that
    /// whole blocks are defined afterwards.
    ///
    /// # Panics
    ///
    /// If the rows are shorter than the shard, or fewer than the coefficients.
    pub(super) fn fold(
        self,
        blocks: &mut [Block],
        rows: usize,
        filled: usize,
        coefficients: &[u8],
        shard: &[u8],
    ) {
        assert!(shard.len().div_ceil(BLOCK) * rows <= blocks.len() && coefficients.len() <= rows);
        let mut first = 0;
        for coefficients in coefficients.chunks(4) {
            let blocks = &mut blocks[first..];
            match *coefficients {
                [a] => self.fold_rows(blocks, rows, filled, [a], shard),
                [a, b] => self.fold_rows(blocks, rows, filled, [a, b], shard),
                [a, b, c] => self.fold_rows(blocks, rows, filled, [a, b, c], shard),
                [a, b, c, d] => self.fold_rows(blocks, rows, filled, [a, b, c, d], shard),
                _ => unreachable!("chunks have one to four elements"),
            }
            first += coefficients.len();
        }
    }

    fn fold_rows<const R: usize>(
        self,
        blocks: &mut [Block],
        rows: usize,
        filled: usize,
        coefficients: [u8; R],
        shard: &[u8],
    ) {
        match self.0 {
            Instructions::Scalar => scalar::fold(blocks, rows, filled, coefficients, shard),
            #[cfg(target_arch = "aarch64")]
            // SAFETY: this value exists because `available` has detected NEON.
            Instructions::Neon => unsafe {
                neon::fold(blocks, rows, filled, coefficients, shard);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists because `available` has detected SSSE3.
            Instructions::Ssse3 => unsafe {
                x86::ssse3::fold(blocks, rows, filled, coefficients, shard);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists because `available` has detected AVX2.
            Instructions::Avx2 => unsafe {
                x86::avx2::fold(blocks, rows, filled, coefficients, shard);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists because `available` has detected GFNI and AVX2.
            Instructions::GfniAvx2 => unsafe {
                x86::gfni_avx2::fold(blocks, rows, filled, coefficients, shard);
            },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: this value exists because `available` has detected GFNI and AVX-512 F.
            Instructions::GfniAvx512 => unsafe {
                x86::gfni_avx512::fold(blocks, rows, filled, coefficients, shard);
            },
        }
    }
}

/// Defines `fold` from what its module says of one instruction set: `LANES`, `multiplier`, `load`, `store`, `multiply`
/// and `add`.
macro_rules! define_fold {
    ($($features:literal)?) => {
        /// One pass over `shard` for `R` rows; see [`Kernel::fold`](crate::proto::fec::kernel::Kernel::fold).
        $(#[target_feature(enable = $features)])?
        pub(in crate::proto::fec::kernel) fn fold<const R: usize>(
            blocks: &mut [Block],
            rows: usize,
            filled: usize,
            coefficients: [u8; R],
            shard: &[u8],
        ) {
            let (whole, tail) = shard.as_chunks::<BLOCK>();
            let mut last = [0; BLOCK];
            last[..tail.len()].copy_from_slice(tail);

            let multipliers = coefficients.map(|coefficient| multiplier(coefficient));
            let step = |at: usize, targets: &mut [Block], source: &[u8; BLOCK]| {
                let targets: &mut [Block; R] = targets.first_chunk_mut().expect("a block of every row");
                for lane in 0..BLOCK / LANES {
                    let source = load(&source.as_chunks().0[lane]);
                    for (target, multiplier) in targets.iter_mut().zip(&multipliers) {
                        let target = &mut target.0.as_chunks_mut().0[lane];
                        let product = multiply(multiplier, source);
                        store(if at < filled { add(load(target), product) } else { product }, target);
                    }
                }
            };
            let mut targets = blocks.chunks_mut(rows);
            for (at, (source, targets)) in whole.iter().zip(targets.by_ref()).enumerate() {
                step(at, targets, source);
            }
            if !tail.is_empty() {
                step(whole.len(), targets.next().expect("a block for the tail"), &last);
            }
        }
    };
}
use define_fold;

#[cfg(test)]
mod tests;
