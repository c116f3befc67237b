//! A hub with what a driver does for it, in simulated time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kcp_transport::Config;
use kcp_transport::proto::{Chunk, Event, Hub, PacketBatch, SessionKey, Time};

/// Turns at one point in time after which a hub that still has something to do counts as spinning.
const MAX_TURNS: usize = 1_000;

/// Room that one packet may take beyond a window.
const PACKET: u64 = 1_500;

/// What no peer may make a session exceed, in segments.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) sessions: usize,
    pub(crate) send_window: u64,
    pub(crate) receive_window: u64,
}

pub(crate) struct Endpoint {
    pub(crate) hub: Hub,
    pub(crate) now: Time,
    pub(crate) sessions: Vec<SessionKey>,
    batch: PacketBatch,
    limits: Limits,
}

impl Endpoint {
    pub(crate) fn new(config: Config, limits: Limits) -> Self {
        Self {
            hub: Hub::new(Arc::new(config), true, [7; 32]),
            now: Time::from_millis(1),
            sessions: Vec::new(),
            batch: PacketBatch::new(64),
            limits,
        }
    }

    pub(crate) fn connect(&mut self, peer: SocketAddr, conv: u32) {
        if self.hub.len() < self.limits.sessions {
            self.sessions.extend(self.hub.connect(self.now, peer, conv));
        }
    }

    /// Lets `time` pass, but no more than until the next deadline, and does what is due.
    pub(crate) fn pass(&mut self, time: Duration, send: impl FnMut(SocketAddr, &[u8])) {
        let until = self.now + time;
        self.now = self
            .hub
            .poll_timeout()
            .map_or(until, |next| next.min(until))
            .max(self.now);
        self.settle(send);
    }

    /// Takes turns until nothing is left to do at this point in time.
    pub(crate) fn settle(&mut self, mut send: impl FnMut(SocketAddr, &[u8])) {
        for _ in 0..MAX_TURNS {
            self.hub.handle_timeout(self.now);
            self.notice();
            let more = self.transmit(&mut send);
            if !more && self.hub.poll_timeout().is_none_or(|next| next > self.now) {
                return self.check();
            }
        }
        panic!("the hub spins");
    }

    /// Reads and consumes what a session has received.
    pub(crate) fn read(&mut self, key: SessionKey, mut take: impl FnMut(&[u8])) {
        while let Some(chunk) = self.hub.read(key) {
            take(chunk.bytes());
            self.hub.handle_consumed(self.now, key, chunk.len(), 1);
            self.hub.recycle(chunk);
        }
        while self.hub.read_oob(key).is_some() {}
    }

    pub(crate) fn write(&mut self, key: SessionKey, bytes: &[u8]) {
        let mut chunk = Chunk::for_len(bytes.len());
        chunk.extend(bytes);
        self.hub.write(self.now, key, chunk);
    }

    fn notice(&mut self) {
        while let Some(event) = self.hub.poll_event() {
            if let Event::Accepted(key) = event {
                self.hub.handle_accepted(key);
                self.sessions.push(key);
            } else if let Event::Ended(key, ..) = event {
                self.sessions.retain(|&other| other != key);
            }
        }
    }

    fn transmit(&mut self, send: &mut impl FnMut(SocketAddr, &[u8])) -> bool {
        self.batch.clear();
        let more = self.hub.poll_transmit(self.now, &mut self.batch);
        for run in self.batch.transmits() {
            for packet in run.contents.chunks(run.segment_size) {
                assert!(packet.len() <= 1_500);
                send(run.destination, packet);
            }
        }
        more
    }

    fn check(&self) {
        assert!(self.hub.len() <= self.limits.sessions);
        for &key in &self.sessions {
            let stats = self.hub.session_stats(key).expect("no news of its end");
            assert!(stats.in_flight <= self.limits.send_window);
            assert!(stats.out_of_order <= self.limits.receive_window);
            assert!(stats.unread <= (self.limits.receive_window + 1) * PACKET);
        }
    }
}
