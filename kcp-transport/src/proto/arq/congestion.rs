//! How many segments may be under way: a part with several implementations.
//!
//! Windows count in segments, as KCP's do.

use core::time::Duration;

use crate::proto::Time;

/// Initial window in segments. Source: RFC 6928.
const INITIAL_WINDOW: u32 = 10;

/// Smallest threshold between slow start and congestion avoidance. Source: ikcp.c `IKCP_THRESH_MIN`.
const MIN_THRESHOLD: u32 = 2;

/// Decides how much may be under way from what happens to the segments sent.
pub(crate) trait Congestion: Send + core::fmt::Debug {
    /// `segments` more were acknowledged in order. `limited`: the window, not the application, held the sender back.
    fn on_ack(&mut self, segments: u32, limited: bool);

    /// A segment sent at `sent_at` was found lost.
    fn on_loss(&mut self, now: Time, sent_at: Time);

    /// Nothing was acknowledged for repeated timeouts.
    fn on_timeout(&mut self, now: Time);

    /// Segments that may be under way.
    fn window(&self) -> u32;

    /// How many windows per round trip the pacer may let out.
    fn pacing_gain(&self) -> f64;
}

/// No reaction to loss: the configured window and the pacing ceiling are the only limits (kcp-go's `nc = 1`).
#[derive(Debug)]
pub(crate) struct Fixed;

impl Congestion for Fixed {
    fn on_ack(&mut self, _: u32, _: bool) {}

    fn on_loss(&mut self, _: Time, _: Time) {}

    fn on_timeout(&mut self, _: Time) {}

    fn window(&self) -> u32 {
        u32::MAX
    }

    fn pacing_gain(&self) -> f64 {
        // A whole window may leave within half a round trip, so that pacing never becomes the limit when round trips
        // shorten.
        2.0
    }
}

/// Slow start and congestion avoidance (kcp-go's `nc = 0`), with one reduction per round trip.
///
/// Differs from ikcp.c in three points, all from TCP's practice: the initial window (RFC 6928), one halving per
/// window of data however many losses it holds (RFC 6582), and growth only while the window is the limit (RFC 7661).
#[derive(Debug)]
pub(crate) struct Reno {
    window: f64,
    threshold: f64,
    /// Losses of segments sent before this time belong to a reduction already made.
    recovery_start: Option<Time>,
}

impl Reno {
    pub(crate) fn new() -> Self {
        Self {
            window: f64::from(INITIAL_WINDOW),
            threshold: f64::INFINITY,
            recovery_start: None,
        }
    }
}

impl Congestion for Reno {
    fn on_ack(&mut self, segments: u32, limited: bool) {
        if !limited {
            return;
        }
        let segments = f64::from(segments);
        if self.window < self.threshold {
            self.window = (self.window + segments).min(self.threshold.max(self.window + 1.0));
        } else {
            self.window += segments / self.window;
        }
        self.window = self.window.min(f64::from(u16::MAX));
    }

    fn on_loss(&mut self, now: Time, sent_at: Time) {
        if self.recovery_start.is_some_and(|start| sent_at <= start) {
            return;
        }
        self.recovery_start = Some(now);
        self.threshold = (self.window / 2.0).max(f64::from(MIN_THRESHOLD));
        self.window = self.threshold;
    }

    fn on_timeout(&mut self, now: Time) {
        self.recovery_start = Some(now);
        self.threshold = (self.window / 2.0).max(f64::from(MIN_THRESHOLD));
        self.window = 1.0;
    }

    fn window(&self) -> u32 {
        self.window as u32
    }

    fn pacing_gain(&self) -> f64 {
        // As Linux paces TCP: twice the window per round trip in slow start, 1.2 times afterwards.
        if self.window < self.threshold {
            2.0
        } else {
            1.2
        }
    }
}

/// The pacing rate for `window` segments of `packet` bytes per round trip, in bytes per second.
pub(crate) fn pacing_rate(window: u32, packet: usize, rtt: Duration, gain: f64) -> u64 {
    let bytes = f64::from(window) * packet as f64 * gain;
    (bytes / rtt.as_secs_f64().max(1e-6)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn slow_start_doubles_and_avoidance_adds_one_per_window() {
        let mut reno = Reno::new();
        reno.on_ack(10, true);
        assert_eq!(reno.window(), 20);
        reno.on_loss(ms(100), ms(50));
        assert_eq!(reno.window(), 10);
        for _ in 0..10 {
            reno.on_ack(1, true);
        }
        assert!((10..=11).contains(&reno.window()), "{}", reno.window());
        reno.on_ack(2, true);
        assert_eq!(reno.window(), 11);
    }

    #[test]
    fn losses_of_one_round_trip_halve_the_window_once() {
        let mut reno = Reno::new();
        reno.on_ack(54, true);
        reno.on_loss(ms(100), ms(10));
        reno.on_loss(ms(101), ms(90));
        assert_eq!(reno.window(), 32);
        reno.on_loss(ms(200), ms(150));
        assert_eq!(reno.window(), 16);
    }

    #[test]
    fn an_idle_application_earns_no_window() {
        let mut reno = Reno::new();
        reno.on_ack(100, false);
        assert_eq!(reno.window(), INITIAL_WINDOW);
    }

    #[test]
    fn repeated_timeouts_leave_one_segment() {
        let mut reno = Reno::new();
        reno.on_timeout(ms(5));
        assert_eq!(reno.window(), 1);
        reno.on_ack(1, true);
        assert_eq!(reno.window(), 2);
    }
}
