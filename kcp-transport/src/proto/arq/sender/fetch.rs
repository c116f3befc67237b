//! What to look at before small work for many sessions; see [`Session::fetch`](crate::proto::session::Session::fetch).

use super::Sender;

impl Sender {
    /// Looks at its parts.
    pub(crate) fn fetch(&self) -> u64 {
        let words = [
            self.settings.max_bandwidth,
            self.flight.len() as u64,
            self.last_sent.as_nanos(),
            self.una.0.into(),
            self.unacked as u64,
            self.mss as u64,
            self.buffer.unsent() as u64,
            self.history.fetch(),
            self.pacer.fetch(),
            self.rtt.fetch(),
        ];
        words.into_iter().fold(0, u64::wrapping_add)
    }

    /// Looks at what lies behind them.
    pub(crate) fn fetch_behind(&self) -> u64 {
        let segment = self.flight.front().map_or(0, |segment| segment.offset);
        segment + self.buffer.fetch_behind() + self.history.fetch_behind()
    }
}
