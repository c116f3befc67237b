//! Protocol cores and models of kcp-go joined by links, in virtual time.

mod questions;

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use interop::reference;
use kcp_transport::Config;
use kcp_transport::proto::{Change, Chunk, Event, Hub, SessionKey, Time};
use netlab::link::LinkConfig;

use crate::host::{Host, Machine};
use crate::lanes::Lanes;
use crate::program::Program;
use crate::{Pattern, Seed};

/// Timers of the real driver fire with this precision, late rather than early. Source: tokio.
const TIMER_TICK: Duration = Duration::from_millis(1);

/// Turns at one point in time after which nothing new can come of it.
const MAX_TURNS: usize = 10_000;

/// A socket in the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct HostId(usize);

/// One end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct End(usize);

/// A network of hosts and links. Time passes only in `run_*`.
///
/// Programs at the ends of sessions read at once what arrives, unless [paused](Self::pause), and write what they are
/// given as soon as it is taken. The same seed and the same calls give the same run.
pub struct Sim {
    seed: Seed,
    now: Time,
    hosts: Vec<Host>,
    by_addr: HashMap<SocketAddr, usize>,
    lanes: Lanes,
    ends: Vec<Program>,
    end_of: HashMap<(usize, SessionKey), usize>,
    accepted: VecDeque<(usize, End)>,
    accepted_by_models: Vec<usize>,
    /// Something changed at this point in time that the hosts have not dealt with.
    unsettled: bool,
    timers_fired: u64,
}

impl Drop for Sim {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.seed.announce();
        }
    }
}

impl Sim {
    /// A network without hosts; `link` is what joins any two of them, in either direction.
    pub fn new(seed: Seed, link: LinkConfig) -> Self {
        Self {
            seed,
            now: Time::ZERO,
            hosts: Vec::new(),
            by_addr: HashMap::new(),
            lanes: Lanes::new(seed, link),
            ends: Vec::new(),
            end_of: HashMap::new(),
            accepted: VecDeque::new(),
            accepted_by_models: Vec::new(),
            unsettled: false,
            timers_fired: 0,
        }
    }

    /// A host with an address of its own whose sessions behave as `config` says.
    pub fn host(&mut self, config: Config) -> HostId {
        let number = self.hosts.len() as u8 + 1;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
        self.host_at(SocketAddr::new(ip, 4_000), config)
    }

    /// As [`host`](Self::host), at an address of the caller's choice.
    ///
    /// # Panics
    /// If the address is taken.
    pub fn host_at(&mut self, addr: SocketAddr, config: Config) -> HostId {
        let mut random = self.seed.stream(0x0005_5000 + self.hosts.len() as u64);
        let mut secret = [0; 32];
        secret.copy_from_slice(&random.bytes(32));
        let hub = Hub::new(Arc::new(config), true, secret);
        self.add(addr, Machine::hub(hub))
    }

    /// A kcp-go program with one session and no cipher, which it dials or accepts.
    pub fn model(&mut self, config: reference::Config) -> HostId {
        let number = self.hosts.len() as u8 + 1;
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, number));
        self.add(SocketAddr::new(ip, 4_000), Machine::model(config))
    }

    /// Opens a session, without telling the peer.
    ///
    /// # Panics
    /// If `from` has a session of that number with `to`.
    pub fn connect_conv(&mut self, from: HostId, to: HostId, conv: u32) -> End {
        let peer = self.hosts[to.0].addr;
        self.unsettled = true;
        match &mut self.hosts[from.0].machine {
            Machine::Hub(hub, _) => {
                let key = hub
                    .connect(self.now, peer, conv)
                    .expect("the conversation is new");
                self.add_end(from.0, Some(key))
            }
            Machine::Model(model) => {
                model.dial(self.now, peer, conv);
                self.add_end(from.0, None)
            }
        }
    }

    /// Opens a session with a number drawn from the seed.
    pub fn connect(&mut self, from: HostId, to: HostId) -> End {
        let conv = self.seed.stream(self.ends.len() as u64).next_word() as u32;
        self.connect_conv(from, to, conv)
    }

    /// Both ends of one session between two new hosts, each as if it had dialled the other.
    pub fn pair(&mut self, first: Config, second: Config) -> (End, End) {
        let (first, second) = (self.host(first), self.host(second));
        let conv = self.seed.stream(self.ends.len() as u64).next_word() as u32;
        (
            self.connect_conv(first, second, conv),
            self.connect_conv(second, first, conv),
        )
    }

    /// The next session that a peer opened at `host`.
    pub fn accept(&mut self, host: HostId) -> Option<End> {
        let place = self.accepted.iter().position(|&(at, _)| at == host.0)?;
        let (_, end) = self.accepted.remove(place)?;
        if let (Machine::Hub(hub, _), Some(key)) =
            (&mut self.hosts[host.0].machine, self.ends[end.0].key)
        {
            hub.handle_accepted(key);
        }
        Some(end)
    }

    /// Writes: at once as far as the session has room, the rest when it has.
    pub fn write(&mut self, end: End, bytes: &[u8]) {
        self.ends[end.0].outgoing.push_back(bytes.to_vec());
        self.feed(end.0);
        self.unsettled = true;
    }

    /// Writes `bytes` bytes of a pattern at `from`, which `to` compares with what it reads.
    pub fn transfer(&mut self, from: End, to: End, bytes: u64) {
        let pattern = Pattern::new(from.0 as u64);
        self.ends[to.0].expected = Some(pattern.clone());
        self.ends[from.0].transfer = Some((pattern, bytes));
        self.feed(from.0);
        self.unsettled = true;
    }

    /// The program stops reading.
    pub fn pause(&mut self, end: End) {
        self.ends[end.0].reading = false;
    }

    /// The program reads again whatever arrives.
    pub fn resume(&mut self, end: End) {
        self.ends[end.0].reading = true;
        self.read_some(end, usize::MAX);
    }

    /// A paused program reads one piece after the other until it has `bytes` bytes, or all that is there. Returns
    /// how many it read.
    pub fn read_some(&mut self, end: End, bytes: usize) -> usize {
        let mut read = 0;
        while read < bytes {
            let Some(len) = self.read_piece(end.0) else {
                break;
            };
            read += len;
        }
        self.unsettled |= read > 0;
        read
    }

    /// Takes the bytes read so far, unless they belong to a [transfer](Self::transfer).
    pub fn take(&mut self, end: End) -> Vec<u8> {
        self.take_messages(end).concat()
    }

    /// Takes the messages read so far.
    pub fn take_messages(&mut self, end: End) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.ends[end.0].inbox)
    }

    /// Takes the out-of-band messages read so far.
    pub fn take_oob(&mut self, end: End) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.ends[end.0].oob)
    }

    /// Calls what the simulation has no word for: the hub of this end, the time, and the session's key.
    ///
    /// # Panics
    /// For a model.
    pub fn with_hub<R>(&mut self, end: End, f: impl FnOnce(&mut Hub, Time, SessionKey) -> R) -> R {
        let state = &self.ends[end.0];
        self.unsettled = true;
        match (&mut self.hosts[state.host].machine, state.key) {
            (Machine::Hub(hub, _), Some(key)) => f(hub, self.now, key),
            (Machine::Hub(..) | Machine::Model(_), _) => panic!("a model has no hub"),
        }
    }

    /// Changes a live session.
    pub fn change(&mut self, end: End, change: Change) {
        self.with_hub(end, |hub, now, key| hub.change(now, key, change));
    }

    /// The program gives up the session: what was written is still sent.
    pub fn close(&mut self, end: End) {
        self.with_hub(end, |hub, now, key| hub.close(now, key));
    }

    /// A datagram from `from` arrives at a host of ours now, whatever the links say.
    pub fn inject(&mut self, host: HostId, from: SocketAddr, datagram: &mut [u8]) {
        self.unsettled = true;
        self.hosts[host.0]
            .machine
            .handle_datagram(self.now, from, datagram);
    }

    /// Changes the link of one direction.
    pub fn set_link(&mut self, from: HostId, to: HostId, config: LinkConfig) {
        self.lanes.set(self.elapsed(), from.0, to.0, config);
    }

    /// Changes every link.
    pub fn set_links(&mut self, config: LinkConfig) {
        self.lanes.set_all(self.elapsed(), config);
    }

    /// Nothing passes any link, or all do again.
    pub fn set_blackout(&mut self, blackout: bool) {
        self.lanes.set_blackout(self.elapsed(), blackout);
    }

    /// Lets `time` pass.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done` says so after something happened, but no longer than `limit`. Returns whether it
    /// said so.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let end = self.now + limit;
        loop {
            self.settle();
            if done(self) {
                self.settle();
                return true;
            }
            if self.unsettled {
                continue;
            }
            match self.next_event() {
                Some(next) if next <= end => {
                    assert!(next > self.now, "a timer that is due is never dealt with");
                    self.now = next;
                }
                Some(_) | None => {
                    self.now = end;
                    self.settle();
                    return done(self);
                }
            }
        }
    }

    /// Lets time pass until all transfers and writes have arrived and are acknowledged, but no longer than `limit`.
    /// Returns the time that took, or `None` if it was not enough.
    pub fn run_until_done(&mut self, limit: Duration) -> Option<Duration> {
        let start = self.now;
        self.run_until(limit, |sim| sim.is_done())
            .then(|| self.now.since(start))
    }

    fn add(&mut self, addr: SocketAddr, machine: Machine) -> HostId {
        let index = self.hosts.len();
        let previous = self.by_addr.insert(addr, index);
        assert!(previous.is_none(), "{addr} is taken");
        self.hosts.push(Host { addr, machine });
        HostId(index)
    }

    fn add_end(&mut self, host: usize, key: Option<SessionKey>) -> End {
        let index = self.ends.len();
        if let Some(key) = key {
            self.end_of.insert((host, key), index);
        }
        self.ends.push(Program::new(host, key));
        End(index)
    }

    fn elapsed(&self) -> Duration {
        self.now.since(Time::ZERO)
    }

    /// Lets everything happen that happens now.
    fn settle(&mut self) {
        for _ in 0..MAX_TURNS {
            self.unsettled = false;
            let mut anything = self.deliver();
            for host in 0..self.hosts.len() {
                anything |= self.turn(host);
            }
            if !anything && !self.unsettled {
                return;
            }
        }
        panic!("at {:?} there is no end to what happens", self.now);
    }

    fn next_event(&self) -> Option<Time> {
        let arrival = self.lanes.next_delivery().map(|at| Time::ZERO + at);
        let timers = self.hosts.iter().filter_map(|host| match &host.machine {
            Machine::Hub(hub, _) => hub.poll_timeout().map(|at| {
                // A timer that is due now must be told from one that fires within the tick.
                if at <= self.now { at } else { next_tick(at) }
            }),
            Machine::Model(model) => model
                .session()
                .map(|session| Time::from_millis(session.poll_timeout())),
        });
        arrival.into_iter().chain(timers).min()
    }

    fn deliver(&mut self) -> bool {
        let now = self.elapsed();
        let Self {
            lanes,
            hosts,
            accepted_by_models,
            ..
        } = self;
        let anything = lanes.deliver(now, |from, to, datagram| {
            let addr = hosts[from].addr;
            if hosts[to]
                .machine
                .handle_datagram(Time::ZERO + now, addr, datagram)
            {
                accepted_by_models.push(to);
            }
        });
        while let Some(host) = self.accepted_by_models.pop() {
            let end = self.add_end(host, None);
            self.accepted.push_back((host, end));
        }
        anything
    }

    /// One turn of a host, as its driver would do it. Returns whether anything happened.
    fn turn(&mut self, host: usize) -> bool {
        match &mut self.hosts[host].machine {
            Machine::Hub(hub, _) => {
                self.timers_fired += u64::from(hub.poll_timeout().is_some_and(|at| at <= self.now));
                hub.handle_timeout(self.now);
                self.hear(host) | self.transmit(host)
            }
            Machine::Model(model) => {
                if let Some(session) = model.session_mut() {
                    session.handle_timeout(self.now.as_millis());
                }
                self.serve_model(host) | self.transmit(host)
            }
        }
    }

    /// Takes the news of a hub's sessions.
    fn hear(&mut self, host: usize) -> bool {
        let mut anything = false;
        while let Machine::Hub(hub, _) = &mut self.hosts[host].machine
            && let Some(event) = hub.poll_event()
        {
            anything = true;
            let end = |key| self.end_of.get(&(host, key)).copied();
            match event {
                Event::Accepted(key) => {
                    let end = self.add_end(host, Some(key));
                    self.accepted.push_back((host, end));
                }
                Event::Readable(key) => {
                    if let Some(end) = end(key).filter(|&end| self.ends[end].reading) {
                        while self.read_piece(end).is_some() {}
                    }
                }
                Event::Writable(key) => {
                    if let Some(end) = end(key) {
                        self.feed(end);
                    }
                }
                Event::Answered(key) => {
                    if let Some(end) = end(key) {
                        self.ends[end].answered = true;
                    }
                }
                Event::Drained(key) => {
                    if let Some(end) = end(key) {
                        self.ends[end].drained = true;
                    }
                }
                Event::Ended(key, error, stats) => {
                    if let Some(end) = end(key) {
                        self.ends[end].ended = Some((error, stats));
                    }
                }
                _ => {}
            }
        }
        anything
    }

    /// The program at a model reads and writes.
    fn serve_model(&mut self, host: usize) -> bool {
        let Some(end) = self
            .ends
            .iter()
            .position(|end| end.host == host && end.key.is_none())
        else {
            return false;
        };
        let mut anything = self.feed(end);
        if self.ends[end].reading {
            while self.read_piece(end).is_some() {
                anything = true;
            }
        }
        anything
    }

    /// Reads one piece; returns its length.
    fn read_piece(&mut self, end: usize) -> Option<usize> {
        let state = &mut self.ends[end];
        let now = self.now;
        match (&mut self.hosts[state.host].machine, state.key) {
            (Machine::Hub(hub, _), Some(key)) => {
                while let Some(message) = hub.read_oob(key) {
                    state.oob.push(message);
                }
                let chunk = hub.read(key)?;
                let len = chunk.len();
                state.take_in(chunk.bytes());
                hub.handle_consumed(now, key, len, 1);
                hub.recycle(chunk);
                Some(len)
            }
            (Machine::Model(model), _) => {
                let session = model.session_mut()?;
                while let Some(message) = session.read_oob() {
                    state.oob.push(message);
                }
                let message = session.read()?;
                state.take_in(&message);
                Some(message.len())
            }
            (Machine::Hub(..), None) => None,
        }
    }

    /// Writes as much as the session takes. Returns whether that was anything.
    fn feed(&mut self, end: usize) -> bool {
        let state = &mut self.ends[end];
        let now = self.now;
        let mut anything = false;
        match (&mut self.hosts[state.host].machine, state.key) {
            (Machine::Hub(hub, _), Some(key)) => {
                while hub.is_writable(key) {
                    let Some(bytes) = state.next_write() else {
                        break;
                    };
                    anything = true;
                    let mut chunk = hub
                        .spare_chunk(bytes.len())
                        .unwrap_or_else(|| Chunk::for_len(bytes.len()));
                    chunk.extend(&bytes);
                    hub.write(now, key, chunk);
                }
            }
            (Machine::Model(model), _) => {
                while let Some(session) = model.session_mut()
                    && session.is_writable()
                    && let Some(bytes) = state.next_write()
                {
                    anything |= session.write(now.as_millis(), &bytes);
                }
            }
            (Machine::Hub(..), None) => {}
        }
        self.unsettled |= anything;
        anything
    }

    /// Puts what a host wants to send onto its links. Returns whether that was anything.
    fn transmit(&mut self, host: usize) -> bool {
        let now = self.elapsed();
        let Self {
            hosts,
            lanes,
            by_addr,
            ..
        } = self;
        let mut anything = false;
        hosts[host]
            .machine
            .transmit(Time::ZERO + now, |destination, datagram| {
                anything = true;
                if let Some(&to) = by_addr.get(&destination) {
                    lanes.send(now, host, to, datagram);
                }
            });
        anything
    }
}

/// When a timer set to `at` fires.
fn next_tick(at: Time) -> Time {
    let tick = TIMER_TICK.as_nanos() as u64;
    Time::from_nanos(at.as_nanos().next_multiple_of(tick))
}
