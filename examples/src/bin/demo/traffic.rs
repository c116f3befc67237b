//! What went over the wire, at both ends.

use std::net::SocketAddr;
use std::ops::Sub;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use kcp_transport::mux::{ConnectionInfo, MuxConfig, MuxConnector};
use kcp_transport::{ConnectError, Connector, Endpoint, KcpStream, SessionInfo, SessionStats};
use tower_service::Service;

/// Counters of all sessions of the demo, clients' and servers' together.
#[derive(Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Bytes the applications wrote.
    pub(crate) useful_bytes: u64,
    /// Bytes of UDP payload sent for them.
    pub(crate) wire_bytes: u64,
    /// Packets sent.
    pub(crate) packets: u64,
    /// Segments sent again because they were lost.
    pub(crate) resent: u64,
    /// Copies of segments sent before any loss was known.
    pub(crate) copies: u64,
    /// Packets rebuilt from parity.
    pub(crate) rebuilt: u64,
}

impl Traffic {
    fn add(&mut self, stats: &SessionStats) {
        self.useful_bytes += stats.bytes_sent;
        self.wire_bytes += stats.wire_bytes_sent;
        self.packets += stats.packets_sent;
        self.resent += stats.resends();
        self.copies += stats.copies_sent;
        self.rebuilt += stats.fec_recovered;
    }
}

impl Sub for Traffic {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            useful_bytes: self.useful_bytes - earlier.useful_bytes,
            wire_bytes: self.wire_bytes - earlier.wire_bytes,
            packets: self.packets - earlier.packets,
            resent: self.resent - earlier.resent,
            copies: self.copies - earlier.copies,
            rebuilt: self.rebuilt - earlier.rebuilt,
        }
    }
}

/// Finds out what the sessions of these ends have sent.
#[derive(Clone, Default)]
pub(crate) struct Meter {
    clients: Arc<Mutex<Vec<SessionInfo>>>,
    servers: Vec<Endpoint>,
}

impl Meter {
    /// Counts what the sessions of these sockets send.
    pub(crate) fn watch_server(&mut self, endpoints: &[Endpoint]) {
        self.servers.extend_from_slice(endpoints);
    }

    /// Counts what the sessions send that this connector will open.
    pub(crate) fn watch_client(&self, connector: Connector) -> Metered {
        Metered {
            connector,
            sessions: Arc::clone(&self.clients),
        }
    }

    /// What was sent so far.
    pub(crate) async fn read(&self) -> Traffic {
        let mut traffic = Traffic::default();
        for session in self
            .clients
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            traffic.add(&session.stats());
        }
        for endpoint in &self.servers {
            // A socket that has closed has nothing more to say.
            if let Ok(stats) = endpoint.stats().await {
                traffic.add(&stats.sessions);
            }
        }
        traffic
    }
}

/// A connector whose sessions are counted: a tower service around another.
#[derive(Clone)]
pub(crate) struct Metered {
    connector: Connector,
    sessions: Arc<Mutex<Vec<SessionInfo>>>,
}

impl Metered {
    /// Multiplexes, as `Connector::mux` does.
    pub(crate) fn mux(self) -> MuxConnector<Self, SocketAddr> {
        MuxConnector::with_info(self, MuxConfig::default(), |session| {
            ConnectionInfo::from(session)
        })
    }
}

impl Service<SocketAddr> for Metered {
    type Response = KcpStream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<KcpStream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, peer: SocketAddr) -> Self::Future {
        let opened = self.connector.call(peer);
        let sessions = Arc::clone(&self.sessions);
        Box::pin(async move {
            let stream = opened.await?;
            sessions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(stream.info());
            Ok(stream)
        })
    }
}
