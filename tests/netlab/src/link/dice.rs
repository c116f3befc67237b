//! Random numbers: the only place where the generator is named.

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

use super::Probability;

/// A stream of random decisions. Its values for a seed never change between releases.
#[derive(Clone, Debug)]
pub(super) struct Dice(Xoshiro256PlusPlus);

impl Dice {
    /// Streams that do not overlap within 2¹²⁸ draws.
    pub(super) fn streams<const N: usize>(seed: u64) -> [Self; N] {
        let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
        std::array::from_fn(|_| {
            generator.jump();
            Self(generator.clone())
        })
    }

    /// True with the given probability.
    pub(super) fn hits(&mut self, probability: Probability) -> bool {
        // Impairments that are off cost no draw.
        probability > Probability::ZERO && self.unit() < probability.get()
    }

    /// Uniform in 0..1, the bound excluded, on a grid of 2⁻⁵³.
    pub(super) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in 0..`bound`. The bias is below `bound` × 2⁻⁶⁴.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.0.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Normal with mean 0 and deviation 1, cut off at ±6.
    ///
    /// The sum of twelve uniform values: without logarithm or cosine, whose last bits differ
    /// between platforms, the trace of a seed is the same everywhere.
    pub(super) fn normal(&mut self) -> f64 {
        let mut sum = 0_u64;
        for _ in 0..3 {
            let draw = self.0.next_u64();
            sum += (0..4)
                .map(|word| (draw >> (16 * word)) & 0xffff)
                .sum::<u64>();
        }
        // Each word is uniform on 0..=65535: mean 32767.5 apiece.
        (sum as f64 - 12.0 * 32_767.5) / 65_536.0
    }
}
