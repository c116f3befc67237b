//! What can go wrong, by operation, and its one mapping to [`io::Error`].

use core::time::Duration;
use std::io;
use std::sync::Arc;

use super::proto::StreamId;

/// Why a session ended. Every handle of the session gets the same.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// We closed it, dropped the last handle, or shut down the runtime its driver ran on.
    #[error("session closed locally")]
    Closed,
    /// The transport ended: the protocol has no other way to say that the peer closed the session.
    #[error("session closed by the peer")]
    PeerClosed,
    /// The peer sent nothing for this long, not even a keepalive.
    #[error("peer silent for {0:?}")]
    PeerSilent(Duration),
    /// The peer does not keep to the protocol, or speaks another version of it.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// The transport failed.
    #[error("transport failed: {0}")]
    Transport(Arc<io::Error>),
}

/// How the peer broke the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// A frame of another version. Both ends must be configured alike.
    #[error("frame of version {actual}, this session speaks {expected}")]
    Version {
        /// The configured version.
        expected: u8,
        /// The version byte received.
        actual: u8,
    },
    /// A command that this version does not have.
    #[error("unknown command {0}")]
    Command(u8),
    /// A command with a payload of a length it cannot have.
    #[error("command {command} with {len} bytes of payload")]
    Length {
        /// The command byte received.
        command: u8,
        /// The payload length received.
        len: u16,
    },
    /// The peer opened a stream whose number is not its to give.
    #[error("peer opened stream {0}, which is not one of its numbers")]
    ForeignStream(StreamId),
    /// The peer claims to have read more of a stream than was sent.
    #[error("peer read more of stream {0} than was sent")]
    Consumed(StreamId),
    /// The peer keeps opening streams beyond the limits and does not take the refusals.
    #[error("peer opens streams faster than it takes refusals")]
    Flood,
}

/// Why no stream could be opened.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// All 2³¹ numbers of this end are used up: open a new session.
    #[error("no stream numbers left in this session")]
    Exhausted,
    /// [`Config::max_streams`](super::Config::max_streams) exist already.
    #[error("{0} streams exist already")]
    TooManyStreams(usize),
}

/// Why a stream takes no more bytes.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// We finished the stream.
    #[error("stream finished locally")]
    Finished,
    /// The peer has closed the stream and reads no more.
    #[error("stream closed by the peer")]
    PeerClosed,
}

impl SessionError {
    fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Closed => io::ErrorKind::ConnectionAborted,
            Self::PeerClosed => io::ErrorKind::ConnectionReset,
            Self::PeerSilent(_) => io::ErrorKind::TimedOut,
            Self::Protocol(_) => io::ErrorKind::InvalidData,
            Self::Transport(error) => error.kind(),
        }
    }
}

impl From<SessionError> for io::Error {
    fn from(error: SessionError) -> Self {
        Self::new(error.kind(), error)
    }
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Session(error) => error.into(),
            OpenError::Exhausted | OpenError::TooManyStreams(_) => {
                Self::new(io::ErrorKind::QuotaExceeded, error)
            }
        }
    }
}

impl From<WriteError> for io::Error {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Session(error) => error.into(),
            WriteError::Finished | WriteError::PeerClosed => {
                Self::new(io::ErrorKind::BrokenPipe, error)
            }
        }
    }
}
