//! What handlers and clients may know of the connection below a request.

use std::net::SocketAddr;

use kcp_transport::{KcpStream, SessionError, SessionInfo, SessionStats};
use tokio::io::{AsyncRead, AsyncWrite};

/// The connection below a request or a response, found in its extensions.
///
/// A look at the session that does not keep it open.
#[derive(Clone, Debug)]
pub struct KcpConnectInfo {
    session: SessionInfo,
}

impl KcpConnectInfo {
    /// The peer's address. Of an IPv4 peer on an IPv6 socket it is the mapped one.
    pub fn peer_addr(&self) -> SocketAddr {
        self.session.peer_addr()
    }

    /// The address of our socket.
    pub fn local_addr(&self) -> SocketAddr {
        self.session.local_addr()
    }

    /// The conversation number.
    pub fn conv(&self) -> u32 {
        self.session.conv()
    }

    /// Counters and gauges of the session at this moment.
    pub fn stats(&self) -> SessionStats {
        self.session.stats()
    }

    /// Why the session ended, if it did.
    pub fn error(&self) -> Option<SessionError> {
        self.session.error()
    }
}

impl From<SessionInfo> for KcpConnectInfo {
    fn from(session: SessionInfo) -> Self {
        Self { session }
    }
}

/// A connection that knows the KCP session it runs over.
///
/// Implement it for what you wrap around a [`KcpStream`], to use that with this crate.
pub trait KcpIo: AsyncRead + AsyncWrite {
    /// The session below.
    fn connect_info(&self) -> KcpConnectInfo;
}

impl KcpIo for KcpStream {
    fn connect_info(&self) -> KcpConnectInfo {
        self.info().into()
    }
}
