//! Spreads packets over time: nothing is sent faster than the pacer's rate, but for a short burst.
//!
//! A token bucket in bytes. Reads no clock.

use core::time::Duration;

use crate::proto::Time;

/// A burst lasts this long at the pacing rate: timers fire with a millisecond's precision, so a shorter one would
/// leave the path unused between two of them.
const BURST_TIME: Duration = Duration::from_millis(2);

/// A burst is never shorter than this many full packets, so that a small message leaves at once whatever the rate.
const BURST_PACKETS: u64 = 16;

/// Token bucket of one session.
#[derive(Clone, Debug)]
pub(crate) struct Pacer {
    /// Bytes per second.
    rate: u64,
    /// Bytes that may leave now; negative after the packet that overdrew it.
    tokens: i64,
    capacity: i64,
    filled_at: Time,
    mtu: u64,
}

impl Pacer {
    /// A full bucket for packets of up to `mtu` bytes.
    pub(crate) fn new(now: Time, rate: u64, mtu: usize) -> Self {
        let mut pacer = Self {
            rate: 0,
            tokens: 0,
            capacity: 0,
            filled_at: now,
            mtu: mtu as u64,
        };
        pacer.set_rate(now, rate);
        pacer.tokens = pacer.capacity;
        pacer
    }

    /// Changes the rate, in bytes per second, from `now` on.
    pub(crate) fn set_rate(&mut self, now: Time, rate: u64) {
        if rate == self.rate {
            return;
        }
        self.fill(now);
        self.rate = rate.max(1);
        let burst = u128::from(self.rate) * BURST_TIME.as_nanos() / 1_000_000_000;
        let burst = u64::try_from(burst)
            .unwrap_or(u64::MAX)
            .max(BURST_PACKETS * self.mtu);
        self.capacity = i64::try_from(burst).unwrap_or(i64::MAX);
        self.tokens = self.tokens.min(self.capacity);
    }

    pub(crate) fn fetch(&self) -> u64 {
        self.filled_at.as_nanos()
    }

    /// Whether a packet may leave now.
    pub(crate) fn allows(&mut self, now: Time) -> bool {
        self.fill(now);
        self.tokens > 0
    }

    /// Takes the bytes of a packet that left.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.tokens = self.tokens.saturating_sub_unsigned(bytes as u64);
    }

    /// When the next packet may leave.
    pub(crate) fn allowed_at(&self) -> Time {
        self.gathered_at(1)
    }

    /// When the next run of packets may leave: once half a burst has gathered, so that runs stay long.
    pub(crate) fn ready_at(&self) -> Time {
        self.gathered_at(self.capacity / 2)
    }

    fn gathered_at(&self, tokens: i64) -> Time {
        let missing = (tokens - self.tokens).max(0);
        let nanos = (missing as u128 * 1_000_000_000).div_ceil(u128::from(self.rate));
        self.filled_at + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn fill(&mut self, now: Time) {
        let elapsed = now.since(self.filled_at).as_nanos();
        let earned = elapsed.saturating_mul(u128::from(self.rate)) / 1_000_000_000;
        if earned == 0 {
            return;
        }
        self.filled_at = now;
        let earned = i64::try_from(earned).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(earned).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_leaves_at_once_and_the_rest_at_the_rate() {
        let mut pacer = Pacer::new(Time::ZERO, 1_000_000, 1_000);
        let mut sent = 0;
        while pacer.allows(Time::ZERO) {
            pacer.spend(1_000);
            sent += 1;
        }
        assert_eq!(sent, 16);
        let ready = pacer.ready_at();
        assert_eq!(ready, Time::from_millis(8));
        assert!(pacer.allows(ready));

        // Ten simulated seconds, asking as often as the pacer wants to be asked.
        let mut now = ready;
        while now < Time::from_millis(10_008) {
            while pacer.allows(now) {
                pacer.spend(1_000);
                sent += 1;
            }
            now = pacer.ready_at();
        }
        assert!((9_990..=10_040).contains(&sent), "{sent}");
    }

    #[test]
    fn short_questions_lose_no_fraction_of_a_token() {
        let mut pacer = Pacer::new(Time::ZERO, 10, 1_000);
        pacer.spend(16_000);
        for micros in 0..1_000_000 {
            pacer.allows(Time::from_micros(micros));
        }
        assert!(pacer.allows(Time::from_millis(1_000)));
    }
}
