//! Redundancy sent before a loss is known: copies of segments that nothing else would follow.
//!
//! The loss of a message's last packets shows only a round trip later. A copy some milliseconds behind the original
//! repairs it at once, unless one burst took both; so copies are spaced, and they are few: as many as the measured
//! loss asks for, within a budget. Source of the numbers: the loss model behind `docs/performance.md`.

use std::collections::VecDeque;

use core::time::Duration;

use super::seq::Seq;
use crate::config::Redundancy;
use crate::proto::Time;

/// Copies trail by this share of a round trip, in parts of 100, each behind the one before.
const SPACING_PERCENT: u32 = 6;

/// Bounds of the spacing: longer than most loss bursts, shorter than a resend.
const SPACING: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(15));

/// Below this loss rate a message's tail earns no copies; from the second and third on two and three.
const LOSS_STEPS: [f32; 3] = [0.003, 0.07, 0.17];

/// Segments at the end of a burst that earn copies: what the acknowledgement of later ones would not repair fast.
const TAIL: u32 = 2;

/// Bursts of up to this many segments are all tail.
const SHORT_BURST: u32 = 4;

/// Copies may cost this share of the new data, in parts of 100.
const BUDGET_PERCENT: usize = 35;

/// Copies may cost this many bytes a second in any case: 64 kbit/s.
const FREE_RATE: u64 = 8_000;

/// The budget never exceeds this, in bytes.
const MAX_BUDGET: i64 = 16 * 1024;

/// Copies that wait for their time.
#[derive(Debug)]
pub(crate) struct Copies {
    redundancy: Redundancy,
    waiting: VecDeque<(Time, Seq)>,
    burst_start: Seq,
    budget: i64,
    filled_at: Time,
}

impl Copies {
    pub(crate) fn new(redundancy: Redundancy) -> Self {
        Self {
            redundancy,
            waiting: VecDeque::new(),
            burst_start: Seq(0),
            budget: MAX_BUDGET,
            filled_at: Time::ZERO,
        }
    }

    /// A segment is sent again: a copy will follow, since the loss of a resend costs most.
    pub(crate) fn after_resend(&mut self, now: Time, sn: Seq, rtt: Duration) {
        match self.redundancy {
            Redundancy::Off => {}
            Redundancy::Adaptive | Redundancy::Tail(_) => self.schedule(now + spacing(rtt), sn),
        }
    }

    /// Nothing more will be sent for now: segments up to `next` end a burst.
    pub(crate) fn end_burst(&mut self, now: Time, una: Seq, next: Seq, rtt: Duration, loss: f32) {
        let start = if self.burst_start.precedes(una) {
            una
        } else {
            self.burst_start
        };
        self.burst_start = next;
        let burst = next.distance_from(start) as u32;
        let copies = match self.redundancy {
            Redundancy::Off => 0,
            Redundancy::Adaptive => LOSS_STEPS.iter().filter(|&&step| loss >= step).count() as u32,
            Redundancy::Tail(copies) => copies.into(),
        };
        if burst == 0 || copies == 0 {
            return;
        }
        let tail = if burst <= SHORT_BURST { burst } else { TAIL };
        for copy in 1..=copies {
            for back in (1..=tail).rev() {
                let sn = next.plus(0u32.wrapping_sub(back));
                self.schedule(now + spacing(rtt) * copy, sn);
            }
        }
    }

    /// New data of `len` bytes was sent: its share goes to the budget.
    pub(crate) fn earn(&mut self, len: usize) {
        self.budget = (self.budget + (len * BUDGET_PERCENT / 100) as i64).min(MAX_BUDGET);
    }

    /// The next segment whose copy is due and within the budget; those beyond it are dropped.
    pub(crate) fn due(&mut self, now: Time) -> Option<Seq> {
        self.next().filter(|&(due, _)| due <= now)?;
        let free = now.since(self.filled_at).as_millis() as u64 * FREE_RATE / 1_000;
        if free > 0 {
            self.filled_at = now;
            self.budget = self.budget.saturating_add_unsigned(free).min(MAX_BUDGET);
        }
        if self.budget <= 0 {
            let due = self.waiting.partition_point(|&(due, _)| due <= now);
            self.waiting.drain(..due);
            return None;
        }
        self.next().map(|(_, sn)| sn)
    }

    /// Takes the copy that [`due`](Self::due) returned, charging `len` bytes.
    pub(crate) fn pop(&mut self, len: usize) {
        self.waiting.pop_front();
        self.budget -= len as i64;
    }

    /// When the next copy is due.
    pub(crate) fn next_due(&self) -> Option<Time> {
        self.next().map(|(due, _)| due)
    }

    /// The next copy, with the time when it is due.
    pub(crate) fn next(&self) -> Option<(Time, Seq)> {
        self.waiting.front().copied()
    }

    /// Everything was acknowledged.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        self.waiting.shrink_to_fit();
    }

    fn schedule(&mut self, due: Time, sn: Seq) {
        let index = self.waiting.partition_point(|&(earlier, _)| earlier <= due);
        self.waiting.insert(index, (due, sn));
    }
}

fn spacing(rtt: Duration) -> Duration {
    let (shortest, longest) = SPACING;
    (rtt * SPACING_PERCENT / 100).clamp(shortest, longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Duration = Duration::from_millis(100);

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn drain(copies: &mut Copies, now: Time) -> Vec<u32> {
        let mut due = Vec::new();
        while let Some(sn) = copies.due(now) {
            copies.pop(100);
            due.push(sn.0);
        }
        due
    }

    #[test]
    fn a_clean_path_earns_no_copies() {
        let mut copies = Copies::new(Redundancy::Adaptive);
        copies.end_burst(ms(0), Seq(0), Seq(3), RTT, 0.001);
        assert_eq!(copies.next_due(), None);
    }

    #[test]
    fn a_lossy_path_earns_spaced_copies_of_the_tail() {
        let mut copies = Copies::new(Redundancy::Adaptive);
        copies.end_burst(ms(0), Seq(0), Seq(12), RTT, 0.1);
        assert!(drain(&mut copies, ms(5)).is_empty());
        assert_eq!(drain(&mut copies, ms(6)), [10, 11]);
        assert_eq!(drain(&mut copies, ms(12)), [10, 11]);
        copies.end_burst(ms(20), Seq(12), Seq(14), RTT, 0.1);
        assert_eq!(drain(&mut copies, ms(26)), [12, 13]);
    }

    #[test]
    fn copies_stay_within_their_budget() {
        let mut copies = Copies::new(Redundancy::Tail(3));
        let mut sent = 0;
        for message in 0..1_000 {
            copies.earn(1_000);
            copies.end_burst(ms(0), Seq(message), Seq(message + 1), RTT, 0.0);
            while copies.due(ms(20)).is_some() {
                copies.pop(1_000);
                sent += 1_000;
            }
        }
        assert!((350_000..=370_000).contains(&sent), "{sent}");
    }

    #[test]
    fn copies_beyond_the_budget_are_dropped_together_however_many_they_are() {
        let mut copies = Copies::new(Redundancy::Adaptive);
        for sn in 0..100_000 {
            copies.after_resend(ms(0), Seq(sn), RTT);
        }
        copies.pop(1 << 20);
        assert_eq!(copies.due(ms(20)), None);
        assert_eq!(copies.next_due(), None);
    }

    #[test]
    fn off_means_off() {
        let mut copies = Copies::new(Redundancy::Off);
        copies.after_resend(ms(0), Seq(1), RTT);
        copies.end_burst(ms(0), Seq(0), Seq(2), RTT, 0.5);
        assert_eq!(copies.next_due(), None);
    }
}
