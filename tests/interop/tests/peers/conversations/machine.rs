//! Our real stack without a socket and a clock: what a recording drives and a replay drives again.

use std::net::SocketAddr;
use std::sync::Arc;

use kcp_transport::proto::{Chunk, Event, Hub, PacketBatch, SessionKey, Time};
use kcp_transport::{Config, EndpointStats};

/// All randomness of a machine.
const SEED: [u8; 32] = [7; 32];

/// One session, and what came out of it.
pub(super) struct Machine {
    hub: Hub,
    key: Option<SessionKey>,
    peer: Option<SocketAddr>,
    batch: PacketBatch,
    /// Bytes that the peer wrote.
    pub(super) heard: Vec<u8>,
    /// Messages that the peer sent beside them.
    pub(super) heard_oob: Vec<Vec<u8>>,
}

impl Machine {
    /// Opens a session with `peer`.
    pub(super) fn dial(config: Config, peer: SocketAddr, conv: u32) -> Self {
        let mut machine = Self::listen(config);
        machine.hub.set_accepting(false);
        machine.key = machine.hub.connect(Time::ZERO, peer, conv);
        machine.peer = Some(peer);
        machine
    }

    /// Waits for a session.
    pub(super) fn listen(config: Config) -> Self {
        Self {
            hub: Hub::new(Arc::new(config), true, SEED),
            key: None,
            peer: None,
            batch: PacketBatch::new(1),
            heard: Vec::new(),
            heard_oob: Vec::new(),
        }
    }

    /// Where datagrams go.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// The session's number; 0 before there is one.
    pub(super) fn conv(&self) -> u32 {
        self.key.and_then(|key| self.hub.conv(key)).unwrap_or(0)
    }

    pub(super) fn is_open(&self) -> bool {
        self.key.is_some()
    }

    pub(super) fn stats(&self) -> EndpointStats {
        self.hub.stats()
    }

    /// Whether there is a session that takes more.
    pub(super) fn is_writable(&self) -> bool {
        self.key.is_some_and(|key| self.hub.is_writable(key))
    }

    /// When [`turn`](Self::turn) has something to do, in microseconds.
    pub(super) fn next(&self) -> Option<u64> {
        self.hub
            .poll_timeout()
            .map(|time| time.as_nanos().div_ceil(1_000))
    }

    pub(super) fn write(&mut self, at: u64, bytes: &[u8]) {
        let key = self.key.expect("there is a session");
        let chunk = Chunk::from(bytes.to_vec());
        self.hub.write(Time::from_micros(at), key, chunk);
    }

    pub(super) fn write_oob(&mut self, at: u64, message: &[u8]) {
        let key = self.key.expect("there is a session");
        let sent = self
            .hub
            .send_oob(Time::from_micros(at), key, message.to_vec());
        sent.expect("it fits");
    }

    pub(super) fn got(&mut self, at: u64, from: SocketAddr, datagram: &[u8]) {
        self.peer.get_or_insert(from);
        let mut datagram = datagram.to_vec();
        let len = datagram.len();
        self.hub
            .handle_datagrams(Time::from_micros(at), from, &mut datagram, len);
    }

    /// Does what is due, takes what came, and returns the datagrams that leave.
    pub(super) fn turn(&mut self, at: u64) -> Vec<Vec<u8>> {
        let now = Time::from_micros(at);
        self.hub.handle_timeout(now);
        while let Some(event) = self.hub.poll_event() {
            if let Event::Accepted(key) = event {
                self.hub.handle_accepted(key);
                self.key = Some(key);
            } else if let Event::Readable(key) = event {
                self.read(now, key);
            } else if let Event::Ended(_, error, _) = event {
                panic!("the session ended: {error}");
            }
        }
        let mut leaving = Vec::new();
        loop {
            let more = self.hub.poll_transmit(now, &mut self.batch);
            let packets = self
                .batch
                .transmits()
                .map(|packet| packet.contents.to_vec());
            leaving.extend(packets);
            self.batch.clear();
            if !more {
                return leaving;
            }
        }
    }

    fn read(&mut self, now: Time, key: SessionKey) {
        while let Some(chunk) = self.hub.read(key) {
            self.heard.extend_from_slice(chunk.bytes());
            self.hub.handle_consumed(now, key, chunk.len(), 0);
        }
        while let Some(message) = self.hub.read_oob(key) {
            self.heard_oob.push(message);
        }
    }
}
