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

/// Records kept at most, under way or not, for each segment of the window, and at least. A peer that acknowledges what
/// it likes could otherwise make them grow without end. What is forgotten under way is found lost by a probe.
const RECORDS_PER_SEGMENT: usize = 8;
const MIN_RECORDS: usize = 1_024;

/// The loss rate is a moving mean over about this many transmissions, fewer at first.
const LOSS_MEAN_OVER: (f32, f32) = (16.0, 128.0);

#[derive(Clone, Copy, Debug)]
struct Record {
    sn: Seq,
    sent_at: Time,
    /// The transmission of the same segment before this one.
    previous: Option<TransmissionId>,
    /// The same segment was sent again later.
    superseded: bool,
    /// It arrived: an acknowledgement named it, or nothing else can have moved `una` when it moved.
    arrived: bool,
    found_lost: bool,
}

/// How a segment stands, as far as one of its transmissions is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It arrived, by whatever transmission.
    Arrived,
    /// It waits to be sent again.
    Queued,
    /// A later transmission of it is under way.
    SentAgain,
    /// This transmission is its last.
    UnderWay,
}

/// What an acknowledgement tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answer {
    /// Time from the transmission to this acknowledgement: only from the first one that names it, only if no newer
    /// transmission was acknowledged before, and only if the segment was not sent again since. A segment that error
    /// correction rebuilt late is acknowledged late with its old number, and must not count as a round trip; where the
    /// path itself has become slow, the answer to the resend tells.
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
    /// Records kept at most.
    limit: usize,
    /// Transmissions before this one are decided: acknowledged, lost, or superseded.
    undecided: TransmissionId,
    newest_acked: Option<TransmissionId>,
    newest_acked_rtt: Duration,
    /// An acknowledgement arrived for a transmission older than one acknowledged before.
    reordering_seen: bool,
    window_parts: u32,
    losses_since_spurious: u32,
    loss_rate: f32,
    loss_mean_over: f32,
}

impl History {
    /// Of a sender whose window is so many segments.
    pub(crate) fn new(window: u32) -> Self {
        let first = TransmissionId(1);
        Self {
            first,
            records: VecDeque::new(),
            limit: limit(window),
            undecided: first,
            newest_acked: None,
            newest_acked_rtt: Duration::ZERO,
            reordering_seen: false,
            window_parts: 1,
            losses_since_spurious: 0,
            loss_rate: 0.0,
            loss_mean_over: LOSS_MEAN_OVER.0,
        }
    }

    pub(crate) fn fetch(&self) -> u64 {
        self.records.len() as u64 + u64::from(self.window_parts)
    }

    pub(crate) fn fetch_behind(&self) -> u64 {
        let record = self.records.back();
        record.map_or(0, |record| record.sent_at.as_nanos())
    }

    /// The window has changed.
    pub(crate) fn set_window(&mut self, window: u32) {
        self.limit = limit(window);
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
        while self.records.len() >= self.limit {
            self.forget_oldest();
        }
        let id = self.next_id();
        if let Some(record) = previous.and_then(|previous| self.get_mut(previous)) {
            record.superseded = true;
        }
        self.records.push_back(Record {
            sn,
            sent_at: now,
            previous,
            superseded: false,
            arrived: false,
            found_lost: false,
        });
        id
    }

    /// Takes an acknowledgement of segment `sn` that names transmission `id`.
    pub(crate) fn handle_ack(&mut self, now: Time, id: TransmissionId, sn: Seq) -> Answer {
        let newest = self.newest_acked;
        let is_newest = newest.is_none_or(|newest| newest.precedes(id));
        let Some(record) = self
            .get_mut(id)
            .filter(|record| record.sn == sn && !record.arrived)
        else {
            return Answer::default();
        };
        record.arrived = true;
        let spurious = record.found_lost;
        let sent_again = record.superseded;
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
            self.loss_rate = (self.loss_rate - 1.0 / self.loss_mean_over).max(0.0);
        }
        Answer {
            rtt: (is_newest && !sent_again).then_some(rtt),
            spurious,
        }
    }

    /// `una` passed a segment that was sent more than once, `last` being its last transmission. Acknowledgements of
    /// what `una` covers need not name it; but nothing sent after the newest one answered can have moved `una`.
    pub(crate) fn handle_covered(&mut self, last: TransmissionId) {
        let newest = self.newest_acked;
        let mut next = Some(last);
        while let Some(id) = next {
            let Some(record) = self.get_mut(id) else {
                return;
            };
            if record.arrived {
                return;
            }
            if newest.is_some_and(|newest| !newest.precedes(id)) {
                record.arrived = true;
                return;
            }
            next = record.previous;
        }
    }

    /// Finds lost transmissions. `standing` tells how the segment of a transmission stands; `lost` is called for each
    /// that is lost and must be sent again, oldest first. Returns when to look again.
    pub(crate) fn detect_losses(
        &mut self,
        now: Time,
        rtt: &Rtt,
        count_threshold: Option<u32>,
        standing: impl Fn(Seq, TransmissionId) -> Standing,
        mut lost: impl FnMut(Seq, Time, Evidence),
    ) -> Option<Time> {
        let newest = self.newest_acked?;
        let allowance = self.newest_acked_rtt + self.reorder_window(rtt);
        let count_threshold = count_threshold.filter(|_| !self.reordering_seen);
        while self.undecided.precedes(newest) {
            let id = self.undecided;
            let index = id.count_from(self.first) as usize;
            let record = &mut self.records[index];
            let is_lost = match standing(record.sn, id) {
                _ if record.arrived => Some(false),
                Standing::Queued | Standing::SentAgain => Some(true),
                Standing::Arrived if record.superseded => Some(true),
                // Its only transmission, so that is what arrived.
                Standing::Arrived if record.previous.is_none() => Some(false),
                // An earlier one arrived. This one may have, too.
                Standing::Arrived => None,
                Standing::UnderWay => {
                    let by_count =
                        count_threshold.is_some_and(|threshold| newest.count_from(id) >= threshold);
                    let due = record.sent_at + allowance;
                    if !by_count && now < due {
                        return Some(due);
                    }
                    record.found_lost = true;
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
                    Some(true)
                }
            };
            if let Some(is_lost) = is_lost {
                self.count(is_lost);
            }
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
            self.forget_oldest();
        }
    }

    /// Forgets everything: nothing is under way, and nothing was for a while.
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

    /// Takes one more transmission into the loss rate.
    fn count(&mut self, is_lost: bool) {
        let sample = if is_lost { 1.0 } else { 0.0 };
        self.loss_rate += (sample - self.loss_rate) / self.loss_mean_over;
        let (_, longest) = LOSS_MEAN_OVER;
        self.loss_mean_over = (self.loss_mean_over + 1.0).min(longest);
    }

    fn forget_oldest(&mut self) {
        self.records.pop_front();
        self.first = self.first.plus(1);
        if self.undecided.precedes(self.first) {
            self.undecided = self.first;
        }
    }

    fn get_mut(&mut self, id: TransmissionId) -> Option<&mut Record> {
        self.records.get_mut(id.count_from(self.first) as usize)
    }
}

fn limit(window: u32) -> usize {
    MIN_RECORDS.max(window as usize * RECORDS_PER_SEGMENT)
}

#[cfg(test)]
mod tests;
