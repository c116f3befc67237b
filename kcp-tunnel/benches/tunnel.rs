//! Our tunnel and kcptun 20210922 in turn, with equal settings: goodput over a bad link, throughput and processor
//! time on the loopback interface, memory with many connections.
//!
//!     cargo bench -p kcp-tunnel --bench tunnel -- [lossy] [loopback] [idle] [stalled]
//!
//! Without names all are run. Needs a quiet machine, the Debian package `kcptun`, and 4,096 open files. Memory is
//! that of the processes; the bytes that stalled targets got rid of are mostly in buffers of the kernel.

#[allow(dead_code, clippy::unwrap_used, reason = "parts of tests")]
#[path = "../tests/peers/process.rs"]
mod process;
#[allow(dead_code, clippy::unwrap_used, reason = "parts of tests")]
#[path = "../tests/peers/tunnel.rs"]
mod tunnel;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use netlab::link::LinkConfig;
use netlab::relay::Relay;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use process::Process;
use tunnel::{Make, Setup, listen};

const MAKES: [Make; 2] = [Make::Ours, Make::Kcptun2021];

/// How often each make has its turn.
const ROUNDS: u64 = 3;

/// What both are told.
const FLAGS: &[&str] = &[
    "-crypt",
    "aes-128",
    "-key",
    "bench",
    "-datashard",
    "10",
    "-parityshard",
    "3",
    "-nocomp",
    "-smuxver",
    "2",
    "-mode",
    "fast3",
    "-sndwnd",
    "1024",
    "-rcvwnd",
    "1024",
    "-quiet",
];

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let wants = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    if !Make::Kcptun2021.is_here() {
        return;
    }
    if wants("lossy") {
        println!("one download, 5 % loss each way, 50 ms one way, 100 Mbit/s (goodput of 10 s):");
        alternate(lossy).await;
    }
    if wants("loopback") {
        println!(
            "one download on the loopback interface, aes-128, code 10/3, no compression (4 s):"
        );
        alternate(loopback).await;
    }
    if wants("idle") {
        println!("memory at 1,000 idle connections:");
        alternate(idle).await;
    }
    if wants("stalled") {
        println!("memory at 100 connections whose readers do not read:");
        alternate(stalled).await;
    }
}

async fn alternate(measure: impl AsyncFn(Make, u64) -> String) {
    for round in 0..ROUNDS {
        for make in MAKES {
            println!(
                "  {:<12} {}",
                format!("{make:?}"),
                measure(make, round).await
            );
        }
    }
}

/// A client and a server, and where the client listens.
struct Pair {
    client: Process,
    server: Process,
    local: SocketAddr,
    _relay: Option<Relay>,
}

impl Pair {
    async fn start(make: Make, target: SocketAddr, link: Option<(LinkConfig, u64)>) -> Self {
        let setup = Setup::new(make, make, FLAGS);
        let (server, remote) = setup.listen(target).await;
        let relay = link.map(|(link, seed)| {
            Relay::start(remote, link.clone(), link, seed)
                .expect("a relay on the loopback interface")
        });
        let remote = relay.as_ref().map_or(remote, Relay::local_addr);
        let (client, local) = setup.dial(remote).await;
        Self {
            client,
            server,
            local,
            _relay: relay,
        }
    }

    /// Processor time of both so far.
    fn cpu(&self) -> Duration {
        self.client.cpu() + self.server.cpu()
    }

    fn memory(&self) -> String {
        let mebibytes = |process: &Process| process.resident_bytes() as f64 / f64::from(1 << 20);
        format!(
            "client {:6.1} MiB, server {:6.1} MiB",
            mebibytes(&self.client),
            mebibytes(&self.server)
        )
    }
}

async fn lossy(make: Make, round: u64) -> String {
    let (target, addr) = listen().await;
    tokio::spawn(pour(target, Arc::default()));
    let link: LinkConfig = "delay=50ms loss=5% rate=100mbit".parse().expect("a link");
    let pair = Pair::start(make, addr, Some((link, round))).await;
    let (bytes, time) = download(pair.local, Duration::from_secs(10)).await;
    format!("{:7.2} MB/s", bytes as f64 / time.as_secs_f64() / 1e6)
}

async fn loopback(make: Make, _: u64) -> String {
    let (target, addr) = listen().await;
    tokio::spawn(pour(target, Arc::default()));
    let pair = Pair::start(make, addr, None).await;
    let before = pair.cpu();
    let (bytes, time) = download(pair.local, Duration::from_secs(4)).await;
    let cpu = pair.cpu() - before;
    let per_gigabyte = cpu.as_secs_f64() / (bytes as f64 / 1e9);
    let rate = bytes as f64 / time.as_secs_f64() / 1e6;
    format!("{rate:7.1} MB/s, {per_gigabyte:6.2} cpu-s/GB of both ends")
}

async fn idle(make: Make, _: u64) -> String {
    const COUNT: usize = 1_000;
    let (target, addr) = listen().await;
    let pair = Pair::start(make, addr, None).await;
    let fresh = pair.memory();
    let mut open = Vec::new();
    for _ in 0..COUNT {
        // A byte each way: the connection exists from end to end.
        let mut app = TcpStream::connect(pair.local).await.expect("files enough");
        app.write_all(b"?").await.expect("a client that reads");
        let (mut socket, _) = target.accept().await.expect("files enough");
        let mut byte = [0];
        socket.read_exact(&mut byte).await.expect("what was sent");
        socket.write_all(b"!").await.expect("a server that reads");
        app.read_exact(&mut byte).await.expect("what was sent");
        open.push((app, socket));
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    format!("{} (fresh: {fresh})", pair.memory())
}

async fn stalled(make: Make, _: u64) -> String {
    const COUNT: usize = 100;
    let (target, addr) = listen().await;
    let poured = Arc::new(AtomicU64::new(0));
    tokio::spawn(pour(target, Arc::clone(&poured)));
    let pair = Pair::start(make, addr, None).await;
    let mut open = Vec::new();
    for _ in 0..COUNT {
        let mut app = TcpStream::connect(pair.local).await.expect("files enough");
        app.write_all(b"?").await.expect("a client that reads");
        open.push(app);
    }
    let mut last = 0;
    let mut unchanged = 0;
    while unchanged < 4 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = poured.load(Ordering::Relaxed);
        unchanged = if now == last && now > 0 {
            unchanged + 1
        } else {
            0
        };
        last = now;
    }
    format!(
        "{}; {:.1} MB taken from the targets",
        pair.memory(),
        last as f64 / 1e6
    )
}

/// Sends without end to whoever connects, and counts it.
async fn pour(target: TcpListener, poured: Arc<AtomicU64>) {
    while let Ok((mut socket, _)) = target.accept().await {
        let poured = Arc::clone(&poured);
        tokio::spawn(async move {
            let piece = vec![0xa5; 256 << 10];
            while let Ok(len) = socket.write(&piece).await {
                poured.fetch_add(len as u64, Ordering::Relaxed);
            }
        });
    }
}

/// Reads for so long from the first byte on.
async fn download(local: SocketAddr, time: Duration) -> (u64, Duration) {
    let mut app = TcpStream::connect(local)
        .await
        .expect("a client that listens");
    app.write_all(b"?").await.expect("a client that reads");
    let mut buffer = vec![0; 256 << 10];
    let mut bytes = 0;
    let first = app.read(&mut buffer).await.expect("a target that sends");
    assert!(first > 0, "the connection has ended");
    let start = Instant::now();
    loop {
        let left = time.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, app.read(&mut buffer)).await {
            Ok(read) => match read.expect("a target that sends") {
                0 => panic!("the connection has ended"),
                read => bytes += read as u64,
            },
            Err(_) => return (bytes, start.elapsed()),
        }
    }
}
