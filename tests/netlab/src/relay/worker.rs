//! The task that moves the packets of a relay.

use std::future::poll_fn;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use super::Shared;
use super::clients::Clients;
use super::socket::{BatchSocket, Scratch, Train};
use crate::duplex::Links;

pub(super) struct Worker {
    front: BatchSocket,
    server: SocketAddr,
    clients: Clients,
    shared: Arc<Shared>,
    /// Value of `shared.rebinds` that has been acted on.
    rebinds: u64,
    scratch: Scratch,
    train: Train,
}

impl Worker {
    pub(super) fn new(front: BatchSocket, server: SocketAddr, shared: Arc<Shared>) -> Self {
        Self {
            front,
            server,
            clients: Clients::default(),
            shared,
            rebinds: 0,
            scratch: Scratch::default(),
            train: Train::default(),
        }
    }

    pub(super) async fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        loop {
            self.wait().await;
            let now = shared.path.now();
            let mut links = shared.path.lock();
            self.rebind();
            self.receive(now, &mut links);
            self.deliver_up(now, &mut links);
            self.deliver_down(now, &mut links);
            shared
                .clients
                .store(self.clients.len() as u64, Ordering::Relaxed);
        }
    }

    /// Returns when a socket is readable, a packet is due, or the handle changed something.
    async fn wait(&self) {
        let readable = poll_fn(|cx| {
            let front = self.front.poll_readable(cx);
            let clients = self.clients.poll_readable(cx);
            if front.is_ready() || clients.is_ready() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::select! {
            () = readable => {}
            () = self.shared.path.wait() => {}
        }
    }

    fn rebind(&mut self) {
        let rebinds = self.shared.rebinds.load(Ordering::Relaxed);
        if rebinds != self.rebinds {
            self.rebinds = rebinds;
            let failed = self.clients.rebind_upstreams(unspecified(self.server));
            self.shared.count_errors(failed);
        }
    }

    fn receive(&mut self, now: Duration, links: &mut Links) {
        for _ in 0..RECEIVE_BUDGET {
            let received = self.front.receive(&mut self.scratch, |from, packet| {
                let client = self.clients.heard(from, now);
                links.up.send_tagged(now, client, packet);
            });
            if !self.shared.unless_failed(received) {
                break;
            }
        }
        for (client, upstream) in self.clients.upstreams() {
            for _ in 0..RECEIVE_BUDGET {
                let received = upstream.receive(&mut self.scratch, |from, packet| {
                    // As behind a NAT, only the server gets through.
                    if from == self.server {
                        links.down.send_tagged(now, client, packet);
                    }
                });
                if !self.shared.unless_failed(received) {
                    break;
                }
            }
        }
    }

    fn deliver_up(&mut self, now: Duration, links: &mut Links) {
        let mut sender = None;
        while let Some((client, packet)) = links.up.poll_tagged(now) {
            let fits = match self.clients.open_upstream(client, unspecified(self.server)) {
                Ok(Some(socket)) => sender == Some(client) && self.train.takes(packet, socket),
                Ok(None) => continue,
                Err(_) => {
                    self.shared.count_errors(1);
                    continue;
                }
            };
            if !fits {
                self.send_up(sender);
                sender = Some(client);
            }
            self.train.push(packet);
        }
        self.send_up(sender);
    }

    /// Sends the train to the server, from the socket of `sender`.
    fn send_up(&mut self, sender: Option<u64>) {
        if let Some(socket) = sender.and_then(|client| self.clients.get(client)?.upstream()) {
            self.shared
                .count_errors(socket.send(self.server, &self.train));
        }
        self.train.clear();
    }

    fn deliver_down(&mut self, now: Duration, links: &mut Links) {
        let mut receiver = None;
        while let Some((client, packet)) = links.down.poll_tagged(now) {
            let Some(address) = self.clients.get(client).map(|client| client.address) else {
                continue;
            };
            if receiver != Some(address) || !self.train.takes(packet, &self.front) {
                self.send_down(receiver);
                receiver = Some(address);
            }
            self.train.push(packet);
        }
        self.send_down(receiver);
    }

    /// Sends the train to the client at `receiver`.
    fn send_down(&mut self, receiver: Option<SocketAddr>) {
        if let Some(receiver) = receiver {
            self.shared
                .count_errors(self.front.send(receiver, &self.train));
        }
        self.train.clear();
    }
}

/// Any address of the family of `server`, and a free port.
fn unspecified(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// System calls per socket and turn: a busy sender does not keep the others from being heard.
const RECEIVE_BUDGET: usize = 4;
