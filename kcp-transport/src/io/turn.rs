//! How much a reader gets before others have their turn.
//!
//! A reader takes all there is. Where that is the requests of many callers at once, it has work for a millisecond before
//! the first response leaves, and meanwhile the peer waits; then the peer works, and this end waits. In portions both work
//! at once, and the first response leaves after the first portion.

use std::future::Future;
use std::pin::pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

/// How long the work of a turn may last: some twenty times what it costs to rest and begin anew.
const WORK: Duration = Duration::from_micros(30);

/// Work for a byte below which portions gain nothing: to receive it takes about as long. Bulk data needs 1 ns, small calls
/// of tonic need 50.
const CHEAP: Duration = Duration::from_nanos(8);

/// Bytes of the smallest portion: about a packet.
const MIN_PORTION: usize = 1024;

/// Bytes of the first portion.
const FIRST_PORTION: usize = 16 * 1024;

/// Turns whose work is looked at together: a reader may be woken early, and take more before its work is done.
const LOOKED_AT: u32 = 4;

/// Counts what a reader takes, and learns how much work that is.
#[derive(Debug)]
pub(crate) struct Turn {
    /// Bytes after which the turn is over, if more are there.
    portion: usize,
    /// Bytes taken in this turn.
    taken: usize,
    /// Bytes taken in this turn and those before it that ended with more to take.
    run: usize,
    /// When the run began, or was last looked at.
    since: Option<Instant>,
    /// Turns not looked at that ended with more to take.
    cuts: u32,
    /// How long they took, but for those of this run.
    work: Duration,
}

impl Turn {
    pub(crate) fn new() -> Self {
        Self {
            portion: FIRST_PORTION,
            taken: 0,
            run: 0,
            since: None,
            cuts: 0,
            work: Duration::ZERO,
        }
    }

    /// Bytes that the reader may still take.
    pub(crate) fn room(&self) -> usize {
        self.portion.saturating_sub(self.taken)
    }

    /// The reader takes bytes, no more than there is room for.
    pub(crate) fn take(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        if self.taken == 0 && (self.since.is_none() || self.cuts >= LOOKED_AT) {
            let now = now();
            self.look(now);
            self.since = Some(now);
        }
        self.taken += bytes;
        self.run += bytes;
    }

    /// There is no room, but there are bytes: the reader is to rest.
    pub(crate) fn cut(&mut self) {
        self.taken = 0;
        self.cuts += 1;
    }

    /// There are no bytes any more.
    pub(crate) fn end(&mut self, now: impl FnOnce() -> Instant) {
        if self.run > self.taken {
            self.look(now());
        } else {
            // Or work that becomes more would never be noticed.
            self.portion = (self.portion - self.portion / 64).max(MIN_PORTION);
        }
        self.taken = 0;
        self.run = 0;
        self.since = None;
    }

    /// What was handed out before the last cut is done.
    fn look(&mut self, now: Instant) {
        if let Some(since) = self.since {
            self.work += now - since;
        }
        if self.cuts < LOOKED_AT {
            return;
        }
        let work = self.work / self.cuts;
        let cheap = CHEAP * u32::try_from(self.portion).unwrap_or(u32::MAX);
        if work < WORK / 2 || work < cheap {
            self.portion = self.portion.saturating_mul(2);
        } else if work > WORK {
            self.portion = (self.portion / 2).max(MIN_PORTION);
        }
        self.cuts = 0;
        self.work = Duration::ZERO;
    }
}

/// Has the task polled again once every other that is ready has run, and whatever these woke: `wake_by_ref` would have
/// it polled between them, and a runtime's main future not at all.
pub(crate) fn step_back(cx: &mut Context<'_>) {
    let yielding = pin!(tokio::task::yield_now());
    let _ = yielding.poll(cx);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets a reader whose work takes so many nanoseconds a byte take a run of bytes. Returns the cuts, and when it ended.
    fn run(turn: &mut Turn, at: Instant, bytes: usize, nanos: u64) -> (u32, Instant) {
        let mut now = at;
        let mut cuts = 0;
        let mut left = bytes;
        while left > 0 {
            if turn.room() == 0 {
                turn.cut();
                cuts += 1;
            }
            let part = turn.room().min(left).min(8 * 1024);
            turn.take(part, || now);
            now += Duration::from_nanos(nanos * part as u64);
            left -= part;
        }
        turn.end(|| now);
        (cuts, now)
    }

    /// The same so many times; returns the cuts of the last.
    fn runs(turn: &mut Turn, count: u32, bytes: usize, nanos: u64) -> u32 {
        let mut now = crate::io::clock::now();
        let mut cuts = 0;
        for _ in 0..count {
            // Waiting between runs is no work.
            (cuts, now) = run(turn, now + Duration::from_millis(1), bytes, nanos);
        }
        cuts
    }

    #[test]
    fn much_work_a_byte_is_done_in_small_portions() {
        let mut turn = Turn::new();
        let cuts = runs(&mut turn, 20, 25_000, 80);
        assert_eq!(cuts, 25_000 / MIN_PORTION as u32);
    }

    #[test]
    fn bulk_data_is_taken_as_it_comes() {
        let mut turn = Turn::new();
        runs(&mut turn, 20, 256 * 1024, 1);
        let cut = (0..100).filter(|_| runs(&mut turn, 1, 256 * 1024, 1) > 0);
        assert!(
            cut.count() <= 10,
            "a run is cut now and then, to see what becomes of it"
        );
    }

    #[test]
    fn small_messages_are_never_cut() {
        let mut turn = Turn::new();
        assert_eq!(runs(&mut turn, 1, 1_000, 100), 0);
        assert_eq!(runs(&mut turn, 1_000, 1_000, 100), 0);
    }

    #[test]
    fn short_runs_with_little_work_soon_come_whole() {
        let mut turn = Turn::new();
        runs(&mut turn, 20, 25_000, 80);
        runs(&mut turn, 20, 4_096, 2);
        let cut = (0..100).filter(|_| runs(&mut turn, 1, 4_096, 2) > 0);
        assert!(
            cut.count() <= 10,
            "a run is cut now and then, to see what becomes of it"
        );
    }

    #[test]
    fn portions_become_small_again_after_bulk_data() {
        let mut turn = Turn::new();
        runs(&mut turn, 20, 1 << 20, 1);
        let cuts = runs(&mut turn, 300, 25_000, 80);
        assert_eq!(cuts, 25_000 / MIN_PORTION as u32);
    }

    #[test]
    fn a_clock_that_stands_still_stops_nobody() {
        let mut turn = Turn::new();
        runs(&mut turn, 64, 1 << 20, 0);
        assert!(turn.room() > 1 << 19);
    }
}
