//! Sockets over simulated links, for whole programs in tokio's paused time.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use kcp_transport::proto::Transmit;
use kcp_transport::{DatagramSocket, ReceiveSlot};
use netlab::link::{Link, LinkConfig, LinkStats};
use tokio::time::{Instant, Sleep};

use crate::Seed;

/// Packets that one send may carry, as with a kernel that has segmentation offload.
const MAX_RUN: usize = 64;

/// A network of sockets with a link in each direction between any two of them.
///
/// For tests under `#[tokio::test(start_paused = true)]`: tokio's clock goes on to the next arrival or timer whenever
/// every task waits, so seconds of network time pass in milliseconds, and runs repeat exactly. Clones are the same
/// network.
///
/// ```
/// use std::time::Duration;
/// use kcp_transport::{Config, Connector, Listener};
/// use sim::{LinkConfig, SimNetwork};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let network = SimNetwork::new(7);
/// network.set_default_link("delay=25ms loss=5%".parse()?);
/// let (server, client) = ("10.0.0.1:4000".parse()?, "10.0.0.2:4000".parse()?);
/// let mut listener = Listener::from_socket(network.socket(server), Config::default())?;
/// let connector = Connector::new(Config::default());
/// let mut stream = connector.connect_over(network.socket(client), server).await?;
/// stream.write_all(b"hello").await?;
/// let (mut accepted, _) = listener.accept().await?;
/// let mut hello = [0; 5];
/// accepted.read_exact(&mut hello).await?;
/// assert_eq!(&hello, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimNetwork(Arc<Mutex<State>>);

/// A socket of a [`SimNetwork`].
#[derive(Debug)]
pub struct SimSocket {
    network: SimNetwork,
    addr: SocketAddr,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

#[derive(Debug)]
struct State {
    seed: Seed,
    origin: Instant,
    default_link: LinkConfig,
    blackout: bool,
    /// By receiver, so that one finds its own; in a fixed order, so that runs repeat.
    links: BTreeMap<SocketAddr, BTreeMap<SocketAddr, Link>>,
    /// Bound addresses, with whoever waits there for an arrival.
    bound: BTreeMap<SocketAddr, Option<Waker>>,
}

impl Drop for State {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.seed.announce();
        }
    }
}

impl SimNetwork {
    /// A network whose links are perfect until they are set. All randomness comes from `seed`, or from the seed that
    /// `KCP_SIM_SEED` names.
    ///
    /// # Panics
    /// If the variable is set to something else than a number.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed: Seed::from_env_or(seed),
            origin: Instant::now(),
            default_link: LinkConfig::new(),
            blackout: false,
            links: BTreeMap::new(),
            bound: BTreeMap::new(),
        })))
    }

    /// Binds a socket. It is unbound when dropped.
    ///
    /// # Panics
    /// If the address is taken.
    pub fn socket(&self, addr: SocketAddr) -> SimSocket {
        let previous = self.lock().bound.insert(addr, None);
        assert!(previous.is_none(), "{addr} is taken");
        SimSocket {
            network: self.clone(),
            addr,
            timer: None,
        }
    }

    /// Whether a socket is bound to this address.
    pub fn is_bound(&self, addr: SocketAddr) -> bool {
        self.lock().bound.contains_key(&addr)
    }

    /// Changes every link, and what those are like that come into use later.
    pub fn set_default_link(&self, config: LinkConfig) {
        let state = &mut *self.lock();
        let now = state.origin.elapsed();
        for link in state.links.values_mut().flat_map(BTreeMap::values_mut) {
            link.set_config(now, config.clone());
        }
        state.default_link = config;
        state.wake_all();
    }

    /// Changes the link of one direction.
    pub fn set_link(&self, from: SocketAddr, to: SocketAddr, config: LinkConfig) {
        let state = &mut *self.lock();
        let now = state.origin.elapsed();
        state.link(from, to).set_config(now, config);
        state.wake(to);
    }

    /// Nothing passes any link, or all do again.
    pub fn set_blackout(&self, blackout: bool) {
        let state = &mut *self.lock();
        let now = state.origin.elapsed();
        for link in state.links.values_mut().flat_map(BTreeMap::values_mut) {
            link.set_blackout(now, blackout);
        }
        state.blackout = blackout;
    }

    /// What the link of one direction did.
    pub fn stats(&self, from: SocketAddr, to: SocketAddr) -> LinkStats {
        *self.lock().link(from, to).stats()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn link(&mut self, from: SocketAddr, to: SocketAddr) -> &mut Link {
        let links = self.links.entry(to).or_default();
        links.entry(from).or_insert_with(|| {
            let salt = salt(from) ^ salt(to).rotate_left(24);
            let seed = self.seed.stream(salt).next_word();
            let mut link = Link::new(self.default_link.clone(), seed);
            link.set_blackout(self.origin.elapsed(), self.blackout);
            link
        })
    }

    fn send(&mut self, from: SocketAddr, transmit: &Transmit<'_>) {
        let now = self.origin.elapsed();
        let to = transmit.destination;
        if !self.bound.contains_key(&to) {
            return;
        }
        let before = self.next_delivery(to);
        let link = self.link(from, to);
        for datagram in transmit.contents.chunks(transmit.segment_size) {
            link.send(now, datagram);
        }
        let after = self.next_delivery(to);
        if after.is_some_and(|after| before.is_none_or(|before| after < before)) {
            self.wake(to);
        }
    }

    fn next_delivery(&self, to: SocketAddr) -> Option<Duration> {
        let links = self.links.get(&to)?.values();
        links.filter_map(Link::next_delivery).min()
    }

    /// Fills slots with what has arrived, in order of arrival.
    fn receive(&mut self, to: SocketAddr, slots: &mut [ReceiveSlot]) -> usize {
        let now = self.origin.elapsed();
        let Some(links) = self.links.get_mut(&to) else {
            return 0;
        };
        let mut filled = 0;
        while filled < slots.len()
            && let Some((from, link)) = links
                .iter_mut()
                .filter(|(_, link)| link.next_delivery().is_some_and(|at| at <= now))
                .min_by_key(|(_, link)| link.next_delivery())
        {
            // Nothing comes out if what was on its way is lost at the end of a queue.
            if let Some(datagram) = link.poll(now) {
                slots[filled].put(*from, datagram);
                filled += 1;
            }
        }
        filled
    }

    fn wake(&mut self, addr: SocketAddr) {
        if let Some(waker) = self.bound.get_mut(&addr).and_then(Option::take) {
            waker.wake();
        }
    }

    fn wake_all(&mut self) {
        for waker in self.bound.values_mut().filter_map(Option::take) {
            waker.wake();
        }
    }
}

/// A number for an address.
fn salt(addr: SocketAddr) -> u64 {
    let ip = match addr.ip() {
        std::net::IpAddr::V4(ip) => u64::from(ip.to_bits()),
        std::net::IpAddr::V6(ip) => ip.to_bits() as u64,
    };
    (ip << 16) ^ u64::from(addr.port())
}

impl DatagramSocket for SimSocket {
    fn try_recv(&mut self, slots: &mut [ReceiveSlot]) -> io::Result<usize> {
        match self.network.lock().receive(self.addr, slots) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            filled => Ok(filled),
        }
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        slots: &mut [ReceiveSlot],
    ) -> Poll<io::Result<usize>> {
        loop {
            let next = {
                let state = &mut *self.network.lock();
                let filled = state.receive(self.addr, slots);
                if filled > 0 {
                    return Poll::Ready(Ok(filled));
                }
                state.bound.insert(self.addr, Some(cx.waker().clone()));
                state.next_delivery(self.addr).map(|at| state.origin + at)
            };
            let Some(next) = next else {
                self.timer = None;
                return Poll::Pending;
            };
            let timer = match &mut self.timer {
                Some((at, sleep)) if *at == next => sleep,
                Some((at, sleep)) => {
                    *at = next;
                    sleep.as_mut().reset(next);
                    sleep
                }
                none => {
                    &mut none
                        .insert((next, Box::pin(tokio::time::sleep_until(next))))
                        .1
                }
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }

    fn poll_send(&mut self, _: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<()>> {
        self.network.lock().send(self.addr, transmit);
        Poll::Ready(Ok(()))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.addr)
    }

    fn max_run(&self) -> usize {
        MAX_RUN
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        let state = &mut *self.network.lock();
        state.bound.remove(&self.addr);
        state.links.remove(&self.addr);
    }
}
