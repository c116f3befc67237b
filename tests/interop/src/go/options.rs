//! What a Go peer is told on its command line.

use std::net::SocketAddr;
use std::time::Duration;

use crate::reference::Config;

/// A cipher as kcptun sets it up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cipher {
    /// Its name in kcptun: `aes`, `aes-128-gcm`, `none`, `null`, …
    pub name: String,
    /// The passphrase, from which the key is derived.
    pub passphrase: String,
}

impl Cipher {
    /// The cipher of this name with this passphrase.
    pub fn new(name: &str, passphrase: &str) -> Self {
        Self {
            name: name.into(),
            passphrase: passphrase.into(),
        }
    }
}

/// What a Go peer does with its sessions. Streams are those of [`Stream`](crate::stream::Stream).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Returns every message.
    Echo,
    /// Reads a stream, reports it, and goes on reading.
    Sink {
        /// How much of the stream.
        bytes: usize,
        /// The seed of the writer.
        seed: u64,
    },
    /// Writes a stream.
    Source {
        /// How much of the stream.
        bytes: usize,
        /// Its own seed.
        seed: u64,
        /// Bytes of a write.
        chunk: usize,
    },
    /// Writes one stream and reads another. For an echo on the other side, give one seed twice.
    Duplex {
        /// How much of either stream.
        bytes: usize,
        /// Its own seed.
        seed: u64,
        /// The seed of the other side.
        peer_seed: u64,
        /// Bytes of a write.
        chunk: usize,
    },
    /// Sends requests to an echo, one at a time.
    Sparse {
        /// How many.
        count: usize,
        /// Bytes of a request.
        chunk: usize,
        /// From a reply to the next request.
        pause: Duration,
    },
    /// A dialler sends out-of-band messages until each has come back; a listener returns them, and every other
    /// message too.
    Oob {
        /// How many.
        count: usize,
        /// Bytes of a message, at least 4.
        chunk: usize,
    },
}

impl Mode {
    fn flags(&self) -> (&'static str, Vec<String>) {
        let flag = |name: &str, value: u64| format!("-{name}={value}");
        match *self {
            Self::Echo => ("echo", Vec::new()),
            Self::Sink { bytes, seed } => (
                "sink",
                vec![flag("bytes", bytes as u64), flag("peer-seed", seed)],
            ),
            Self::Source { bytes, seed, chunk } => (
                "source",
                vec![
                    flag("bytes", bytes as u64),
                    flag("seed", seed),
                    flag("chunk", chunk as u64),
                ],
            ),
            Self::Duplex {
                bytes,
                seed,
                peer_seed,
                chunk,
            } => (
                "duplex",
                vec![
                    flag("bytes", bytes as u64),
                    flag("seed", seed),
                    flag("peer-seed", peer_seed),
                    flag("chunk", chunk as u64),
                ],
            ),
            Self::Sparse {
                count,
                chunk,
                pause,
            } => (
                "sparse",
                vec![
                    flag("count", count as u64),
                    flag("chunk", chunk as u64),
                    format!("-pause={}us", pause.as_micros()),
                ],
            ),
            Self::Oob { count, chunk } => (
                "oob",
                vec![flag("count", count as u64), flag("chunk", chunk as u64)],
            ),
        }
    }
}

/// Everything a Go peer is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerOptions {
    /// The settings of its sessions. A dialler draws a random conversation for 0, a listener takes any; the
    /// envelope follows from the cipher and `receive_oob` from the mode.
    pub session: Config,
    /// Its cipher.
    pub cipher: Cipher,
    /// Where a listener listens, or a dialler dials from; `None` for any port of the loopback interface, of IPv4 for
    /// a listener.
    pub local: Option<SocketAddr>,
    /// How many sessions a dialler opens, each from a socket of its own; only without `local`. The seeds of a
    /// further one are one more.
    pub sessions: usize,
    /// What it does.
    pub mode: Mode,
    /// Bytes a second; 0 for no limit.
    pub rate_limit: u32,
    /// A dialler first writes the byte `!`. Otherwise its peer does not hear of the session before the mode
    /// writes, which a sink or an echo never does on its own.
    pub hello: bool,
    /// After this it gives up, and so does who waits for it.
    pub timeout: Duration,
}

impl Default for PeerOptions {
    fn default() -> Self {
        Self {
            session: Config::default(),
            cipher: Cipher::new("null", ""),
            local: None,
            sessions: 1,
            mode: Mode::Echo,
            rate_limit: 0,
            hello: false,
            timeout: Duration::from_secs(60),
        }
    }
}

impl PeerOptions {
    pub(super) fn flags(&self) -> Vec<String> {
        let session = &self.session;
        let (data, parity) = session.fec.map_or((0, 0), |fec| (fec.data, fec.parity));
        let (mode, mut flags) = self.mode.flags();
        flags.extend([
            format!("-mode={mode}"),
            format!("-conv={}", session.conv),
            format!("-crypt={}", self.cipher.name),
            format!("-key={}", self.cipher.passphrase),
            format!("-ds={data}"),
            format!("-ps={parity}"),
            format!("-mtu={}", session.mtu),
            format!("-sndwnd={}", session.snd_wnd),
            format!("-rcvwnd={}", session.rcv_wnd),
            format!("-nodelay={}", u8::from(session.no_delay.nodelay)),
            format!("-interval={}", session.no_delay.interval),
            format!("-resend={}", session.no_delay.resend),
            format!("-nc={}", u8::from(session.no_delay.nc)),
            format!("-stream={}", session.stream),
            format!("-writedelay={}", session.write_delay),
            format!("-acknodelay={}", session.ack_no_delay),
            format!("-dup={}", session.dup),
            format!("-ratelimit={}", self.rate_limit),
            format!("-hello={}", self.hello),
            format!("-sessions={}", self.sessions),
        ]);
        flags
    }
}
