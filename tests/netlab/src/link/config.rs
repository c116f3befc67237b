//! The parameters of a link, checked: a `LinkConfig` that exists describes a possible link.

use std::fmt;
use std::num::NonZeroU64;
use std::time::Duration;

use super::dice::Dice;
use super::{BurstLength, DropMask, Loss};

/// What a link does to packets. The default is a perfect link: no delay, no limit, no loss.
///
/// Also written and read as text, see [`KEYS`](super::KEYS): `"delay=25ms loss=5%".parse()`.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkConfig {
    pub(super) loss: Loss,
    pub(super) mask: DropMask,
    pub(super) delay: Duration,
    pub(super) jitter: Jitter,
    pub(super) reorder: Probability,
    pub(super) reorder_by: Duration,
    pub(super) duplicate: Probability,
    pub(super) corrupt: Probability,
    pub(super) damage: Damage,
    pub(super) rate: Option<Rate>,
    pub(super) queue: Option<u64>,
    pub(super) mtu: Option<usize>,
}

impl LinkConfig {
    /// A perfect link.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which packets are lost on the way. Default none.
    pub fn loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Packets to drop by index, besides those `loss` takes. Default none.
    pub fn drop_mask(mut self, mask: DropMask) -> Self {
        self.mask = mask;
        self
    }

    /// Time from leaving the queue to arriving. Default zero.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Variation of the delay from packet to packet. Default none.
    pub fn jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// Holds packets back: with probability `share` one arrives `by` later than it would have,
    /// while those behind it are not held up. Default 0.
    ///
    /// A packet is in fact overtaken if another one is sent within `by` of it.
    pub fn reorder(mut self, share: Probability, by: Duration) -> Self {
        self.reorder = share;
        self.reorder_by = by;
        self
    }

    /// Probability that a packet arrives twice. Each copy has its own delay. Default 0.
    pub fn duplicate(mut self, share: Probability) -> Self {
        self.duplicate = share;
        self
    }

    /// Probability that a packet arrives damaged, and how. Default 0.
    pub fn corrupt(mut self, share: Probability, damage: Damage) -> Self {
        self.corrupt = share;
        self.damage = damage;
        self
    }

    /// How fast the link transmits, counting the bytes it is given. Default: at once.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Most bytes that may wait behind the packet being transmitted; more are dropped at the
    /// tail. No effect without a rate. Default: what the rate carries in 100 ms, at least 15 000.
    pub fn queue(mut self, bytes: u64) -> Self {
        self.queue = Some(bytes);
        self
    }

    /// Longest packet that passes, in bytes as given to the link. Default: any.
    pub fn mtu(mut self, bytes: usize) -> Self {
        self.mtu = Some(bytes);
        self
    }

    pub(super) fn queue_limit(&self) -> u64 {
        match (self.queue, self.rate) {
            (Some(bytes), _) => bytes,
            (None, Some(rate)) => (rate.get() / 80).max(15_000),
            (None, None) => 0,
        }
    }

    /// No packet takes less from leaving the queue to arriving.
    pub(super) fn least_delay(&self) -> Duration {
        match self.jitter.shape {
            JitterShape::Uniform => self.delay.saturating_sub(self.jitter.spread),
            JitterShape::Normal if self.jitter.spread.is_zero() => self.delay,
            JitterShape::Normal => Duration::ZERO,
        }
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self {
            loss: Loss::None,
            mask: DropMask::default(),
            delay: Duration::ZERO,
            jitter: Jitter::default(),
            reorder: Probability::ZERO,
            reorder_by: DEFAULT_REORDER_BY,
            duplicate: Probability::ZERO,
            corrupt: Probability::ZERO,
            damage: Damage::Bit,
            rate: None,
            queue: None,
            mtu: None,
        }
    }
}

/// A probability, or a share of packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Probability(f64);

impl Probability {
    /// Never.
    pub const ZERO: Self = Self(0.0);
    /// Always.
    pub const ONE: Self = Self(1.0);

    /// A probability from 0 to 1.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Probability`] if `value` is outside that range, or not a number.
    pub fn new(value: f64) -> Result<Self, ConfigError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(ConfigError::Probability(value))
        }
    }

    /// A probability from 0 to 100 percent.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Probability`] if `value` is outside that range, or not a number.
    pub fn percent(value: f64) -> Result<Self, ConfigError> {
        Self::new(value / 100.0)
    }

    /// The value, from 0 to 1.
    pub fn get(self) -> f64 {
        self.0
    }
}

/// In percent, to eleven digits.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e11).round() / 1e9)
    }
}

/// A rate of transmission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate(NonZeroU64);

impl Rate {
    /// A rate in bits per second.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroRate`] if it is zero: a link that stands still is a blackout.
    pub fn bits_per_second(bits: u64) -> Result<Self, ConfigError> {
        NonZeroU64::new(bits).map(Self).ok_or(ConfigError::ZeroRate)
    }

    /// A rate in units of 10⁶ bits per second.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroRate`] if it is zero.
    pub fn mbit(megabits: u32) -> Result<Self, ConfigError> {
        Self::bits_per_second(u64::from(megabits) * 1_000_000)
    }

    /// The rate in bits per second.
    pub fn get(self) -> u64 {
        self.0.get()
    }

    /// Nanoseconds it takes to transmit `len` bytes, rounded up.
    pub(super) fn nanos_for(self, len: usize) -> u64 {
        (len as u64)
            .saturating_mul(8_000_000_000)
            .div_ceil(self.get())
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = self.get();
        for (unit, name) in [
            (1_000_000_000, "gbit"),
            (1_000_000, "mbit"),
            (1_000, "kbit"),
        ] {
            if bits.is_multiple_of(unit) {
                return write!(f, "{}{name}", bits / unit);
            }
        }
        write!(f, "{bits}bit")
    }
}

/// How the delay varies from packet to packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Jitter {
    pub(super) spread: Duration,
    pub(super) shape: JitterShape,
    pub(super) reorders: bool,
}

impl Jitter {
    /// Delay ± at most `spread`, every value as likely as the other.
    pub fn uniform(spread: Duration) -> Self {
        Self {
            spread,
            shape: JitterShape::Uniform,
            reorders: false,
        }
    }

    /// Delay with standard deviation `spread`, never beyond six of them.
    pub fn normal(spread: Duration) -> Self {
        Self {
            spread,
            shape: JitterShape::Normal,
            reorders: false,
        }
    }

    /// Lets a packet with a short delay overtake one with a long delay.
    ///
    /// Otherwise it waits for it, as in a queue: packets keep their order, and where they are sent
    /// closer together than `spread`, their mean delay is above the configured one.
    pub fn reordering(mut self) -> Self {
        self.reorders = true;
        self
    }

    /// The delay of one packet; never negative.
    pub(super) fn draw(self, delay: Duration, dice: &mut Dice) -> Duration {
        if self.spread.is_zero() {
            return delay;
        }
        let factor = match self.shape {
            JitterShape::Uniform => 2.0 * dice.unit() - 1.0,
            JitterShape::Normal => dice.normal(),
        };
        let change = self.spread.mul_f64(factor.abs());
        if factor < 0.0 {
            delay.saturating_sub(change)
        } else {
            delay.saturating_add(change)
        }
    }
}

/// Distribution of the jitter around the delay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JitterShape {
    /// Every value from −spread to +spread is as likely as the other.
    #[default]
    Uniform,
    /// Gaussian; the spread is the standard deviation.
    Normal,
}

/// What happens to a packet that is corrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// One bit flips.
    Bit,
    /// So many bytes in a row change, at least one.
    Bytes(u16),
}

impl Damage {
    /// Changes `packet`, which is not empty, for certain.
    pub(super) fn apply(self, packet: &mut [u8], dice: &mut Dice) {
        match self {
            Self::Bit => {
                let bit = dice.below(packet.len() * 8);
                packet[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Bytes(count) => {
                let count = usize::from(count).clamp(1, packet.len());
                let start = dice.below(packet.len() - count + 1);
                for byte in &mut packet[start..start + count] {
                    *byte ^= 1 + dice.below(255) as u8;
                }
            }
        }
    }
}

/// Why parameters do not describe a link.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not a probability.
    #[error("{0} is not a probability: it must be from 0 to 1")]
    Probability(f64),
    /// A link without any rate transmits nothing, ever.
    #[error("the rate is zero")]
    ZeroRate,
    /// No Gilbert channel has these numbers.
    #[error("no channel loses {share} of its packets in bursts of {mean}")]
    Bursts {
        /// The wanted loss rate.
        share: Probability,
        /// The wanted mean length of a burst.
        mean: BurstLength,
    },
    /// The text names a parameter that does not exist.
    #[error("no parameter `{0}`")]
    UnknownKey(String),
    /// The text gives a parameter a value it cannot have.
    #[error("`{value}` is no value for `{key}`")]
    BadValue {
        /// The parameter.
        key: String,
        /// The value as written.
        value: String,
    },
}

/// How long a packet is held back if the text form does not say.
pub(super) const DEFAULT_REORDER_BY: Duration = Duration::from_millis(10);
