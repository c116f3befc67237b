//! Every session of one socket: routing and admission (in `receive`), fairness, deadlines.
//!
//! Owns the sessions by value. Received datagrams, written chunks and the time go in; packets, chunks and news for the
//! handles come out. Reads no clock and touches no socket.

mod receive;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use slab::Slab;

use super::Time;
use super::arq::sender::Settings;
use super::batch::PacketBatch;
use super::chunk::{Chunk, Pool};
use super::crypto::Nonces;
use super::deadlines::Deadlines;
use super::fec::Code;
use super::path::{Path, QUARANTINE};
use super::session::Session;
use crate::config::{Config, Mtu, Window};
use crate::error::{SendError, SessionError};
use crate::stats::{EndpointStats, SessionStats};

/// A closed conversation is remembered this long: late packets of it must not begin it anew.
const TOMBSTONE: Duration = Duration::from_secs(10);

/// Closed conversations remembered at once.
const MAX_TOMBSTONES: usize = 65_536;

/// Names a session of a [`Hub`]; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    index: u32,
    generation: u32,
}

impl SessionKey {
    /// Index below the largest number of sessions that ever lived at once; reused after a session's end.
    pub fn index(self) -> usize {
        self.index as usize
    }
}

/// News of one session for its handle.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The peer opened it.
    Accepted(SessionKey),
    /// There may be something to [`read`](Hub::read) or [`read_oob`](Hub::read_oob).
    Readable(SessionKey),
    /// There is room to [`write`](Hub::write) again.
    Writable(SessionKey),
    /// The peer was heard for the first time.
    Answered(SessionKey),
    /// Everything written was acknowledged, after [`drain`](Hub::drain) asked for it.
    Drained(SessionKey),
    /// Its counters may have changed.
    Changed(SessionKey),
    /// It ended; the key is void.
    Ended(SessionKey, SessionError, Box<SessionStats>),
}

#[derive(Debug)]
struct Entry {
    session: Session,
    path: u32,
    generation: u32,
    /// Stands in `ready`.
    ready: bool,
    /// Stands in `noticed`.
    noticed: bool,
    /// Stands in `touched`.
    touched: bool,
    accepted: bool,
}

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

/// What remains of an address without sessions for a while.
#[derive(Clone, Copy, Debug)]
struct Departed {
    at: Time,
    /// Our protected packets go on with this number: the peer could take them for late ones otherwise.
    next_group: u32,
}

/// All sessions of one socket.
#[derive(Debug)]
pub struct Hub {
    config: Arc<Config>,
    code: Option<Arc<Code>>,
    nonces: Nonces,
    accepting: bool,
    sessions: Slab<Entry>,
    paths: Slab<Path>,
    by_addr: HashMap<SocketAddr, u32, RandomState>,
    /// Sessions by path and conversation number.
    by_conv: HashMap<(u32, u32), u32, RandomState>,
    per_ip: HashMap<IpAddr, u32, RandomState>,
    tombstones: HashMap<(SocketAddr, u32), Time, RandomState>,
    tombstone_order: VecDeque<(SocketAddr, u32)>,
    /// Addresses whose last session has ended lately: each has a tombstone.
    departed: HashMap<SocketAddr, Departed, RandomState>,
    generation: u32,
    /// Sessions with something to send, served in turn.
    ready: VecDeque<u32>,
    touched: Vec<u32>,
    due: Vec<u32>,
    noticed: VecDeque<u32>,
    ended: VecDeque<(SessionKey, SessionError, Box<SessionStats>)>,
    backlog: usize,
    deadlines: Deadlines,
    pool: Pool,
    stats: EndpointStats,
}

impl Hub {
    /// A hub without sessions. `accepting`: peers may open sessions. All its randomness comes from `seed`, which
    /// must be secret and used once.
    pub fn new(config: Arc<Config>, accepting: bool, seed: [u8; 32]) -> Self {
        let hashing = RandomState::with_seeds(
            word(&seed, 0),
            word(&seed, 1),
            word(&seed, 2),
            word(&seed, 3),
        );
        Self {
            nonces: Nonces::new(seed),
            code: config.fec.map(Code::new),
            config,
            accepting,
            sessions: Slab::new(),
            paths: Slab::new(),
            by_addr: HashMap::with_hasher(hashing.clone()),
            by_conv: HashMap::with_hasher(hashing.clone()),
            per_ip: HashMap::with_hasher(hashing.clone()),
            tombstones: HashMap::with_hasher(hashing.clone()),
            departed: HashMap::with_hasher(hashing),
            tombstone_order: VecDeque::new(),
            generation: 0,
            ready: VecDeque::new(),
            touched: Vec::new(),
            due: Vec::new(),
            noticed: VecDeque::new(),
            ended: VecDeque::new(),
            backlog: 0,
            deadlines: Deadlines::default(),
            pool: Pool::default(),
            stats: EndpointStats::default(),
        }
    }

    /// Opens a session. Nothing is sent until something is written. `conv` should be random; `None` if a session with
    /// this address and number lives.
    pub fn connect(&mut self, now: Time, peer: SocketAddr, conv: u32) -> Option<SessionKey> {
        if self.find(peer, conv).is_some() {
            return None;
        }
        self.stats.active_opens += 1;
        let index = self.insert(now, peer, conv, |path, sessions| {
            // Our own peers go on numbering while one of their sessions lives.
            path.sessions
                .iter()
                .any(|&index| sessions[index as usize].session.is_alive())
        });
        self.file(now, index);
        Some(self.key(index))
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Time) {
        // All are taken before any is filed anew: what is due again at once waits for the next call.
        let mut due = core::mem::take(&mut self.due);
        while let Some(index) = self.deadlines.pop_due(now) {
            due.push(index);
        }
        for index in due.drain(..) {
            let entry = &mut self.sessions[index as usize];
            let path = &mut self.paths[entry.path as usize];
            match entry.session.handle_timeout(now, path) {
                Ok(()) => self.file(now, index),
                Err(error) => self.end(now, index, error),
            }
        }
        self.due = due;
        while let Some(&oldest) = self.tombstone_order.front() {
            match self.tombstones.get(&oldest) {
                Some(&until) if until > now && self.tombstones.len() <= MAX_TOMBSTONES => break,
                Some(_) | None => {
                    self.tombstones.remove(&oldest);
                    self.tombstone_order.pop_front();
                    let (peer, _) = oldest;
                    if let Some(departed) = self.departed.get(&peer)
                        && (now.since(departed.at) >= TOMBSTONE
                            || self.tombstones.len() >= MAX_TOMBSTONES)
                    {
                        self.departed.remove(&peer);
                    }
                }
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) or, for packets that pacing holds back,
    /// [`poll_transmit`](Self::poll_transmit) has something to do.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.deadlines.next()
    }

    /// Fills `batch` with sealed packets until it is full or nothing more may leave. Returns whether more is waiting.
    pub fn poll_transmit(&mut self, now: Time, batch: &mut PacketBatch) -> bool {
        while !batch.is_full()
            && let Some(index) = self.ready.pop_front()
        {
            let Some(entry) = self.sessions.get_mut(index as usize) else {
                continue;
            };
            entry.ready = false;
            entry
                .session
                .transmit(now, &mut self.paths[entry.path as usize], batch);
            self.file(now, index);
        }
        if !batch.is_empty() {
            let (buffer, packets) = batch.parts_mut();
            self.config.cipher.seal(&mut self.nonces, buffer, packets);
        }
        !self.ready.is_empty()
    }

    /// News for the handles. That a session ended comes before all that is new of others, because one of them may
    /// have taken its place and index.
    pub fn poll_event(&mut self) -> Option<Event> {
        if let Some((key, error, stats)) = self.ended.pop_front() {
            return Some(Event::Ended(key, error, stats));
        }
        while let Some(&index) = self.noticed.front() {
            let Some(entry) = self.sessions.get_mut(index as usize) else {
                self.noticed.pop_front();
                continue;
            };
            let key = SessionKey {
                index,
                generation: entry.generation,
            };
            let notices = entry.session.notices_mut();
            let event = if core::mem::take(&mut notices.accepted) {
                Event::Accepted(key)
            } else if core::mem::take(&mut notices.answered) {
                Event::Answered(key)
            } else if core::mem::take(&mut notices.readable) {
                Event::Readable(key)
            } else if core::mem::take(&mut notices.writable) {
                Event::Writable(key)
            } else if core::mem::take(&mut notices.drained) {
                Event::Drained(key)
            } else if core::mem::take(&mut entry.noticed) {
                self.noticed.pop_front();
                Event::Changed(key)
            } else {
                // Left behind by a session that ended.
                self.noticed.pop_front();
                continue;
            };
            return Some(event);
        }
        None
    }

    /// Takes an accepted session off the backlog: its handle has an owner now.
    pub fn handle_accepted(&mut self, key: SessionKey) {
        if let Some(entry) = self.entry_mut(key)
            && core::mem::take(&mut entry.accepted)
        {
            self.backlog -= 1;
        }
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

    /// Asks the peer for a sign of life; [`Event::Answered`] tells of the first ever.
    pub fn ask(&mut self, now: Time, key: SessionKey) {
        self.with_session(now, key, |session, _, _| session.ask());
    }

    /// Asks for [`Event::Drained`] once everything written is acknowledged.
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
        let entry = self.entry(key)?;
        Some(entry.session.stats(&self.paths[entry.path as usize]))
    }

    /// Counters of the endpoint. Walks over all sessions.
    pub fn stats(&self) -> EndpointStats {
        let mut stats = self.stats;
        stats.current_sessions = self.sessions.len() as u64;
        for (_, entry) in &self.sessions {
            stats.sessions.add(entry.session.counters());
        }
        for (_, path) in &self.paths {
            stats.sessions.add(&path.counters());
        }
        stats
    }

    /// The only way to change a session: whatever `f` did, the session is filed anew afterwards.
    fn with_session(
        &mut self,
        now: Time,
        key: SessionKey,
        f: impl FnOnce(&mut Session, &mut Path, &mut Pool),
    ) {
        let Some(entry) = self.sessions.get_mut(key.index as usize) else {
            return;
        };
        if entry.generation == key.generation {
            f(
                &mut entry.session,
                &mut self.paths[entry.path as usize],
                &mut self.pool,
            );
            self.file(now, key.index);
        }
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

    /// Puts the session where it belongs: among those ready to send, among those with news, under its next deadline.
    fn file(&mut self, now: Time, index: u32) {
        let entry = &mut self.sessions[index as usize];
        if entry.session.is_closing() {
            entry.session.discard_unread(&mut self.pool);
        }
        if !entry.ready && entry.session.wants_transmit(now) {
            entry.ready = true;
            self.ready.push_back(index);
        }
        if !entry.noticed {
            entry.noticed = true;
            self.noticed.push_back(index);
        }
        self.deadlines.set(index, entry.session.poll_timeout());
    }

    /// `goes_on`: whether the peer goes on with the numbers of its protected packets that the path has seen.
    fn insert(
        &mut self,
        now: Time,
        peer: SocketAddr,
        conv: u32,
        goes_on: impl FnOnce(&Path, &Slab<Entry>) -> bool,
    ) -> u32 {
        let path = match self.by_addr.get(&peer) {
            Some(&path) => {
                let known = &mut self.paths[path as usize];
                if known.newest_heard().is_some() && !goes_on(known, &self.sessions) {
                    known.quarantine(now);
                }
                known.doubt();
                path
            }
            None => self.add_path(now, peer),
        };
        let mss = self.paths[path as usize].layout().mss();
        self.generation = self.generation.wrapping_add(1);
        let index = self.sessions.insert(Entry {
            session: Session::new(now, conv, &self.config, mss),
            path,
            generation: self.generation,
            ready: false,
            noticed: false,
            touched: false,
            accepted: false,
        }) as u32;
        self.paths[path as usize].sessions.push(index);
        self.by_conv.insert((path, conv), index);
        *self.per_ip.entry(peer.ip()).or_default() += 1;
        self.stats.max_sessions = self.stats.max_sessions.max(self.sessions.len() as u64);
        index
    }

    fn add_path(&mut self, now: Time, peer: SocketAddr) -> u32 {
        let config = &self.config;
        let layout = config.layout(config.mtu);
        let departed = self.departed.remove(&peer);
        let first = departed.map_or(0, |departed| departed.next_group);
        let mut path = Path::new(peer, layout, self.code.clone(), config, first);
        if departed.is_some_and(|departed| now.since(departed.at) < QUARANTINE) {
            path.quarantine(now);
        }
        let index = self.paths.insert(path) as u32;
        self.by_addr.insert(peer, index);
        index
    }

    fn end(&mut self, now: Time, index: u32, error: SessionError) {
        let entry = self.sessions.remove(index as usize);
        let key = SessionKey {
            index,
            generation: entry.generation,
        };
        let path = &mut self.paths[entry.path as usize];
        let stats = entry.session.stats(path);
        self.stats.sessions.add(entry.session.counters());
        let peer = path.addr;
        self.by_conv.remove(&(entry.path, entry.session.conv()));
        path.sessions.retain(|&other| other != index);
        if path.sessions.is_empty() {
            let path = self.paths.remove(entry.path as usize);
            self.stats.sessions.add(&path.counters());
            self.by_addr.remove(&peer);
            let departed = Departed {
                at: now,
                next_group: path.next_group(),
            };
            self.departed.insert(peer, departed);
        }
        if let Some(count) = self.per_ip.get_mut(&peer.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&peer.ip());
            }
        }
        if entry.accepted {
            self.backlog -= 1;
        }
        let conv = entry.session.conv();
        if self
            .tombstones
            .insert((peer, conv), now + TOMBSTONE)
            .is_none()
        {
            self.tombstone_order.push_back((peer, conv));
        }
        self.deadlines.set(index, None);
        self.ended.push_back((key, error, Box::new(stats)));
    }

    fn find(&self, peer: SocketAddr, conv: u32) -> Option<u32> {
        let path = *self.by_addr.get(&peer)?;
        match self.paths[path as usize].sessions[..] {
            // The only one, as with every kcp-go peer.
            [index] => {
                let conv_fits = self.sessions[index as usize].session.conv() == conv;
                conv_fits.then_some(index)
            }
            _ => self.by_conv.get(&(path, conv)).copied(),
        }
    }

    fn key(&self, index: u32) -> SessionKey {
        SessionKey {
            index,
            generation: self.sessions[index as usize].generation,
        }
    }

    fn entry(&self, key: SessionKey) -> Option<&Entry> {
        self.sessions
            .get(key.index())
            .filter(|entry| entry.generation == key.generation)
    }

    fn entry_mut(&mut self, key: SessionKey) -> Option<&mut Entry> {
        self.sessions
            .get_mut(key.index())
            .filter(|entry| entry.generation == key.generation)
    }
}

/// The `index`th 64-bit word of `seed`.
fn word(seed: &[u8; 32], index: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&seed[8 * index..8 * index + 8]);
    u64::from_le_bytes(bytes)
}
