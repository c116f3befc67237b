//! Counters of one link.

use std::fmt;
use std::time::Duration;

/// What a link did so far. Plain numbers; a packet counts where its way ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets given to the link.
    pub sent: u64,
    /// Bytes given to the link.
    pub sent_bytes: u64,
    /// Packets handed out, copies included.
    pub delivered: u64,
    /// Bytes handed out, copies included.
    pub delivered_bytes: u64,
    /// Packets that left the queue, whatever became of them then.
    pub transmitted: u64,
    /// Packets lost independently of each other.
    pub lost_random: u64,
    /// Packets lost in bursts.
    pub lost_burst: u64,
    /// Packets the drop mask named.
    pub lost_masked: u64,
    /// Packets that left the queue during a blackout.
    pub lost_blackout: u64,
    /// Packets that found the queue full.
    pub dropped_queue: u64,
    /// Packets longer than the MTU.
    pub dropped_mtu: u64,
    /// Packets for which the emulator itself had no memory left (256 MiB): a link under test
    /// should not come here.
    pub dropped_memory: u64,
    /// Copies that were damaged.
    pub corrupted: u64,
    /// Packets of which a second copy was made.
    pub duplicated: u64,
    /// Copies delivered after one that set out later.
    pub reordered: u64,
    /// Longest wait in the queue until transmission began.
    pub queue_delay_max: Duration,
    /// Sum of the waits of all `transmitted` packets.
    pub queue_delay_total: Duration,
}

impl LinkStats {
    /// Mean wait in the queue until transmission began.
    pub fn queue_delay_mean(&self) -> Duration {
        let mean = self.queue_delay_total.as_nanos() / u128::from(self.transmitted.max(1));
        Duration::from_nanos(u64::try_from(mean).unwrap_or(u64::MAX))
    }

    /// Packets that did not cross, for whatever reason.
    pub fn lost(&self) -> u64 {
        self.lost_random
            + self.lost_burst
            + self.lost_masked
            + self.lost_blackout
            + self.dropped_queue
            + self.dropped_mtu
            + self.dropped_memory
    }
}

/// One line: what came in, what came out, and every other counter that is not zero.
impl fmt::Display for LinkStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sent {} delivered {}", self.sent, self.delivered)?;
        let rare = [
            ("random", self.lost_random),
            ("burst", self.lost_burst),
            ("masked", self.lost_masked),
            ("blackout", self.lost_blackout),
            ("queue-full", self.dropped_queue),
            ("too-long", self.dropped_mtu),
            ("no-memory", self.dropped_memory),
            ("corrupted", self.corrupted),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
        ];
        for (name, count) in rare {
            if count > 0 {
                write!(f, " {name} {count}")?;
            }
        }
        if !self.queue_delay_max.is_zero() {
            write!(
                f,
                " queue {:.1?}/{:.1?}",
                self.queue_delay_mean(),
                self.queue_delay_max
            )?;
        }
        Ok(())
    }
}
