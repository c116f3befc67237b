//! Round-trip time of one session, and the timeouts that follow from it.
//!
//! Changed by `Sender` only. Reads no clock: samples arrive as `Duration`.

use core::time::Duration;

/// Timeout before the first sample. Source: ikcp.c `IKCP_RTO_DEF`.
const INITIAL_RTO: Duration = Duration::from_millis(200);

/// No timeout is longer. Source: ikcp.c `IKCP_RTO_MAX`.
pub(crate) const MAX_RTO: Duration = Duration::from_secs(60);

/// The estimator of ikcp.c and kcp-go (§4.5): smoothed mean, and a deviation in which unusually short samples weigh
/// 1/32 instead of 1/4.
///
/// Works in whatever unit its samples have; [`Rtt`] feeds it nanoseconds, kcp-go milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Estimator {
    pub(crate) smoothed: i64,
    pub(crate) deviation: i64,
}

impl Estimator {
    pub(crate) fn update(&mut self, sample: i64) {
        if self.smoothed == 0 {
            self.smoothed = sample;
            self.deviation = sample >> 1;
            return;
        }
        let delta = sample - self.smoothed;
        self.smoothed += delta >> 3;
        let delta = delta.abs();
        let shift = if sample < self.smoothed - self.deviation {
            5
        } else {
            2
        };
        self.deviation += (delta - self.deviation) >> shift;
    }

    /// `smoothed + max(slack, 4 deviations)`.
    pub(crate) fn timeout(&self, slack: i64) -> i64 {
        self.smoothed + slack.max(4 * self.deviation)
    }
}

/// Round-trip time of one session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rtt {
    estimator: Estimator,
    min: Option<Duration>,
}

impl Rtt {
    pub(crate) fn fetch(&self) -> u64 {
        self.estimator.smoothed as u64
    }

    /// Takes a sample: the time from a transmission to the first acknowledgement that names it.
    pub(crate) fn update(&mut self, sample: Duration) {
        // Zero would make the estimator start anew at the next sample.
        let sample = sample.clamp(Duration::from_nanos(1), MAX_RTO);
        self.estimator.update(sample.as_nanos() as i64);
        self.min = Some(self.min.map_or(sample, |min| min.min(sample)));
    }

    /// The smoothed round trip, if any sample was taken.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.min
            .map(|_| Duration::from_nanos(self.estimator.smoothed as u64))
    }

    /// Mean deviation of the samples.
    pub(crate) fn deviation(&self) -> Duration {
        Duration::from_nanos(self.estimator.deviation as u64)
    }

    /// The shortest sample so far.
    pub(crate) fn min(&self) -> Option<Duration> {
        self.min
    }

    /// How long an answer may take: `smoothed + max(slack, 4 deviations)`, within `min..=MAX_RTO`.
    pub(crate) fn timeout(&self, slack: Duration, min: Duration) -> Duration {
        if self.min.is_none() {
            return INITIAL_RTO.max(min);
        }
        let timeout = self.estimator.timeout(slack.as_nanos() as i64);
        Duration::from_nanos(timeout as u64).clamp(min, MAX_RTO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_steady_path_needs_little_more_than_its_round_trip() {
        let mut rtt = Rtt::default();
        assert_eq!(rtt.timeout(ms(2), ms(0)), INITIAL_RTO);
        for _ in 0..100 {
            rtt.update(ms(100));
        }
        assert_eq!(rtt.smoothed(), Some(ms(100)));
        assert_eq!(rtt.timeout(ms(2), ms(0)), ms(102));
        assert_eq!(rtt.timeout(ms(2), ms(150)), ms(150));
    }

    #[test]
    fn one_short_sample_hardly_widens_the_timeout() {
        let mut rtt = Rtt::default();
        for _ in 0..100 {
            rtt.update(ms(100));
        }
        let before = rtt.timeout(ms(2), ms(0));
        rtt.update(ms(20));
        assert!(rtt.timeout(ms(2), ms(0)) <= before + ms(1), "{:?}", rtt);
    }
}
