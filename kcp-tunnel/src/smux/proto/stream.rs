//! One stream: bytes on their way out, bytes waiting to be read, and what its ends have said.
//!
//! Knows neither the other streams nor the session's budget; [`Session`](super::Session) tells it
//! what was received and gives it its turns to send.

use super::super::config::{Config, Version};
use super::super::error::WriteError;
use super::frame::{self, StreamId};
use super::outgoing::{Frame, Outgoing};
use super::queue::{Block, ByteQueue, Spare};

/// State of one stream.
#[derive(Debug)]
pub(super) struct Stream {
    output: Outgoing,
    /// Frames due in addition to the output: SYN and UPD before it, FIN behind it.
    open_due: bool,
    update_due: bool,
    fins_due: u8,
    /// The application writes no more.
    finished: bool,
    /// Bytes sent, bytes of those the peer has read, and how far the two may be apart (version 2;
    /// the first two modulo 2³²).
    sent: u32,
    peer_consumed: u32,
    peer_window: u32,
    /// The peer has closed the stream: whatever we send is lost.
    peer_deaf: bool,

    input: ByteQueue,
    /// Bytes that the application has taken and not read yet.
    held: usize,
    /// Bytes read by the application (modulo 2³²), and those of them the last UPD did not cover.
    consumed: u32,
    unreported: usize,
    /// The peer sends no more.
    peer_finished: bool,
    /// The application has given the stream up: nothing is kept for it.
    abandoned: bool,

    /// The application found nothing to read, or no room to write, and wants to be told.
    reader_waiting: bool,
    writer_waiting: bool,
    /// Whether the session has the stream in its queue of those to send from.
    pub(super) queued: bool,
}

/// What came of a piece of data.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Kept,
    Dropped,
}

impl Stream {
    /// A stream that this end opens.
    pub(super) fn opened() -> Self {
        Self {
            open_due: true,
            ..Self::accepted()
        }
    }

    /// A stream that the peer has opened.
    pub(super) fn accepted() -> Self {
        Self {
            output: Outgoing::default(),
            open_due: false,
            update_due: false,
            fins_due: 0,
            finished: false,
            sent: 0,
            peer_consumed: 0,
            peer_window: START_WINDOW,
            peer_deaf: false,
            input: ByteQueue::default(),
            held: 0,
            consumed: 0,
            unreported: 0,
            peer_finished: false,
            abandoned: false,
            reader_waiting: false,
            writer_waiting: false,
            queued: false,
        }
    }

    // What the peer said.

    /// Data from the peer.
    pub(super) fn handle_data(&mut self, data: &[u8], spare: &mut Spare) -> Received {
        if self.abandoned || self.peer_finished {
            return Received::Dropped;
        }
        self.input.push(data, spare);
        Received::Kept
    }

    /// FIN from the peer. The second one says that it does not read either: that is what remains of
    /// a stream that was half-closed and then closed.
    pub(super) fn handle_finish(&mut self, half_close: bool) {
        self.peer_deaf |= self.peer_finished || !half_close;
        self.peer_finished = true;
        self.update_due = false;
        if self.peer_deaf {
            self.output.clear();
        }
    }

    /// UPD from the peer. `Err` if it claims to have read what was never sent.
    pub(super) fn handle_update(&mut self, consumed: u32, window: u32) -> Result<(), ()> {
        if self.sent.wrapping_sub(consumed) > i32::MAX as u32 {
            return Err(());
        }
        self.peer_consumed = consumed;
        self.peer_window = window.min(i32::MAX as u32);
        Ok(())
    }

    // What the application does.

    /// Takes as many bytes as there is room for, whatever the other streams hold. After none of some,
    /// `take_writable` tells of room.
    pub(super) fn write(&mut self, data: &[u8], max_frame: usize) -> Result<usize, WriteError> {
        let waiting = self.writer_waiting;
        let len = data.len().min(self.room(SEND_BUFFER)?);
        self.output.push(&data[..len], max_frame);
        if data.is_empty() {
            self.writer_waiting = waiting;
        }
        Ok(len)
    }

    /// Bytes that a write takes now, if `limit` may wait. After none, `take_writable` tells of room.
    pub(super) fn room(&mut self, limit: usize) -> Result<usize, WriteError> {
        if self.finished {
            return Err(WriteError::Finished);
        }
        if self.peer_deaf {
            return Err(WriteError::PeerClosed);
        }
        let room = limit.saturating_sub(self.output.len());
        self.writer_waiting = room == 0;
        Ok(room)
    }

    /// No more writes: FIN follows what was written.
    pub(super) fn finish(&mut self) {
        if !self.finished {
            self.finished = true;
            self.fins_due = 1;
        }
    }

    /// Closes the stream: FIN follows what was written, a second one if the first did not say, or to
    /// a `peer_half_closes` does not say, that nobody reads any more. Returns how many unread bytes
    /// were dropped.
    pub(super) fn close(&mut self, peer_half_closes: bool) -> usize {
        let second = self.finished || peer_half_closes;
        self.finish();
        if second && !self.peer_finished && !self.abandoned {
            self.fins_due += 1;
        }
        self.cut()
    }

    /// Gives the stream up with its session: what was written is still sent. Returns how many
    /// unread bytes were dropped.
    pub(super) fn cut(&mut self) -> usize {
        self.abandoned = true;
        self.update_due = false;
        self.reader_waiting = false;
        self.writer_waiting = false;
        let unread = self.input.len() + core::mem::take(&mut self.held);
        self.input.clear();
        unread
    }

    /// Drops output that an abandoned stream cannot get rid of.
    pub(super) fn discard_output(&mut self) {
        self.output.clear();
    }

    /// The bytes to read next. After none, `take_readable` tells of more.
    pub(super) fn readable(&mut self) -> &[u8] {
        self.reader_waiting = self.input.is_empty() && !self.peer_finished;
        self.input.front()
    }

    /// Hands over the first block of the bytes to read; they count as read once
    /// [`release`](Self::release) says so. After none, `take_readable` tells of more.
    pub(super) fn take(&mut self) -> Option<Block> {
        let block = self.input.pop();
        self.held += block.as_ref().map_or(0, |block| block.as_ref().len());
        self.reader_waiting = block.is_none() && !self.peer_finished;
        block
    }

    /// The application has read `count` of the bytes that it took. Returns how many those are.
    pub(super) fn release(&mut self, count: usize, config: &Config) -> usize {
        let count = count.min(self.held);
        self.held -= count;
        self.count_read(count, config);
        count
    }

    /// The application has read `count` of the readable bytes.
    pub(super) fn consume(&mut self, count: usize, config: &Config) {
        self.input.advance(count);
        self.count_read(count, config);
    }

    fn count_read(&mut self, count: usize, config: &Config) {
        let first = self.consumed == 0 && self.unreported == 0;
        self.consumed = self.consumed.wrapping_add(count as u32);
        self.unreported += count;
        match config.version {
            Version::V1 => {}
            Version::V2 => {
                let half = self.unreported >= config.stream_window as usize / 2;
                self.update_due |= (first || half) && !self.peer_finished;
            }
        }
    }

    // What comes next.

    /// The next frame of this stream, if it has one to send.
    pub(super) fn next_frame(&mut self, id: StreamId, config: &Config) -> Option<Frame> {
        let version = config.version;
        if self.open_due {
            self.open_due = false;
            return Some(Frame::control(|out| frame::put_open(out, version, id)));
        }
        if self.update_due {
            self.update_due = false;
            self.unreported = 0;
            let (consumed, window) = (self.consumed, config.stream_window);
            return Some(Frame::control(|out| {
                frame::put_update(out, id, consumed, window);
            }));
        }
        if let Some((frame, len)) = self.output.pop(self.credit(version), version, id) {
            self.sent = self.sent.wrapping_add(len as u32);
            return Some(frame);
        }
        if self.fins_due > 0 && self.output.is_empty() {
            self.fins_due -= 1;
            return Some(Frame::control(|out| frame::put_finish(out, version, id)));
        }
        None
    }

    /// Whether `next_frame` has something to give.
    pub(super) fn wants_transmit(&self, version: Version) -> bool {
        let data = !self.output.is_empty() && self.credit(version) > 0;
        let finish = self.fins_due > 0 && self.output.is_empty();
        self.open_due || self.update_due || data || finish
    }

    /// Whether nothing remains to be done: the application has gone and all it wrote was sent.
    pub(super) fn is_over(&self) -> bool {
        self.abandoned && !self.open_due && self.fins_due == 0 && self.output.is_empty()
    }

    /// Whether the stream was closed while the peer's window may hold back what was written.
    pub(super) fn lingers(&self, version: Version) -> bool {
        match version {
            Version::V1 => false,
            Version::V2 => self.abandoned && !self.output.is_empty(),
        }
    }

    /// Whether the peer's window is used up.
    pub(super) fn is_stuck(&self) -> bool {
        self.credit(Version::V2) == 0
    }

    /// Whether the application waits for something to read and has it now; tells only once.
    pub(super) fn take_readable(&mut self) -> bool {
        let readable = !self.input.is_empty() || self.peer_finished;
        readable && core::mem::take(&mut self.reader_waiting)
    }

    /// Whether the application waits to write, or for FIN to be sent, and can go on; tells only
    /// once. `limit` bytes may wait.
    pub(super) fn take_writable(&mut self, limit: usize) -> bool {
        let room = self.output.len() <= limit / 2 || self.peer_deaf;
        let writable = if self.finished {
            self.is_flushed()
        } else {
            room
        };
        writable && core::mem::take(&mut self.writer_waiting)
    }

    /// Whether all that was written was sent, with FIN behind it. If not, `take_writable` tells.
    pub(super) fn poll_flushed(&mut self) -> bool {
        self.writer_waiting = !self.is_flushed();
        !self.writer_waiting
    }

    pub(super) const fn is_peer_finished(&self) -> bool {
        self.peer_finished
    }

    /// Bytes that wait to be sent.
    pub(super) const fn unsent(&self) -> usize {
        self.output.len()
    }

    /// Bytes sent so far, modulo 2³².
    pub(super) const fn sent(&self) -> u32 {
        self.sent
    }

    const fn is_flushed(&self) -> bool {
        self.finished && self.fins_due == 0
    }

    /// Bytes the peer takes now.
    fn credit(&self, version: Version) -> usize {
        match version {
            Version::V1 => usize::MAX,
            Version::V2 => {
                let in_flight = self.sent.wrapping_sub(self.peer_consumed);
                self.peer_window.saturating_sub(in_flight) as usize
            }
        }
    }
}

/// What a peer of version 2 takes before it has said anything, whatever its settings.
/// Source: smux `initialPeerWindow`.
const START_WINDOW: u32 = 262_144;

/// Bytes of a stream that may wait to be sent while those of all streams are `session`: enough to
/// keep the transport busy while the writer is woken. Of many streams each needs less for that.
pub(super) const fn send_limit(session: usize) -> usize {
    if session < CROWDED {
        SEND_BUFFER
    } else {
        CROWDED_SEND_BUFFER
    }
}

/// Bytes of a stream that wait to be sent before its writer must wait, too.
pub(super) const SEND_BUFFER: usize = 64 * 1_024;

/// The same in a session where much waits.
pub(super) const CROWDED_SEND_BUFFER: usize = 16 * 1_024;

/// Bytes that wait to be sent in a session, from which on that is much.
pub(super) const CROWDED: usize = 1_024 * 1_024;
