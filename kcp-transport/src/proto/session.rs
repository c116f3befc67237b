//! One conversation: composes sender and receiver, owes acknowledgements, and notices when the peer is gone.
//!
//! Belongs to the hub, which files it anew after every change.

mod packets;

use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use super::Time;
use super::arq::receiver::{Acks, Origin, Reading, Receiver};
use super::arq::segment::{Command, HEADER_LEN, Malformed, Segments, tiles_exactly};
use super::arq::sender::{MAX_FRAGMENTS, Sender, Settings};
use super::arq::seq::Seq;
use super::chunk::{Chunk, Pool};
use super::doubt::Doubt;
use super::meters::{Gauges, SessionMeters};
use super::path::Path;
use super::time::earliest;
use crate::config::Config;
use crate::error::SessionError;

/// A lone acknowledgement waits this long at most for data to ride with, and never longer than the interval.
const ACK_DELAY: Duration = Duration::from_millis(1);

/// A silent peer is asked again after this long, then after twice as long each time.
const KEEPALIVE_RETRY: Duration = Duration::from_secs(1);

/// After this long without traffic a session gives back its buffers.
const SHRINK_AFTER: Duration = Duration::from_secs(1);

/// A session whose last data was acknowledged stays this long to acknowledge what the peer sends again.
const TIME_WAIT: Duration = Duration::from_secs(1);

/// Out-of-band messages that may wait in either direction; further ones are dropped.
const MAX_OOB: usize = 64;

/// How far a session's life has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Nothing more will be written; what was written still goes out, until this time at most.
    Closing {
        until: Time,
    },
    /// Everything is acknowledged.
    TimeWait {
        until: Time,
    },
}

/// What the handle of a session should know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Notices {
    /// The session was opened by the peer.
    pub(crate) accepted: bool,
    /// There is something to read.
    pub(crate) readable: bool,
    /// There is room to write.
    pub(crate) writable: bool,
    /// Everything written was acknowledged.
    pub(crate) drained: bool,
    /// The peer was heard for the first time.
    pub(crate) answered: bool,
}

impl Notices {
    /// Whether there is anything to know.
    fn any(self) -> bool {
        self.accepted || self.readable || self.writable || self.drained || self.answered
    }
}

/// What a packet could not be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSegments;

/// One conversation.
#[derive(Debug)]
pub(crate) struct Session {
    conv: u32,
    sender: Sender,
    receiver: Receiver,
    state: State,
    /// Acknowledgements taken from the receiver that found no room in a packet yet.
    owed: Acks,
    ack_at: Option<Time>,
    ack_delay: Duration,
    ask_window: bool,
    tell_window: bool,
    /// The window that the last packet told.
    told_window: u16,
    stream_mode: bool,
    messages: bool,
    write_delay: bool,
    /// Written data waits until then for more.
    hold_until: Option<Time>,
    send_buffer: usize,
    write_blocked: bool,
    drain_wanted: bool,
    idle_timeout: Option<Duration>,
    keepalive: Option<Duration>,
    last_heard: Time,
    heard: bool,
    keepalive_at: Option<Time>,
    shrink_at: Option<Time>,
    oob_out: VecDeque<Vec<u8>>,
    oob_in: VecDeque<Vec<u8>>,
    linger: Duration,
    doubt: Doubt,
    notices: Notices,
    meters: Arc<SessionMeters>,
}

impl Session {
    pub(crate) fn new(now: Time, conv: u32, config: &Config, mss: usize) -> Self {
        let reading = if config.messages {
            Reading::Messages
        } else {
            Reading::Bytes
        };
        let receiver = Receiver::new(reading, config.receive_window.into(), mss);
        Self {
            conv,
            sender: Sender::new(now, config, mss),
            told_window: receiver.free_window(),
            receiver,
            state: State::Open,
            owed: Acks::new(),
            ack_at: None,
            ack_delay: if config.ack_no_delay {
                Duration::ZERO
            } else {
                ACK_DELAY.min(config.interval)
            },
            ask_window: false,
            tell_window: false,
            stream_mode: config.stream_mode,
            messages: config.messages,
            write_delay: config.write_delay,
            hold_until: None,
            send_buffer: config.send_buffer,
            write_blocked: false,
            drain_wanted: false,
            idle_timeout: config.idle_timeout,
            keepalive: config.keepalive,
            last_heard: now,
            heard: false,
            keepalive_at: config.keepalive.map(|interval| now + interval),
            shrink_at: None,
            oob_out: VecDeque::new(),
            oob_in: VecDeque::new(),
            linger: config.linger,
            doubt: Doubt::default(),
            notices: Notices::default(),
            meters: Arc::default(),
        }
    }

    /// Looks at the parts of itself that small work will need; the result means nothing.
    ///
    /// What was idle for a while lies in memory, each part a hundred nanoseconds away. Who has work for several sessions
    /// looks at all of them first, so that the processor waits for many parts at once and not for one after the other.
    /// What lies behind these parts has a [turn of its own](Self::fetch_behind), when it is known where that is.
    pub(crate) fn fetch(&self) -> u64 {
        let words = [
            self.conv.into(),
            self.told_window.into(),
            self.last_heard.as_nanos(),
            self.owed.len() as u64,
            self.notices.accepted.into(),
            self.sender.fetch(),
            self.receiver.fetch(),
        ];
        words.into_iter().fold(0, u64::wrapping_add)
    }

    /// Looks at what lies behind its parts.
    pub(crate) fn fetch_behind(&self) -> u64 {
        let words = [
            self.meters.segments_sent.get(),
            self.meters.unsent(),
            self.sender.fetch_behind(),
        ];
        words.into_iter().fold(0, u64::wrapping_add)
    }

    /// Takes a packet of segments. Segments before a malformed one keep their effect, as in kcp-go.
    pub(crate) fn handle_packet(
        &mut self,
        now: Time,
        packet: &[u8],
        origin: Origin,
        pool: &mut Pool,
    ) -> Result<(), NotSegments> {
        self.meters.packets_received.add(1);
        self.meters.wire_bytes_received.add(packet.len() as u64);
        let mut una: Option<Seq> = None;
        let mut window = None;
        let mut acked = false;
        let mut count = 0;
        let mut failed = packet.len() < HEADER_LEN;
        for segment in Segments::new(packet) {
            let (header, data) = match segment {
                Ok((header, data)) if header.conv == self.conv => (header, data),
                Ok(_) | Err(Malformed::UnknownCommand | Malformed::Truncated) => {
                    failed = true;
                    break;
                }
            };
            count += 1;
            // A peer cannot have received what was never sent: such a packet is not believed.
            if !self.sender.is_plausible_una(header.una) {
                failed = true;
                break;
            }
            if una.is_none_or(|una| una.precedes(header.una)) {
                una = Some(header.una);
            }
            // Overtaken by a newer packet, it tells an older window.
            if !header.una.precedes(self.sender.una()) {
                window = Some(header.window);
            }
            match header.command {
                Command::Ack => {
                    acked = true;
                    self.sender
                        .handle_ack(now, header.sn, header.transmission, &self.meters);
                }
                Command::Push => {
                    self.receiver
                        .handle_push(&header, data, origin, pool, &self.meters);
                }
                Command::WindowAsk => self.tell_window = true,
                Command::WindowTell => {}
            }
        }
        // Acknowledgements come first: `una` takes away the records that they name.
        if let Some(una) = una {
            let up_to_date = origin == Origin::Wire && !una.precedes(self.sender.una());
            self.meters.packets_up_to_date.add(u64::from(up_to_date));
            acked |= self.sender.handle_una(now, una, pool);
        }
        // A rebuilt packet may be old: its window says nothing about now.
        if let Some(window) = window.filter(|_| origin == Origin::Wire) {
            acked |= self.sender.handle_window(now, window);
        }
        if acked {
            self.sender.after_acks(now, &self.meters);
        }
        self.after_packet(now, count > 0, origin);
        if failed {
            self.meters.malformed_packets.add(1);
            return Err(NotSegments);
        }
        self.meters.segments_received.add(count);
        Ok(())
    }

    /// Whether a packet that error correction rebuilt can be what the peer sent.
    pub(crate) fn would_accept(&self, packet: &[u8]) -> bool {
        tiles_exactly(packet, |header| {
            let number_fits = match header.command {
                Command::Push => header.len > 0 && self.receiver.is_plausible(header.sn),
                Command::Ack | Command::WindowAsk | Command::WindowTell => header.len == 0,
            };
            header.conv == self.conv && number_fits && self.sender.is_plausible_una(header.una)
        })
    }

    /// Takes an out-of-band message; dropped where nobody reads them.
    pub(crate) fn handle_oob(&mut self, now: Time, data: &[u8]) {
        self.meters.oob_received.add(1);
        self.last_heard = now;
        if self.oob_in.len() < MAX_OOB {
            self.oob_in.push_back(data.to_vec());
            self.notices.readable = true;
        }
    }

    /// Does what is due; an error ends the session.
    pub(crate) fn handle_timeout(
        &mut self,
        now: Time,
        path: &mut Path,
    ) -> Result<(), SessionError> {
        let due = |at: Option<Time>| at.is_some_and(|at| at <= now);
        if self.sender.handle_timeout(now, &self.meters) {
            self.ask_window = true;
        }
        if due(self.hold_until) {
            self.flush();
        }
        if due(self.keepalive_at) {
            self.ask_window = true;
            let silence = now.since(self.last_heard);
            let interval = self.keepalive.unwrap_or_default();
            self.keepalive_at = Some(now + silence.saturating_sub(interval).max(KEEPALIVE_RETRY));
        }
        if due(self.shrink_at) {
            self.shrink_at = None;
            self.sender.shrink();
            self.receiver.shrink();
            self.owed.shrink_to_fit();
            path.shrink(now, SHRINK_AFTER);
        }
        if let Some(timeout) = self.idle_timeout
            && now.since(self.last_heard) >= timeout
        {
            return Err(SessionError::PeerSilent(timeout));
        }
        if let Some(sends) = self.sender.unreachable(now) {
            return Err(SessionError::Unreachable { sends });
        }
        match self.state {
            State::Closing { until } | State::TimeWait { until } if until <= now => {
                Err(SessionError::Closed)
            }
            State::Open | State::Closing { .. } | State::TimeWait { .. } => Ok(()),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or [`transmit`](Self::transmit) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<Time> {
        let state = match self.state {
            State::Open => None,
            State::Closing { until } | State::TimeWait { until } => Some(until),
        };
        let idle = self.idle_timeout.map(|timeout| self.last_heard + timeout);
        let times = [
            self.sender.poll_timeout(),
            self.hold_until,
            self.ack_at,
            self.keepalive_at,
            self.shrink_at,
            idle,
            state,
        ];
        earliest(times)
    }

    /// Queues bytes of the application; none are ignored, since nobody could read an empty message.
    pub(crate) fn write(&mut self, now: Time, chunk: Chunk, pool: &mut Pool) {
        if chunk.is_empty() {
            pool.give(chunk);
            return;
        }
        self.meters.bytes_sent.add(chunk.len() as u64);
        self.drain_wanted = false;
        self.touch(now);
        let cut = self.messages || !self.stream_mode;
        if self.write_delay && self.hold_until.is_none() && self.sender.unsent() == 0 {
            self.hold_until = Some(now + self.sender.settings().interval);
            self.sender.hold(true);
        }
        self.sender.write(chunk, cut, pool);
        let full_window = self.sender.settings().window as usize * self.sender.mss();
        if self.sender.unsent() >= full_window.min(self.send_buffer) {
            self.flush();
        }
        self.write_blocked = !self.is_writable();
    }

    /// Sends what waits for more to be written.
    pub(crate) fn flush(&mut self) {
        self.hold_until = None;
        self.sender.hold(false);
    }

    /// Whether the application may write more.
    pub(crate) fn is_writable(&self) -> bool {
        self.sender.unsent() < self.send_buffer
    }

    /// Takes what is ready for the application.
    pub(crate) fn read(&mut self) -> Option<Chunk> {
        let chunk = self.receiver.read()?;
        self.meters.bytes_received.add(chunk.len() as u64);
        Some(chunk)
    }

    /// The application consumed this much of what it was handed.
    pub(crate) fn handle_consumed(&mut self, bytes: usize, messages: u32, pool: &mut Pool) {
        self.receiver.handle_consumed(bytes, messages, pool);
        self.notices.readable |= self.receiver.is_readable();
        // A window at least twice as open as told is told at once: the peer may be waiting for it.
        let free = self.receiver.free_window();
        self.tell_window |= free > self.told_window && free / 2 >= self.told_window;
    }

    /// Queues an out-of-band message; dropped when too many wait.
    pub(crate) fn send_oob(&mut self, data: Vec<u8>) {
        if self.oob_out.len() < MAX_OOB {
            self.oob_out.push_back(data);
        }
    }

    /// Takes an out-of-band message.
    pub(crate) fn read_oob(&mut self) -> Option<Vec<u8>> {
        self.oob_in.pop_front()
    }

    /// Asks the peer for a sign of life.
    pub(crate) fn ask(&mut self) {
        self.ask_window = true;
    }

    /// Asks to be told when everything written was acknowledged.
    pub(crate) fn drain(&mut self) {
        self.flush();
        self.drain_wanted = true;
        self.update_drained();
    }

    /// Nothing more will be written or read: what was written is sent until acknowledged, for the linger time at most.
    pub(crate) fn close(&mut self, now: Time, pool: &mut Pool) {
        self.flush();
        if self.state == State::Open {
            self.state = if self.sender.is_drained() {
                State::TimeWait {
                    until: now + TIME_WAIT,
                }
            } else {
                State::Closing {
                    until: now + self.linger,
                }
            };
        }
        self.discard_unread(pool);
    }

    /// Changes limits and timers of the live session.
    pub(crate) fn set(&mut self, now: Time, change: impl FnOnce(&mut Settings)) {
        self.sender.set(now, change);
    }

    pub(crate) fn set_receive_window(&mut self, window: u32, pool: &mut Pool) {
        self.receiver.set_window(window);
        // A larger one may take in what waited, and the peer should know.
        self.handle_consumed(0, 0, pool);
    }

    pub(crate) fn set_stream_mode(&mut self, enabled: bool) {
        self.stream_mode = enabled;
    }

    pub(crate) fn set_write_delay(&mut self, enabled: bool) {
        self.write_delay = enabled;
        if !enabled {
            self.flush();
        }
    }

    pub(crate) fn set_ack_no_delay(&mut self, enabled: bool) {
        let interval = self.sender.settings().interval;
        self.ack_delay = if enabled {
            Duration::ZERO
        } else {
            ACK_DELAY.min(interval)
        };
    }

    pub(crate) fn set_mss(&mut self, mss: usize) {
        self.sender.set_mss(mss);
    }

    /// What the handle should know; whoever tells it clears it.
    pub(crate) fn notices_mut(&mut self) -> &mut Notices {
        &mut self.notices
    }

    /// Whether there is anything the handle should know.
    pub(crate) fn has_notices(&self) -> bool {
        self.notices.any()
    }

    pub(crate) fn conv(&self) -> u32 {
        self.conv
    }

    /// Data bytes in a full segment.
    pub(crate) fn mss(&self) -> usize {
        self.sender.mss()
    }

    /// Longest message that can be sent, in bytes.
    pub(crate) fn max_message(&self) -> usize {
        self.sender.mss() * MAX_FRAGMENTS
    }

    /// Counters and gauges, for whoever wants to look at them; the gauges as [`measure`](Self::measure) left them.
    pub(crate) fn meters(&self) -> &Arc<SessionMeters> {
        &self.meters
    }

    /// Sets the gauges.
    pub(crate) fn measure(&self) {
        let rtt = self.sender.rtt();
        self.meters.set(Gauges {
            rtt: rtt.smoothed(),
            min_rtt: rtt.min(),
            rtt_deviation: rtt.deviation(),
            rto: self.sender.rto(),
            loss_rate: self.sender.loss_rate(),
            in_flight: self.sender.in_flight(),
            unsent: self.sender.unsent(),
            unread: self.receiver.unread(),
            out_of_order: self.receiver.waiting(),
            remote_window: self.sender.remote_window(),
            congestion_window: self.sender.congestion_window(),
        });
    }

    fn after_packet(&mut self, now: Time, valid: bool, origin: Origin) {
        self.notices.readable |= self.receiver.is_readable();
        self.update_writable();
        self.update_drained();
        if valid && origin == Origin::Wire {
            self.sender.handle_heard();
            self.last_heard = now;
            self.keepalive_at = self.keepalive.map(|interval| now + interval);
            if !self.heard {
                self.heard = true;
                self.notices.answered = true;
            }
        }
        if self.receiver.has_acks() && self.ack_at.is_none() {
            self.ack_at = Some(now + self.ack_delay);
        }
        if self.receiver.is_urgent() {
            self.ack_at = Some(now);
        }
        match self.state {
            State::Closing { .. } if self.sender.is_drained() => {
                self.state = State::TimeWait {
                    until: now + TIME_WAIT,
                };
            }
            State::Open | State::Closing { .. } | State::TimeWait { .. } => {}
        }
        self.touch(now);
    }

    fn update_writable(&mut self) {
        if self.write_blocked && self.is_writable() {
            self.write_blocked = false;
            self.notices.writable = true;
        }
    }

    fn update_drained(&mut self) {
        if self.drain_wanted && self.sender.is_drained() {
            self.drain_wanted = false;
            self.notices.drained = true;
        }
    }

    /// Reads and drops what nobody will read any more, so that the peer is not held back by it.
    pub(crate) fn discard_unread(&mut self, pool: &mut Pool) {
        while let Some(chunk) = self.receiver.read() {
            let len = chunk.len();
            pool.give(chunk);
            self.handle_consumed(len, 1, pool);
        }
    }

    /// Whether its peer was heard and its handle is still there.
    pub(crate) fn is_alive(&self) -> bool {
        self.heard && self.state == State::Open
    }

    /// Whether the handle is gone and the session only finishes what was written.
    pub(crate) fn is_closing(&self) -> bool {
        self.state != State::Open
    }

    fn touch(&mut self, now: Time) {
        self.shrink_at = Some(now + SHRINK_AFTER);
    }
}
