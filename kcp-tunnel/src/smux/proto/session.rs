//! One session: its streams, whose turn it is to send, and how much a peer may make us hold.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use super::super::config::Config;
use super::super::error::{OpenError, ProtocolError, SessionError, WriteError};
use super::frame::{self, Decoder, Item, StreamId};
use super::greeting::{self, Message, Peer};
use super::liveness::Liveness;
use super::news::{Event, Readable, Role, Taken};
use super::outgoing::Frame;
use super::queue::{Block, Spare};
use super::stream::{Received, Stream, send_limit};

/// One end of a session, and all that a peer can make it hold: streams up to their limits, received
/// bytes up to the budget, and per stream one flag for each frame that is due.
#[derive(Debug)]
pub struct Session {
    role: Role,
    config: Config,
    streams: BTreeMap<StreamId, Stream>,
    /// Bytes that wait to be sent, of all streams.
    unsent: usize,
    /// Streams with something to send, in the order of their turns.
    ready: VecDeque<StreamId>,
    /// Streams of the peer that were not accepted yet.
    incoming: VecDeque<StreamId>,
    /// Streams of the peer that are to be finished at once, because they were too many.
    refused: VecDeque<StreamId>,
    /// The number of the next stream to open, if there is one.
    next_id: Option<StreamId>,
    accepting: bool,
    acceptor_waiting: bool,

    peer: Peer,
    peer_leaving: bool,
    messages: greeting::Listener,
    /// Messages to send.
    hello_due: bool,
    leaving_due: bool,

    decoder: Decoder,
    /// Bytes that may still be received before the application must read.
    budget: usize,
    spare: Spare,
    liveness: Liveness,
    /// Streams that were closed before all they had written was sent.
    lingering: VecDeque<Lingering>,
    events: VecDeque<Event>,
    end: Option<SessionError>,
    /// Until when an ended session still sends what was written before.
    draining: Option<Instant>,
}

/// A closed stream whose output waits for the peer's window, and the time to look at it again.
#[derive(Debug)]
struct Lingering {
    at: Instant,
    stream: StreamId,
    /// What had been sent: if it is still the same then, the peer is not reading.
    sent: u32,
}

impl Session {
    /// A session that has sent and received nothing yet.
    pub fn new(role: Role, config: Config, now: Instant) -> Self {
        Self {
            streams: BTreeMap::new(),
            unsent: 0,
            ready: VecDeque::new(),
            incoming: VecDeque::new(),
            refused: VecDeque::new(),
            next_id: Some(match role {
                Role::Client => StreamId(3),
                Role::Server => StreamId(2),
            }),
            accepting: true,
            acceptor_waiting: false,
            peer: match config.announce {
                true => Peer::Unknown,
                false => Peer::Closes,
            },
            peer_leaving: false,
            messages: greeting::Listener::default(),
            hello_due: config.announce,
            leaving_due: false,
            decoder: Decoder::new(config.version),
            budget: config.receive_budget,
            spare: Spare::default(),
            liveness: Liveness::new(now, config.keepalive, config.timeout),
            lingering: VecDeque::new(),
            events: VecDeque::new(),
            end: None,
            draining: None,
            role,
            config,
        }
    }

    // The transport.

    /// Bytes came from the peer. Returns how many were taken: all of them, unless the receive budget
    /// is used up; the rest must be given again once [`wants_input`](Self::wants_input).
    ///
    /// # Errors
    /// The peer breaks the protocol, which ends the session.
    pub fn handle_input(&mut self, now: Instant, input: &[u8]) -> Result<usize, SessionError> {
        if self.is_over() {
            return Ok(input.len());
        }
        self.liveness.set_listening(now, self.wants_input());
        self.liveness.handle_heard(now);
        let mut rest = input;
        while self.wants_input() {
            let item = self.decoder.decode(&mut rest, self.budget);
            let handled = match item {
                Ok(Some(item)) => self.handle_item(item),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            if let Err(error) = handled {
                let error = SessionError::from(error);
                self.fail(error.clone());
                return Err(error);
            }
        }
        self.liveness.set_listening(now, self.wants_input());
        Ok(input.len() - rest.len())
    }

    /// Whether [`handle_input`](Self::handle_input) takes anything. If not, the transport must not
    /// be read: that is what slows the peer down.
    pub const fn wants_input(&self) -> bool {
        self.budget > 0
    }

    /// Time has passed; harmless when early.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.liveness.set_listening(now, self.wants_input());
        if let Err(timeout) = self.liveness.handle_timeout(now) {
            self.fail(SessionError::PeerSilent(timeout));
        }
        if self.liveness.nop_due() {
            // Little goes on.
            self.spare.clear();
        }
        if self.draining.is_some_and(|until| until <= now) {
            self.stop();
        }
        while self.lingering.front().is_some_and(|entry| entry.at <= now) {
            if let Some(entry) = self.lingering.pop_front() {
                self.review(now, &entry);
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do. `None` once the session is
    /// over.
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.is_over() {
            return None;
        }
        let lingering = self.lingering.front().map(|entry| entry.at);
        let due = [self.liveness.poll_timeout(), lingering, self.draining];
        due.into_iter().flatten().min()
    }

    /// The next frame, if there is one to send.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Frame> {
        if self.is_over() {
            return None;
        }
        let frame = self.next_frame()?;
        self.liveness.handle_sent(now);
        Some(frame)
    }

    /// Whether [`poll_transmit`](Self::poll_transmit) may have a frame.
    pub fn wants_transmit(&self) -> bool {
        self.hello_due
            || self.leaving_due
            || self.liveness.nop_due()
            || !self.refused.is_empty()
            || !self.ready.is_empty()
    }

    /// Whether a closed session has given out all it had to send.
    pub fn is_drained(&self) -> bool {
        self.end.is_some() && self.streams.is_empty() && self.refused.is_empty()
    }

    /// Whether the session has failed, or took too long to send what was left when it was closed:
    /// the transport is to be dropped.
    pub const fn is_over(&self) -> bool {
        self.end.is_some() && self.draining.is_none()
    }

    /// Ends the session at once: what was not sent is lost. Without effect on one that has ended.
    pub fn fail(&mut self, error: SessionError) {
        self.end.get_or_insert(error);
        self.stop();
    }

    // The application.

    /// Opens a stream. The peer learns of it at once and is not asked.
    ///
    /// # Errors
    /// The session has ended, or has no stream left to give.
    pub fn open(&mut self) -> Result<StreamId, OpenError> {
        self.check()?;
        if self.streams.len() >= self.config.max_streams {
            return Err(OpenError::TooManyStreams(self.streams.len()));
        }
        let id = self.next_id.ok_or(OpenError::Exhausted)?;
        self.next_id = id.0.checked_add(2).map(StreamId);
        self.streams.insert(id, Stream::opened());
        self.with_stream(id, |_, _| ());
        Ok(id)
    }

    /// The oldest stream the peer has opened and nobody has accepted. After none,
    /// [`Event::Incoming`] follows.
    ///
    /// # Errors
    /// The session has ended.
    pub fn accept(&mut self) -> Result<Option<StreamId>, SessionError> {
        self.check()?;
        let id = self.incoming.pop_front();
        self.acceptor_waiting = id.is_none();
        Ok(id)
    }

    /// Nobody will accept any more: streams of the peer are refused from now on.
    pub fn stop_accepting(&mut self, now: Instant) {
        self.accepting = false;
        for id in core::mem::take(&mut self.incoming) {
            self.close_stream(now, id);
        }
    }

    /// Nobody will accept any more, and the peer is told, if it is of our kind, so that it opens its
    /// streams elsewhere. Those that exist go on.
    pub fn leave(&mut self, now: Instant) {
        self.leaving_due = self.peer == Peer::HalfCloses && self.end.is_none();
        self.stop_accepting(now);
    }

    /// What `stream` has to read. Data that has arrived can be read even after the session has
    /// failed.
    ///
    /// # Errors
    /// The session has ended, and the stream had not.
    pub fn readable(&mut self, stream: StreamId) -> Result<Readable<'_>, SessionError> {
        let end = &self.end;
        let Some(state) = self.streams.get_mut(&stream) else {
            return end.clone().map_or(Ok(Readable::End), Err);
        };
        let finished = state.is_peer_finished();
        match (state.readable(), end) {
            ([], Some(error)) if !finished => Err(error.clone()),
            ([], _) if finished => Ok(Readable::End),
            ([], _) => Ok(Readable::Blocked),
            (data, _) => Ok(Readable::Data(data)),
        }
    }

    /// The application has read `count` of the bytes that [`readable`](Self::readable) gave.
    pub fn consume(&mut self, stream: StreamId, count: usize) {
        let consumed = self.with_stream(stream, |state, config| state.consume(count, config));
        if consumed.is_some() {
            self.budget += count;
        }
    }

    /// As [`readable`](Self::readable), but hands over a block of bytes as it lies. They count as
    /// read, for the peer and for the budget, once [`release`](Self::release) says so.
    ///
    /// # Errors
    /// As [`readable`](Self::readable).
    pub fn take(&mut self, stream: StreamId) -> Result<Taken, SessionError> {
        match self.readable(stream)? {
            Readable::Data(_) => {}
            Readable::End => return Ok(Taken::End),
            Readable::Blocked => return Ok(Taken::Blocked),
        }
        let block = self.with_stream(stream, |state, _| state.take()).flatten();
        Ok(block.map_or(Taken::Blocked, Taken::Data))
    }

    /// The application has read `count` of the bytes that [`take`](Self::take) gave.
    pub fn release(&mut self, stream: StreamId, count: usize) {
        let released = self.with_stream(stream, |state, config| state.release(count, config));
        self.budget += released.unwrap_or(0);
    }

    /// Takes back a block that was read, to fill it again.
    pub fn recycle(&mut self, block: Block) {
        self.spare.put(block);
    }

    /// Takes bytes to send on `stream`, as many as there is room for. After none of some,
    /// [`Event::Writable`] follows.
    ///
    /// # Errors
    /// The session has ended, the stream was finished, or the peer has closed it.
    pub fn write(&mut self, stream: StreamId, data: &[u8]) -> Result<usize, WriteError> {
        self.check()?;
        self.with_stream(stream, |state, config| state.write(data, config.max_frame))
            .unwrap_or(Err(WriteError::Finished))
    }

    /// How many bytes to [`write`](Self::write) now. After none, [`Event::Writable`] follows.
    ///
    /// A write takes as many even if others write in between. Where much waits in the session, this tells
    /// of less than it would take: so do many writers that ask not hold more than they need.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn room(&mut self, stream: StreamId) -> Result<usize, WriteError> {
        // A stream that the peer had closed says so even after the session has ended.
        let limit = send_limit(self.unsent);
        let room = self
            .with_stream(stream, |state, _| state.room(limit))
            .unwrap_or(Err(WriteError::Finished))?;
        self.check()?;
        Ok(room)
    }

    /// Ends our direction of `stream`: FIN follows what was written. Reading goes on.
    ///
    /// # Errors
    /// The session has ended.
    pub fn finish(&mut self, stream: StreamId) -> Result<(), SessionError> {
        self.check()?;
        self.with_stream(stream, |state, _| state.finish());
        Ok(())
    }

    /// Whether all that was written to a finished stream has gone to the transport, with FIN behind
    /// it. If not, [`Event::Writable`] follows.
    ///
    /// # Errors
    /// The session has ended before that.
    pub fn poll_flushed(&mut self, stream: StreamId) -> Result<bool, SessionError> {
        match self.with_stream(stream, |state, _| state.poll_flushed()) {
            Some(false) => self.check().map(|()| false),
            Some(true) | None => Ok(true),
        }
    }

    /// Gives `stream` up: what was written is still sent, what is unread or still comes is dropped.
    ///
    /// Output that the peer's window holds back is dropped when that has not moved for the session's
    /// timeout: a peer that has forgotten the stream never opens it again.
    pub fn close_stream(&mut self, now: Instant, stream: StreamId) {
        let half_closes = self.peer == Peer::HalfCloses;
        let closed = self.with_stream(stream, |state, _| state.close(half_closes));
        let Some(unread) = closed else {
            return;
        };
        self.budget += unread;
        self.linger(now, stream);
    }

    /// Ends the session. What was written is still sent, for at most the session's timeout: see
    /// [`is_drained`](Self::is_drained) and [`is_over`](Self::is_over). Streams that were not
    /// finished get no FIN, so the peer does not take what it has for the whole.
    pub fn close(&mut self, now: Instant) {
        if self.end.is_some() {
            return;
        }
        self.end = Some(SessionError::Closed);
        self.draining = Some(now + self.config.timeout);
        self.accepting = false;
        self.incoming.clear();
        let open: Vec<StreamId> = self.streams.keys().copied().collect();
        for id in open {
            self.budget += self.with_stream(id, |state, _| state.cut()).unwrap_or(0);
        }
    }

    /// Who can go on. At most one event a stream and direction waits here.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How the peer ends streams.
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the peer has said that it accepts no more streams.
    pub const fn is_peer_leaving(&self) -> bool {
        self.peer_leaving
    }

    /// When the peer was last heard.
    pub const fn last_heard(&self) -> Instant {
        self.liveness.last_heard()
    }

    /// Why the session ended, if it has.
    pub const fn end(&self) -> Option<&SessionError> {
        self.end.as_ref()
    }

    /// Streams that exist, including those that were closed but have yet to send.
    pub fn stream_count(&self) -> usize {
        self.streams.len()
    }

    // Inside.

    fn handle_item(&mut self, item: Item<'_>) -> Result<(), ProtocolError> {
        if let Some(data) = greeting::data(&item) {
            self.handle_message(data);
        } else if self.peer == Peer::Unknown {
            self.peer = Peer::Closes;
        }
        match item {
            Item::Open(id) => self.handle_open(id)?,
            Item::Finish(id) => {
                self.with_stream(id, |state, config| state.handle_finish(config.half_close));
            }
            Item::Data(id, data) => {
                let mut spare = core::mem::take(&mut self.spare);
                let received = self.with_stream(id, |state, _| state.handle_data(data, &mut spare));
                self.spare = spare;
                match received {
                    Some(Received::Kept) => self.budget -= data.len(),
                    Some(Received::Dropped) | None => {}
                }
            }
            Item::Update {
                stream,
                consumed,
                window,
            } => self
                .with_stream(stream, |state, _| state.handle_update(consumed, window))
                .unwrap_or(Ok(()))
                .map_err(|()| ProtocolError::Consumed(stream))?,
            Item::Nop => {}
        }
        Ok(())
    }

    fn handle_message(&mut self, data: &[u8]) {
        let Self {
            messages,
            peer,
            peer_leaving,
            events,
            ..
        } = self;
        messages.push(data, |message| match (message, *peer) {
            (Some(Message::Hello), Peer::Unknown) => *peer = Peer::HalfCloses,
            (_, Peer::Unknown) => *peer = Peer::Closes,
            (Some(Message::Leaving), Peer::HalfCloses) => {
                if !core::mem::replace(peer_leaving, true) {
                    events.push_back(Event::Leaving);
                }
            }
            (Some(Message::Hello | Message::Leaving) | None, Peer::HalfCloses | Peer::Closes) => {}
        });
    }

    fn handle_open(&mut self, id: StreamId) -> Result<(), ProtocolError> {
        let from_peer = match self.role {
            Role::Client => id.0.is_multiple_of(2) && id.0 != 0,
            Role::Server => id.0 % 2 == 1,
        };
        if !from_peer {
            return Err(ProtocolError::ForeignStream(id));
        }
        if self.streams.contains_key(&id) {
            return Ok(());
        }
        let room = self.incoming.len() < self.config.accept_backlog
            && self.streams.len() < self.config.max_streams;
        if room && self.accepting {
            self.streams.insert(id, Stream::accepted());
            self.incoming.push_back(id);
            if core::mem::take(&mut self.acceptor_waiting) {
                self.events.push_back(Event::Incoming);
            }
            return Ok(());
        }
        if self.refused.len() >= MAX_REFUSALS {
            return Err(ProtocolError::Flood);
        }
        self.refused.push_back(id);
        Ok(())
    }

    fn next_frame(&mut self) -> Option<Frame> {
        let version = self.config.version;
        if core::mem::take(&mut self.hello_due) {
            return Some(Frame::control(|out| Message::Hello.put(out, version)));
        }
        if core::mem::take(&mut self.leaving_due) {
            return Some(Frame::control(|out| Message::Leaving.put(out, version)));
        }
        if self.liveness.nop_due() {
            return Some(Frame::control(|out| frame::put_nop(out, version)));
        }
        if let Some(id) = self.refused.pop_front() {
            return Some(Frame::control(|out| frame::put_finish(out, version, id)));
        }
        while let Some(id) = self.ready.pop_front() {
            let frame = self.with_stream(id, |state, config| {
                state.queued = false;
                state.next_frame(id, config)
            });
            if let Some(frame) = frame.flatten() {
                return Some(frame);
            }
        }
        None
    }

    /// The only way to change a stream: whatever `f` did, the stream is filed anew afterwards.
    fn with_stream<R>(
        &mut self,
        id: StreamId,
        f: impl FnOnce(&mut Stream, &Config) -> R,
    ) -> Option<R> {
        let stream = self.streams.get_mut(&id)?;
        let before = stream.unsent();
        let result = f(stream, &self.config);
        self.unsent = self.unsent - before + stream.unsent();
        if stream.take_readable() {
            self.events.push_back(Event::Readable(id));
        }
        if stream.take_writable(send_limit(self.unsent)) {
            self.events.push_back(Event::Writable(id));
        }
        if stream.is_over() {
            self.streams.remove(&id);
        } else if stream.wants_transmit(self.config.version) && !stream.queued {
            stream.queued = true;
            self.ready.push_back(id);
        }
        Some(result)
    }

    /// Has a closed stream that depends on the peer's window looked at after a timeout.
    fn linger(&mut self, now: Instant, id: StreamId) {
        let version = self.config.version;
        if let Some(stream) = self
            .streams
            .get(&id)
            .filter(|stream| stream.lingers(version))
        {
            let (at, sent) = (now + self.config.timeout, stream.sent());
            self.lingering.push_back(Lingering {
                at,
                stream: id,
                sent,
            });
        }
    }

    fn review(&mut self, now: Instant, entry: &Lingering) {
        self.with_stream(entry.stream, |state, config| {
            if state.lingers(config.version) && state.is_stuck() && state.sent() == entry.sent {
                state.discard_output();
            }
        });
        self.linger(now, entry.stream);
    }

    fn check(&self) -> Result<(), SessionError> {
        self.end.clone().map_or(Ok(()), Err)
    }

    /// Sends nothing more.
    fn stop(&mut self) {
        self.draining = None;
        self.hello_due = false;
        self.leaving_due = false;
        self.ready.clear();
        self.refused.clear();
        self.lingering.clear();
    }
}

/// Refusals that may wait to be sent: as many as the default backlog. A peer that provokes more is
/// not a busy one.
const MAX_REFUSALS: usize = 1_024;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
