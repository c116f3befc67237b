//! Why a session ended, why no stream could be had, and their one mapping to [`std::io::Error`].

use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Why a session ended. Cloned to every handle and every stream of that session.
///
/// A stream reports it as [`io::ErrorKind::ConnectionAborted`] with this error inside.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MuxError {
    /// We closed it, or dropped its last handle.
    #[error("session closed locally")]
    Closed,
    /// The peer closed it, or the connection below ended.
    #[error("session closed by the peer")]
    ClosedByPeer,
    /// Nothing was received for the keep-alive timeout, not even an answer to a ping.
    #[error("peer silent for {0:?}")]
    PeerSilent(Duration),
    /// The connection below failed.
    #[error("the connection below the session failed")]
    Io(#[source] Arc<io::Error>),
    /// The peer sent what yamux forbids.
    #[error("the peer broke the protocol: {0}")]
    BrokenProtocol(Arc<str>),
    /// The peer gave the session up with a yamux error code: 1 if it thinks that we broke the
    /// protocol, 2 if it failed itself.
    #[error("the peer gave the session up with code {0}")]
    GivenUp(u32),
}

impl From<MuxError> for io::Error {
    fn from(error: MuxError) -> Self {
        Self::new(io::ErrorKind::ConnectionAborted, error)
    }
}

/// Why a [`MuxConnector`](super::MuxConnector) had no stream to give.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MuxConnectError {
    /// The connector below failed. Everyone who waited for the same attempt gets the same error.
    #[error("cannot connect")]
    Dial(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The session ended before it gave a stream.
    #[error(transparent)]
    Session(#[from] MuxError),
}

impl MuxConnectError {
    pub(super) fn dial(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Dial(error.into().into())
    }
}

impl From<MuxConnectError> for io::Error {
    /// Keeps the kind of the [`io::Error`] below, if there is one.
    fn from(error: MuxConnectError) -> Self {
        match error {
            MuxConnectError::Session(error) => error.into(),
            MuxConnectError::Dial(ref source) => {
                let kind = source
                    .downcast_ref::<Self>()
                    .map_or(io::ErrorKind::Other, Self::kind);
                Self::new(kind, error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[test]
    fn a_lost_session_keeps_its_cause_inside_the_io_error() {
        let below = io::Error::new(io::ErrorKind::TimedOut, "no answer");
        let error = io::Error::from(MuxError::Io(Arc::new(below)));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        let cause = error.get_ref().unwrap().downcast_ref::<MuxError>().unwrap();
        assert_eq!(cause.source().unwrap().to_string(), "no answer");
    }

    #[test]
    fn a_failed_dial_keeps_the_kind_of_the_error_below() {
        let below = Arc::new(io::Error::from(io::ErrorKind::ConnectionRefused));
        let error = io::Error::from(MuxConnectError::Dial(below));
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
