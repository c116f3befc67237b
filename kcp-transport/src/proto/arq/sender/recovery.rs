//! How the sender finds out what is lost: by later acknowledgements, and by probing a tail that nothing follows.

use core::time::Duration;

use super::{Segment, Sender};
use crate::proto::Time;
use crate::proto::arq::history::{Evidence, Standing};
use crate::proto::arq::rtt::MAX_RTO;
use crate::proto::meters::SessionMeters;

/// Probes sent without waiting longer each time. With loss of 20 % each way all six fail once in 450 tries.
const STEADY_PROBES: u32 = 6;

/// Between probes the wait grows to this at most, so that a path which comes back is noticed.
const MAX_PROBE_INTERVAL: Duration = Duration::from_secs(5);

impl Sender {
    pub(super) fn detect_losses(&mut self, now: Time, meters: &SessionMeters) {
        let threshold = (self.settings.resend > 0).then_some(self.settings.resend);
        let Self {
            history,
            rtt,
            flight,
            resend,
            una,
            congestion,
            ..
        } = self;
        let mut found = std::mem::take(resend);
        let first_new = found.len();
        self.detect_at = history.detect_losses(
            now,
            rtt,
            threshold,
            |sn, id| match sn.index_from(*una, flight.len()) {
                Some(index) => flight[index].standing(id),
                None => Standing::Arrived,
            },
            |sn, sent_at, evidence| {
                found.push_back(sn);
                congestion.on_loss(now, sent_at);
                match evidence {
                    Evidence::Count => meters.fast_resends.add(1),
                    Evidence::Time => meters.early_resends.add(1),
                }
            },
        );
        for sn in found.iter().skip(first_new) {
            if let Some(index) = sn.index_from(*una, flight.len()) {
                flight[index].queued = true;
            }
        }
        *resend = found;
    }

    /// When the tail counts as unanswered: nothing else would reveal its loss.
    pub(super) fn probe_at(&self) -> Option<Time> {
        if self.flight.is_empty() || !self.resend.is_empty() {
            return None;
        }
        // The reader lags: it is its window that must be asked for, and nothing is missing.
        if self.unacked == 0 && self.remote_window == 0 {
            return None;
        }
        Some(self.last_sent + self.probe_interval())
    }

    fn probe_interval(&self) -> Duration {
        let base = self.rto();
        if !self.settings.nodelay {
            // Source: ikcp.c, which adds one timeout for every expiry.
            return (base * (self.probes + 1))
                .min(MAX_PROBE_INTERVAL.max(base))
                .min(MAX_RTO);
        }
        let growth = self.probes.saturating_sub(STEADY_PROBES - 1).min(32);
        base.mul_f64(1.5_f64.powi(growth as i32))
            .min(MAX_PROBE_INTERVAL.max(base))
    }

    /// Sends the newest and the oldest unacknowledged segment again: the answer to either shows what else is missing.
    pub(super) fn probe(&mut self, now: Time, meters: &SessionMeters) {
        self.probes += 1;
        if self.probes > 1 {
            self.congestion.on_timeout(now);
        }
        let open = |segment: &Segment| !segment.acked && !segment.queued;
        // If everything is acknowledged but `una` has not moved, the packet that would have told so is lost: sending
        // the oldest again makes the peer repeat it.
        let oldest = self.flight.iter().position(open).unwrap_or_default();
        let newest = self.flight.iter().rposition(open).unwrap_or_default();
        self.queue_again(oldest, meters);
        if newest != oldest {
            self.queue_again(newest, meters);
        }
    }

    fn queue_again(&mut self, index: usize, meters: &SessionMeters) {
        self.flight[index].queued = true;
        self.resend.push_back(self.una.plus(index as u32));
        meters.timeout_resends.add(1);
    }
}
