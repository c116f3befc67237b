//! What can go wrong, by operation, and its one mapping to [`std::io::Error`].

use std::io;
use std::time::Duration;

/// A configuration value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cipher does not take a key of this length.
    #[error("{cipher} takes a key of {expected} bytes, not {actual}")]
    KeyLength {
        /// Name of the cipher as kcptun spells it.
        cipher: &'static str,
        /// Accepted lengths in bytes, in words.
        expected: &'static str,
        /// Length of the key that was given, in bytes.
        actual: usize,
    },
    /// No cipher has this name.
    #[error("no cipher is called {0:?}")]
    UnknownCipher(String),
    /// The shard counts cannot form a code: both from 1 on, together at most 256.
    #[error(
        "{data} data and {parity} parity shards: each must be at least 1, together at most 256"
    )]
    Shards {
        /// Data shards asked for.
        data: usize,
        /// Parity shards asked for.
        parity: usize,
    },
    /// A value lies outside its range.
    #[error("{what} must be {allowed}, not {actual}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// The allowed range, in words.
        allowed: &'static str,
        /// The value that was given.
        actual: u64,
    },
}

/// Why a session ended. Cloned to every handle of that session.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// We closed it, or dropped the last handle.
    #[error("closed locally")]
    Closed,
    /// The peer said nothing for the idle timeout, though it was asked.
    #[error("peer silent for {0:?}")]
    PeerSilent(Duration),
    /// The path answered none of `sends` transmissions of one segment.
    #[error("no answer after {sends} transmissions")]
    Unreachable {
        /// How often the segment was sent.
        sends: u32,
    },
    /// The peer began a new conversation from the same address.
    #[error("replaced by a new conversation of the same peer")]
    Replaced,
    /// The endpoint, with all its sessions, was shut down.
    #[error("endpoint closed")]
    EndpointClosed,
    /// The socket failed.
    #[error("socket: {0}")]
    Socket(io::ErrorKind),
}

impl From<SessionError> for io::Error {
    fn from(error: SessionError) -> Self {
        let kind = match &error {
            SessionError::Closed => io::ErrorKind::NotConnected,
            SessionError::PeerSilent(_) | SessionError::Unreachable { .. } => {
                io::ErrorKind::TimedOut
            }
            SessionError::Replaced => io::ErrorKind::ConnectionReset,
            SessionError::EndpointClosed => io::ErrorKind::ConnectionAborted,
            SessionError::Socket(kind) => *kind,
        };
        Self::new(kind, error)
    }
}

/// Why no session could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name resolved to no address.
    #[error("the name has no address")]
    NoAddress,
    /// Resolving the name or binding a socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The peer gave no sign of life within the probe's time.
    #[error("no sign of life within {0:?}")]
    NoAnswer(Duration),
    /// The session ended while it was probed.
    #[error(transparent)]
    Session(#[from] SessionError),
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Io(error) => error,
            ConnectError::Session(error) => error.into(),
            ConnectError::NoAddress => Self::new(io::ErrorKind::NotFound, error),
            ConnectError::NoAnswer(_) => Self::new(io::ErrorKind::TimedOut, error),
        }
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// Messages cannot be empty: a kcp-go reader would stop at one for ever.
    #[error("an empty message cannot be sent")]
    Empty,
    /// The message needs more fragments than a header can count, or more room than one packet has.
    #[error("a message of {len} bytes exceeds the limit of {limit}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The most that can be sent, in bytes.
        limit: usize,
    },
    /// Out-of-band packets need forward error correction on the sending side.
    #[error("out-of-band packets need FEC")]
    NeedsFec,
}

impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Session(error) => error.into(),
            SendError::Empty | SendError::TooLong { .. } | SendError::NeedsFec => {
                Self::new(io::ErrorKind::InvalidInput, error)
            }
        }
    }
}
