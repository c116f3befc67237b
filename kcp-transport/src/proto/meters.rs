//! Counters and gauges of a session, where both its driver and its handles see them.
//!
//! One writes, several read. What a reader sees is some moments old at most, and nothing needs to be copied for readers
//! that seldom come. Numbers that most packets change lie together.

use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::sync::Arc;

use crate::stats::SessionStats;

/// A number that only the session changes.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub(crate) fn add(&self, count: u64) {
        // With one writer, nothing can come between.
        self.0.store(self.get().wrapping_add(count), Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// A duration, or none.
#[derive(Debug)]
struct Span(AtomicU64);

impl Default for Span {
    fn default() -> Self {
        Self(AtomicU64::new(Self::NONE))
    }
}

impl Span {
    const NONE: u64 = u64::MAX;

    fn set(&self, value: Option<Duration>) {
        let nanos = value.map_or(Self::NONE, |value| {
            u64::try_from(value.as_nanos()).unwrap_or(Self::NONE - 1)
        });
        self.0.store(nanos, Relaxed);
    }

    fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Relaxed);
        (nanos != Self::NONE).then(|| Duration::from_nanos(nanos))
    }
}

/// How a session stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gauges {
    pub(crate) rtt: Option<Duration>,
    pub(crate) min_rtt: Option<Duration>,
    pub(crate) rtt_deviation: Duration,
    pub(crate) rto: Duration,
    pub(crate) loss_rate: f32,
    pub(crate) in_flight: usize,
    pub(crate) unsent: usize,
    pub(crate) unread: usize,
    pub(crate) out_of_order: usize,
    pub(crate) remote_window: u32,
    pub(crate) congestion_window: u32,
}

/// What one session counts, and how it stands. Fields mean what those of [`SessionStats`] mean.
#[derive(Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct SessionMeters {
    // One cache line: what most packets change.
    pub(crate) bytes_sent: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) packets_received: Counter,
    pub(crate) packets_up_to_date: Counter,
    pub(crate) wire_bytes_received: Counter,
    pub(crate) segments_sent: Counter,
    pub(crate) segments_received: Counter,
    in_flight: AtomicU32,
    out_of_order: AtomicU32,
    // Another one: the other gauges.
    rtt: Span,
    min_rtt: Span,
    rtt_deviation: Span,
    rto: Span,
    unsent: Counter,
    unread: Counter,
    loss_rate: AtomicU32,
    congestion_window: AtomicU32,
    remote_window: AtomicU16,
    // And what changes seldom.
    pub(crate) fast_resends: Counter,
    pub(crate) early_resends: Counter,
    pub(crate) timeout_resends: Counter,
    pub(crate) spurious_resends: Counter,
    pub(crate) copies_sent: Counter,
    pub(crate) segments_repeated: Counter,
    pub(crate) malformed_packets: Counter,
    pub(crate) oob_received: Counter,
}

impl SessionMeters {
    pub(crate) fn set(&self, gauges: Gauges) {
        let narrow = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        self.in_flight.store(narrow(gauges.in_flight), Relaxed);
        self.out_of_order
            .store(narrow(gauges.out_of_order), Relaxed);
        self.rtt.set(gauges.rtt);
        self.min_rtt.set(gauges.min_rtt);
        self.rtt_deviation.set(Some(gauges.rtt_deviation));
        self.rto.set(Some(gauges.rto));
        self.unsent.set(gauges.unsent as u64);
        self.unread.set(gauges.unread as u64);
        self.loss_rate.store(gauges.loss_rate.to_bits(), Relaxed);
        self.congestion_window
            .store(gauges.congestion_window, Relaxed);
        // The header has as many bits for it.
        let window = u16::try_from(gauges.remote_window).unwrap_or(u16::MAX);
        self.remote_window.store(window, Relaxed);
    }

    pub(crate) fn unsent(&self) -> u64 {
        self.unsent.get()
    }

    /// Without what belongs to the path.
    pub(crate) fn read(&self) -> SessionStats {
        SessionStats {
            bytes_sent: self.bytes_sent.get(),
            bytes_received: self.bytes_received.get(),
            packets_received: self.packets_received.get(),
            packets_up_to_date: self.packets_up_to_date.get(),
            wire_bytes_received: self.wire_bytes_received.get(),
            segments_sent: self.segments_sent.get(),
            segments_received: self.segments_received.get(),
            fast_resends: self.fast_resends.get(),
            early_resends: self.early_resends.get(),
            timeout_resends: self.timeout_resends.get(),
            spurious_resends: self.spurious_resends.get(),
            copies_sent: self.copies_sent.get(),
            segments_repeated: self.segments_repeated.get(),
            malformed_packets: self.malformed_packets.get(),
            oob_received: self.oob_received.get(),
            rtt: self.rtt.get(),
            min_rtt: self.min_rtt.get(),
            rtt_deviation: self.rtt_deviation.get().unwrap_or_default(),
            rto: self.rto.get().unwrap_or_default(),
            loss_rate: f32::from_bits(self.loss_rate.load(Relaxed)),
            in_flight: self.in_flight.load(Relaxed).into(),
            unsent: self.unsent.get(),
            unread: self.unread.get(),
            out_of_order: self.out_of_order.load(Relaxed).into(),
            remote_window: self.remote_window.load(Relaxed).into(),
            congestion_window: self.congestion_window.load(Relaxed),
            ..SessionStats::default()
        }
    }
}

/// What all sessions with one address count together. Fields mean what those of [`SessionStats`] mean.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct PathMeters {
    pub(crate) packets_sent: Counter,
    pub(crate) wire_bytes_sent: Counter,
    pub(crate) fec_full_groups: Counter,
    pub(crate) fec_parity_received: Counter,
    pub(crate) fec_recovered: Counter,
    pub(crate) fec_errors: Counter,
    pub(crate) fec_short_packets: Counter,
    pub(crate) fec_groups: Counter,
    pub(crate) fec_newest_group: Counter,
}

impl PathMeters {
    pub(crate) fn read(&self) -> SessionStats {
        SessionStats {
            packets_sent: self.packets_sent.get(),
            wire_bytes_sent: self.wire_bytes_sent.get(),
            fec_full_groups: self.fec_full_groups.get(),
            fec_parity_received: self.fec_parity_received.get(),
            fec_recovered: self.fec_recovered.get(),
            fec_errors: self.fec_errors.get(),
            fec_short_packets: self.fec_short_packets.get(),
            fec_groups: self.fec_groups.get(),
            fec_newest_group: self.fec_newest_group.get(),
            ..SessionStats::default()
        }
    }
}

/// A look at the counters and gauges of one session and its path, from wherever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Meters {
    pub(crate) session: Arc<SessionMeters>,
    pub(crate) path: Arc<PathMeters>,
}

impl Meters {
    pub(crate) fn read(&self) -> SessionStats {
        let path = self.path.read();
        let mut stats = self.session.read();
        stats.add(&path);
        SessionStats {
            fec_groups: path.fec_groups,
            fec_newest_group: path.fec_newest_group,
            ..stats
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_packets_change_fills_two_cache_lines() {
        assert_eq!(core::mem::offset_of!(SessionMeters, rtt), 64);
        assert_eq!(core::mem::offset_of!(SessionMeters, fast_resends), 128);
        assert_eq!(size_of::<SessionMeters>(), 192);
    }

    #[test]
    fn no_duration_is_taken_for_none() {
        let span = Span::default();
        assert_eq!(span.get(), None);
        span.set(Some(Duration::ZERO));
        assert_eq!(span.get(), Some(Duration::ZERO));
        span.set(Some(Duration::MAX));
        assert!(span.get().is_some());
        span.set(None);
        assert_eq!(span.get(), None);
    }
}
