//! Segments to bytes: the reorder window, what the application may read, and which acknowledgements are owed.
//!
//! Owns received bytes until the session hands them to the application. What a peer can make it hold is bounded by
//! twice the receive window and, where messages are read, one message.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::segment::Header;
use super::seq::{Seq, TransmissionId};
use crate::proto::chunk::{Chunk, LARGE, Pool, SMALL};
use crate::proto::meters::SessionMeters;

/// Fragments of one message at most: the header counts down to 0 in one byte.
const MAX_FRAGMENTS: usize = 256;

/// Full segments after which an acknowledgement does not wait: what a fast path delivers within the longest wait anyway.
/// Fewer are often all there is of a request or a response, and ride with the answer.
const URGENT_SEGMENTS: usize = 10;

/// Acknowledgements to send. One or two, as a call needs them, lie in the session itself.
pub(crate) type Acks = SmallVec<[Ack; 2]>;

/// An acknowledgement owed to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) sn: Seq,
    pub(crate) transmission: TransmissionId,
}

/// How a segment came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// In a packet of the peer.
    Wire,
    /// Rebuilt by error correction, possibly long after the peer sent it.
    Rebuilt,
}

/// What the application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Boundaries between segments and messages disappear.
    Bytes,
    /// Each chunk handed out is one message.
    Messages,
}

#[derive(Debug)]
struct Waiting {
    fragments_after: u8,
    chunk: Chunk,
}

/// A message of which fragments are missing. It takes nothing of the window: one with more fragments than that could
/// never become whole.
#[derive(Debug)]
struct Partial {
    fragments: usize,
    chunk: Chunk,
}

/// The receiving half of one conversation.
#[derive(Debug)]
pub(crate) struct Receiver {
    reading: Reading,
    next: Seq,
    /// Configured window, in segments.
    window: u32,
    mss: usize,
    /// Segments from `next` on that cannot be handed out yet; the front is `None` unless the application lags.
    reorder: VecDeque<Option<Waiting>>,
    waiting: usize,
    /// In-order bytes for the application; its last chunk still grows.
    ready: VecDeque<Chunk>,
    /// Bytes received in order that the application has not consumed; of messages only whole ones.
    unread: usize,
    /// Complete messages that the application has not taken.
    unread_messages: u32,
    partial: Option<Partial>,
    /// The newest arrival, if `next` has passed it.
    covered: Option<Ack>,
    /// Arrivals that `next` had not passed.
    selective: Vec<Ack>,
    /// Selective acknowledgements sent once; each is sent a second time with the next ones, since the loss of an
    /// acknowledgement costs a needless resend.
    repeat: Vec<Ack>,
    newest_transmission: TransmissionId,
    unacked_bytes: usize,
    /// An acknowledgement should not wait.
    urgent: bool,
    /// `next` moved by a rebuilt segment, which is not acknowledged itself.
    tell_una: bool,
}

impl Receiver {
    pub(crate) fn new(reading: Reading, window: u32, mss: usize) -> Self {
        Self {
            reading,
            next: Seq(0),
            window,
            mss,
            reorder: VecDeque::new(),
            waiting: 0,
            ready: VecDeque::new(),
            unread: 0,
            unread_messages: 0,
            partial: None,
            covered: None,
            selective: Vec::new(),
            repeat: Vec::new(),
            newest_transmission: TransmissionId::default(),
            unacked_bytes: 0,
            urgent: false,
            tell_una: false,
        }
    }

    /// See [`Session::fetch`](crate::proto::session::Session::fetch).
    pub(crate) fn fetch(&self) -> u64 {
        let words = [
            self.next.0.into(),
            self.unread as u64,
            self.ready.len() as u64,
            self.selective.len() as u64,
            self.repeat.len() as u64,
            self.waiting as u64,
            u64::from(self.newest_transmission.0),
        ];
        words.into_iter().fold(0, u64::wrapping_add)
    }

    /// Takes a data segment. Duplicates are acknowledged again; segments beyond the window are not, so the peer
    /// sends them again once the window has moved.
    pub(crate) fn handle_push(
        &mut self,
        header: &Header,
        data: &[u8],
        origin: Origin,
        pool: &mut Pool,
        meters: &SessionMeters,
    ) {
        let ahead = header.sn.distance_from(self.next);
        if ahead >= self.window as i32 {
            meters
                .segments_repeated
                .add(u64::from(origin == Origin::Wire));
            return;
        }
        let known = ahead < 0
            || self
                .reorder
                .get(ahead as usize)
                .is_some_and(Option::is_some);
        let before = self.next;
        if !known {
            self.store(ahead as usize, header.fragments_after, data, pool);
        }
        let covered = header.sn.precedes(self.next);
        let closed_gap = self.next.distance_from(before) > 1;
        match origin {
            Origin::Wire => {
                meters.segments_repeated.add(u64::from(known));
                self.newest_transmission = header.transmission;
                let ack = Ack {
                    sn: header.sn,
                    transmission: header.transmission,
                };
                if covered {
                    self.covered = Some(ack);
                } else {
                    self.covered = None;
                    self.selective.push(ack);
                }
                self.unacked_bytes += data.len();
                // Out of order, closing a gap, or sent again because an acknowledgement was lost: the peer waits.
                self.urgent |= known
                    || !covered
                    || closed_gap
                    || self.waiting > 0
                    || self.unacked_bytes >= URGENT_SEGMENTS * self.mss;
            }
            // A rebuilt segment may be seconds old. kcp-go takes every acknowledgement for a round trip, so it gets
            // none for what `una` tells anyway, and otherwise the number of the newest arrival.
            Origin::Rebuilt if known => {}
            Origin::Rebuilt if covered => self.tell_una = true,
            Origin::Rebuilt => {
                self.selective.push(Ack {
                    sn: header.sn,
                    transmission: self.newest_transmission,
                });
                self.urgent = true;
            }
        }
    }

    /// Takes what is ready for the application.
    pub(crate) fn read(&mut self) -> Option<Chunk> {
        self.ready.pop_front()
    }

    /// Whether [`read`](Self::read) would return something.
    pub(crate) fn is_readable(&self) -> bool {
        !self.ready.is_empty()
    }

    /// The application consumed `bytes` of what was read, `messages` of them whole: the window reopens.
    pub(crate) fn handle_consumed(&mut self, bytes: usize, messages: u32, pool: &mut Pool) {
        self.unread = self.unread.saturating_sub(bytes);
        self.unread_messages = self.unread_messages.saturating_sub(messages);
        self.deliver_waiting(pool);
    }

    /// Acknowledgements to send now, oldest first and the newest arrival last, because kcp-go takes its round-trip
    /// sample from the last one in a packet. They count as sent.
    pub(crate) fn take_acks(&mut self, out: &mut Acks) {
        let next = self.next;
        let open = |ack: &Ack| !ack.sn.precedes(next);
        out.extend(self.repeat.drain(..).filter(open));
        self.selective.retain(open);
        out.extend_from_slice(&self.selective);
        std::mem::swap(&mut self.repeat, &mut self.selective);
        out.extend(self.covered.take());
        self.unacked_bytes = 0;
        self.urgent = false;
        self.tell_una = false;
    }

    /// Whether any acknowledgement is owed.
    pub(crate) fn has_acks(&self) -> bool {
        self.covered.is_some() || !self.selective.is_empty() || self.tell_una
    }

    /// Whether one should leave at once.
    pub(crate) fn is_urgent(&self) -> bool {
        self.urgent || self.tell_una
    }

    /// Everything before this number was received.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// Free window in segments, as the header tells it. Configured windows above 65,535 are told as that.
    pub(crate) fn free_window(&self) -> u16 {
        let unread = u32::try_from(self.unread.div_ceil(self.mss)).unwrap_or(u32::MAX);
        let occupied = unread.max(self.unread_messages);
        u16::try_from(self.window.saturating_sub(occupied)).unwrap_or(u16::MAX)
    }

    /// Whether a rebuilt packet may carry this number: not farther from the next one than any window reaches.
    ///
    /// The configured window says less. Groups outlive many windows of a slow session, so a number may be far behind;
    /// and the peer sends by the window it knows, which is 32 before it hears of a smaller one.
    pub(crate) fn is_plausible(&self, sn: Seq) -> bool {
        sn.distance_from(self.next).unsigned_abs() <= u16::MAX.into()
    }

    /// Changes the window; segments beyond a smaller one are kept.
    pub(crate) fn set_window(&mut self, window: u32) {
        self.window = window;
    }

    /// Bytes received in order and not yet consumed.
    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    /// Segments that wait for an earlier one.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        self.reorder.shrink_to_fit();
        self.ready.shrink_to_fit();
        self.selective.shrink_to_fit();
        self.repeat.clear();
        self.repeat.shrink_to_fit();
    }

    /// Whether the application lags so far behind that in-order segments must wait.
    fn is_full(&self) -> bool {
        self.unread >= self.window as usize * self.mss || self.unread_messages >= self.window
    }

    fn store(&mut self, index: usize, fragments_after: u8, data: &[u8], pool: &mut Pool) {
        if index == 0 && !self.is_full() {
            self.deliver(fragments_after, data, pool);
            self.step();
            self.deliver_waiting(pool);
            return;
        }
        while self.reorder.len() <= index {
            self.reorder.push_back(None);
        }
        let mut chunk = if data.len() <= SMALL {
            pool.small()
        } else {
            pool.large()
        };
        chunk.push(data);
        self.reorder[index] = Some(Waiting {
            fragments_after,
            chunk,
        });
        self.waiting += 1;
    }

    /// Hands out what waited for an earlier segment or for the application.
    fn deliver_waiting(&mut self, pool: &mut Pool) {
        while !self.is_full()
            && let Some(waiting) = self.reorder.front_mut().and_then(Option::take)
        {
            self.waiting -= 1;
            self.deliver(waiting.fragments_after, waiting.chunk.bytes(), pool);
            pool.give(waiting.chunk);
            self.step();
        }
    }

    /// Moves the window by one segment.
    fn step(&mut self) {
        self.next = self.next.plus(1);
        self.reorder.pop_front();
    }

    fn deliver(&mut self, fragments_after: u8, data: &[u8], pool: &mut Pool) {
        match self.reading {
            Reading::Bytes => {
                self.unread += data.len();
                self.append(data, pool);
            }
            Reading::Messages => self.join(fragments_after, data, pool),
        }
    }

    fn append(&mut self, mut data: &[u8], pool: &mut Pool) {
        while !data.is_empty() {
            if self.ready.back().is_none_or(|chunk| chunk.room() == 0) {
                let first = self.ready.is_empty() && data.len() < SMALL / 2;
                self.ready
                    .push_back(if first { pool.small() } else { pool.large() });
            }
            let chunk = self
                .ready
                .back_mut()
                .expect("pushed above if there was none");
            let taken = chunk.push(data);
            data = &data[taken..];
        }
    }

    /// Adds a fragment to the message under way. An empty segment that is no fragment of one is skipped: kcp-go never
    /// sends it, and ikcp.c means nothing by it. A message without end is dropped.
    fn join(&mut self, fragments_after: u8, data: &[u8], pool: &mut Pool) {
        if data.is_empty() && fragments_after == 0 && self.partial.is_none() {
            return;
        }
        let mut message = match self.partial.take() {
            Some(partial) if partial.fragments < MAX_FRAGMENTS => partial,
            Some(_) | None => Partial {
                fragments: 0,
                chunk: if fragments_after == 0 && data.len() <= SMALL {
                    pool.small()
                } else {
                    let fragments = 1 + usize::from(fragments_after);
                    Chunk::from(Vec::with_capacity((data.len() * fragments).min(LARGE)))
                },
            },
        };
        message.fragments += 1;
        message.chunk.extend(data);
        if fragments_after == 0 {
            self.unread += message.chunk.len();
            self.unread_messages += 1;
            self.ready.push_back(message.chunk);
        } else {
            self.partial = Some(message);
        }
    }
}

#[cfg(test)]
mod tests;
