//! How long to wait before the next attempt to connect.

use std::time::Duration;

use crate::error::ConfigError;
use crate::io::entropy;

/// Waits between attempts to connect: each failure in a row doubles the wait, up to a maximum.
///
/// Half of every wait is random, so that clients which lost the same server do not come back
/// together. Source: "Exponential Backoff And Jitter" (AWS Architecture Blog), "equal jitter".
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
}

impl Default for Backoff {
    /// From 100 ms to 5 s.
    fn default() -> Self {
        Self {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// Waits from `initial` after the first failure to `max`.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] if `initial` is below 1 ms, or `max` below `initial`.
    pub fn new(initial: Duration, max: Duration) -> Result<Self, ConfigError> {
        if initial < Duration::from_millis(1) {
            return Err(ConfigError::OutOfRange {
                what: "initial backoff in milliseconds",
                allowed: "at least 1",
                actual: 0,
            });
        }
        if max < initial {
            return Err(ConfigError::OutOfRange {
                what: "longest backoff in milliseconds",
                allowed: "at least the initial one",
                actual: u64::try_from(max.as_millis()).unwrap_or(u64::MAX),
            });
        }
        Ok(Self { initial, max })
    }

    /// The longest wait.
    pub(super) fn max(&self) -> Duration {
        self.max
    }

    /// The wait after so many failures in a row.
    pub(super) fn delay(&self, failures: u32, jitter: &mut Jitter) -> Duration {
        let Some(doublings) = failures.checked_sub(1) else {
            return Duration::ZERO;
        };
        let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
        let half = self.initial.saturating_mul(factor).min(self.max) / 2;
        half + half.mul_f64(jitter.next_fraction())
    }
}

/// A stream of random fractions from a seed.
///
/// The generator is SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number
/// generators", 2014). Nothing secret depends on it.
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One that no other process has.
    pub(super) fn random() -> Self {
        Self(u64::from_ne_bytes(entropy::bytes()))
    }

    /// The next fraction, from 0 to below 1.
    fn next_fraction(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        // 53 bits: what a double holds exactly.
        (z >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn waits_double_up_to_the_maximum_and_are_random_by_half() {
        let backoff = Backoff::new(100 * MS, 1_000 * MS).unwrap();
        let mut jitter = Jitter::new(7);
        assert_eq!(backoff.delay(0, &mut jitter), Duration::ZERO);
        for (failures, longest) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1_000),
            (99, 1_000),
        ] {
            let waits: Vec<_> = (0..100)
                .map(|_| backoff.delay(failures, &mut jitter))
                .collect();
            let shortest = waits.iter().min().unwrap();
            assert!(*shortest >= longest / 2 * MS && *shortest < longest * 6 / 10 * MS);
            let longest_seen = waits.iter().max().unwrap();
            assert!(*longest_seen <= longest * MS && *longest_seen > longest * 9 / 10 * MS);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut jitter = Jitter::new(seed);
            (1..9)
                .map(|n| Backoff::default().delay(n, &mut jitter))
                .collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }

    #[test]
    fn a_maximum_below_the_first_wait_is_refused() {
        assert!(Backoff::new(2 * MS, MS).is_err());
        assert!(Backoff::new(Duration::ZERO, MS).is_err());
    }
}
