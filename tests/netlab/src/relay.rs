//! A UDP relay that puts a link in each direction between clients and a server.
//!
//! Clients send to [`Relay::local_addr`] instead of the server. All of them share the two links.
//! Each has a socket of its own towards the server, so that the server sees different peers, as
//! behind a NAT. Lengths are those of UDP payloads: neither rate nor MTU counts IP headers.

mod clients;
mod socket;
mod worker;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinHandle;

use crate::duplex::Duplex;
use crate::link::{LinkConfig, LinkStats};
use socket::BatchSocket;
use worker::Worker;

/// A running relay. Dropping it stops its task and closes its sockets.
#[derive(Debug)]
pub struct Relay {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Relay {
    /// Starts a relay to `server` on a free port of the loopback interface.
    ///
    /// `up` is the way from the clients to the server. One seed, and packets at the same times,
    /// give the same fates.
    ///
    /// # Errors
    ///
    /// If no socket or no thread can be made.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub fn start(
        server: SocketAddr,
        up: LinkConfig,
        down: LinkConfig,
        seed: u64,
    ) -> io::Result<Self> {
        let listen = match server {
            SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
        };
        Self::listen(listen, server, up, down, seed)
    }

    /// Starts a relay to `server` for clients that send to `listen`.
    ///
    /// # Errors
    ///
    /// If the address cannot be bound, or no thread can be made.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub fn listen(
        listen: SocketAddr,
        server: SocketAddr,
        up: LinkConfig,
        down: LinkConfig,
        seed: u64,
    ) -> io::Result<Self> {
        let front = BatchSocket::bind(listen)?;
        let local_addr = front.local_addr()?;
        let shared = Arc::new(Shared {
            path: Duplex::new(up, down, seed)?,
            rebinds: AtomicU64::new(0),
            clients: AtomicU64::new(0),
            socket_errors: AtomicU64::new(0),
        });
        let worker = Worker::new(front, server, Arc::clone(&shared));
        Ok(Self {
            local_addr,
            shared,
            task: tokio::spawn(worker.run()),
        })
    }

    /// Where clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Changes the parameters of both links, as [`Link::set_config`](crate::link::Link::set_config).
    pub fn set_links(&self, up: LinkConfig, down: LinkConfig) {
        self.shared.path.set_links(up, down);
    }

    /// Starts or ends a blackout in both directions.
    pub fn blackout(&self, blackout: bool) {
        self.shared.path.set_blackout(blackout);
    }

    /// Gives every client a new port towards the server from its next packet on, as a NAT does
    /// that has forgotten its mappings. What the server still sends to the old ports is lost.
    pub fn rebind_upstream(&self) {
        self.shared.rebinds.fetch_add(1, Ordering::Relaxed);
        self.shared.path.wake();
    }

    /// What happened so far.
    pub fn stats(&self) -> RelayStats {
        let (up, down) = self.shared.path.stats();
        RelayStats {
            up,
            down,
            clients: self.shared.clients.load(Ordering::Relaxed),
            socket_errors: self.shared.socket_errors.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Counters of a relay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// From the clients to the server.
    pub up: LinkStats,
    /// From the server to the clients.
    pub down: LinkStats,
    /// Clients now known. The one silent longest is forgotten when there are too many (512).
    pub clients: u64,
    /// Datagrams that the kernel refused, and failures to receive. Not the links' doing: should
    /// be zero. (Datagrams that overflow a kernel buffer show nowhere.)
    pub socket_errors: u64,
}

/// What the handle and the task have in common.
#[derive(Debug)]
struct Shared {
    path: Duplex,
    /// How often `rebind_upstream` was called.
    rebinds: AtomicU64,
    clients: AtomicU64,
    socket_errors: AtomicU64,
}

impl Shared {
    fn count_errors(&self, errors: u64) {
        self.socket_errors.fetch_add(errors, Ordering::Relaxed);
    }

    /// Whether to go on receiving. A failure of a UDP socket passes, as the peer's absence does.
    fn unless_failed(&self, received: io::Result<bool>) -> bool {
        received.unwrap_or_else(|_| {
            self.count_errors(1);
            false
        })
    }
}
