//! One conversation with kcp-go: what is varied, and what must hold whatever was chosen.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use interop::go::{Cipher as GoCipher, Go, GoPeer, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use interop::snmp::Snmp;
use kcp_transport::{
    Cipher, Config, CongestionControl, Discard, Endpoint, EndpointStats, Fec, KcpStream, Listener,
    Mtu, Redundancy, UdpSocket, Window,
};
use netlab::relay::Relay;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::exchange;
use crate::guard::{moved, unless_still};

/// The passphrase of all ciphers.
const PASSPHRASE: &str = "correct horse battery staple";

/// A peer ends by itself after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);

/// Shards of our packets and of the peer's.
pub(crate) type Codes = (Option<(usize, usize)>, Option<(usize, usize)>);

pub(crate) const CIPHERS: &[&str] = Cipher::KCPTUN_NAMES;

pub(crate) const CODES: &[(&str, Codes)] = &[
    ("none", (None, None)),
    ("10/3", (Some((10, 3)), Some((10, 3)))),
    ("3/1", (Some((3, 1)), Some((3, 1)))),
    ("20/10", (Some((20, 10)), Some((20, 10)))),
    ("10/3, peer 5/2", (Some((10, 3)), Some((5, 2)))),
    ("10/3, peer none", (Some((10, 3)), None)),
    ("none, peer 10/3", (None, Some((10, 3)))),
];

/// Who dials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    WeDial,
    WeListen,
}

pub(crate) const ROLES: &[Role] = &[Role::WeDial, Role::WeListen];

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WeDial => "ours dials",
            Self::WeListen => "ours listens",
        })
    }
}

/// Links in the text form of netlab, the same both ways; `None` for the loopback interface alone.
pub(crate) const PATHS: &[Option<&str>] = &[
    None,
    Some("delay=3ms"),
    Some("delay=3ms loss=5%"),
    Some("delay=3ms loss=20%"),
    Some("delay=5ms loss=10% burst=4"),
    Some("delay=3ms reorder=20% reorder-by=8ms"),
    Some("delay=5ms jitter=5ms jitter-order=mix"),
    Some("delay=3ms duplicate=20%"),
    Some("delay=3ms corrupt=5%"),
    Some("delay=5ms jitter=5ms jitter-order=mix loss=5% duplicate=5% corrupt=2%"),
    Some("delay=3ms jitter=3ms jitter-order=mix loss=20% duplicate=5% corrupt=2%"),
];

/// Which way the stream flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    ToPeer,
    FromPeer,
    BothWays,
    Echo,
}

const TRAFFIC: &[Traffic] = &[
    Traffic::ToPeer,
    Traffic::FromPeer,
    Traffic::BothWays,
    Traffic::Echo,
];

/// How hurried both ends are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast3,
    Normal,
    /// With congestion control, and all else as a kcp-go session nobody has touched.
    Reno,
}

const PACES: &[Pace] = &[Pace::Fast3, Pace::Normal, Pace::Reno];

/// A setting of one end that changes what is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extra {
    Nothing,
    AckNoDelay,
    WriteDelay,
    Copies,
    Lean,
}

const EXTRAS: &[Extra] = &[
    Extra::Nothing,
    Extra::AckNoDelay,
    Extra::WriteDelay,
    Extra::Copies,
    Extra::Lean,
];

const SIZES: &[Size] = &[Size::Small, Size::Large];

/// How long a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    /// As much as takes a second or two.
    Large,
    Exactly(usize),
}

/// Bytes of a write.
const CHUNKS: &[usize] = &[300, 1_400, 20_000, 65_536];

/// Segments of our windows and of the peer's.
const WINDOWS: &[(usize, usize)] = &[(32, 32), (256, 256), (1_024, 1_024), (32, 512), (512, 32)];

/// Longest datagram of ours and of the peer.
const MTUS: &[(usize, usize)] = &[(1_400, 1_400), (1_350, 1_350), (1_500, 576), (576, 1_500)];

/// Everything that is varied, in the order of [`LEVELS`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cell {
    pub(crate) role: Role,
    pub(crate) cipher: &'static str,
    pub(crate) codes: (&'static str, Codes),
    pub(crate) path: Option<&'static str>,
    pub(crate) stream: bool,
    pub(crate) ipv6: bool,
    pub(crate) traffic: Traffic,
    pub(crate) size: Size,
    pub(crate) chunk: usize,
    pub(crate) pace: Pace,
    pub(crate) window: (usize, usize),
    pub(crate) mtu: (usize, usize),
    pub(crate) extra: Extra,
}

/// How many levels each factor of a cell has.
pub(crate) const LEVELS: &[usize] = &[
    ROLES.len(),
    CIPHERS.len(),
    CODES.len(),
    PATHS.len(),
    2,
    2,
    TRAFFIC.len(),
    SIZES.len(),
    CHUNKS.len(),
    PACES.len(),
    WINDOWS.len(),
    MTUS.len(),
    EXTRAS.len(),
];

impl Cell {
    /// The cell that stands for a row of a design.
    pub(crate) fn from_row(row: &[usize]) -> Self {
        let mut row = row.iter().copied();
        let mut level = || row.next().expect("a level for every factor");
        Self {
            role: ROLES[level()],
            cipher: CIPHERS[level()],
            codes: CODES[level()],
            path: PATHS[level()],
            stream: level() == 0,
            ipv6: level() == 1,
            traffic: TRAFFIC[level()],
            size: SIZES[level()],
            chunk: CHUNKS[level()],
            pace: PACES[level()],
            window: WINDOWS[level()],
            mtu: MTUS[level()],
            extra: EXTRAS[level()],
        }
    }

    /// Nothing special: to start from.
    pub(crate) fn plain() -> Self {
        Self {
            role: Role::WeDial,
            cipher: "aes-128-gcm",
            codes: CODES[1],
            path: None,
            stream: true,
            ipv6: false,
            traffic: Traffic::BothWays,
            size: Size::Small,
            chunk: 4_096,
            pace: Pace::Fast3,
            window: (256, 256),
            mtu: (1_400, 1_400),
            extra: Extra::Nothing,
        }
    }

    /// Whether the peer can do this, and damage would be noticed.
    pub(crate) fn is_possible(&self, release: Release) -> bool {
        let (_, (ours, theirs)) = self.codes;
        let understood = match release {
            Release::Current => true,
            // It spoils the stream of a peer with another code (`known.rs`).
            Release::Old => self.cipher != "aes-128-gcm" && (ours.is_none() || ours == theirs),
        };
        understood && !(self.link_does("corrupt") && self.cipher == "null")
    }

    fn link_does(&self, word: &str) -> bool {
        self.path.is_some_and(|path| path.contains(word))
    }

    fn loses(&self) -> bool {
        self.link_does("loss")
    }

    /// Whether packets may fail their check. kcp-go damages packets under SM4 itself (`known.rs`).
    fn damages(&self) -> bool {
        self.link_does("corrupt") || self.cipher == "sm4"
    }

    pub(crate) fn bytes(&self) -> usize {
        match self.size {
            Size::Small => 6_000,
            Size::Large if matches!(self.path, None | Some("delay=3ms")) => 4 << 20,
            // A window of one or two segments waits for a timer at every loss, also a presumed one.
            Size::Large if self.pace == Pace::Reno => 64 << 10,
            Size::Large => 1 << 20,
            Size::Exactly(bytes) => bytes,
        }
    }

    pub(crate) fn config(&self) -> Config {
        let config = match self.pace {
            Pace::Fast3 => Config::fast3(),
            Pace::Normal => Config::normal(),
            Pace::Reno => Config::fast3().congestion(CongestionControl::Reno),
        };
        let window = Window::new(self.window.0).expect("in range");
        let (_, (ours, _)) = self.codes;
        let config = config
            .cipher(Cipher::kcptun(self.cipher, PASSPHRASE).expect("a cipher of kcptun"))
            .fec(ours.map(|(data, parity)| Fec::new(data, parity).expect("a code")))
            .mtu(Mtu::new(self.mtu.0).expect("in range"))
            .send_window(window)
            .receive_window(window)
            .stream_mode(self.stream);
        match self.extra {
            Extra::Nothing => config,
            Extra::AckNoDelay => config.ack_no_delay(true),
            Extra::WriteDelay => config.write_delay(true),
            Extra::Copies => config.duplicates(1).redundancy(Redundancy::Tail(2)),
            Extra::Lean => config.redundancy(Redundancy::Off),
        }
    }

    pub(crate) fn peer_options(&self, mode: Mode) -> PeerOptions {
        let (_, (_, theirs)) = self.codes;
        PeerOptions {
            session: GoConfig {
                fec: theirs.and_then(|(data, parity)| FecParams::new(data, parity)),
                mtu: self.mtu.1,
                no_delay: match self.pace {
                    Pace::Fast3 => NoDelay::FAST3,
                    Pace::Normal => NoDelay::NORMAL,
                    Pace::Reno => NoDelay::DEFAULT,
                },
                snd_wnd: self.window.1 as u32,
                rcv_wnd: self.window.1 as u32,
                stream: self.stream,
                write_delay: self.extra == Extra::WriteDelay,
                ack_no_delay: self.extra == Extra::AckNoDelay,
                dup: usize::from(self.extra == Extra::Copies),
                ..GoConfig::default()
            },
            cipher: GoCipher::new(self.cipher, PASSPHRASE),
            mode,
            timeout: PATIENCE,
            ..PeerOptions::default()
        }
    }

    fn loopback(&self) -> SocketAddr {
        if self.ipv6 {
            (Ipv6Addr::LOCALHOST, 0).into()
        } else {
            (Ipv4Addr::LOCALHOST, 0).into()
        }
    }

    /// Holds the conversation, and panics if anything about it is not as it should be.
    pub(crate) async fn run(&self, go: Go, seed: u64) {
        let (ours, theirs) = (seed, seed ^ 1);
        let bytes = self.bytes();
        let chunk = self.chunk;
        let sink = Mode::Sink { bytes, seed: ours };
        let source = Mode::Source {
            bytes,
            seed: theirs,
            chunk,
        };
        let duplex = Mode::Duplex {
            bytes,
            seed: theirs,
            peer_seed: ours,
            chunk,
        };
        let (mode, written, read) = match self.traffic {
            Traffic::ToPeer => (sink, bytes, None),
            Traffic::FromPeer => (source, 0, Some(theirs)),
            Traffic::BothWays => (duplex, bytes, Some(theirs)),
            Traffic::Echo => (Mode::Echo, bytes, Some(ours)),
        };
        let mut ends = self.open(go, mode, seed).await;

        let sign = moved(ends.stream.info());
        let (mut reader, mut writer) = ends.stream.into_split();
        let talk = async {
            let write = exchange::write(&mut writer, ours, written, chunk);
            let back = async {
                match read {
                    Some(seed) => exchange::read(&mut reader, seed, bytes).await,
                    None => Ok(()),
                }
            };
            tokio::try_join!(write, back).expect("the session lives");
            if matches!(self.traffic, Traffic::ToPeer | Traffic::BothWays) {
                let received = ends.peer.received().await;
                assert!(received.intact, "what the peer read is not what we wrote");
                assert_eq!(received.bytes, bytes);
            }
            writer.shutdown().await.expect("everything is acknowledged");
        };
        if let Err(ours) = unless_still(sign, talk).await {
            let (paths, theirs) = (ends.peer.estimates().await, ends.peer.snmp().await);
            panic!("nothing moves any more\nours: {ours:?}\ntheirs: {theirs:?}\n{paths:?}");
        }
        let stats = ends.endpoint.stats().await.expect("the endpoint lives");
        self.check(&stats, &ends.peer.snmp().await);
    }

    /// What both ends counted.
    fn check(&self, ours: &EndpointStats, theirs: &Snmp) {
        let said = || format!("ours: {ours:?}\ntheirs: {theirs:?}");
        let (_, (our_code, their_code)) = self.codes;

        assert_eq!(theirs.kcp_in_errors, 0, "{}", said());
        assert_eq!(theirs.in_errs, 0, "{}", said());
        assert_eq!(theirs.fec_errs, 0, "{}", said());
        assert_eq!(ours.discarded(Discard::Malformed), 0, "{}", said());
        assert_eq!(ours.discarded(Discard::Refused), 0, "{}", said());
        assert_eq!(ours.sessions.fec_errors, 0, "{}", said());
        if !self.damages() {
            assert_eq!(theirs.in_csum_errors, 0, "{}", said());
            assert_eq!(ours.discarded(Discard::BadChecksum), 0, "{}", said());
        }
        // Parity may overtake, or outlive, the packet that opens the session.
        if matches!(self.path, None | Some("delay=3ms")) && !self.damages() {
            assert_eq!(ours.discarded(Discard::Stranger), 0, "{}", said());
        }

        // Where hundreds of packets meet a loss of 5 % or more, some are rebuilt; with copies of all, maybe none.
        let same_code = our_code == their_code && our_code.is_some();
        if self.loses() && self.bytes() >= 512 << 10 && same_code && self.extra != Extra::Copies {
            let (to_peer, from_peer) = match self.traffic {
                Traffic::ToPeer => (true, false),
                Traffic::FromPeer => (false, true),
                Traffic::BothWays | Traffic::Echo => (true, true),
            };
            assert!(!to_peer || theirs.fec_recovered > 0, "{}", said());
            assert!(!from_peer || ours.sessions.fec_recovered > 0, "{}", said());
        }
    }

    async fn open(&self, go: Go, mode: Mode, seed: u64) -> Ends {
        let config = self.config();
        let speaks_first = matches!(mode, Mode::Source { .. } | Mode::Duplex { .. });
        match self.role {
            Role::WeDial => {
                let mut options = self.peer_options(mode);
                options.local = Some(self.loopback());
                let peer = go.listen(&options).await;
                let (relay, target) = self.link(peer.addr(), seed);
                let socket = UdpSocket::bind(self.loopback(), &config, false).expect("bound");
                let endpoint = Endpoint::new(socket, Arc::new(config)).expect("bound");
                let mut stream = endpoint.connect(target).await.expect("opened");
                if self.traffic == Traffic::FromPeer {
                    // The listener learns of the session by it, and never reads it.
                    stream.write_all(b"!").await.expect("the session lives");
                }
                Ends {
                    stream,
                    endpoint,
                    peer,
                    _listener: None,
                    _relay: relay,
                }
            }
            Role::WeListen => {
                let mut options = self.peer_options(mode);
                options.hello = !speaks_first;
                let bound = Listener::bind(self.loopback(), config).await;
                let mut listener = bound.expect("bound");
                let (relay, target) = self.link(listener.local_addr(), seed);
                let peer = go.dial(target, &options).await;
                let (mut stream, _) = listener.accept().await.expect("listening");
                if options.hello {
                    let mut hello = [0];
                    stream.read_exact(&mut hello).await.expect("it lives");
                    assert_eq!(hello, *b"!");
                }
                Ends {
                    stream,
                    endpoint: listener.endpoints()[0].clone(),
                    peer,
                    _listener: Some(listener),
                    _relay: relay,
                }
            }
        }
    }

    /// A link to `server`, and where it begins.
    fn link(&self, server: SocketAddr, seed: u64) -> (Option<Relay>, SocketAddr) {
        let Some(path) = self.path else {
            return (None, server);
        };
        let link: netlab::link::LinkConfig = path.parse().expect("a link");
        let relay = Relay::start(server, link.clone(), link, seed).expect("started");
        let begin = relay.local_addr();
        (Some(relay), begin)
    }
}

/// A conversation with all that it needs to live.
struct Ends {
    stream: KcpStream,
    endpoint: Endpoint,
    peer: GoPeer,
    _listener: Option<Listener>,
    _relay: Option<Relay>,
}
