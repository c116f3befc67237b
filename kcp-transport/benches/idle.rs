//! What idle sessions cost a listener: CPU time and memory, with the default keepalive.
//!
//! `cargo bench -p kcp-transport --bench idle [-- SESSIONS…]` (Linux; default 10,000 and 50,000)
//!
//! The listener runs in this process, the clients in a second one started by it, so that the figures are the
//! listener's alone.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use kcp_transport::{Config, Connector, Listener};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the sessions are watched: one and a half times the default keepalive.
const WATCHED: Duration = Duration::from_secs(30);

/// Clients' sockets; the sessions are spread over them.
const SOCKETS: usize = 16;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    if let [role, address, sessions] = &args[..]
        && role == "clients"
    {
        runtime.block_on(clients(address, sessions.parse().expect("a number")));
        return;
    }
    let asked: Vec<usize> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let counts = if asked.is_empty() {
        vec![10_000, 50_000]
    } else {
        asked
    };
    println!(
        "{:>8} {:>12} {:>16} {:>14}",
        "sessions", "% of a core", "KiB a session", "datagrams/s"
    );
    for sessions in counts {
        runtime.block_on(watch(sessions));
    }
}

async fn watch(sessions: usize) {
    let config = Config::default().accept_backlog(sessions);
    let mut listener = Listener::bind("127.0.0.1:0", config).await.expect("bound");
    let before = resident_kib();
    let mut child = Command::new(std::env::current_exe().expect("known"))
        .args([
            "clients",
            &listener.local_addr().to_string(),
            &sessions.to_string(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    let mut streams = Vec::with_capacity(sessions);
    while streams.len() < sessions {
        let (mut stream, _) = listener.accept().await.expect("listening");
        stream.read_exact(&mut [0]).await.expect("its first byte");
        streams.push(stream);
    }
    // Buffers are given back a second after the last traffic.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let memory = (resident_kib() - before) as f64 / sessions as f64;
    let (cpu, stats) = (cpu_seconds(), listener.stats().await.expect("driven"));
    tokio::time::sleep(WATCHED).await;
    let cpu = (cpu_seconds() - cpu) / WATCHED.as_secs_f64() * 100.0;
    let now = listener.stats().await.expect("driven");
    assert_eq!(
        now.current_sessions as usize, sessions,
        "every session lives"
    );
    let datagrams = (now.datagrams_received - stats.datagrams_received) as f64;
    let rate = datagrams / WATCHED.as_secs_f64();
    println!("{sessions:>8} {cpu:>12.2} {memory:>16.2} {rate:>14.0}");
    drop(child.stdin.take());
    let mut rest = String::new();
    let _ = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut rest);
    child.wait().expect("it ends when its input does");
}

/// Opens the sessions, says one byte on each, and holds them until its input ends.
async fn clients(address: &str, sessions: usize) {
    let address = address.parse().expect("an address");
    let connectors: Vec<Connector> = (0..SOCKETS)
        .map(|_| Connector::new(Config::default()).shared_socket())
        .collect();
    let mut streams = Vec::with_capacity(sessions);
    for index in 0..sessions {
        let connector = &connectors[index % SOCKETS];
        let mut stream = connector.connect_addr(address).await.expect("opened");
        stream.write_all(b"x").await.expect("open");
        // Not all at once: the listener's socket has only so much room.
        if index % 64 == 63 {
            stream.drain().await.expect("acknowledged");
        }
        streams.push(stream);
    }
    let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    let _ = ended.await;
}

fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS"))
        .expect("listed");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number")
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / 100.0
}
