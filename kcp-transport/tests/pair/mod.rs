//! Two hubs joined by a link in memory, and driven as the driver task drives one, in simulated time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kcp_transport::Config;
use kcp_transport::proto::{Chunk, Event, Hub, PacketBatch, SessionKey, Time};

/// Time that one round takes.
const ROUND: Duration = Duration::from_micros(100);

/// Bytes of one bulk write.
const WRITE: usize = 64 * 1024;

/// Runs of packets that arrive between two looks at the other side.
const SCRATCH: usize = 64 * 1024;

/// Two hubs with a session between them.
pub(crate) struct Pair {
    now: Time,
    sides: [Side; 2],
    loss: Loss,
}

struct Side {
    hub: Hub,
    key: Option<SessionKey>,
    batch: PacketBatch,
    scratch: Vec<u8>,
    /// Bytes still to be written.
    unwritten: usize,
    received: usize,
}

/// Loses packets as often as it was told, the same ones every time.
struct Loss {
    percent: u64,
    state: u64,
}

impl Pair {
    /// A pair whose link loses `percent` of all packets.
    pub(crate) fn new(config: Config, percent: u64) -> Self {
        let config = Arc::new(config);
        let side = |index: u8| Side {
            hub: Hub::new(Arc::clone(&config), index == 1, [index; 32]),
            key: None,
            batch: PacketBatch::new(64),
            scratch: vec![0; SCRATCH],
            unwritten: 0,
            received: 0,
        };
        let mut sides = [side(0), side(1)];
        sides[0].key = sides[0].hub.connect(Time::ZERO, address(1), 1);
        Self {
            now: Time::ZERO,
            sides,
            loss: Loss { percent, state: 1 },
        }
    }

    /// Moves `bytes` from the first side to the second, and `back` the other way at the same time.
    pub(crate) fn transfer(&mut self, bytes: usize, back: usize) {
        let expected = [back, bytes].map(|len| len);
        for (side, len) in self.sides.iter_mut().zip([bytes, back]) {
            side.unwritten = len;
            side.received = 0;
        }
        while self
            .sides
            .iter()
            .zip(expected)
            .any(|(side, len)| side.received < len)
        {
            self.round();
        }
    }

    /// Sends `count` messages of `len` bytes, each when the one before was answered by another of that length.
    pub(crate) fn exchange(&mut self, count: usize, len: usize) {
        for _ in 0..count {
            self.transfer(len, 0);
            self.transfer(0, len);
        }
    }

    fn round(&mut self) {
        for from in [0, 1] {
            let [first, second] = &mut self.sides;
            let (side, other) = if from == 0 {
                (first, second)
            } else {
                (second, first)
            };
            side.turn(self.now);
            side.send(self.now, from, other, &mut self.loss);
        }
        self.now = self.now + ROUND;
    }
}

impl Side {
    fn turn(&mut self, now: Time) {
        self.hub.handle_timeout(now);
        while let Some(event) = self.hub.poll_event() {
            if let Event::Accepted(key) = event {
                self.hub.handle_accepted(key);
                self.key = Some(key);
            }
        }
        let Some(key) = self.key else { return };
        while let Some(chunk) = self.hub.read(key) {
            self.received += chunk.len();
            self.hub.handle_consumed(now, key, chunk.len(), 1);
            self.hub.recycle(chunk);
        }
        while self.unwritten > 0 && self.hub.is_writable(key) {
            let len = self.unwritten.min(WRITE);
            let mut chunk = self
                .hub
                .spare_chunk(len)
                .unwrap_or_else(|| Chunk::for_len(len));
            chunk.push(&self.scratch[..len]);
            self.hub.write(now, key, chunk);
            self.unwritten -= len;
        }
    }

    fn send(&mut self, now: Time, from: u16, to: &mut Self, loss: &mut Loss) {
        loop {
            self.batch.clear();
            let more = self.hub.poll_transmit(now, &mut self.batch);
            for run in self.batch.transmits() {
                let mut len = 0;
                for packet in run.contents.chunks(run.segment_size) {
                    if !loss.strikes() {
                        to.scratch[len..len + packet.len()].copy_from_slice(packet);
                        len += packet.len();
                    }
                }
                let datagrams = &mut to.scratch[..len];
                to.hub
                    .handle_datagrams(now, address(from), datagrams, run.segment_size);
            }
            if !more {
                return;
            }
        }
    }
}

impl Loss {
    fn strikes(&mut self) -> bool {
        // Source of the constants: Knuth, MMIX.
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) % 100 < self.percent
    }
}

fn address(side: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1 + side))
}
