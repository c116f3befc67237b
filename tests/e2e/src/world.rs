//! Where a scenario plays: a simulated network, or real sockets.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use kcp_tonic::Sessions;
use kcp_transport::mux::{ConnectionInfo, MuxConfig, MuxConnector};
use kcp_transport::{Cipher, Config, ConnectError, Endpoint, KcpStream, Listener, UdpSocket};
use sim::{LinkConfig, SimNetwork};
use tokio::runtime::Builder;
use tokio::time::timeout;
use tower_service::Service;

/// The simulated network: 20 ms there and 20 ms back, and of both a tenth lost.
pub const LOSSY: &str = "delay=20ms loss=10%";

/// A scenario that has not ended after this long waits for something that does not come.
const PATIENCE: Duration = Duration::from_secs(120);

/// The same in virtual time.
const VIRTUAL_PATIENCE: Duration = Duration::from_secs(20_000);

/// Where a scenario plays. Clones are the same world.
#[derive(Clone, Debug)]
pub struct World {
    ground: Ground,
    config: Config,
    ends: Ends,
}

/// Which ends of gRPC do without tonic's transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// Clients are `DirectChannel`s.
    pub direct_clients: bool,
    /// Servers are served by `serve_direct`.
    pub direct_servers: bool,
}

#[derive(Clone, Debug)]
enum Ground {
    Simulated {
        network: SimNetwork,
        hosts: Arc<AtomicU8>,
    },
    Real,
}

impl World {
    /// Plays a scenario over a simulated network in virtual time that is [lossy](LOSSY).
    ///
    /// # Panics
    /// If the scenario does, or does not end.
    pub fn simulated<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        Self::simulated_over(LOSSY, scenario);
    }

    /// Plays a scenario over a simulated network in virtual time, of links as described.
    ///
    /// # Panics
    /// If the scenario does, or does not end.
    pub fn simulated_over<F: Future<Output = ()>>(link: &str, scenario: impl FnOnce(Self) -> F) {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let network = SimNetwork::new(1);
            network.set_default_link(link_config(link));
            let world = Self {
                ground: Ground::Simulated {
                    network,
                    hosts: Arc::new(AtomicU8::new(1)),
                },
                config: config(),
                ends: Ends::default(),
            };
            let end = timeout(VIRTUAL_PATIENCE, scenario(world)).await;
            end.expect("the scenario waits for ever");
        });
    }

    /// Plays a scenario over real sockets on loopback, with two threads.
    ///
    /// # Panics
    /// If the scenario does, or does not end.
    pub fn real<F: Future<Output = ()>>(scenario: impl FnOnce(Self) -> F) {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let world = Self {
            ground: Ground::Real,
            config: config(),
            ends: Ends::default(),
        };
        runtime.block_on(async {
            let end = timeout(PATIENCE, scenario(world)).await;
            end.expect("the scenario waits for ever");
        });
        runtime.shutdown_background();
    }

    /// The same network with other settings of its sessions.
    pub fn with(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    /// The same network with other ends.
    pub fn between(mut self, ends: Ends) -> Self {
        self.ends = ends;
        self
    }

    /// Which ends of gRPC do without tonic's transport.
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// The settings of sessions.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The network, if it is simulated.
    pub fn network(&self) -> Option<&SimNetwork> {
        match &self.ground {
            Ground::Simulated { network, .. } => Some(network),
            Ground::Real => None,
        }
    }

    /// Listens on a new address.
    ///
    /// # Panics
    /// If there is none.
    pub fn listen(&self) -> Listener {
        self.listen_at(self.new_host())
    }

    /// Listens on an address, as after a restart.
    ///
    /// # Panics
    /// If it is taken.
    pub fn listen_at(&self, addr: SocketAddr) -> Listener {
        let listener = match &self.ground {
            Ground::Simulated { network, .. } => {
                Listener::from_socket(network.socket(addr), self.config.clone())
            }
            Ground::Real => Listener::from_socket(self.bind(addr), self.config.clone()),
        };
        listener.expect("an address")
    }

    /// Waits until the socket at an address is closed.
    pub async fn wait_until_free(&self, addr: SocketAddr) {
        while self.is_bound(addr) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn is_bound(&self, addr: SocketAddr) -> bool {
        match &self.ground {
            Ground::Simulated { network, .. } => network.is_bound(addr),
            Ground::Real => std::net::UdpSocket::bind(addr).is_err(),
        }
    }

    /// A client.
    pub fn dialer(&self) -> Dialer {
        Dialer {
            world: self.clone(),
            endpoints: Arc::default(),
        }
    }

    fn endpoint(&self) -> Endpoint {
        let (addr, config) = (self.new_host(), Arc::new(self.config.clone()));
        let endpoint = match &self.ground {
            Ground::Simulated { network, .. } => Endpoint::new(network.socket(addr), config),
            Ground::Real => Endpoint::new(self.bind(addr), config),
        };
        endpoint.expect("an address")
    }

    fn bind(&self, addr: SocketAddr) -> UdpSocket {
        UdpSocket::bind(addr, &self.config, false).expect("a free port")
    }

    fn new_host(&self) -> SocketAddr {
        match &self.ground {
            Ground::Simulated { hosts, .. } => {
                let host = hosts.fetch_add(1, Ordering::Relaxed);
                ([10, 0, 0, host], 4_000).into()
            }
            Ground::Real => (Ipv4Addr::LOCALHOST, 0).into(),
        }
    }
}

/// Opens sessions in a [`World`], each from a socket of its own: what `kcp_transport::Connector` is for real sockets.
#[derive(Clone, Debug)]
pub struct Dialer {
    world: World,
    endpoints: Arc<Mutex<Vec<Endpoint>>>,
}

impl Dialer {
    /// Multiplexes, as `kcp_transport::Connector::mux` does.
    pub fn mux(self) -> MuxConnector<Self, SocketAddr> {
        self.mux_with(MuxConfig::default())
    }

    /// As [`mux`](Self::mux), with other settings.
    pub fn mux_with(self, config: MuxConfig) -> MuxConnector<Self, SocketAddr> {
        MuxConnector::with_info(self, config, |stream| ConnectionInfo::from(stream))
    }

    /// Sessions opened so far.
    pub fn dials(&self) -> usize {
        self.lock().len()
    }

    /// Bytes that its sessions took from what runs over them.
    ///
    /// # Panics
    /// After [`vanish`](Self::vanish).
    pub async fn bytes_written(&self) -> u64 {
        let endpoints = self.lock().clone();
        let mut bytes = 0;
        for endpoint in endpoints {
            let stats = endpoint.stats().await.expect("it has not vanished");
            bytes += stats.sessions.bytes_sent;
        }
        bytes
    }

    /// The client is gone from one moment to the next: nobody is told.
    pub fn vanish(&self) {
        self.lock().iter().for_each(Endpoint::close);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Endpoint>> {
        self.endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sessions for Dialer {
    fn sessions(self, k: usize) -> Vec<Self> {
        vec![self; k]
    }
}

impl Service<SocketAddr> for Dialer {
    type Response = KcpStream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<KcpStream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, peer: SocketAddr) -> Self::Future {
        let endpoint = self.world.endpoint();
        self.lock().push(endpoint.clone());
        Box::pin(async move { endpoint.connect(peer).await })
    }
}

/// Ordinary settings, encrypted.
fn config() -> Config {
    Config::default().cipher(Cipher::aes_128_gcm(&[7; 16]))
}

fn link_config(text: &str) -> LinkConfig {
    text.parse().expect("a description of a link")
}
