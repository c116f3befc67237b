//! How long to wait before the next attempt.

use core::time::Duration;

/// Waits that double up to a limit, each cut short by a random part of up to a half, so that many
/// clients of one server do not come back at once.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: SHORTEST }
    }

    /// The wait before the next attempt.
    pub(crate) fn next_wait(&mut self) -> Duration {
        let wait = self.next.mul_f64(1.0 - fastrand::f64() / 2.0);
        self.next = (self.next * 2).min(LONGEST);
        wait
    }
}

/// The wait after a first failure.
const SHORTEST: Duration = Duration::from_millis(500);

/// No wait is longer: connections wait with us.
const LONGEST: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_limit_and_are_cut_by_half_at_most() {
        let mut backoff = Backoff::new();
        let mut expected = SHORTEST;
        for _ in 0..10 {
            let wait = backoff.next_wait();
            assert!(wait <= expected && wait >= expected / 2, "{wait:?}");
            expected = (expected * 2).min(LONGEST);
        }
        assert_eq!(expected, LONGEST);
    }
}
