//! Unary calls over loopback: tonic over TCP beside tonic over KCP, in one run.
//!
//! `cargo bench -p e2e --bench unary [-- multi] [-- SECONDS]`
//!
//! One channel each; 16 bytes there and back. The transports take turns in short rounds, so that whatever else the machine
//! does meets all of them. Client and server have a thread each; `multi` puts both on a runtime with a thread for each
//! core. CPU time is that of both ends (Linux only).

#![expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use e2e::generated::Packet;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use kcp_tonic::{EndpointExt, Incoming};
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};

/// Callers at a time.
const CALLERS: [usize; 3] = [1, 16, 128];

/// Rounds of each transport at each number of callers.
const ROUNDS: u32 = 8;

#[derive(Clone, Copy, Debug)]
enum Transport {
    Tcp,
    Kcp { cipher: &'static str, mux: bool },
}

const TRANSPORTS: [Transport; 4] = [
    Transport::Tcp,
    Transport::Kcp {
        cipher: "aes-128-gcm",
        mux: true,
    },
    Transport::Kcp {
        cipher: "null",
        mux: true,
    },
    Transport::Kcp {
        cipher: "aes-128-gcm",
        mux: false,
    },
];

impl Transport {
    fn name(self) -> String {
        match self {
            Self::Tcp => "TCP".to_owned(),
            Self::Kcp { cipher, mux: true } => format!("KCP {cipher}, yamux"),
            Self::Kcp { cipher, mux: false } => format!("KCP {cipher}"),
        }
    }

    fn config(cipher: &str) -> Config {
        Config::default().cipher(Cipher::kcptun(cipher, "benchmark").expect("a listed name"))
    }

    /// Serves for ever; tells where.
    async fn serve(self, address: oneshot::Sender<SocketAddr>) {
        let server = Server::builder().add_service(ProbeServer::new(Probe::new().0));
        let served = match self {
            Self::Tcp => {
                let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into())
                    .expect("bound")
                    .with_nodelay(Some(true));
                address
                    .send(incoming.local_addr().expect("bound"))
                    .expect("the client waits for it");
                server.serve_with_incoming(incoming).await
            }
            Self::Kcp { cipher, mux } => {
                let listener = Listener::bind("127.0.0.1:0", Self::config(cipher))
                    .await
                    .expect("bound");
                address
                    .send(listener.local_addr())
                    .expect("the client waits for it");
                if mux {
                    let incoming = Incoming::new(listener.mux(MuxConfig::default()));
                    server.serve_with_incoming(incoming).await
                } else {
                    server
                        .serve_with_incoming(kcp_tonic::incoming(listener))
                        .await
                }
            }
        };
        served.expect("the server goes on");
    }

    async fn connect(self, server: SocketAddr) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{server}")).expect("a URI");
        let channel = match self {
            Self::Tcp => endpoint.connect().await,
            Self::Kcp { cipher, mux } => {
                let connector = Connector::new(Self::config(cipher));
                if mux {
                    endpoint
                        .connect_kcp(connector.mux(MuxConfig::default()))
                        .await
                } else {
                    endpoint.connect_kcp(connector).await
                }
            }
        };
        channel.expect("connected")
    }
}

/// What the rounds of one transport with one number of callers came to.
#[derive(Default)]
struct Tally {
    rates: Vec<f64>,
    calls: u64,
    cpu: f64,
}

impl Tally {
    /// Calls per second in the middle round.
    fn rate(&mut self) -> f64 {
        self.rates.sort_by(f64::total_cmp);
        self.rates[self.rates.len() / 2]
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let multi = args.iter().any(|arg| arg == "multi");
    let seconds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(2.4);
    let round = Duration::from_secs_f64(seconds) / ROUNDS;
    let only = args
        .iter()
        .find_map(|arg| arg.strip_prefix("callers=")?.parse().ok());
    let runtime = if multi {
        Builder::new_multi_thread().enable_all().build()
    } else {
        Builder::new_current_thread().enable_all().build()
    }
    .expect("a runtime");
    let servers = if multi {
        runtime.handle().clone()
    } else {
        own_thread()
    };
    runtime.block_on(run(servers, round, only));
}

/// A runtime on a thread of its own.
fn own_thread() -> Handle {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
}

async fn run(servers: Handle, round: Duration, only: Option<usize>) {
    let mut channels = Vec::new();
    for transport in TRANSPORTS {
        let (address, bound) = oneshot::channel();
        servers.spawn(transport.serve(address));
        let server = bound.await.expect("bound");
        channels.push(transport.connect(server).await);
    }
    println!(
        "{:<24} {:>8} {:>10} {:>7} {:>12}",
        "transport", "callers", "calls/s", "ratio", "cpu us/call"
    );
    for callers in CALLERS {
        if only.is_some_and(|only| only != callers) {
            continue;
        }
        let mut tallies: Vec<Tally> = TRANSPORTS.iter().map(|_| Tally::default()).collect();
        for channel in &channels {
            measure(channel, callers, round / 4).await;
        }
        for _ in 0..ROUNDS {
            for (channel, tally) in channels.iter().zip(&mut tallies) {
                let cpu = cpu_seconds();
                let (calls, rate) = measure(channel, callers, round).await;
                tally.calls += calls;
                tally.rates.push(rate);
                tally.cpu += cpu_seconds() - cpu;
            }
        }
        let tcp = tallies[0].rate();
        for (transport, tally) in TRANSPORTS.iter().zip(&mut tallies) {
            println!(
                "{:<24} {callers:>8} {:>10.0} {:>7.2} {:>12.1}",
                transport.name(),
                tally.rate(),
                tally.rate() / tcp,
                tally.cpu * 1e6 / tally.calls as f64
            );
        }
    }
}

/// Calls for `time`: how many, and how many in a second.
async fn measure(channel: &Channel, callers: usize, time: Duration) -> (u64, f64) {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let mut client = ProbeClient::new(channel.clone());
        tasks.spawn(async move {
            let packet = Packet {
                data: Bytes::from_static(b"sixteen bytes..."),
            };
            let mut calls = 0;
            while start.elapsed() < time {
                let echoed = client.echo(packet.clone()).await.expect("answered");
                assert_eq!(echoed.into_inner(), packet);
                calls += 1;
            }
            calls
        });
    }
    let calls = tasks.join_all().await.iter().sum();
    (calls, calls as f64 / start.elapsed().as_secs_f64())
}

/// CPU time of this process so far; zero where it cannot be read.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|ticks| ticks.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}
