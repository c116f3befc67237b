//! The narrowest place of a path: a FIFO queue, drained at a fixed rate.

use std::collections::VecDeque;

use super::buffers::Slot;
use super::{LinkConfig, Nanos, Rate};

/// A packet in the queue.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) slot: Slot,
    /// Length in bytes.
    pub(super) len: usize,
    pub(super) tag: u64,
    /// Which packet of the link it is, counted from 0 in order of sending.
    pub(super) index: u64,
    pub(super) sent_at: Nanos,
}

/// A packet leaving the queue.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) packet: Queued,
    /// When its last byte had left.
    pub(super) at: Nanos,
    /// How long it waited until its first byte left.
    pub(super) waited: Nanos,
}

/// The queue. Its head is the packet being transmitted; without a rate that takes no time.
#[derive(Debug)]
pub(super) struct Bottleneck {
    rate: Option<Rate>,
    /// Most bytes that may wait behind the head.
    limit: u64,
    queue: VecDeque<Queued>,
    /// Bytes that wait behind the head.
    waiting: u64,
    /// When the transmission of the head began, and when it ends.
    head_began: Nanos,
    head_ends: Nanos,
}

impl Bottleneck {
    pub(super) fn new(config: &LinkConfig) -> Self {
        Self {
            rate: config.rate,
            limit: config.queue_limit(),
            queue: VecDeque::new(),
            waiting: 0,
            head_began: 0,
            head_ends: 0,
        }
    }

    /// Whether the queue takes a packet of `len` bytes. An idle link always does.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        self.queue.is_empty() || self.waiting + len as u64 <= self.limit
    }

    pub(super) fn push(&mut self, now: Nanos, packet: Queued) {
        if self.queue.is_empty() {
            self.head_began = now;
            self.head_ends = now.saturating_add(self.transmission(packet.len));
        } else {
            self.waiting += packet.len as u64;
        }
        self.queue.push_back(packet);
    }

    /// The next packet whose transmission has ended by `now`.
    pub(super) fn pop(&mut self, now: Nanos) -> Option<Departure> {
        if self.queue.is_empty() || self.head_ends > now {
            return None;
        }
        let packet = self.queue.pop_front()?;
        let departure = Departure {
            at: self.head_ends,
            waited: self.head_began.saturating_sub(packet.sent_at),
            packet,
        };
        if let Some(next) = self.queue.front() {
            self.waiting -= next.len as u64;
            self.head_began = self.head_ends;
            self.head_ends = self.head_ends.saturating_add(self.transmission(next.len));
        }
        Some(departure)
    }

    /// Takes over rate and limit. What is left of the transmission under way runs at the new rate;
    /// packets above a smaller limit stay.
    pub(super) fn reconfigure(&mut self, now: Nanos, config: &LinkConfig) {
        let head = self.queue.front().map(|head| head.len);
        let before = head.map_or(0, |len| self.transmission(len));
        self.rate = config.rate;
        self.limit = config.queue_limit();
        let Some(len) = head else { return };
        let left = u128::from(self.head_ends.saturating_sub(now));
        let left = left * u128::from(self.transmission(len)) / u128::from(before.max(1));
        self.head_ends = now.saturating_add(u64::try_from(left).unwrap_or(u64::MAX));
    }

    /// When the head will have left.
    pub(super) fn next_departure(&self) -> Option<Nanos> {
        (!self.queue.is_empty()).then_some(self.head_ends)
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    fn transmission(&self, len: usize) -> Nanos {
        self.rate.map_or(0, |rate| rate.nanos_for(len))
    }
}
