//! Every session of one socket: routing and admission (in `receive`), fairness, deadlines, and what applications ask of
//! them (in `sessions`).
//!
//! Owns the sessions by value. Received datagrams, written chunks and the time go in; packets, chunks and news for the
//! handles come out. Reads no clock and touches no socket.

mod receive;
mod sessions;

pub use sessions::Change;

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use ahash::RandomState;
use slab::Slab;

use self::receive::Arrival;
use super::Time;
use super::batch::PacketBatch;
use super::chunk::Pool;
use super::crypto::Nonces;
use super::deadlines::Deadlines;
use super::fec::Code;
use super::meters::Meters;
use super::path::{Path, QUARANTINE};
use super::session::Session;
use crate::config::Config;
use crate::error::SessionError;
use crate::stats::{EndpointStats, SessionStats};

/// A closed conversation is remembered this long: late packets of it must not begin it anew.
const TOMBSTONE: Duration = Duration::from_secs(10);

/// Sessions that are looked at together before there is work for each: what the second-level cache holds easily.
pub(crate) const FETCHED: usize = 64;

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
    packets: Vec<Arrival>,
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
            packets: Vec::new(),
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
        for group in due.chunks(FETCHED) {
            self.fetch_sessions(group);
            for &index in group {
                let entry = &mut self.sessions[index as usize];
                let path = &mut self.paths[entry.path as usize];
                match entry.session.handle_timeout(now, path) {
                    Ok(()) => self.file(now, index),
                    Err(error) => self.end(now, index, error),
                }
            }
        }
        due.clear();
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
            } else {
                entry.noticed = false;
                self.noticed.pop_front();
                continue;
            };
            return Some(event);
        }
        None
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
        entry.session.measure();
        if !entry.noticed && entry.session.has_notices() {
            entry.noticed = true;
            self.noticed.push_back(index);
        }
        // What is due already and waits for its turn to send is not due over and over meanwhile: it is filed again then.
        let waits = |at: &Time| !entry.ready || *at > now;
        let deadline = entry.session.poll_timeout().filter(waits);
        self.deadlines.set(index, deadline);
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
        entry.session.measure();
        let meters = Meters {
            session: Arc::clone(entry.session.meters()),
            path: Arc::clone(path.meters()),
        };
        let stats = meters.read();
        self.stats.sessions.add(&meters.session.read());
        let peer = path.addr;
        self.by_conv.remove(&(entry.path, entry.session.conv()));
        path.sessions.retain(|&other| other != index);
        if path.sessions.is_empty() {
            let path = self.paths.remove(entry.path as usize);
            self.stats.sessions.add(&path.meters().read());
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
        self.find_on(*self.by_addr.get(&peer)?, conv)
    }

    fn find_on(&self, path: u32, conv: u32) -> Option<u32> {
        match self.paths[path as usize].sessions[..] {
            // The only one, as with every kcp-go peer.
            [index] => {
                let conv_fits = self.sessions[index as usize].session.conv() == conv;
                conv_fits.then_some(index)
            }
            _ => self.by_conv.get(&(path, conv)).copied(),
        }
    }

    /// Whether this is the session that [`find`](Self::find) would find.
    fn is(&self, index: u32, peer: SocketAddr, conv: u32) -> bool {
        self.sessions.get(index as usize).is_some_and(|entry| {
            entry.session.conv() == conv && self.paths[entry.path as usize].addr == peer
        })
    }

    fn meters_of(&self, entry: &Entry) -> Meters {
        Meters {
            session: Arc::clone(entry.session.meters()),
            path: Arc::clone(self.paths[entry.path as usize].meters()),
        }
    }

    /// See [`Session::fetch`].
    fn fetch_sessions(&self, indices: &[u32]) {
        if indices.len() < 2 {
            return;
        }
        let sessions = || {
            let entries = indices
                .iter()
                .map(|&index| self.sessions.get(index as usize));
            entries.flatten().map(|entry| &entry.session)
        };
        // Nobody wants to know the sums, but they are how one looks at memory.
        core::hint::black_box(sessions().map(Session::fetch).fold(0, u64::wrapping_add));
        core::hint::black_box(
            sessions()
                .map(Session::fetch_behind)
                .fold(0, u64::wrapping_add),
        );
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

#[cfg(test)]
mod tests;
