//! What applications ask of single sessions, and learn of them.

use core::net::SocketAddr;
use core::time::Duration;

use super::{Hub, SessionKey};
use crate::config::{Mtu, Window};
use crate::error::{SendError, SessionError};
use crate::proto::Time;
use crate::proto::arq::sender::Settings;
use crate::proto::chunk::Chunk;
use crate::proto::meters::Meters;
use crate::stats::{EndpointStats, SessionStats};

/// What a live session may be told to do differently; kcp-go's setters.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// Timers and loss detection: nodelay, interval, resend.
    NoDelay(bool, Duration, u32),
    /// Send and receive window.
    Windows(Window, Window),
    /// Longest datagram to this peer, of every session with it.
    Mtu(Mtu),
    /// Whether writes may share a segment.
    StreamMode(bool),
    /// Whether writes wait for more.
    WriteDelay(bool),
    /// Whether arrivals are acknowledged at once.
    AckNoDelay(bool),
    /// Extra copies of every data packet.
    Duplicates(u8),
    /// Bytes per second.
    MaxBandwidth(u64),
    /// Parity packets sent of each group, at most.
    ParityLimit(usize),
}

impl Hub {
    /// Takes an accepted session off the backlog: its handle has an owner now.
    pub fn handle_accepted(&mut self, key: SessionKey) {
        if let Some(entry) = self.entry_mut(key)
            && core::mem::take(&mut entry.accepted)
        {
            self.backlog -= 1;
        }
    }

    /// Prepares for small work on these sessions, one after the other: reads what it will need of each, so that memory is
    /// waited for once and not for each. Changes nothing; of use with many sessions, some 64 at a time.
    pub fn fetch(&mut self, keys: &[SessionKey]) {
        let mut indices = core::mem::take(&mut self.due);
        indices.extend(keys.iter().map(|key| key.index));
        self.fetch_sessions(&indices);
        indices.clear();
        self.due = indices;
    }

    /// Indices of the sessions of which [`poll_event`](Self::poll_event) has news.
    pub fn noticed(&self) -> impl ExactSizeIterator<Item = usize> {
        self.noticed.iter().map(|&index| index as usize)
    }

    /// Queues bytes; in message mode, one message of 1 to [`max_message`](Self::max_message) bytes. Ignored if the
    /// session ended.
    pub fn write(&mut self, now: Time, key: SessionKey, chunk: Chunk) {
        self.with_session(now, key, |session, _, pool| session.write(now, chunk, pool));
    }

    /// Whether there is room to write.
    pub fn is_writable(&self, key: SessionKey) -> bool {
        self.entry(key)
            .is_some_and(|entry| entry.session.is_writable())
    }

    /// Sends what waits for more to be written.
    pub fn flush(&mut self, now: Time, key: SessionKey) {
        self.with_session(now, key, |session, _, _| session.flush());
    }

    /// Takes received bytes; in message mode, one message. The window reopens when they are
    /// [consumed](Self::handle_consumed).
    pub fn read(&mut self, key: SessionKey) -> Option<Chunk> {
        self.entry_mut(key)?.session.read()
    }

    /// The application consumed so many of the bytes that were read, and with them so many messages.
    pub fn handle_consumed(&mut self, now: Time, key: SessionKey, bytes: usize, messages: u32) {
        self.with_session(now, key, |session, _, pool| {
            session.handle_consumed(bytes, messages, pool);
        });
    }

    /// Gives a chunk's memory back for reuse.
    pub fn recycle(&mut self, chunk: Chunk) {
        self.pool.give(chunk);
    }

    /// A recycled chunk fit for `len` bytes, if there is one.
    pub fn spare_chunk(&mut self, len: usize) -> Option<Chunk> {
        self.pool.spare(len)
    }

    /// Data bytes in a full segment of this session. Zero if it ended.
    pub fn mss(&self, key: SessionKey) -> usize {
        self.entry(key).map_or(0, |entry| entry.session.mss())
    }

    /// Longest message that can be written in message mode, in bytes: 255 segments. Zero if the session ended.
    pub fn max_message(&self, key: SessionKey) -> usize {
        self.entry(key)
            .map_or(0, |entry| entry.session.max_message())
    }

    /// Sends `data` beside the stream: unordered, unacknowledged, maybe lost, but encrypted.
    ///
    /// # Errors
    /// [`SendError`] without FEC, whose header such packets need, or if it does not fit into one packet.
    pub fn send_oob(&mut self, now: Time, key: SessionKey, data: Vec<u8>) -> Result<(), SendError> {
        let entry = self.entry(key).ok_or(SessionError::Closed)?;
        let limit = self.paths[entry.path as usize]
            .max_oob()
            .ok_or(SendError::NeedsFec)?;
        if data.len() > limit {
            return Err(SendError::TooLong {
                len: data.len(),
                limit,
            });
        }
        self.with_session(now, key, |session, _, _| session.send_oob(data));
        Ok(())
    }

    /// Longest out-of-band message towards this peer, in bytes; `None` without FEC.
    pub fn max_oob(&self, key: SessionKey) -> Option<usize> {
        self.paths[self.entry(key)?.path as usize].max_oob()
    }

    /// Takes a received out-of-band message.
    pub fn read_oob(&mut self, key: SessionKey) -> Option<Vec<u8>> {
        self.entry_mut(key)?.session.read_oob()
    }

    /// Asks the peer for a sign of life; [`Event::Answered`](super::Event::Answered) tells of the first ever.
    pub fn ask(&mut self, now: Time, key: SessionKey) {
        self.with_session(now, key, |session, _, _| session.ask());
    }

    /// Asks for [`Event::Drained`](super::Event::Drained) once everything written is acknowledged.
    pub fn drain(&mut self, now: Time, key: SessionKey) {
        self.with_session(now, key, |session, _, _| session.drain());
    }

    /// Nobody will write or read any more: what was written is still sent until it is acknowledged, for the linger
    /// time at most; then the session ends.
    pub fn close(&mut self, now: Time, key: SessionKey) {
        self.with_session(now, key, |session, _, pool| session.close(now, pool));
    }

    /// Ends the session now. Nothing tells the peer.
    pub fn abort(&mut self, now: Time, key: SessionKey, error: SessionError) {
        if self.entry(key).is_some() {
            self.end(now, key.index, error);
        }
    }

    /// Ends every session now.
    pub fn abort_all(&mut self, now: Time, error: &SessionError) {
        let live: Vec<usize> = self.sessions.iter().map(|(index, _)| index).collect();
        for index in live {
            self.end(now, index as u32, error.clone());
        }
    }

    /// Changes a live session.
    pub fn change(&mut self, now: Time, key: SessionKey, change: Change) {
        match change {
            Change::NoDelay(nodelay, interval, resend) => self.set(now, key, |settings| {
                settings.nodelay = nodelay;
                settings.interval = interval;
                settings.resend = resend;
            }),
            Change::Windows(send, receive) => {
                self.set(now, key, |settings| settings.window = send.into());
                self.with_session(now, key, |session, _, pool| {
                    session.set_receive_window(receive.into(), pool);
                });
            }
            Change::Mtu(mtu) => self.set_mtu(key, mtu),
            Change::StreamMode(enabled) => {
                self.with_session(now, key, |session, _, _| session.set_stream_mode(enabled));
            }
            Change::WriteDelay(enabled) => {
                self.with_session(now, key, |session, _, _| session.set_write_delay(enabled));
            }
            Change::AckNoDelay(enabled) => {
                self.with_session(now, key, |session, _, _| session.set_ack_no_delay(enabled));
            }
            Change::Duplicates(copies) => {
                self.with_session(now, key, |_, path, _| path.set_duplicates(copies));
            }
            Change::MaxBandwidth(rate) => {
                self.set(now, key, |settings| settings.max_bandwidth = rate.max(1));
            }
            Change::ParityLimit(limit) => {
                self.with_session(now, key, |_, path, _| path.set_parity_limit(limit));
            }
        }
    }

    /// Stops or resumes taking sessions from peers.
    pub fn set_accepting(&mut self, accepting: bool) {
        self.accepting = accepting;
    }

    /// Number of sessions that live.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether no session lives.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// The session's conversation number.
    pub fn conv(&self, key: SessionKey) -> Option<u32> {
        self.entry(key).map(|entry| entry.session.conv())
    }

    /// The session's peer.
    pub fn peer_addr(&self, key: SessionKey) -> Option<SocketAddr> {
        self.entry(key)
            .map(|entry| self.paths[entry.path as usize].addr)
    }

    /// Counters and gauges of a session.
    pub fn session_stats(&self, key: SessionKey) -> Option<SessionStats> {
        self.meters(key).map(|meters| meters.read())
    }

    /// The same, to be looked at whenever somebody asks.
    pub(crate) fn meters(&self, key: SessionKey) -> Option<Meters> {
        self.entry(key).map(|entry| self.meters_of(entry))
    }

    /// Counters of the endpoint. Walks over all sessions.
    pub fn stats(&self) -> EndpointStats {
        let mut stats = self.stats;
        stats.current_sessions = self.sessions.len() as u64;
        for (_, entry) in &self.sessions {
            stats.sessions.add(&entry.session.meters().read());
        }
        for (_, path) in &self.paths {
            stats.sessions.add(&path.meters().read());
        }
        stats
    }

    /// Changes limits and timers of a live session.
    fn set(&mut self, now: Time, key: SessionKey, change: impl FnOnce(&mut Settings)) {
        self.with_session(now, key, |session, _, _| session.set(now, change));
    }

    /// Changes the longest datagram of the session's path. No session there may cut longer segments from now on.
    fn set_mtu(&mut self, key: SessionKey, mtu: Mtu) {
        let Some(path) = self.entry(key).map(|entry| entry.path as usize) else {
            return;
        };
        let path = &mut self.paths[path];
        path.set_layout(self.config.layout(mtu));
        for &index in &path.sessions {
            let session = &mut self.sessions[index as usize].session;
            session.set_mss(path.layout().mss());
        }
    }
}
