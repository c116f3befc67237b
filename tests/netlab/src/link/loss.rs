//! Which packets are lost: independently, in bursts, or by script.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use super::dice::Dice;
use super::{ConfigError, Nanos, Probability, nanos};

/// How a link loses packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// Not at all.
    #[default]
    None,
    /// Each packet by itself, with this probability.
    Independent(Probability),
    /// In bursts.
    Bursts(Bursts),
}

impl Loss {
    /// Loss of a Gilbert channel: everything in the bad state, nothing in the good one.
    ///
    /// `share` is the stationary probability of the bad state, and so the loss rate; `mean` is how
    /// long the bad state lasts on average. Sources: E. N. Gilbert, "Capacity of a burst-noise
    /// channel", 1960; E. O. Elliott, 1963.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Bursts`] if no channel has these numbers: a burst of less than one packet or
    /// of no time, a share of 1, or bursts so short that the share cannot be reached even with
    /// one good packet between any two of them.
    pub fn bursts(share: Probability, mean: BurstLength) -> Result<Self, ConfigError> {
        let odds = share.get() / (1.0 - share.get());
        let possible = match mean {
            BurstLength::Packets(mean) => mean.is_finite() && mean >= 1.0 && odds <= mean,
            BurstLength::Time(mean) => !mean.is_zero() && odds.is_finite(),
        };
        if possible {
            Ok(Self::Bursts(Bursts { share, mean }))
        } else {
            Err(ConfigError::Bursts { share, mean })
        }
    }
}

/// A burst of losses, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BurstLength {
    /// In packets, however far apart they are sent.
    Packets(f64),
    /// In time, however many packets are sent meanwhile.
    Time(Duration),
}

impl fmt::Display for BurstLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Packets(packets) => write!(f, "{packets}"),
            Self::Time(time) => write!(f, "{time:?}"),
        }
    }
}

/// The numbers of a possible Gilbert channel; made by [`Loss::bursts`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    pub(super) share: Probability,
    pub(super) mean: BurstLength,
}

impl Bursts {
    /// How much the state `elapsed` ago says about the present one: 1 all, 0 nothing.
    fn memory(self, elapsed: Nanos) -> f64 {
        let good = 1.0 - self.share.get();
        match self.mean {
            BurstLength::Packets(mean) => 1.0 - 1.0 / (mean * good),
            BurstLength::Time(mean) => (-(elapsed as f64) / (nanos(mean) as f64 * good)).exp(),
        }
    }
}

/// The state of a Gilbert channel when a packet last met it.
#[derive(Debug, Default)]
pub(super) struct BurstState {
    seen: Option<Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    bad: bool,
    at: Nanos,
}

impl BurstState {
    /// Whether the packet sent at `now` meets the bad state.
    ///
    /// A two-state chain forgets its state geometrically (per packet) or exponentially (in time):
    /// P(bad) = share + (was bad − share) × memory. One draw per packet is therefore exact, even
    /// if the state changed many times since the last one.
    pub(super) fn is_bad(&mut self, now: Nanos, bursts: Bursts, dice: &mut Dice) -> bool {
        let share = bursts.share.get();
        let probability = self.seen.map_or(share, |seen| {
            let was_bad = f64::from(u8::from(seen.bad));
            share + (was_bad - share) * bursts.memory(now.saturating_sub(seen.at))
        });
        let bad = dice.unit() < probability;
        self.seen = Some(Seen { bad, at: now });
        bad
    }
}

/// Packets to drop, by index: 0 is the first packet sent after the mask came into force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropMask {
    /// Ascending, not empty, not touching each other.
    ranges: Arc<[Range<u64>]>,
}

impl DropMask {
    /// Drops the packets with these indices.
    pub fn indices(indices: impl IntoIterator<Item = u64>) -> Self {
        Self::ranges(
            indices
                .into_iter()
                .map(|index| index..index.saturating_add(1)),
        )
    }

    /// Drops packet n where bit n of `bits` is set, for tests that go through all patterns.
    pub fn bits(bits: u64) -> Self {
        Self::indices((0..64).filter(|index| bits >> index & 1 == 1))
    }

    /// Drops the packets with indices in any of these ranges.
    pub fn ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut sorted: Vec<Range<u64>> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        sorted.sort_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                Some(_) | None => merged.push(range),
            }
        }
        Self {
            ranges: merged.into(),
        }
    }

    /// Whether packet `index` is dropped.
    pub fn contains(&self, index: u64) -> bool {
        let after = self.ranges.partition_point(|range| range.start <= index);
        after > 0 && self.ranges[after - 1].contains(&index)
    }

    /// Whether no packet is dropped.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }
}

/// Indices and ranges with both ends included, as `3,17,20-25`.
impl fmt::Display for DropMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, range) in self.ranges.iter().enumerate() {
            let separator = if n == 0 { "" } else { "," };
            let last = range.end - 1;
            if range.start == last {
                write!(f, "{separator}{last}")?;
            } else {
                write!(f, "{separator}{}-{last}", range.start)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_drops_exactly_the_packets_it_names() {
        let mask = DropMask::ranges([20..26, 3..4, 17..18, 22..24]);
        let dropped: Vec<u64> = (0..40).filter(|index| mask.contains(*index)).collect();
        assert_eq!(dropped, [3, 17, 20, 21, 22, 23, 24, 25]);
        assert_eq!(mask.to_string(), "3,17,20-25");
    }

    #[test]
    fn a_bit_mask_names_its_set_bits() {
        assert_eq!(DropMask::bits(0b1011), DropMask::indices([0, 1, 3]));
        assert_eq!(DropMask::bits(1 << 63), DropMask::indices([63]));
        assert!(DropMask::bits(0).is_empty());
    }

    #[test]
    fn impossible_bursts_are_refused() {
        let share = |share| Probability::new(share).unwrap();
        let packets = BurstLength::Packets;
        assert!(Loss::bursts(share(0.5), packets(1.0)).is_ok());
        assert!(Loss::bursts(share(0.6), packets(1.0)).is_err());
        assert!(Loss::bursts(share(0.1), packets(0.5)).is_err());
        assert!(Loss::bursts(share(0.1), packets(f64::NAN)).is_err());
        assert!(Loss::bursts(share(1.0), BurstLength::Time(Duration::from_millis(1))).is_err());
        assert!(Loss::bursts(share(0.1), BurstLength::Time(Duration::ZERO)).is_err());
    }
}
