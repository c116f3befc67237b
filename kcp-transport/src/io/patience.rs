//! Whether a driver with nothing to do looks again or sleeps: to be woken costs more than a short wait, and a long wait
//! costs more than to be woken.

use std::time::Duration;

use crate::proto::Time;

/// A wait up to this long is better spent looking. To put a processor to sleep and wake it again takes about as long.
const SHORT: Duration = Duration::from_micros(100);

/// Looks in vain after which a wait counts as long: a clock may stand still.
const MAX_LOOKS: u32 = 256;

/// Short waits in a row after which the next one is expected to be short, too.
const MIN_STREAK: u32 = 8;

/// The same for a driver that was often wrong.
const MAX_STREAK: u32 = 1_024;

/// Learns from past waits how long the next one will be.
#[derive(Debug)]
pub(crate) struct Patience {
    /// When the driver ran out of work.
    since: Option<Time>,
    looks: u32,
    /// Short waits in a row.
    streak: u32,
    /// Short waits in a row that are believed.
    believed: u32,
}

impl Patience {
    /// None yet: the first waits are slept through.
    pub(crate) fn new() -> Self {
        Self {
            since: None,
            looks: 0,
            streak: 0,
            believed: MIN_STREAK,
        }
    }

    /// Whether the driver should look again rather than ask to be woken.
    pub(crate) fn lasts(&self) -> bool {
        self.streak >= self.believed
    }

    /// There was work.
    pub(crate) fn handle_work(&mut self, now: Time) {
        let Some(since) = self.since.take() else {
            return;
        };
        if now.since(since) > SHORT {
            self.streak = 0;
        } else {
            if self.lasts() {
                self.believed = MIN_STREAK;
            }
            self.streak = self.streak.saturating_add(1);
        }
    }

    /// There was none.
    pub(crate) fn handle_idleness(&mut self, now: Time) {
        let since = *self.since.get_or_insert_with(|| {
            self.looks = 0;
            now
        });
        self.looks += 1;
        if self.lasts() && (now.since(since) > SHORT || self.looks >= MAX_LOOKS) {
            self.streak = 0;
            self.believed = (2 * self.believed).min(MAX_STREAK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wait of `micros` from `at` on; returns whether it was spent looking, and how far the clock went.
    fn wait(patience: &mut Patience, at: Time, micros: u64) -> (bool, Time) {
        patience.handle_idleness(at);
        let looking = patience.lasts();
        let end = at + Duration::from_micros(micros);
        let mut now = at;
        while patience.lasts() && now < end {
            now = now + Duration::from_micros(1);
            patience.handle_idleness(now);
        }
        patience.handle_work(end);
        (looking, end)
    }

    fn waits(patience: &mut Patience, mut at: Time, micros: u64, count: u32) -> (u32, Time) {
        let mut looked = 0;
        for _ in 0..count {
            let (looking, end) = wait(patience, at, micros);
            looked += u32::from(looking);
            at = end;
        }
        (looked, at)
    }

    #[test]
    fn short_waits_in_a_row_are_spent_looking() {
        let mut patience = Patience::new();
        let (looked, _) = waits(&mut patience, Time::ZERO, 20, 100);
        assert_eq!(looked, 100 - MIN_STREAK);
    }

    #[test]
    fn long_waits_are_slept_through() {
        let mut patience = Patience::new();
        let (_, at) = waits(&mut patience, Time::ZERO, 20, 100);
        let (looked, _) = waits(&mut patience, at, 1_000, 100);
        assert_eq!(looked, 1, "the first one came unexpected");
    }

    #[test]
    fn a_driver_that_errs_again_and_again_looks_ever_more_rarely() {
        let mut patience = Patience::new();
        let mut at = Time::ZERO;
        let mut looked = 0;
        for _ in 0..1_000 {
            let (short, end) = waits(&mut patience, at, 20, MIN_STREAK);
            let (long, end) = wait(&mut patience, end, 1_000);
            looked += short + u32::from(long);
            at = end;
        }
        assert_eq!(looked, 1);
    }

    #[test]
    fn a_clock_that_stands_still_is_no_reason_to_look_for_ever() {
        let mut patience = Patience::new();
        waits(&mut patience, Time::ZERO, 0, MIN_STREAK);
        let mut looks = 0;
        while patience.lasts() {
            patience.handle_idleness(Time::ZERO);
            looks += 1;
        }
        assert_eq!(looks, MAX_LOOKS);
    }
}
