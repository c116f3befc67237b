//! Why a configuration cannot be used, and what about a usable one deserves a warning.

use std::io;
use std::sync::Arc;

use super::address::AddressError;
use super::names::Crypt;
use crate::qpp::Weakness;
use crate::smux;

/// Why a configuration cannot be used. Names the setting, never its value if that is secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The program has no such flag.
    #[error("no flag is called {0:?}")]
    UnknownFlag(String),
    /// An argument that is neither a flag nor a flag's value.
    #[error("unexpected argument {0:?}")]
    UnexpectedArgument(String),
    /// The command line ends before the value of a flag.
    #[error("{0} needs a value")]
    MissingValue(&'static str),
    /// A value is not of the type that the setting takes.
    #[error("{name} takes {expected}")]
    WrongType {
        /// The setting.
        name: &'static str,
        /// What it takes, in words.
        expected: &'static str,
    },
    /// A number lies outside what the setting allows.
    #[error("{name} must be {allowed}, not {actual}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// What is allowed, in words.
        allowed: String,
        /// The number that was given.
        actual: i64,
    },
    /// An address cannot be understood.
    #[error("{name}: {error}")]
    Address {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        error: AddressError,
    },
    /// No cipher has this name. (kcptun would silently use aes; with `--compat` so do we.)
    #[error("no cipher is called {0:?}")]
    UnknownCipher(String),
    /// `--compat` knows only two years.
    #[error("compat must be 2021 or 2026, not {0:?}")]
    UnknownGeneration(String),
    /// The shard counts form no code.
    #[error("{data} data and {parity} parity shards are more than 256 together")]
    Shards {
        /// Data shards asked for.
        data: u16,
        /// Parity shards asked for.
        parity: u16,
    },
    /// smux cannot be set so.
    #[error("smux: {0}")]
    Smux(#[from] smux::ConfigError),
    /// A feature of kcptun that does not exist here.
    #[error("{name} is not built: {instead}")]
    NotBuilt {
        /// The setting.
        name: &'static str,
        /// What to use instead.
        instead: &'static str,
    },
    /// What `kcp-tunnel stats` reads is for this machine only.
    #[error("status must be a loopback address or a unix socket, not {0:?}")]
    StatusNotLocal(String),
    /// The configuration file cannot be read.
    #[error("cannot read {path:?}: {error}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        error: Arc<io::Error>,
    },
    /// The configuration file is not a JSON object.
    #[error("the configuration file is not a JSON object: {0}")]
    Json(String),
}

/// Something that works, but most likely not as intended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The configuration file has a key that means nothing here.
    #[error("the configuration file has a key {0:?} that is ignored")]
    UnknownKey(String),
    /// The key is the one that everybody knows.
    #[error("the key is kcptun's public default: set your own")]
    DefaultKey,
    /// The cipher protects nothing, or next to nothing.
    #[error("crypt {0} does not protect what is carried: use aes-128-gcm, or aes for old peers")]
    WeakCipher(Crypt),
    /// A window is larger than the wire can say, which is 65,535 segments.
    #[error("{0} is cut to 65535 segments, the most that a packet can tell")]
    WindowCut(&'static str),
    /// No cipher has this name, or had it then; as kcptun did, aes is used.
    #[error("no cipher is called {0:?}: aes is used")]
    CipherReplaced(String),
    /// No mode has this name: the four numbers of mode manual are used.
    #[error("no mode is called {0:?}: nodelay, interval, resend and nc are used")]
    UnknownMode(String),
    /// QPP could be stronger.
    #[error(transparent)]
    Qpp(#[from] Weakness),
}
