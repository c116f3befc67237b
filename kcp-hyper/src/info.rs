//! What handlers and clients may know of the connection below a request.

use std::net::{Ipv4Addr, SocketAddr};

use kcp_transport::mux::{ConnectionInfo, MuxStream};
use kcp_transport::{KcpStream, SessionError, SessionInfo, SessionStats};
use tokio::io::{AsyncRead, AsyncWrite};

/// The connection below a request or a response, found in its extensions.
///
/// A look at the session that does not keep it open. Streams of one multiplexed session share it.
#[derive(Clone, Debug)]
pub struct KcpConnectInfo {
    peer_addr: SocketAddr,
    local_addr: SocketAddr,
    session: Option<SessionInfo>,
    stream: Option<u32>,
}

impl KcpConnectInfo {
    /// The peer's address. Of an IPv4 peer on an IPv6 socket it is the mapped one.
    ///
    /// `0.0.0.0:0` if the stream was multiplexed over a connection that nothing is known of.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// The address of our socket; `0.0.0.0:0` as for [`peer_addr`](Self::peer_addr).
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The session; `None` if the stream was multiplexed over something that is not KCP.
    pub fn session(&self) -> Option<&SessionInfo> {
        self.session.as_ref()
    }

    /// The number of the stream in its session; `None` if the connection is the whole session.
    pub fn stream_id(&self) -> Option<u32> {
        self.stream
    }

    /// The conversation number; 0 without a [`session`](Self::session).
    pub fn conv(&self) -> u32 {
        self.session.as_ref().map_or(0, SessionInfo::conv)
    }

    /// Counters and gauges of the session at this moment; all 0 without a [`session`](Self::session).
    pub fn stats(&self) -> SessionStats {
        self.session
            .as_ref()
            .map(SessionInfo::stats)
            .unwrap_or_default()
    }

    /// Why the session ended, if it did.
    pub fn error(&self) -> Option<SessionError> {
        self.session.as_ref().and_then(SessionInfo::error)
    }
}

impl From<SessionInfo> for KcpConnectInfo {
    fn from(session: SessionInfo) -> Self {
        Self {
            peer_addr: session.peer_addr(),
            local_addr: session.local_addr(),
            session: Some(session),
            stream: None,
        }
    }
}

impl From<&MuxStream> for KcpConnectInfo {
    fn from(stream: &MuxStream) -> Self {
        let below: &ConnectionInfo = stream.connection_info();
        let unknown = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        Self {
            peer_addr: below.peer_addr.unwrap_or(unknown),
            local_addr: below.local_addr.unwrap_or(unknown),
            session: below.session.clone(),
            stream: Some(stream.id()),
        }
    }
}

/// A connection that knows the KCP session it runs over.
///
/// Implement it for what you wrap around a [`KcpStream`] or a [`MuxStream`], to use that with this crate.
pub trait KcpIo: AsyncRead + AsyncWrite {
    /// The session below.
    fn connect_info(&self) -> KcpConnectInfo;
}

impl KcpIo for KcpStream {
    fn connect_info(&self) -> KcpConnectInfo {
        self.info().into()
    }
}

impl KcpIo for MuxStream {
    fn connect_info(&self) -> KcpConnectInfo {
        self.into()
    }
}
