//! Numbers packets on their way out and folds them into the parity of their group.
//!
//! Stores no packet: parity grows with every one that passes. Never changes shape or phase: a kcp-go peer would go on
//! decoding by the old ones and feed its stream garbage.

use super::header::{HEADER, Kind, MAX_PACKET, SHARD, write};
use super::rows::Rows;
use super::{Code, Fec};
use crate::proto::Time;
use core::iter::StepBy;
use core::ops::Range;
use core::time::Duration;
use std::sync::Arc;

/// The sending half of the forward error correction of one session.
pub(crate) struct Encoder {
    code: Arc<Code>,
    /// Number of the next data packet.
    next: u32,
    /// Data packets of the open group.
    collected: u8,
    /// When the last data packet passed.
    last: Option<Time>,
    rows: Rows,
    /// Parity packets per group, from the next group on.
    limit: usize,
    /// Parity packets of the open group.
    parity: usize,
    /// Whether parity packets with odd numbers are left out.
    even_only: bool,
    /// Numbers of the parity packets of the complete group that are still to be sent.
    due: StepBy<Range<u32>>,
}

impl Encoder {
    #[cfg(any(test, feature = "internals"))]
    pub(crate) fn new(code: Arc<Code>) -> Self {
        Self::starting_at(code, 0)
    }

    /// An encoder whose first packet has this number, with which a group begins.
    pub(crate) fn starting_at(code: Arc<Code>, next: u32) -> Self {
        Self {
            next,
            collected: 0,
            last: None,
            rows: Rows::new(),
            limit: code.shape().parity(),
            parity: 0,
            even_only: false,
            due: none(),
            code,
        }
    }

    /// Takes in a data packet: eight bytes of room, then the KCP packet. Writes the header into the room.
    ///
    /// Returns how many parity packets are due now; [`next_parity`](Self::next_parity) makes them. Those not made by
    /// the next call are not sent.
    ///
    /// # Panics
    ///
    /// If the packet is shorter than a header or longer than [`MAX_PACKET`].
    pub(crate) fn fold(&mut self, now: Time, packet: &mut [u8]) -> usize {
        assert!((HEADER..=MAX_PACKET).contains(&packet.len()));
        if self.collected == 0 {
            self.parity = self.limit;
            self.rows.begin(self.parity);
        }
        write(packet, self.next, Kind::Data);
        let size = (packet.len() - SHARD) as u16;
        packet[SHARD..HEADER].copy_from_slice(&size.to_le_bytes());

        let coefficients = &self.code.column(self.collected)[..self.parity];
        self.rows.add(coefficients, &packet[SHARD..]);
        self.collected += 1;
        self.next += 1;
        self.due = none();
        if usize::from(self.collected) == self.shape().data() {
            self.finish_group(now);
        }
        self.last = Some(now);
        self.due.len()
    }

    /// Writes the next parity packet that is due to the front of `out` and returns its length: that of the longest data
    /// packet of the group.
    ///
    /// # Panics
    ///
    /// If `out` is shorter than that.
    pub(crate) fn next_parity(&mut self, out: &mut [u8]) -> Option<usize> {
        let seqid = self.due.next()?;
        let row = self.shape().position(seqid) - self.shape().data();
        let packet = &mut out[..SHARD + self.rows.len()];
        write(packet, seqid, Kind::Parity);
        self.rows.copy_row(row, &mut packet[SHARD..]);
        Some(packet.len())
    }

    /// Sends no more than this many parity packets per group, from the next group on. The numbering goes on as if all
    /// were sent, so to the peer the others are lost.
    pub(crate) fn set_parity_limit(&mut self, limit: usize) {
        self.limit = limit.min(self.shape().parity());
    }

    /// Leaves out parity packets with odd numbers, or no longer. The numbering goes on as if they were sent.
    ///
    /// Of one data packet all parity is the same again, so nothing can be made of it that was not sent.
    pub(crate) fn set_even_only(&mut self, enabled: bool) {
        self.even_only = enabled && self.shape().data() > 1;
    }

    /// The number with which the next group begins.
    pub(crate) fn next_group(&self) -> u32 {
        if self.collected == 0 {
            return self.next;
        }
        let shape = self.shape();
        let begun = self.next - shape.position(self.next) as u32;
        (begun + shape.packets()) % shape.wrap()
    }

    /// Gives memory back unless a group is open or parity is due.
    pub(crate) fn shrink(&mut self) {
        if self.collected == 0 && self.due.len() == 0 {
            self.rows.shrink();
        }
    }

    /// Data packets until the open group is complete and its parity sent; 0 if no group is open.
    #[cfg(test)]
    pub(crate) fn missing_in_group(&self) -> usize {
        match self.collected {
            0 => 0,
            collected => self.shape().data() - usize::from(collected),
        }
    }

    pub(crate) fn shape(&self) -> Fec {
        self.code.shape()
    }

    /// Makes parity due, unless the group's last packet came too late to be worth it, and opens the next group.
    fn finish_group(&mut self, now: Time) {
        let prompt = |last| now.since(last) < MAX_PARITY_DELAY;
        if self.last.is_some_and(prompt) {
            let end = self.next + self.parity as u32;
            self.due = if self.even_only {
                (self.next.next_multiple_of(2)..end).step_by(2)
            } else {
                (self.next..end).step_by(1)
            };
        }
        self.collected = 0;
        self.next += self.shape().parity() as u32;
        if self.next == self.shape().wrap() {
            self.next = 0;
        }
    }
}

/// Numbers of no packets.
fn none() -> StepBy<Range<u32>> {
    (0..0).step_by(1)
}

/// Time between the last two data packets of a group from which on its parity is not sent: the sender has paused, and
/// whatever was lost has been sent again. Source: kcp-go, `maxFECEncodeLatency`.
const MAX_PARITY_DELAY: Duration = Duration::from_millis(500);

#[cfg(test)]
impl Encoder {
    pub(super) fn next_seqid(&self) -> u32 {
        self.next
    }
}

#[cfg(test)]
mod tests;
