//! Bytes to segments: numbering, sending, resending, and what acknowledgements change.
//!
//! Decides what leaves next; the session decides into which packet. Never builds an empty segment.

mod fetch;
mod recovery;

use core::time::Duration;
use std::collections::VecDeque;

use super::buffer::SendBuffer;
use super::congestion::{Congestion, Fixed, Reno, pacing_rate};
use super::copies::Copies;
use super::history::{History, Standing};
use super::pacer::Pacer;
use super::rtt::Rtt;
use super::segment::{Command, HEADER_LEN, Header};
use super::seq::{Seq, TransmissionId};
use crate::config::{Config, CongestionControl};
use crate::proto::chunk::{Chunk, Pool};
use crate::proto::layout::PacketWriter;
use crate::proto::meters::SessionMeters;
use crate::proto::time::{Time, earliest};

/// Window assumed of a peer that was not heard yet, in segments. Source: ikcp.c `IKCP_WND_RCV`, kcp-go's 32.
const INITIAL_REMOTE_WINDOW: u32 = 32;

/// Round trip assumed for pacing before the first sample.
const ASSUMED_RTT: Duration = Duration::from_millis(100);

/// Fragments of one message: the header counts them in one byte. Source: kcp-go `Send()`.
pub(crate) const MAX_FRAGMENTS: usize = 255;

/// First wait before a closed remote window is asked again, and the longest. Source: kcp-go `IKCP_PROBE_INIT`,
/// `IKCP_PROBE_LIMIT`.
const WINDOW_PROBE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(120));

/// The probe timer allows this much beside the deviation: an ack may wait for a timer's tick at the peer.
const PROBE_SLACK: Duration = Duration::from_millis(2);

/// Transmissions of one segment before the path may count as dead. Source: ikcp.c `IKCP_DEADLINK`.
const MAX_SENDS: u16 = 20;

/// Nothing was acknowledged for this long before the path counts as dead: longer than outages that a session should
/// survive, such as a change of cell or half a minute without power at some router.
const MIN_UNREACHABLE: Duration = Duration::from_secs(45);

/// One numbered segment whose bytes are kept until `una` passes it.
#[derive(Debug)]
struct Segment {
    offset: u64,
    len: u16,
    fragments_after: u8,
    acked: bool,
    /// Waits in `resend`.
    queued: bool,
    sends: u16,
    last: TransmissionId,
}

impl Segment {
    fn standing(&self, transmission: TransmissionId) -> Standing {
        if self.acked {
            Standing::Arrived
        } else if self.queued {
            Standing::Queued
        } else if self.last == transmission {
            Standing::UnderWay
        } else {
            Standing::SentAgain
        }
    }
}

/// What stands in every header beside the segment's own fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope {
    pub(crate) conv: u32,
    pub(crate) window: u16,
    pub(crate) una: Seq,
}

/// How the sender's timers and limits are set; a live session may change all of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) nodelay: bool,
    pub(crate) interval: Duration,
    pub(crate) resend: u32,
    pub(crate) window: u32,
    pub(crate) max_bandwidth: u64,
}

/// The sending half of one conversation.
#[derive(Debug)]
pub(crate) struct Sender {
    settings: Settings,
    /// Messages keep their boundaries: segments say how many fragments follow.
    fragments: bool,
    /// Fragments that the message under way still lacks.
    fragments_left: usize,
    mss: usize,
    /// The largest mss so far: messages were accepted by it.
    longest_mss: usize,
    buffer: SendBuffer,
    una: Seq,
    next: Seq,
    /// Segments `una..next`.
    flight: VecDeque<Segment>,
    /// Segments of `flight` that are not acknowledged.
    unacked: usize,
    /// Segments to send again, in the order in which they were found lost.
    resend: VecDeque<Seq>,
    copies: Copies,
    history: History,
    rtt: Rtt,
    congestion: Box<dyn Congestion>,
    pacer: Pacer,
    remote_window: u32,
    window_probe: Option<(Time, Duration)>,
    last_sent: Time,
    last_progress: Time,
    probes: u32,
    /// When losses must be looked for again.
    detect_at: Option<Time>,
    /// New data waits for more; what was sent before is sent again all the same.
    held: bool,
}

impl Sender {
    pub(crate) fn new(now: Time, config: &Config, mss: usize) -> Self {
        let settings = Settings {
            nodelay: config.nodelay,
            interval: config.interval,
            resend: config.resend,
            window: config.send_window.into(),
            max_bandwidth: config.max_bandwidth,
        };
        let congestion: Box<dyn Congestion> = match config.congestion {
            CongestionControl::Fixed => Box::new(Fixed),
            CongestionControl::Reno => Box::new(Reno::new()),
        };
        let mut sender = Self {
            settings,
            fragments: config.messages,
            fragments_left: 0,
            mss,
            longest_mss: mss,
            buffer: SendBuffer::default(),
            una: Seq(0),
            next: Seq(0),
            flight: VecDeque::new(),
            unacked: 0,
            resend: VecDeque::new(),
            copies: Copies::new(config.redundancy),
            history: History::new(settings.window),
            rtt: Rtt::default(),
            congestion,
            pacer: Pacer::new(now, 1, mss),
            remote_window: INITIAL_REMOTE_WINDOW,
            window_probe: None,
            last_sent: now,
            last_progress: now,
            probes: 0,
            detect_at: None,
            held: false,
        };
        sender.update_pacing(now);
        sender
    }

    /// Queues bytes. `cut`: no segment may join them with later ones.
    pub(crate) fn write(&mut self, chunk: Chunk, cut: bool, pool: &mut Pool) {
        self.buffer.push(chunk, pool);
        if cut {
            self.buffer.cut();
        }
    }

    /// Takes one acknowledgement. Acknowledged segments keep their place in the window until `una` passes them.
    pub(crate) fn handle_ack(
        &mut self,
        now: Time,
        sn: Seq,
        id: TransmissionId,
        meters: &SessionMeters,
    ) {
        let answer = self.history.handle_ack(now, id, sn);
        if let Some(rtt) = answer.rtt {
            self.rtt.update(rtt);
            self.probes = 0;
        }
        if answer.spurious {
            meters.spurious_resends.add(1);
        }
        if let Some(index) = sn.index_from(self.una, self.flight.len())
            && !self.flight[index].acked
        {
            self.last_progress = now;
            self.unacked -= 1;
            self.flight[index].acked = true;
            self.flight[index].queued = false;
        }
    }

    /// Takes the peer's `una` and window once all acknowledgements of a packet are taken. A `una` beyond everything
    /// ever sent proves nothing and is ignored: a wrong one would delete data that was never received.
    ///
    /// Returns whether it moved.
    pub(crate) fn handle_una(&mut self, now: Time, una: Seq, pool: &mut Pool) -> bool {
        let count = una
            .index_from(self.una, self.flight.len() + 1)
            .unwrap_or_default();
        if count == 0 {
            return false;
        }
        let limited = self.flight.len() >= self.limit() as usize || self.buffer.unsent() > 0;
        for segment in self.flight.drain(..count) {
            self.unacked -= usize::from(!segment.acked);
            if segment.sends > 1 {
                self.history.handle_covered(segment.last);
            }
        }
        self.una = una;
        self.last_progress = now;
        self.probes = 0;
        let kept = self
            .flight
            .front()
            .map_or(u64::MAX, |segment| segment.offset);
        self.buffer
            .release(kept.min(self.buffer.unsent_offset()), pool);
        self.congestion.on_ack(count as u32, limited);
        self.history.forget_before(una);
        if self.flight.is_empty() {
            self.resend.clear();
            self.copies.clear();
            self.detect_at = None;
        }
        true
    }

    /// Takes the receive window that a packet of the peer told. Returns whether it changed.
    pub(crate) fn handle_window(&mut self, now: Time, window: u16) -> bool {
        let changed = self.remote_window != u32::from(window);
        if self.remote_window == 0 && window > 0 {
            // What waited for the reader did not wait for the path.
            self.last_progress = now;
        }
        self.remote_window = window.into();
        if window > 0 {
            self.window_probe = None;
        } else if self.window_probe.is_none() {
            let (first, _) = WINDOW_PROBE;
            self.window_probe = Some((now + first, first));
        }
        changed
    }

    /// The peer was heard. If nothing was answered for a while, the path may just have come back: what waits for an
    /// answer is probed without further delay.
    pub(crate) fn handle_heard(&mut self) {
        self.probes = self.probes.min(1);
    }

    /// Looks for losses and follows the changed round trip, once a packet's acknowledgements are all taken.
    pub(crate) fn after_acks(&mut self, now: Time, meters: &SessionMeters) {
        self.detect_losses(now, meters);
        self.update_pacing(now);
    }

    /// Does what is due. Returns whether the closed remote window should be asked.
    pub(crate) fn handle_timeout(&mut self, now: Time, meters: &SessionMeters) -> bool {
        if self.detect_at.is_some_and(|at| at <= now) {
            self.detect_losses(now, meters);
        }
        if self.probe_at().is_some_and(|at| at <= now) {
            self.probe(now, meters);
        }
        match self.window_probe {
            Some((at, wait)) if at <= now => {
                let (_, longest) = WINDOW_PROBE;
                let wait = (wait * 3 / 2).min(longest);
                self.window_probe = Some((now + wait, wait));
                true
            }
            Some(_) | None => false,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or, for copies and paced packets, [`fill`](Self::fill) has
    /// something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let window = self.window_probe.map(|(at, _)| at);
        let paced = self.has_segment().then(|| self.pacer.ready_at());
        let copy = self
            .copies
            .next_due()
            .map(|due| due.max(self.pacer.allowed_at()));
        let times = [self.detect_at, self.probe_at(), window, paced, copy];
        earliest(times)
    }

    /// Whether a segment may leave now.
    pub(crate) fn wants_transmit(&mut self, now: Time) -> bool {
        (self.has_segment() || self.copies.next_due().is_some_and(|due| due <= now))
            && self.pacer.allows(now)
    }

    /// Bytes of data that the next segment to leave may carry: one sent again is as long as when it was cut.
    pub(crate) fn next_len(&self, now: Time) -> usize {
        let copy = self.copies.next().filter(|&(due, _)| due <= now);
        let again = self.resend.front().copied().or(copy.map(|(_, sn)| sn));
        again
            .and_then(|sn| sn.index_from(self.una, self.flight.len()))
            .map(|index| self.flight[index].len.into())
            .or_else(|| self.may_number().then(|| self.next_cut().0))
            .unwrap_or(self.mss)
    }

    /// Writes segments to one packet until it is full or nothing more may leave. Returns whether anything was written.
    pub(crate) fn fill(
        &mut self,
        now: Time,
        envelope: Envelope,
        packet: &mut PacketWriter<'_>,
        meters: &SessionMeters,
    ) -> bool {
        let before = packet.len();
        while let Some(sn) = self.next_segment(now, packet.room(), meters) {
            self.emit(now, sn, envelope, packet, meters);
        }
        packet.len() > before
    }

    /// Charges the pacer for a packet that leaves.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.pacer.spend(bytes);
    }

    /// Notes that everything that may leave now has left: the last segments of the burst may earn copies.
    pub(crate) fn end_burst(&mut self, now: Time) {
        if self.buffer.unsent() == 0 {
            let rtt = self.rtt.smoothed().unwrap_or(ASSUMED_RTT);
            self.copies
                .end_burst(now, self.una, self.next, rtt, self.history.loss_rate());
        }
    }

    /// Holds new data back, or lets it go.
    pub(crate) fn hold(&mut self, held: bool) {
        self.held = held;
    }

    /// Changes limits and timers of the live session.
    pub(crate) fn set(&mut self, now: Time, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        self.history.set_window(self.settings.window);
        self.update_pacing(now);
    }

    /// Largest number of data bytes in one segment; holds for segments numbered from now on.
    pub(crate) fn set_mss(&mut self, mss: usize) {
        self.mss = mss;
        self.longest_mss = self.longest_mss.max(mss);
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        self.buffer.shrink();
        self.flight.shrink_to_fit();
        self.resend.shrink_to_fit();
        self.copies.shrink();
        if self.flight.is_empty() {
            self.history.settle();
        }
        self.history.shrink();
    }

    /// Limits and timers in force.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Largest number of data bytes in one segment.
    pub(crate) fn mss(&self) -> usize {
        self.mss
    }

    /// The oldest segment that the peer has not passed.
    pub(crate) fn una(&self) -> Seq {
        self.una
    }

    /// The number of the next new segment.
    pub(crate) fn next(&self) -> Seq {
        self.next
    }

    /// Whether `una` may come from an honest peer: it lies within what was ever sent and not yet passed, or before.
    pub(crate) fn is_plausible_una(&self, una: Seq) -> bool {
        !self.next.precedes(una)
    }

    /// Whether everything written was acknowledged.
    pub(crate) fn is_drained(&self) -> bool {
        self.flight.is_empty() && self.buffer.unsent() == 0
    }

    /// Bytes written that no segment holds yet.
    pub(crate) fn unsent(&self) -> usize {
        self.buffer.unsent()
    }

    /// How often the oldest segment was sent in vain, once that proves the path dead.
    pub(crate) fn unreachable(&self, now: Time) -> Option<u32> {
        let oldest = self.flight.front()?;
        let silent = now.since(self.last_progress) >= MIN_UNREACHABLE;
        let reader_lags = self.remote_window == 0;
        (oldest.sends >= MAX_SENDS && silent && !reader_lags).then_some(oldest.sends.into())
    }

    /// Segments numbered and not yet passed by the peer's `una`.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.len()
    }

    pub(crate) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// How long until an unanswered segment is sent again.
    pub(crate) fn rto(&self) -> Duration {
        if self.settings.nodelay {
            self.rtt.timeout(PROBE_SLACK, Duration::ZERO)
        } else {
            self.rtt.timeout(self.settings.interval, Self::MIN_RTO)
        }
    }

    pub(crate) fn remote_window(&self) -> u32 {
        self.remote_window
    }

    pub(crate) fn congestion_window(&self) -> u32 {
        self.congestion.window().min(self.settings.window)
    }

    pub(crate) fn loss_rate(&self) -> f32 {
        self.history.loss_rate()
    }

    /// Shortest timeout without `nodelay`. Source: ikcp.c `IKCP_RTO_MIN`.
    const MIN_RTO: Duration = Duration::from_millis(100);

    /// Segments that may be numbered before `una` moves.
    fn limit(&self) -> u32 {
        self.settings
            .window
            .min(self.remote_window)
            .min(self.congestion.window())
    }

    /// Whether a lost or a new segment could leave, were it not for pacing.
    fn has_segment(&self) -> bool {
        !self.resend.is_empty() || self.may_number()
    }

    /// Whether data that no segment holds may leave.
    fn may_number(&self) -> bool {
        !self.held && self.buffer.unsent() > 0 && self.flight.len() < self.limit() as usize
    }

    /// The segment to send next into `room` bytes: lost ones first, then due copies, then new ones.
    fn next_segment(&mut self, now: Time, room: usize, meters: &SessionMeters) -> Option<Seq> {
        let room = room.checked_sub(HEADER_LEN)?;
        while let Some(&sn) = self.resend.front() {
            match sn.index_from(self.una, self.flight.len()) {
                Some(index) if self.flight[index].queued => {
                    let segment = &mut self.flight[index];
                    if usize::from(segment.len) > room {
                        return None;
                    }
                    segment.queued = false;
                    self.resend.pop_front();
                    self.copies
                        .after_resend(now, sn, self.rtt.smoothed().unwrap_or(ASSUMED_RTT));
                    return Some(sn);
                }
                // Acknowledged meanwhile.
                Some(_) | None => {
                    self.resend.pop_front();
                }
            }
        }
        while let Some(sn) = self.copies.due(now) {
            match sn
                .index_from(self.una, self.flight.len())
                .map(|index| &self.flight[index])
            {
                Some(segment) if !segment.acked && !segment.queued => {
                    if usize::from(segment.len) > room {
                        return None;
                    }
                    self.copies.pop(segment.len.into());
                    meters.copies_sent.add(1);
                    return Some(sn);
                }
                Some(_) | None => self.copies.pop(0),
            }
        }
        self.number_next(now, room)
    }

    /// Length of the next new segment, and how many fragments of its message follow it.
    fn next_cut(&self) -> (usize, usize) {
        let ahead = self.buffer.unsent_before_cut();
        if !self.fragments {
            return (ahead.min(self.mss), 0);
        }
        // How many there are is settled with the first. If segments have become shorter since the message was taken,
        // these are as long as its number of fragments asks for.
        let after = match self.fragments_left {
            0 => (ahead.div_ceil(self.mss) - 1).min(MAX_FRAGMENTS - 1),
            left => left - 1,
        };
        let len = self.mss.max(ahead.div_ceil(after + 1));
        (len.min(ahead - after).min(self.longest_mss), after)
    }

    /// Numbers the next new segment if the window and `room` allow it.
    fn number_next(&mut self, now: Time, room: usize) -> Option<Seq> {
        if !self.may_number() {
            return None;
        }
        let (len, fragments_after) = self.next_cut();
        if len > room {
            return None;
        }
        self.fragments_left = fragments_after;
        if self.flight.is_empty() {
            self.last_progress = now;
        }
        let offset = self.buffer.take(len);
        let sn = self.next;
        self.flight.push_back(Segment {
            offset,
            len: len as u16,
            fragments_after: fragments_after as u8,
            acked: false,
            queued: false,
            sends: 0,
            last: TransmissionId::default(),
        });
        self.unacked += 1;
        self.next = sn.plus(1);
        self.copies.earn(len);
        Some(sn)
    }

    fn emit(
        &mut self,
        now: Time,
        sn: Seq,
        envelope: Envelope,
        packet: &mut PacketWriter<'_>,
        meters: &SessionMeters,
    ) {
        let index = sn
            .index_from(self.una, self.flight.len())
            .expect("chosen from the flight");
        let segment = &mut self.flight[index];
        let previous = (segment.sends > 0).then_some(segment.last);
        segment.last = self.history.record(now, sn, previous);
        segment.sends = segment.sends.saturating_add(1);
        self.last_sent = now;
        let header = Header {
            conv: envelope.conv,
            command: Command::Push,
            fragments_after: segment.fragments_after,
            window: envelope.window,
            transmission: segment.last,
            sn,
            una: envelope.una,
            len: segment.len.into(),
        };
        self.buffer.copy_to(segment.offset, packet.put(&header));
        meters.segments_sent.add(1);
    }

    fn update_pacing(&mut self, now: Time) {
        let window = self.limit().max(1);
        let rtt = self.rtt.smoothed().unwrap_or(ASSUMED_RTT);
        let rate = pacing_rate(window, self.mss, rtt, self.congestion.pacing_gain());
        self.pacer
            .set_rate(now, rate.min(self.settings.max_bandwidth));
    }
}

#[cfg(test)]
mod tests;
