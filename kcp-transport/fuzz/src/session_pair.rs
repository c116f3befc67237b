//! Two hubs with a link between them that loses, repeats, reorders and damages datagrams as the input says.
//!
//! What was written arrives, whole and in order, unless somebody changed a datagram unnoticed or the path was dead for
//! so long that a session gave up.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

use kcp_transport::proto::{Change, SessionKey, Time};
use kcp_transport::{Cipher, Config, CongestionControl, Fec, Mtu, Redundancy, Window};

use super::endpoint::{Endpoint, Limits};
use super::steering::Steering;

/// Steps of one input.
const MAX_STEPS: usize = 1_000;

/// Bytes of one write at most.
const MAX_WRITE: u16 = 16 * 1024;

/// Bytes that one side writes at most.
const MAX_WRITTEN: usize = 128 * 1024;

/// Longest message. It must fit into the receive window of the smallest packets, or it never becomes whole.
const MAX_MESSAGE: usize = 2_000;

/// Once the link is whole, everything must arrive within this time.
const PATIENCE: Duration = Duration::from_secs(600);

static CIPHERS: LazyLock<[Cipher; 5]> = LazyLock::new(|| {
    [
        Cipher::null(),
        Cipher::aes_128_gcm(&[1; 16]),
        Cipher::aes_128(&[1; 16]),
        Cipher::salsa20(&[1; 32]),
        Cipher::none(),
    ]
});

/// One side: a hub, what it has written and read, and its datagrams that have not arrived.
struct Side {
    endpoint: Endpoint,
    key: Option<SessionKey>,
    written: usize,
    read: usize,
    /// Lengths of the writes of the other side that were not read yet.
    unread_messages: VecDeque<usize>,
    wire: VecDeque<Vec<u8>>,
}

struct Pair {
    sides: [Side; 2],
    messages: bool,
    /// Changes to datagrams are noticed.
    checked: bool,
    /// Some datagram was changed unnoticed.
    tainted: bool,
}

/// Does what `input` says.
pub fn run(input: &[u8]) {
    let mut steering = Steering::new(input);
    let mut pair = Pair::new(&mut steering);
    for _ in 0..MAX_STEPS {
        if steering.is_empty() {
            break;
        }
        pair.step(&mut steering);
    }
    pair.finish();
}

impl Pair {
    fn new(steering: &mut Steering<'_>) -> Self {
        let cipher = &CIPHERS[usize::from(steering.byte()) % CIPHERS.len()];
        let messages = steering.coin();
        let mut client = side(configure(cipher, messages, steering));
        let server = side(configure(cipher, messages, steering));
        client.endpoint.connect(address(1), 1);
        client.key = client.endpoint.sessions.first().copied();
        Self {
            sides: [client, server],
            messages,
            checked: !matches!(cipher.name(), "null"),
            tainted: false,
        }
    }

    fn step(&mut self, steering: &mut Steering<'_>) {
        let operation = steering.byte();
        let from = usize::from(operation >> 7);
        let argument = usize::from(operation >> 4 & 7);
        let wire = &mut self.sides[from].wire;
        match operation % 16 {
            0 => self.write(from, 1 + argument),
            1 => self.write(from, 1 + usize::from(steering.short() % MAX_WRITE)),
            2 => self.read(from),
            3 | 4 => (0..=argument).for_each(|_| self.carry(from)),
            5 => {
                wire.drain(..wire.len().min(1 + argument));
            }
            6 => {
                if let Some(datagram) = wire.get(argument).cloned() {
                    wire.push_back(datagram);
                }
            }
            7 => wire.rotate_left(argument.min(wire.len())),
            8 => {
                if let Some(datagram) = wire.get_mut(argument) {
                    let at = usize::from(steering.short()) % datagram.len();
                    datagram[at] ^= steering.byte();
                    self.tainted |= !self.checked;
                }
            }
            9 => {
                if let Some(datagram) = wire.get_mut(argument) {
                    datagram.truncate(1 + usize::from(steering.short()));
                    self.tainted |= !self.checked;
                }
            }
            10 => self.pass(Duration::from_millis(1 << argument)),
            11 => self.pass(Duration::from_micros(steering.short().into())),
            12 => self.change(from, steering),
            13 => self.control(from, argument),
            14 => {
                let message = steering.take(argument).to_vec();
                let side = &mut self.sides[from];
                if let Some(key) = side.key {
                    // Refused without FEC.
                    let _ = side.endpoint.hub.send_oob(side.endpoint.now, key, message);
                }
            }
            _ => self.sides[from].settle(1 - from),
        }
    }

    /// Carries everything to its end over a link that loses nothing.
    fn finish(&mut self) {
        let end = self.now() + PATIENCE;
        while !self.is_done() {
            assert!(self.now() < end, "something is stuck");
            for from in [0, 1] {
                while !self.sides[from].wire.is_empty() {
                    self.carry(from);
                }
                self.read(from);
                self.sides[from].settle(1 - from);
            }
            if self.sides.iter().all(|side| side.wire.is_empty()) {
                self.tick(end);
            }
        }
    }

    /// Everything written was read, or cannot be any more.
    fn is_done(&self) -> bool {
        let ended = self.sides.iter().any(Side::has_ended);
        let arrived = |from: usize| self.sides[1 - from].read == self.sides[from].written;
        self.tainted || ended || (arrived(0) && arrived(1))
    }

    fn write(&mut self, from: usize, len: usize) {
        let side = &mut self.sides[from];
        let Some(key) = side.key else { return };
        let hub = &side.endpoint.hub;
        let room = MAX_WRITTEN - side.written;
        let len = if self.messages {
            len.min(hub.max_message(key)).min(MAX_MESSAGE)
        } else {
            len
        };
        if len > room || !hub.is_writable(key) {
            return;
        }
        let bytes: Vec<u8> = (side.written..side.written + len)
            .map(|at| pattern(from, at))
            .collect();
        side.endpoint.write(key, &bytes);
        side.written += len;
        self.sides[1 - from].unread_messages.push_back(len);
    }

    fn read(&mut self, from: usize) {
        let (messages, tainted) = (self.messages, self.tainted);
        let Side {
            endpoint,
            key,
            read,
            unread_messages,
            ..
        } = &mut self.sides[from];
        let Some(key) = *key else { return };
        endpoint.read(key, |bytes| {
            if !tainted {
                assert!(
                    (*read..)
                        .zip(bytes)
                        .all(|(at, &byte)| byte == pattern(1 - from, at))
                );
                assert!(!messages || unread_messages.pop_front() == Some(bytes.len()));
            }
            *read += bytes.len();
        });
    }

    /// Moves a datagram to the other side.
    fn carry(&mut self, from: usize) {
        let Some(mut datagram) = self.sides[from].wire.pop_front() else {
            return;
        };
        let len = datagram.len();
        let side = &mut self.sides[1 - from];
        side.endpoint
            .hub
            .handle_datagrams(side.endpoint.now, address(from), &mut datagram, len);
        side.settle(from);
    }

    /// Lets time pass on both sides.
    fn pass(&mut self, time: Duration) {
        let until = self.now() + time;
        while self.now() < until {
            self.tick(until);
        }
    }

    /// Lets time pass until something is due on either side, but not beyond `until`.
    fn tick(&mut self, until: Time) {
        let next = self
            .sides
            .iter()
            .filter_map(|side| side.endpoint.hub.poll_timeout())
            .min();
        let now = next.map_or(until, |next| next.clamp(self.now(), until));
        for (index, side) in self.sides.iter_mut().enumerate() {
            side.endpoint.now = now;
            side.settle(1 - index);
        }
    }

    fn now(&self) -> Time {
        self.sides[0].endpoint.now
    }

    fn change(&mut self, from: usize, steering: &mut Steering<'_>) {
        let change = match steering.byte() % 9 {
            0 => Change::NoDelay(
                steering.coin(),
                Duration::from_millis(10),
                steering.byte().into(),
            ),
            1 => {
                let send = window(steering);
                Change::Windows(send, receive_window(steering, self.messages))
            }
            2 => Change::Mtu(mtu(steering)),
            // Whether messages keep their boundaries is settled when a session begins.
            3 if !self.messages => Change::StreamMode(steering.coin()),
            4 => Change::WriteDelay(steering.coin()),
            5 => Change::AckNoDelay(steering.coin()),
            6 => Change::Duplicates(steering.byte() % 3),
            7 => Change::MaxBandwidth(100_000 << (steering.byte() % 16)),
            _ => Change::ParityLimit(steering.byte().into()),
        };
        let side = &mut self.sides[from];
        if let Some(key) = side.key {
            side.endpoint.hub.change(side.endpoint.now, key, change);
        }
    }

    fn control(&mut self, from: usize, argument: usize) {
        let Side { endpoint, key, .. } = &mut self.sides[from];
        let (Some(key), hub, now) = (*key, &mut endpoint.hub, endpoint.now) else {
            return;
        };
        match argument {
            0 => hub.flush(now, key),
            1 => hub.drain(now, key),
            2 => hub.ask(now, key),
            3 => hub.close(now, key),
            _ => {}
        }
    }
}

impl Side {
    fn settle(&mut self, peer: usize) {
        let wire = &mut self.wire;
        self.endpoint.settle(|to, packet| {
            assert_eq!(to, address(peer));
            wire.push_back(packet.to_vec());
        });
        if self.key.is_none() {
            self.key = self.endpoint.sessions.first().copied();
        }
    }

    fn has_ended(&self) -> bool {
        self.key
            .is_some_and(|key| !self.endpoint.sessions.contains(&key))
    }
}

fn side(config: Config) -> Side {
    let limits = Limits {
        sessions: 1,
        send_window: 65_535,
        receive_window: 65_535,
    };
    Side {
        endpoint: Endpoint::new(config, limits),
        key: None,
        written: 0,
        read: 0,
        unread_messages: VecDeque::new(),
        wire: VecDeque::new(),
    }
}

fn configure(cipher: &Cipher, messages: bool, steering: &mut Steering<'_>) -> Config {
    let fec = |data, parity| Some(Fec::new(data, parity).expect("in range"));
    Config::fast3()
        .cipher(cipher.clone())
        .message_mode(messages)
        .fec(steering.pick(&[None, fec(10, 3), fec(1, 1), fec(3, 2)]))
        .mtu(mtu(steering))
        .send_window(window(steering))
        .receive_window(receive_window(steering, messages))
        .stream_mode(steering.coin())
        .write_delay(steering.coin())
        .ack_no_delay(steering.coin())
        .nodelay(steering.coin())
        .duplicates(steering.byte() % 2)
        .congestion(steering.pick(&[CongestionControl::Fixed, CongestionControl::Reno]))
        .redundancy(steering.pick(&[Redundancy::Adaptive, Redundancy::Off, Redundancy::Tail(2)]))
        .max_sessions(1)
        .idle_timeout(None)
}

fn mtu(steering: &mut Steering<'_>) -> Mtu {
    Mtu::new(steering.pick(&[1_400, 64, 200, 1_500])).expect("in range")
}

fn window(steering: &mut Steering<'_>) -> Window {
    Window::new(steering.pick(&[1_024, 1, 2, 300, 65_535])).expect("in range")
}

fn receive_window(steering: &mut Steering<'_>, messages: bool) -> Window {
    let window = window(steering);
    if messages {
        Window::new(window.get().max(1_024)).expect("in range")
    } else {
        window
    }
}

fn address(side: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1 + side as u16))
}

/// The byte that `side` writes at an offset; no part of it looks like another nearby.
fn pattern(side: usize, at: usize) -> u8 {
    let mixed = (at as u32 + 1).wrapping_mul(0x9e37_79b1) ^ (side as u32 * 0x55);
    (mixed >> 24) as u8
}
