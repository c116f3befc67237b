//! Who sends through the relay, and the socket each has towards the server.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;

use super::socket::BatchSocket;

/// A client, named by a number that is never used again: a packet still in flight when its client
/// is forgotten must not reach another one.
pub(super) struct Client {
    pub(super) address: SocketAddr,
    /// Opened by the first packet that reaches this end.
    upstream: Option<BatchSocket>,
    heard_at: Duration,
}

impl Client {
    pub(super) fn upstream(&self) -> Option<&BatchSocket> {
        self.upstream.as_ref()
    }
}

/// The clients now known.
#[derive(Default)]
pub(super) struct Clients {
    by_number: BTreeMap<u64, Client>,
    numbers: HashMap<SocketAddr, u64>,
    next_number: u64,
}

impl Clients {
    /// The number of the client at `address`, which has just been heard.
    pub(super) fn heard(&mut self, address: SocketAddr, now: Duration) -> u64 {
        if let Some(number) = self.numbers.get(&address) {
            if let Some(client) = self.by_number.get_mut(number) {
                client.heard_at = now;
            }
            return *number;
        }
        if self.by_number.len() >= MAX_CLIENTS {
            self.forget_most_silent();
        }
        let number = self.next_number;
        self.next_number += 1;
        self.numbers.insert(address, number);
        self.by_number.insert(
            number,
            Client {
                address,
                upstream: None,
                heard_at: now,
            },
        );
        number
    }

    pub(super) fn get(&self, number: u64) -> Option<&Client> {
        self.by_number.get(&number)
    }

    /// The socket of a client towards the server, bound to `address` if there is none yet; nothing
    /// for a client that was forgotten.
    pub(super) fn open_upstream(
        &mut self,
        number: u64,
        address: SocketAddr,
    ) -> io::Result<Option<&BatchSocket>> {
        let Some(client) = self.by_number.get_mut(&number) else {
            return Ok(None);
        };
        if client.upstream.is_none() {
            client.upstream = Some(BatchSocket::bind(address)?);
        }
        Ok(client.upstream.as_ref())
    }

    /// Every socket that is open towards the server, with the number of its client.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = (u64, &BatchSocket)> {
        self.by_number
            .iter()
            .filter_map(|(number, client)| Some((*number, client.upstream.as_ref()?)))
    }

    /// Replaces every open socket towards the server; returns how many could not be.
    pub(super) fn rebind_upstreams(&mut self, address: SocketAddr) -> u64 {
        let mut failed = 0;
        for client in self
            .by_number
            .values_mut()
            .filter(|client| client.upstream.is_some())
        {
            // The old port is still taken here, so the new one is a different one.
            let rebound = BatchSocket::bind(address);
            failed += u64::from(rebound.is_err());
            client.upstream = rebound.ok();
        }
        failed
    }

    /// Ready when any socket towards the server is readable; wakes for each of them.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let readable = self.upstreams().fold(false, |any, (_, socket)| {
            socket.poll_readable(cx).is_ready() || any
        });
        if readable {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    fn forget_most_silent(&mut self) {
        let silent = self
            .by_number
            .iter()
            .min_by_key(|(_, client)| client.heard_at);
        if let Some((number, address)) = silent.map(|(number, client)| (*number, client.address)) {
            self.by_number.remove(&number);
            self.numbers.remove(&address);
        }
    }
}

/// Most clients at a time: each costs a socket, and processes may have 1024 files by default.
const MAX_CLIENTS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_clients_push_out_the_one_silent_longest() {
        let mut clients = Clients::default();
        let address = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16));
        for port in 0..MAX_CLIENTS {
            clients.heard(address(port), Duration::from_secs(port as u64));
        }
        // The first client speaks up; the second is now silent longest.
        let first = clients.heard(address(0), Duration::from_secs(1_000));
        let second = clients.heard(address(1), Duration::from_secs(1));
        clients.heard(address(MAX_CLIENTS), Duration::from_secs(1_001));
        assert_eq!(clients.len(), MAX_CLIENTS);
        assert!(clients.get(first).is_some());
        assert!(clients.get(second).is_none());
        assert_ne!(
            clients.heard(address(1), Duration::from_secs(1_002)),
            second
        );
    }
}
