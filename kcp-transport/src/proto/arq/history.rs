//! Every transmission under way: what an acknowledgement answers, and which transmissions are lost.
//!
//! Loss detection follows RACK (RFC 8985): a transmission is lost once one sent later was acknowledged and either
//! enough others were sent between them or more time has passed than reordering explains. Because peers echo the
//! transmission's number, resends are told apart and their loss is found in the same way.

use std::collections::VecDeque;

use core::time::Duration;

use super::rtt::Rtt;
use super::seq::{Seq, TransmissionId};
use crate::proto::Time;

/// The reordering window is never shorter, whatever the round trip.
const MIN_REORDER_WINDOW: Duration = Duration::from_millis(1);

/// The reordering window starts at this part of a round trip, and grows by as much with every spurious resend.
const REORDER_WINDOW_PART: u32 = 8;

/// Losses found in a row, none of them spurious, after which the reordering window shrinks again. Source: RFC 8985
/// §6.2, which resets after 16 recoveries.
const SHRINK_AFTER: u32 = 16;

/// Records kept beyond those under way, to recognise late acknowledgements.
const MAX_SETTLED: usize = 256;

/// The loss rate is a moving mean over about this many transmissions.
const LOSS_MEAN_OVER: f32 = 128.0;

#[derive(Clone, Copy, Debug)]
struct Record {
    sn: Seq,
    sent_at: Time,
    acked: bool,
    found_lost: bool,
    /// The same segment was sent again later.
    superseded: bool,
}

/// What an acknowledgement tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Time from the transmission to this acknowledgement: only from the first one that names it, and only if no newer
    /// transmission was acknowledged before. A segment that error correction rebuilt late is acknowledged late with
    /// its old number, and must not count as a round trip.
    pub(crate) rtt: Option<Duration>,
    /// The transmission had been given up: what was sent again because of it was not needed.
    pub(crate) spurious: bool,
}

/// How a loss was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// Enough later transmissions were acknowledged.
    Count,
    /// A later one was acknowledged, and the reordering window has passed.
    Time,
}

/// Transmissions under way, oldest first.
#[derive(Debug)]
pub(crate) struct History {
    first: TransmissionId,
    records: VecDeque<Record>,
    /// Transmissions before this one are decided: acknowledged, lost, or superseded.
    undecided: TransmissionId,
    newest_acked: Option<TransmissionId>,
    newest_acked_rtt: Duration,
    /// An acknowledgement arrived for a transmission older than one acknowledged before.
    reordering_seen: bool,
    window_parts: u32,
    losses_since_spurious: u32,
    loss_rate: f32,
}

impl History {
    pub(crate) fn new() -> Self {
        let first = TransmissionId(1);
        Self {
            first,
            records: VecDeque::new(),
            undecided: first,
            newest_acked: None,
            newest_acked_rtt: Duration::ZERO,
            reordering_seen: false,
            window_parts: 1,
            losses_since_spurious: 0,
            loss_rate: 0.0,
        }
    }

    /// The number that the next transmission will take.
    pub(crate) fn next_id(&self) -> TransmissionId {
        self.first.plus(self.records.len() as u32)
    }

    /// Notes that segment `sn` is sent now; `previous` is its last transmission, if it was sent before.
    pub(crate) fn record(
        &mut self,
        now: Time,
        sn: Seq,
        previous: Option<TransmissionId>,
    ) -> TransmissionId {
        let id = self.next_id();
        if let Some(record) = previous.and_then(|previous| self.get_mut(previous)) {
            record.superseded = true;
        }
        self.records.push_back(Record {
            sn,
            sent_at: now,
            acked: false,
            found_lost: false,
            superseded: false,
        });
        id
    }

    /// Takes an acknowledgement of segment `sn` that names transmission `id`.
    pub(crate) fn handle_ack(&mut self, now: Time, id: TransmissionId, sn: Seq) -> Answer {
        let newest = self.newest_acked;
        let is_newest = newest.is_none_or(|newest| newest.precedes(id));
        let Some(record) = self
            .get_mut(id)
            .filter(|record| record.sn == sn && !record.acked)
        else {
            return Answer::default();
        };
        record.acked = true;
        let spurious = record.found_lost;
        let rtt = now.since(record.sent_at);
        if is_newest {
            self.newest_acked = Some(id);
            self.newest_acked_rtt = rtt;
        } else {
            self.reordering_seen = true;
        }
        if spurious {
            self.window_parts = (self.window_parts + 1).min(REORDER_WINDOW_PART);
            self.losses_since_spurious = 0;
            self.loss_rate = (self.loss_rate - 1.0 / LOSS_MEAN_OVER).max(0.0);
        }
        Answer {
            rtt: is_newest.then_some(rtt),
            spurious,
        }
    }

    /// Finds lost transmissions. `is_current` tells whether a transmission is the last one of a segment still
    /// unacknowledged; `lost` is called for each that is lost, oldest first. Returns when to look again.
    pub(crate) fn detect_losses(
        &mut self,
        now: Time,
        rtt: &Rtt,
        count_threshold: Option<u32>,
        is_current: impl Fn(Seq, TransmissionId) -> bool,
        mut lost: impl FnMut(Seq, Time, Evidence),
    ) -> Option<Time> {
        let newest = self.newest_acked?;
        let allowance = self.newest_acked_rtt + self.reorder_window(rtt);
        let count_threshold = count_threshold.filter(|_| !self.reordering_seen);
        while self.undecided.precedes(newest) {
            let id = self.undecided;
            let index = id.count_from(self.first) as usize;
            let record = &mut self.records[index];
            let mut is_lost = record.superseded && !record.acked;
            if !record.acked && is_current(record.sn, id) {
                let by_count =
                    count_threshold.is_some_and(|threshold| newest.count_from(id) >= threshold);
                let due = record.sent_at + allowance;
                if !by_count && now < due {
                    return Some(due);
                }
                record.found_lost = true;
                is_lost = true;
                let evidence = if by_count {
                    Evidence::Count
                } else {
                    Evidence::Time
                };
                lost(record.sn, record.sent_at, evidence);
                self.losses_since_spurious += 1;
                if self.losses_since_spurious >= SHRINK_AFTER {
                    self.losses_since_spurious = 0;
                    self.window_parts = (self.window_parts - 1).max(1);
                }
            }
            let sample = if is_lost { 1.0 } else { 0.0 };
            self.loss_rate += (sample - self.loss_rate) / LOSS_MEAN_OVER;
            self.undecided = id.plus(1);
        }
        None
    }

    /// Forgets the records of segments before `una`, but for the youngest, whose late acknowledgements still tell
    /// about reordering.
    pub(crate) fn forget_before(&mut self, una: Seq) {
        while let Some(record) = self.records.front() {
            let settled = record.sn.precedes(una) && self.first.precedes(self.undecided);
            let keep = self.undecided.count_from(self.first) as usize <= MAX_SETTLED;
            if !settled || keep {
                break;
            }
            self.records.pop_front();
            self.first = self.first.plus(1);
        }
    }

    /// Forgets everything: nothing is under way.
    pub(crate) fn settle(&mut self) {
        self.first = self.next_id();
        self.undecided = self.first;
        self.records.clear();
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        self.records.shrink_to_fit();
    }

    /// Share of transmissions lost, as a moving mean.
    pub(crate) fn loss_rate(&self) -> f32 {
        self.loss_rate
    }

    /// How much later than a later one a transmission may be acknowledged without counting as lost.
    fn reorder_window(&self, rtt: &Rtt) -> Duration {
        let round_trip = rtt.smoothed().unwrap_or_default();
        (round_trip / REORDER_WINDOW_PART * self.window_parts).max(MIN_REORDER_WINDOW)
    }

    fn get_mut(&mut self, id: TransmissionId) -> Option<&mut Record> {
        self.records.get_mut(id.count_from(self.first) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn steady_rtt() -> Rtt {
        let mut rtt = Rtt::default();
        for _ in 0..50 {
            rtt.update(Duration::from_millis(80));
        }
        rtt
    }

    /// Sends segments 0.. at the given times.
    fn sent(times: &[u64]) -> History {
        let mut history = History::new();
        for (sn, &at) in times.iter().enumerate() {
            history.record(ms(at), Seq(sn as u32), None);
        }
        history
    }

    fn losses(history: &mut History, now: u64, threshold: Option<u32>) -> (Vec<u32>, Option<Time>) {
        let mut found = Vec::new();
        let next = history.detect_losses(
            ms(now),
            &steady_rtt(),
            threshold,
            |_, _| true,
            |sn, _, _| found.push(sn.0),
        );
        (found, next)
    }

    #[test]
    fn a_transmission_is_lost_once_enough_later_ones_are_acknowledged() {
        let mut history = sent(&[0, 0, 0]);
        history.handle_ack(ms(80), TransmissionId(2), Seq(1));
        assert!(losses(&mut history, 80, Some(2)).0.is_empty());
        history.handle_ack(ms(80), TransmissionId(3), Seq(2));
        assert_eq!(losses(&mut history, 80, Some(2)).0, [0]);
    }

    #[test]
    fn without_a_threshold_the_reordering_window_decides() {
        let mut history = sent(&[0, 0, 0]);
        history.handle_ack(ms(80), TransmissionId(3), Seq(2));
        let (found, next) = losses(&mut history, 80, None);
        assert!(found.is_empty());
        assert_eq!(next, Some(ms(90)));
        assert_eq!(losses(&mut history, 90, None).0, [0, 1]);
    }

    #[test]
    fn once_packets_were_seen_out_of_order_counting_no_longer_decides() {
        let mut history = sent(&[0, 0, 0, 0]);
        history.handle_ack(ms(80), TransmissionId(2), Seq(1));
        history.handle_ack(ms(81), TransmissionId(1), Seq(0));
        history.handle_ack(ms(82), TransmissionId(4), Seq(3));
        assert!(losses(&mut history, 82, Some(1)).0.is_empty());
    }

    #[test]
    fn only_the_first_ack_of_the_newest_transmission_is_a_round_trip() {
        let mut history = sent(&[0, 10, 20]);
        let answer = history.handle_ack(ms(100), TransmissionId(2), Seq(1));
        assert_eq!(answer.rtt, Some(Duration::from_millis(90)));
        assert_eq!(
            history.handle_ack(ms(101), TransmissionId(2), Seq(1)),
            Answer::default()
        );
        assert_eq!(
            history.handle_ack(ms(900), TransmissionId(1), Seq(0)).rtt,
            None
        );
        assert_eq!(
            history.handle_ack(ms(900), TransmissionId(3), Seq(0)),
            Answer::default()
        );
        assert_eq!(
            history.handle_ack(ms(900), TransmissionId(77), Seq(2)),
            Answer::default()
        );
    }

    #[test]
    fn a_spurious_loss_widens_the_window() {
        let mut history = sent(&[0, 0]);
        history.handle_ack(ms(80), TransmissionId(2), Seq(1));
        assert_eq!(losses(&mut history, 90, None).0, [0]);
        assert!(
            history
                .handle_ack(ms(95), TransmissionId(1), Seq(0))
                .spurious
        );
        history.record(ms(100), Seq(2), None);
        history.record(ms(100), Seq(3), None);
        history.handle_ack(ms(180), TransmissionId(4), Seq(3));
        assert_eq!(losses(&mut history, 180, None).1, Some(ms(200)));
    }

    #[test]
    fn a_lost_resend_is_found_like_any_other() {
        let mut history = sent(&[0]);
        let again = history.record(ms(50), Seq(0), Some(TransmissionId(1)));
        history.record(ms(60), Seq(1), None);
        history.handle_ack(ms(140), TransmissionId(3), Seq(1));
        let mut found = Vec::new();
        history.detect_losses(
            ms(150),
            &steady_rtt(),
            None,
            |_, id| id == again,
            |sn, at, _| found.push((sn, at)),
        );
        assert_eq!(found, [(Seq(0), ms(50))]);
    }

    #[test]
    fn the_loss_rate_follows_the_path() {
        let mut history = History::new();
        for sn in 0..5_000 {
            let id = history.record(ms(sn.into()), Seq(sn), None);
            if sn % 10 != 0 {
                history.handle_ack(ms(u64::from(sn) + 1), id, Seq(sn));
            }
            losses(&mut history, u64::from(sn) + 1, Some(1));
            history.forget_before(Seq(sn));
        }
        assert!(
            (0.07..0.13).contains(&history.loss_rate()),
            "{}",
            history.loss_rate()
        );
        assert!(history.records.len() < 2 * MAX_SETTLED);
    }
}
