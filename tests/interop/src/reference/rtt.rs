//! Round-trip time and the resend timeout that follows from it.

/// No timeout is longer, in milliseconds. Source: ikcp.c `IKCP_RTO_MAX`.
const RTO_MAX: u32 = 60_000;
/// Timeout before the first sample, in milliseconds. Source: ikcp.c `IKCP_RTO_DEF`.
const RTO_DEFAULT: u32 = 200;

/// The estimator, in whole milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtt {
    /// Smoothed round trip; 0 before the first sample that is not 0.
    pub srtt: i32,
    /// Mean deviation.
    pub rttvar: i32,
    /// Timeout of a segment sent now.
    pub rto: u32,
}

impl Rtt {
    /// Knows nothing yet.
    pub const fn new() -> Self {
        Self {
            srtt: 0,
            rttvar: 0,
            rto: RTO_DEFAULT,
        }
    }

    /// Takes in a sample. Shifts are arithmetic: a difference of -1 counts as a whole step down.
    pub fn update(&mut self, sample: i32, interval: u32, min_rto: u32) {
        if self.srtt == 0 {
            self.srtt = sample;
            self.rttvar = sample >> 1;
        } else {
            let delta = sample - self.srtt;
            self.srtt += delta >> 3;
            // A sample far below the mean says little about how late one may be.
            let weight = if sample < self.srtt - self.rttvar {
                5
            } else {
                2
            };
            self.rttvar += (delta.abs() - self.rttvar) >> weight;
        }
        let margin = interval.max(self.rttvar.cast_unsigned() << 2);
        let rto = self.srtt.cast_unsigned().wrapping_add(margin);
        self.rto = rto.max(min_rto).min(RTO_MAX);
    }
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}
