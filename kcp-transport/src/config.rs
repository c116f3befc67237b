//! How sessions and endpoints behave: [`Config`], its presets, and the checked types it is made of.
//!
//! Configuration is parsed, not validated: a `Config` that exists is valid.

use std::time::Duration;

use crate::error::ConfigError;
use crate::proto::crypto::Cipher;
use crate::proto::fec::Fec;
use crate::proto::layout::{FEC_HEADER_LEN, Layout, MAX_DATAGRAM};

/// Longest datagram a session sends, in bytes of UDP payload.
///
/// From 64 to 1,500, the most that a kcp-go peer receives. Default 1,400, as in kcp-go: it fits through most tunnels.
/// Larger sends fewer packets; one that exceeds the path's limit loses every full packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "usize", into = "usize"))]
pub struct Mtu(u16);

impl Mtu {
    /// The smallest: room for every header and some data.
    pub const MIN: Self = Self(64);
    /// The largest. Source: kcp-go `mtuLimit`.
    pub const MAX: Self = Self(MAX_DATAGRAM as u16);

    /// Checks a length in bytes.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] outside of 64 to 1,500.
    pub fn new(bytes: usize) -> Result<Self, ConfigError> {
        in_range("the MTU", "64 to 1500 bytes", bytes, 64..=MAX_DATAGRAM).map(Self)
    }

    /// The length in bytes.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl Default for Mtu {
    fn default() -> Self {
        Self(1_400)
    }
}

impl TryFrom<usize> for Mtu {
    type Error = ConfigError;

    fn try_from(bytes: usize) -> Result<Self, ConfigError> {
        Self::new(bytes)
    }
}

impl From<Mtu> for usize {
    fn from(mtu: Mtu) -> Self {
        mtu.get()
    }
}

/// Size of a send or receive window, in segments of up to one packet each.
///
/// From 1 to 65,535, the most that a header can tell. To fill a path a window must span its bandwidth-delay product,
/// four times that where a tenth of the packets is lost. Memory is taken as data arrives, at most twice the receive
/// window per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "usize", into = "usize"))]
pub struct Window(u16);

impl Window {
    /// Checks a number of segments.
    ///
    /// # Errors
    /// [`ConfigError::OutOfRange`] outside of 1 to 65,535.
    pub fn new(segments: usize) -> Result<Self, ConfigError> {
        in_range(
            "a window",
            "1 to 65535 segments",
            segments,
            1..=usize::from(u16::MAX),
        )
        .map(Self)
    }

    /// The number of segments.
    pub fn get(self) -> usize {
        self.0.into()
    }
}

impl TryFrom<usize> for Window {
    type Error = ConfigError;

    fn try_from(segments: usize) -> Result<Self, ConfigError> {
        Self::new(segments)
    }
}

impl From<Window> for usize {
    fn from(window: Window) -> Self {
        window.get()
    }
}

impl From<Window> for u32 {
    fn from(window: Window) -> Self {
        window.0.into()
    }
}

/// Brings an interval into the range that kcp-go accepts, but for its lower bound of 10 ms, which only its ticks need.
pub(crate) fn clamp_interval(interval: Duration) -> Duration {
    interval.clamp(Duration::from_millis(1), Duration::from_secs(5))
}

/// What the setters of [`Config`] check, for values that come from a file.
#[cfg(feature = "serde")]
mod checked {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn interval<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        Duration::deserialize(from).map(super::clamp_interval)
    }

    pub(super) fn max_bandwidth<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        u64::deserialize(from).map(|rate| rate.max(1))
    }

    pub(super) fn at_least_one<'de, D: Deserializer<'de>>(from: D) -> Result<usize, D::Error> {
        usize::deserialize(from).map(|value| value.max(1))
    }

    pub(super) fn dscp<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
        u8::deserialize(from).map(|code_point| code_point & 0x3f)
    }
}

fn in_range(
    what: &'static str,
    allowed: &'static str,
    actual: usize,
    range: core::ops::RangeInclusive<usize>,
) -> Result<u16, ConfigError> {
    u16::try_from(actual)
        .ok()
        .filter(|_| range.contains(&actual))
        .ok_or(ConfigError::OutOfRange {
            what,
            allowed,
            actual: actual as u64,
        })
}

/// What a session does about congestion. Whatever the choice, packets are paced and
/// [`Config::max_bandwidth`] is never exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CongestionControl {
    /// Nothing: the windows and `max_bandwidth` are the only limits, as with kcp-go's `nc = 1`. Right where the path's
    /// capacity is known; on a shared bottleneck it takes more than its share.
    #[default]
    Fixed,
    /// Slow start, and half the window at every loss, as with kcp-go's `nc = 0`. Fair to TCP, and as slow as TCP where
    /// packets are lost for other reasons than congestion.
    Reno,
}

/// Packets sent again before their loss is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Redundancy {
    /// Every segment is sent once, and once more for every loss found, as kcp-go does.
    Off,
    /// A resend is followed by a copy; the last segments of a message get as many copies as the measured loss asks
    /// for. Costs at most 35 % of the data sent plus 64 kbit/s, nothing where nothing is lost.
    #[default]
    Adaptive,
    /// As `Adaptive`, but the last segments of every message get this many copies, whatever the loss.
    Tail(u8),
}

/// How sessions and their endpoints behave.
///
/// Start from a preset and change what differs. Both ends need the same cipher and key; nothing else has to match,
/// though unequal FEC settings take a while to be learned.
///
/// ```
/// use kcp_transport::{Cipher, Config, Fec, Mtu};
///
/// # fn main() -> Result<(), kcp_transport::ConfigError> {
/// let config = Config::fast2()
///     .cipher(Cipher::kcptun("aes-128-gcm", "correct horse battery staple")?)
///     .fec(Fec::new(10, 3)?)
///     .mtu(Mtu::new(1_350)?);
/// # let _ = config;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct Config {
    #[cfg_attr(feature = "serde", serde(skip, default = "Cipher::null"))]
    pub(crate) cipher: Cipher,
    pub(crate) fec: Option<Fec>,
    pub(crate) mtu: Mtu,
    pub(crate) send_window: Window,
    pub(crate) receive_window: Window,
    pub(crate) nodelay: bool,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "checked::interval"))]
    pub(crate) interval: Duration,
    pub(crate) resend: u32,
    pub(crate) congestion: CongestionControl,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "checked::max_bandwidth"))]
    pub(crate) max_bandwidth: u64,
    pub(crate) redundancy: Redundancy,
    pub(crate) stream_mode: bool,
    pub(crate) messages: bool,
    pub(crate) write_delay: bool,
    pub(crate) ack_no_delay: bool,
    pub(crate) duplicates: u8,
    pub(crate) protect_control: bool,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "checked::at_least_one"))]
    pub(crate) send_buffer: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) max_sessions: usize,
    pub(crate) max_sessions_per_ip: usize,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "checked::at_least_one"))]
    pub(crate) accept_backlog: usize,
    pub(crate) replace_on_new_conv: bool,
    pub(crate) socket_buffer: usize,
    #[cfg_attr(feature = "serde", serde(deserialize_with = "checked::dscp"))]
    pub(crate) dscp: u8,
    pub(crate) connect_probe: Option<Duration>,
}

impl Default for Config {
    /// [`Config::fast3`]: what suits remote procedure calls.
    fn default() -> Self {
        Self::fast3()
    }
}

impl Config {
    /// kcptun's `normal`: acknowledgements and resends may take their time.
    pub fn normal() -> Self {
        Self::preset(false, 40)
    }

    /// kcptun's `fast`.
    pub fn fast() -> Self {
        Self::preset(false, 30)
    }

    /// kcptun's `fast2`: resend timers aim at latency.
    pub fn fast2() -> Self {
        Self::preset(true, 20)
    }

    /// kcptun's `fast3`: as [`fast2`](Self::fast2), and nothing waits longer than 10 ms.
    pub fn fast3() -> Self {
        Self::preset(true, 10)
    }

    fn preset(nodelay: bool, interval_ms: u64) -> Self {
        Self {
            cipher: Cipher::null(),
            fec: None,
            mtu: Mtu::default(),
            send_window: Window(1_024),
            receive_window: Window(1_024),
            nodelay,
            interval: Duration::from_millis(interval_ms),
            resend: 2,
            congestion: CongestionControl::Fixed,
            max_bandwidth: 1_250_000_000,
            redundancy: Redundancy::Adaptive,
            stream_mode: true,
            messages: false,
            write_delay: false,
            ack_no_delay: false,
            duplicates: 0,
            protect_control: false,
            send_buffer: 256 * 1024,
            idle_timeout: Some(Duration::from_secs(60)),
            keepalive: Some(Duration::from_secs(20)),
            linger: Duration::from_secs(5),
            max_sessions: 65_536,
            max_sessions_per_ip: 65_536,
            accept_backlog: 1_024,
            replace_on_new_conv: false,
            socket_buffer: 4 * 1024 * 1024,
            dscp: 0,
            connect_probe: None,
        }
    }

    /// Encrypts packets. Default [`Cipher::null`]: none at all, and no checksum either. Both ends need the same.
    pub fn cipher(mut self, cipher: Cipher) -> Self {
        self.cipher = cipher;
        self
    }

    /// Adds parity packets. Default none. Give both ends the same counts. A peer with others, or none, learns them by
    /// itself but repairs nothing until then; a kcp-go with other counts may rebuild wrongly until then if packets
    /// overtake each other, and kcp-go 5.6.1 with other counts or none spoils the stream in any case.
    pub fn fec(mut self, fec: impl Into<Option<Fec>>) -> Self {
        self.fec = fec.into();
        self
    }

    /// Sets the longest datagram. Default 1,400 bytes.
    pub fn mtu(mut self, mtu: Mtu) -> Self {
        self.mtu = mtu;
        self
    }

    /// Segments that may be sent before the oldest is acknowledged. Default 1,024; kcp-go's is 32.
    pub fn send_window(mut self, window: Window) -> Self {
        self.send_window = window;
        self
    }

    /// Segments that the peer may send ahead of the reader. Default 1,024; kcp-go's is 32.
    pub fn receive_window(mut self, window: Window) -> Self {
        self.receive_window = window;
        self
    }

    /// Whether resend timers aim at latency. Default as the preset.
    ///
    /// With it an unanswered tail is sent again after one round trip and little more, six times without waiting
    /// longer; without it after at least 100 ms, and each time later. Source: ikcp.c `ikcp_nodelay()`.
    pub fn nodelay(mut self, enabled: bool) -> Self {
        self.nodelay = enabled;
        self
    }

    /// The longest time that an acknowledgement or, with [`write_delay`](Self::write_delay), a write may wait.
    ///
    /// Default as the preset; taken from 1 ms to 5 s. No timer ticks: it bounds waiting, and an idle session costs
    /// nothing. Source: ikcp.c `ikcp_nodelay()`.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = clamp_interval(interval);
        self
    }

    /// How many later packets must be acknowledged before one counts as lost. Default 2; 0 leaves it to time alone.
    ///
    /// Once packets were seen out of order only time decides, whatever this says. Source: ikcp.c `ikcp_nodelay()`,
    /// RFC 8985.
    pub fn resend(mut self, packets: u32) -> Self {
        self.resend = packets;
        self
    }

    /// What to do about congestion. Default [`CongestionControl::Fixed`].
    pub fn congestion(mut self, control: CongestionControl) -> Self {
        self.congestion = control;
        self
    }

    /// No session sends faster, in bytes per second of UDP payload. Default 1.25 GB/s (10 Gbit/s).
    ///
    /// Set it to what the path carries: with `CongestionControl::Fixed` nothing else protects others on it.
    pub fn max_bandwidth(mut self, bytes_per_second: u64) -> Self {
        self.max_bandwidth = bytes_per_second.max(1);
        self
    }

    /// Which packets are sent twice. Default [`Redundancy::Adaptive`].
    pub fn redundancy(mut self, redundancy: Redundancy) -> Self {
        self.redundancy = redundancy;
        self
    }

    /// Whether bytes of different writes may share a segment. Default true; kcp-go's is false.
    pub fn stream_mode(mut self, enabled: bool) -> Self {
        self.stream_mode = enabled;
        self
    }

    /// Whether sessions carry messages, each received whole as it was written, instead of a stream of bytes.
    ///
    /// Default false. A message may have as many segments as the receiver's window; a longer one never arrives. kcp-go's
    /// `UDPSession` reads such messages, but writes none of more than one segment.
    pub fn message_mode(mut self, enabled: bool) -> Self {
        self.messages = enabled;
        self
    }

    /// Whether writes wait for `interval`, a flush, or a full window to be sent together. Default false.
    pub fn write_delay(mut self, enabled: bool) -> Self {
        self.write_delay = enabled;
        self
    }

    /// Whether every arrival is acknowledged at once. Default false: a lone one may wait a millisecond for data to
    /// ride with.
    pub fn ack_no_delay(mut self, enabled: bool) -> Self {
        self.ack_no_delay = enabled;
        self
    }

    /// Extra copies of every data packet, sent right behind it. Default 0. kcp-go's `SetDUP`; loss in bursts takes
    /// all of them, which [`redundancy`](Self::redundancy) avoids.
    pub fn duplicates(mut self, copies: u8) -> Self {
        self.duplicates = copies;
        self
    }

    /// Whether packets of acknowledgements and window messages alone take part in the error correction, as kcp-go's do.
    /// Default off: they repeat themselves anyway, and groups fill with data only. No effect without
    /// [`fec`](Self::fec).
    ///
    /// Switch it on towards kcp-go before 5.6, which rpcx has inside (5.4.20): with error correction such a peer drops
    /// every packet that has no FEC header, and would never see a lone acknowledgement.
    pub fn protect_control(mut self, enabled: bool) -> Self {
        self.protect_control = enabled;
        self
    }

    /// Bytes that may wait in a session for its window. Default 256 KiB. As many again, and one write, may wait in its
    /// handle.
    ///
    /// What waits here cannot be overtaken by later writes: less means lower latency under load, down to a point.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes.max(1);
        self
    }

    /// Silence of the peer that ends a session. Default 60 s; `None` never.
    pub fn idle_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.idle_timeout = timeout.into();
        self
    }

    /// Silence of the peer after which it is asked for a sign of life, which every kcp-go gives. Default 20 s, below
    /// the 30 s for which common NATs keep a binding; `None` never.
    pub fn keepalive(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.keepalive = interval.into();
        self
    }

    /// How long a dropped stream goes on sending what was written. Default 5 s.
    pub fn linger(mut self, time: Duration) -> Self {
        self.linger = time;
        self
    }

    /// Sessions of one listener socket. Default 65,536. Further first packets are dropped.
    pub fn max_sessions(mut self, sessions: usize) -> Self {
        self.max_sessions = sessions;
        self
    }

    /// Sessions of one source IP address. Default 65,536; lower it where clients do not share addresses.
    pub fn max_sessions_per_ip(mut self, sessions: usize) -> Self {
        self.max_sessions_per_ip = sessions;
        self
    }

    /// Sessions that may wait to be accepted. Default 1,024. Further first packets are dropped; peers send again.
    pub fn accept_backlog(mut self, sessions: usize) -> Self {
        self.accept_backlog = sessions.max(1);
        self
    }

    /// Whether a new conversation from an address ends those that it had, as in kcp-go. Default false: they live side
    /// by side, and old ones end by their idle timeout. Anyone who can send from that address can end sessions so.
    pub fn replace_on_new_conv(mut self, enabled: bool) -> Self {
        self.replace_on_new_conv = enabled;
        self
    }

    /// Size of the socket's send and receive buffers, in bytes. Default 4 MiB; the system may grant less.
    pub fn socket_buffer(mut self, bytes: usize) -> Self {
        self.socket_buffer = bytes;
        self
    }

    /// Differentiated services code point of outgoing packets, 0 to 63. Default 0.
    pub fn dscp(mut self, code_point: u8) -> Self {
        self.dscp = code_point & 0x3f;
        self
    }

    /// How long connecting waits for a sign of life; default `None`: it does not ask.
    ///
    /// KCP has no handshake, so without this connecting always succeeds at once, and a dead peer shows only by the
    /// idle timeout. Costs one round trip.
    pub fn connect_probe(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connect_probe = timeout.into();
        self
    }

    /// The cipher in use.
    pub fn get_cipher(&self) -> &Cipher {
        &self.cipher
    }

    pub(crate) fn layout(&self, mtu: Mtu) -> Layout {
        Layout {
            crypto_header: self.cipher.header_len(),
            fec_header: if self.fec.is_some() {
                FEC_HEADER_LEN
            } else {
                0
            },
            tag: self.cipher.tag_len(),
            mtu: mtu.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_outside_their_range_are_refused_with_the_range() {
        assert!(Mtu::new(63).is_err() && Mtu::new(64).is_ok());
        assert!(Mtu::new(1_500).is_ok() && Mtu::new(1_501).is_err());
        assert!(Window::new(0).is_err() && Window::new(65_535).is_ok());
        let error = Window::new(65_536).expect_err("out of range");
        assert_eq!(
            error.to_string(),
            "a window must be 1 to 65535 segments, not 65536"
        );
    }

    #[test]
    fn presets_are_those_of_kcptun() {
        let timers = |config: Config| (config.nodelay, config.interval.as_millis(), config.resend);
        assert_eq!(timers(Config::normal()), (false, 40, 2));
        assert_eq!(timers(Config::fast()), (false, 30, 2));
        assert_eq!(timers(Config::fast2()), (true, 20, 2));
        assert_eq!(timers(Config::fast3()), (true, 10, 2));
    }

    #[test]
    fn the_smallest_mtu_has_room_for_data_with_every_header() {
        let fec = Fec::new(10, 3).expect("valid");
        for name in Cipher::KCPTUN_NAMES {
            let cipher = Cipher::kcptun(name, "key").expect("a listed name");
            let config = Config::default().cipher(cipher).fec(fec);
            assert!(config.layout(Mtu::MIN).mss() > 0, "{name}");
        }
    }

    #[cfg(feature = "serde")]
    #[test]
    fn configuration_survives_json_without_its_key() {
        let config = Config::fast2()
            .cipher(Cipher::aes_128_gcm(&[7; 16]))
            .fec(Fec::new(10, 3).expect("valid"))
            .redundancy(Redundancy::Tail(2));
        let json = serde_json::to_string(&config).expect("plain values");
        let read: Config = serde_json::from_str(&json).expect("as written");
        assert_eq!(read.get_cipher().name(), "null");
        assert_eq!(serde_json::to_string(&read).expect("plain values"), json);
        let read: Config = serde_json::from_str(r#"{"mtu": 1200}"#).expect("the rest is default");
        assert_eq!(
            (read.mtu.get(), read.nodelay),
            (1_200, Config::default().nodelay)
        );
        serde_json::from_str::<Config>(r#"{"mtu": 20}"#).expect_err("out of range");
    }
}
