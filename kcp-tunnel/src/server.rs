//! The server: takes sessions of clients and connects each of their streams to the target.

use core::future::Future;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use kcp_transport::{KcpStream, Listener};
use tracing::{info, warn};

use crate::config::{Endpoint, ServerConfig};
use crate::link;
use crate::qpp::Pads;
use crate::relay::{Connection, End, Far, Relay};
use crate::smux::{Session, Stream};
use crate::sockets::Socket;
use crate::status::{Role, Running, Tunnel};

/// Connects to what the tunnel leads to.
pub trait Connect: Send + Sync + 'static {
    /// Such a connection.
    type Connection: Connection;

    /// Connects once.
    fn connect(&self) -> impl Future<Output = io::Result<Self::Connection>> + Send;
}

impl Connect for Endpoint {
    type Connection = Socket;

    async fn connect(&self) -> io::Result<Socket> {
        Socket::connect(self).await
    }
}

/// A running server. Clones are handles of the same one.
#[derive(Debug)]
pub struct Server<C> {
    inner: Arc<Inner<C>>,
}

#[derive(Debug)]
struct Inner<C> {
    config: ServerConfig,
    target: C,
    pads: Option<Arc<Pads>>,
    running: Running,
}

impl<C> Clone for Server<C> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<C: Connect> Server<C> {
    /// A server without sessions yet.
    pub fn new(config: ServerConfig, target: C) -> Self {
        let inner = Inner {
            pads: link::pads(&config.tunnel),
            running: Running::new(Role::Server),
            config,
            target,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Takes sessions until the server [stops](Tunnel::stop) or the listener fails. May run for
    /// several listeners at once.
    ///
    /// # Errors
    /// Why the listener failed.
    pub async fn serve(&self, mut listener: Listener) -> io::Result<()> {
        for endpoint in listener.endpoints() {
            self.inner.running.registry.add_endpoint(endpoint.clone());
        }
        loop {
            let (kcp, _) = tokio::select! {
                accepted = listener.accept() => accepted?,
                () = self.inner.running.drain.stopping() => return Ok(()),
            };
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move { inner.serve_session(kcp).await });
        }
    }

    /// The configuration.
    pub fn config(&self) -> &ServerConfig {
        &self.inner.config
    }
}

impl<C: Connect> Tunnel for Server<C> {
    fn running(&self) -> &Running {
        &self.inner.running
    }
}

impl<C: Connect> Inner<C> {
    async fn serve_session(self: Arc<Self>, kcp: KcpStream) {
        let (info, peer) = (kcp.info(), kcp.peer_addr());
        let session = link::start(kcp, &self.config.tunnel, false);
        let watch = session.watch();
        let number = self.running.registry.add_session(info, watch.clone(), None);
        info!("session {number} accepted: {peer}");
        tokio::select! {
            () = self.serve_streams(number, &session) => {}
            () = self.running.drain.stopping() => watch.leave(),
        }
        // It ends with its last stream.
        drop(session);
        let error = watch.closed().await;
        info!("session {number} closed: {peer}: {error}");
        self.running.registry.remove_session(number).await;
    }

    async fn serve_streams(self: &Arc<Self>, number: u64, session: &Session) {
        while let Ok(stream) = session.accept().await {
            let inner = Arc::clone(self);
            let counted = self.running.registry.count_connection();
            self.running.drain.spawn(async move {
                inner.serve_stream(number, stream).await;
                drop(counted);
            });
        }
    }

    async fn serve_stream(&self, number: u64, stream: Stream) {
        let (id, quiet) = (stream.id(), self.config.tunnel.quiet);
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.target.connect()).await;
        let local = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            Ok(local) => local,
            Err(error) => {
                warn!("cannot connect to {}: {error}", self.config.target);
                return;
            }
        };
        if !quiet {
            info!("stream opened: session {number}, stream {id}");
        }
        let (sent, received) = match &self.pads {
            Some(pads) => self.relay(local, link::permute(stream, pads)).await,
            None => self.relay(local, stream).await,
        };
        if !quiet {
            info!(
                "stream closed: session {number}, stream {id}, {sent} bytes sent, {received} received"
            );
        }
    }

    async fn relay<F: Far>(&self, local: C::Connection, far: F) -> (u64, u64) {
        let mut relay = Relay::new(local, far, self.config.tunnel.close_wait);
        let end = tokio::select! {
            end = relay.run() => Some(end),
            () = self.running.drain.forced() => None,
        };
        let moved = relay.moved();
        match end {
            Some(End::Finished | End::Local(_)) => {}
            Some(End::Session(_)) | None => relay.into_local().abort(),
        }
        moved
    }
}

/// How long a target has to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
