//! The configuration of the two programs: kcptun's flags, file and environment, checked.
//!
//! Pure: the caller brings the arguments, the environment and the file's text. Later sources win:
//! default, `KCPTUN_KEY`, command line, JSON file; a mode other than manual wins over the four
//! numbers it stands for.
//!
//! All flags of both generations of kcptun are understood. Their defaults are those of January 2026;
//! `--compat 2021` (or `"compat": "2021"` in the file) gives those of 20210922. `--compat` with
//! either year also keeps what is better refused: a cipher that kcptun of that year did not know
//! means `aes`.

mod address;
mod error;
pub(crate) mod explain;
mod names;
mod settings;

use core::fmt;
use core::num::NonZeroU16;
use core::time::Duration;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

pub use address::{AddressError, Endpoint, HostPort, HostPorts};
pub use error::{ConfigError, Warning};
pub use names::{Crypt, Generation, Mode};
use settings::{CONFIG_FILE, Given, Settings};

use crate::cli::{self, DEFAULT_KEY, Invocation, Side};
use crate::{qpp, smux};

/// Name of the environment variable with the key.
pub const KEY_VARIABLE: &str = "KCPTUN_KEY";

/// What a command line asks for.
#[derive(Clone, Debug)]
pub enum Command<C> {
    /// To run.
    Run {
        /// With this configuration.
        config: Box<C>,
        /// Which deserves these warnings.
        warnings: Vec<Warning>,
    },
    /// To show this text.
    Help(String),
    /// To show the version.
    Version,
}

/// The client's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// Where to accept connections. Flag `localaddr`, default `:12948`.
    pub local: Endpoint,
    /// The server; each session takes one of its ports. Flag `remoteaddr`, default `vps:29900`.
    pub remote: HostPorts,
    /// Sessions to spread connections over. Flag `conn`, default 1.
    pub sessions: NonZeroU16,
    /// When sessions are replaced; `None` for never. Flags `autoexpire` and `scavengettl`.
    pub expiry: Option<Expiry>,
    /// What both ends have.
    pub tunnel: TunnelConfig,
}

/// The server's configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerConfig {
    /// Where to accept sessions: on all of these ports. Flag `listen`, default `:29900`.
    pub listen: HostPorts,
    /// Where to connect to, for every stream. Flag `target`, default `127.0.0.1:12948`.
    pub target: Endpoint,
    /// What both ends have.
    pub tunnel: TunnelConfig,
}

/// When a session is replaced, and how long it may live on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expiry {
    /// Age from which the next connection gets a new session. Flag `autoexpire` in seconds.
    pub after: Duration,
    /// Time from then until the old session is closed, whatever it carries. Flag `scavengettl` in
    /// seconds, default 600.
    pub ttl: Duration,
}

/// What the client and the server of a tunnel are both told.
#[derive(Clone, Debug, PartialEq)]
pub struct TunnelConfig {
    /// The secret, from which the packet key and QPP's permutations are derived. Flag `key`.
    pub key: Key,
    /// The packet cipher. Must be the peer's. Flag `crypt`, default `aes`.
    pub crypt: Crypt,
    /// Name of the tuning. Flag `mode`, default `fast`.
    pub mode: Mode,
    /// What the mode means, or the four hidden flags say.
    pub tuning: Tuning,
    /// Most bytes of UDP payload, 64 to 1,500. Flag `mtu`, default 1,350.
    pub mtu: u16,
    /// Most bytes per second that a session sends; `None` for no limit. Flag `ratelimit`, default
    /// none.
    pub rate_limit: Option<u64>,
    /// Segments on their way at most. Flag `sndwnd`, default 128, on the server 1,024.
    pub send_window: u16,
    /// Segments received ahead at most. Flag `rcvwnd`, default 512, on the server 1,024.
    pub receive_window: u16,
    /// Forward error correction; `None` if either count is 0. Flags `datashard` and `parityshard`,
    /// default 10 and 3.
    pub shards: Option<Shards>,
    /// The datagrams' DSCP, 0 to 63. Flag `dscp`, default 0.
    pub dscp: u8,
    /// Whether to compress. Must be as on the peer. Flag `nocomp` turns it off.
    pub compress: bool,
    /// Whether to acknowledge every packet at once. Flag `acknodelay`, default off.
    pub ack_no_delay: bool,
    /// Bytes of socket buffer in each direction. Flag `sockbuf`, default 4 MiB.
    pub socket_buffer: u32,
    /// The streams. Flags `smuxver` (must be the peer's), `smuxbuf`, `streambuf`, `framesize` and
    /// `keepalive`.
    pub smux: smux::Config,
    /// Time from the end of one direction of a connection to the closing of both. Flag `closewait`
    /// in seconds, default 0, on the server 30.
    pub close_wait: Duration,
    /// How many permutations QPP uses; `None` if it is off. Must be as on the peer. Flags `QPP` and
    /// `QPPCount`, default off.
    pub qpp: Option<NonZeroU16>,
    /// Where statistics go. Flags `snmplog` and `snmpperiod`, default nowhere.
    pub snmp: Option<SnmpLog>,
    /// Where the log goes; `None` for standard error. Flag `log`.
    pub log: Option<PathBuf>,
    /// Whether the opening and closing of streams is kept out of the log. Flag `quiet`.
    pub quiet: bool,
    /// Where `kcp-tunnel stats` finds this tunnel: a loopback address or a unix socket; `None` for
    /// nowhere. Flag `status`.
    pub status: Option<Endpoint>,
    /// Where Prometheus finds this tunnel; `None` for nowhere. Flag `metrics`.
    pub metrics: Option<Endpoint>,
    /// Time that connections have to end when the program is told to stop. Flag `drain` in seconds,
    /// default 10.
    pub drain: Duration,
    /// Whose defaults were used, and whose statistics are written. Flag `compat`, default 2026.
    pub generation: Generation,
}

/// A secret text. Not shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

/// The numbers that a [`Mode`] stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Whether segments are resent earlier and with a slower back-off.
    pub nodelay: bool,
    /// Time between flushes, 10 ms to 5 s.
    pub interval: Duration,
    /// Later acknowledgements that resend a segment; 0 for never.
    pub resend: u32,
    /// Whether losses shrink the send window.
    pub congestion_control: bool,
}

/// Shard counts of the forward error correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shards {
    /// Data packets in a group, from 1 on.
    pub data: u16,
    /// Parity packets in a group, from 1 on; together at most 256.
    pub parity: u16,
}

/// Where statistics go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnmpLog {
    /// The file. Its name is a Go time layout: see [`snmp::log_path`](crate::snmp::log_path).
    pub path: String,
    /// Time between two lines. Flag `snmpperiod` in seconds, default 60.
    pub period: Duration,
}

/// Reads the client's configuration from its arguments (without the program's name), the value of
/// [`KEY_VARIABLE`], and the file that the arguments name, if any, by way of `read`.
///
/// # Errors
/// Names the setting that cannot be used.
pub fn client(
    args: impl IntoIterator<Item = String>,
    key: Option<String>,
    read: impl FnOnce(&str) -> io::Result<String>,
) -> Result<Command<ClientConfig>, ConfigError> {
    load(Side::Client, args, key, read, |settings, warnings| {
        let after = settings.seconds("autoexpire")?;
        let ttl = settings.seconds("scavengettl")?;
        Ok(ClientConfig {
            local: settings.endpoint("localaddr")?,
            remote: settings.host_ports("remoteaddr")?,
            sessions: settings.count("conn")?,
            expiry: (!after.is_zero()).then_some(Expiry { after, ttl }),
            tunnel: settings.tunnel(warnings)?,
        })
    })
}

/// Reads the server's configuration, as [`client`] does the client's.
///
/// # Errors
/// Names the setting that cannot be used.
pub fn server(
    args: impl IntoIterator<Item = String>,
    key: Option<String>,
    read: impl FnOnce(&str) -> io::Result<String>,
) -> Result<Command<ServerConfig>, ConfigError> {
    load(Side::Server, args, key, read, |settings, warnings| {
        Ok(ServerConfig {
            listen: settings.host_ports("listen")?,
            target: settings.endpoint("target")?,
            tunnel: settings.tunnel(warnings)?,
        })
    })
}

impl Key {
    /// The secret itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Tuning {
    /// What a mode means; `None` for manual. Source: kcptun.
    pub const fn of(mode: Mode) -> Option<Self> {
        let (nodelay, interval) = match mode {
            Mode::Normal => (false, 40),
            Mode::Fast => (false, 30),
            Mode::Fast2 => (true, 20),
            Mode::Fast3 => (true, 10),
            Mode::Manual => return None,
        };
        let interval = Duration::from_millis(interval);
        Some(Self {
            nodelay,
            interval,
            resend: 2,
            congestion_control: false,
        })
    }
}

fn load<C>(
    side: Side,
    args: impl IntoIterator<Item = String>,
    key: Option<String>,
    read: impl FnOnce(&str) -> io::Result<String>,
    build: impl FnOnce(&Settings, &mut Vec<Warning>) -> Result<C, ConfigError>,
) -> Result<Command<C>, ConfigError> {
    let mut given = Given::new(side);
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        given.set_key(key);
    }
    match cli::parse(side, args)? {
        Invocation::Help => return Ok(Command::Help(cli::usage(side, Generation::Y2026))),
        Invocation::Version => return Ok(Command::Version),
        Invocation::Run(flags) => {
            flags
                .into_iter()
                .for_each(|(flag, value)| given.set(flag, value));
        }
    }
    let mut warnings = Vec::new();
    let path = given.text(CONFIG_FILE).to_owned();
    if !path.is_empty() {
        let text = read(&path).map_err(|error| ConfigError::File {
            path,
            error: Arc::new(error),
        })?;
        warnings = given.set_json(&text)?;
    }
    let config = Box::new(build(&given.settle()?, &mut warnings)?);
    Ok(Command::Run { config, warnings })
}

impl Settings {
    fn endpoint(&self, name: &'static str) -> Result<Endpoint, ConfigError> {
        Endpoint::parse(self.text(name)).map_err(|error| ConfigError::Address { name, error })
    }

    fn host_ports(&self, name: &'static str) -> Result<HostPorts, ConfigError> {
        HostPorts::parse(self.text(name)).map_err(|error| ConfigError::Address { name, error })
    }

    fn seconds(&self, name: &'static str) -> Result<Duration, ConfigError> {
        self.number(name, 0..=MAX_SECONDS).map(Duration::from_secs)
    }

    fn count(&self, name: &'static str) -> Result<NonZeroU16, ConfigError> {
        let count = self.number(name, 1..=u16::MAX)?;
        Ok(NonZeroU16::new(count).expect("the range starts at 1"))
    }

    fn tunnel(&self, warnings: &mut Vec<Warning>) -> Result<TunnelConfig, ConfigError> {
        self.refuse(
            "tcp",
            "use plain UDP, or kcptun itself where UDP is blocked",
        )?;
        self.refuse(
            "pprof",
            "profile the process from outside, for example with perf",
        )?;
        let key = Key(self.text("key").to_owned());
        if key.0 == DEFAULT_KEY {
            warnings.push(Warning::DefaultKey);
        }
        let (mode, tuning) = self.mode(warnings)?;
        Ok(TunnelConfig {
            crypt: self.crypt(warnings)?,
            mode,
            tuning,
            mtu: self.number("mtu", MIN_DATAGRAM..=MAX_DATAGRAM)?,
            rate_limit: u64::try_from(self.integer("ratelimit"))
                .ok()
                .filter(|&limit| limit != 0),
            send_window: self.window("sndwnd", warnings)?,
            receive_window: self.window("rcvwnd", warnings)?,
            shards: self.shards()?,
            dscp: self.number("dscp", 0..=63)?,
            compress: !self.switch("nocomp"),
            ack_no_delay: self.switch("acknodelay"),
            socket_buffer: self.number("sockbuf", 1..=i32::MAX as u32)?,
            smux: self.smux()?,
            close_wait: self.seconds("closewait")?,
            qpp: self.qpp(&key, warnings)?,
            snmp: self.snmp()?,
            log: Some(self.text("log"))
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            quiet: self.switch("quiet"),
            status: self.status()?,
            metrics: self.optional_endpoint("metrics")?,
            drain: self.seconds("drain")?,
            generation: self.generation(),
            key,
        })
    }

    fn refuse(&self, name: &'static str, instead: &'static str) -> Result<(), ConfigError> {
        match self.switch(name) {
            true => Err(ConfigError::NotBuilt { name, instead }),
            false => Ok(()),
        }
    }

    fn window(&self, name: &'static str, warnings: &mut Vec<Warning>) -> Result<u16, ConfigError> {
        let segments = self.number(name, 1..=i32::MAX as u32)?;
        Ok(u16::try_from(segments).unwrap_or_else(|_| {
            warnings.push(Warning::WindowCut(name));
            u16::MAX
        }))
    }

    fn crypt(&self, warnings: &mut Vec<Warning>) -> Result<Crypt, ConfigError> {
        let name = self.text("crypt");
        match Crypt::named(name, self.generation()) {
            Some(crypt) => {
                if matches!(crypt, Crypt::None | Crypt::Null | Crypt::Xor) {
                    warnings.push(Warning::WeakCipher(crypt));
                }
                Ok(crypt)
            }
            None if self.exact() => {
                warnings.push(Warning::CipherReplaced(name.to_owned()));
                Ok(Crypt::Aes)
            }
            None => Err(ConfigError::UnknownCipher(name.to_owned())),
        }
    }

    fn mode(&self, warnings: &mut Vec<Warning>) -> Result<(Mode, Tuning), ConfigError> {
        let name = self.text("mode");
        let mode = Mode::named(name).unwrap_or_else(|| {
            warnings.push(Warning::UnknownMode(name.to_owned()));
            Mode::Manual
        });
        let tuning = Tuning::of(mode).map_or_else(|| self.manual_tuning(), Ok)?;
        Ok((mode, tuning))
    }

    /// A negative number leaves what a bare session has: 0, 100 ms, 0, 0. Source: ikcp.c
    /// `ikcp_nodelay`, which also keeps the interval within these bounds.
    fn manual_tuning(&self) -> Result<Tuning, ConfigError> {
        let interval = match self.integer("interval") {
            ..0 => 100,
            interval => interval.clamp(10, 5_000).unsigned_abs(),
        };
        let resend = self
            .number("resend", i32::MIN..=i32::MAX)?
            .max(0)
            .unsigned_abs();
        Ok(Tuning {
            nodelay: self.integer("nodelay") > 0,
            interval: Duration::from_millis(interval),
            resend,
            congestion_control: self.integer("nc") <= 0,
        })
    }

    fn shards(&self) -> Result<Option<Shards>, ConfigError> {
        let (data, parity) = (
            self.number("datashard", 0..=256)?,
            self.number("parityshard", 0..=256)?,
        );
        match (data, parity) {
            (0, _) | (_, 0) => Ok(None),
            _ if data + parity > 256 => Err(ConfigError::Shards { data, parity }),
            _ => Ok(Some(Shards { data, parity })),
        }
    }

    fn smux(&self) -> Result<smux::Config, ConfigError> {
        let version = match self.number("smuxver", 1..=2)? {
            1_u8 => smux::Version::V1,
            _ => smux::Version::V2,
        };
        let interval = self.seconds("keepalive")?;
        let session = self.number("smuxbuf", 0..=usize::MAX)?;
        let stream = self.number("streambuf", 0..=usize::MAX)?;
        let frame = self.number("framesize", 0..=usize::MAX)?;
        let config = smux::Config::new(version)
            .keepalive(interval, SMUX_TIMEOUT)?
            .announce(!self.exact())
            .half_close(self.generation() != Generation::Y2021);
        Ok(config.buffers(session, stream)?.max_frame(frame)?)
    }

    fn qpp(
        &self,
        key: &Key,
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<NonZeroU16>, ConfigError> {
        if !self.switch("QPP") {
            return Ok(None);
        }
        let count = self.count("QPPCount")?;
        warnings.extend(qpp::weaknesses(&key.0, count).into_iter().map(Warning::Qpp));
        Ok(Some(count))
    }

    fn optional_endpoint(&self, name: &'static str) -> Result<Option<Endpoint>, ConfigError> {
        match self.text(name) {
            "" => Ok(None),
            _ => self.endpoint(name).map(Some),
        }
    }

    fn status(&self) -> Result<Option<Endpoint>, ConfigError> {
        let endpoint = self.optional_endpoint("status")?;
        match &endpoint {
            Some(Endpoint::Tcp(address)) if !address.is_loopback() => {
                Err(ConfigError::StatusNotLocal(address.host.clone()))
            }
            Some(Endpoint::Tcp(_) | Endpoint::Unix(_)) | None => Ok(endpoint),
        }
    }

    fn snmp(&self) -> Result<Option<SnmpLog>, ConfigError> {
        let (path, period) = (self.text("snmplog").to_owned(), self.seconds("snmpperiod")?);
        Ok((!path.is_empty() && !period.is_zero()).then_some(SnmpLog { path, period }))
    }
}

/// Longest time that can be set: a century, so that no sum of two can overflow.
const MAX_SECONDS: u64 = 100 * 365 * 86_400;

/// The smallest datagram with room for every header and some data.
const MIN_DATAGRAM: u16 = 64;

/// What a receiver of kcp-go takes. Source: kcp-go `mtuLimit`.
const MAX_DATAGRAM: u16 = 1_500;

/// How long a peer may be silent. Source: smux `DefaultConfig`, which kcptun leaves as it is.
const SMUX_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
