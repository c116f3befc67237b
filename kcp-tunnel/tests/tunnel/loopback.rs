//! Tunnels over real sockets on this machine.

use std::path::PathBuf;
use std::time::Duration;

use kcp_transport::Listener;
use kcp_tunnel::client::Client;
use kcp_tunnel::config::{Endpoint, HostPort};
use kcp_tunnel::link::{UdpDialer, transport_config};
use kcp_tunnel::server::Server;
use kcp_tunnel::sockets::{Acceptor, Socket};
use kcp_tunnel::status::Tunnel as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::world::{client_config, exchange, expect, send, server_config, within};

/// Only a guard: nothing here waits for time to pass.
pub(crate) const GUARD: Duration = Duration::from_secs(120);

/// A tunnel to a target whose connections the test gets.
struct Loopback {
    client: Client<UdpDialer>,
    server: Server<Endpoint>,
    local: Endpoint,
    targets: mpsc::UnboundedReceiver<Socket>,
}

/// A directory of this test run that is removed at its end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("kcp-tunnel-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn any_port() -> Endpoint {
    Endpoint::Tcp(HostPort {
        host: "127.0.0.1".to_owned(),
        port: 0,
    })
}

/// Accepts everything and hands it on.
pub(crate) async fn accept_all(at: &Endpoint) -> (Endpoint, mpsc::UnboundedReceiver<Socket>) {
    let acceptor = Acceptor::bind(at).await.unwrap();
    let (sender, sockets) = mpsc::unbounded_channel();
    let bound = acceptor.local().unwrap();
    tokio::spawn(async move {
        while let Ok((socket, _)) = acceptor.accept().await {
            if sender.send(socket).is_err() {
                break;
            }
        }
    });
    (bound, sockets)
}

async fn tunnel(flags: &[&str], local: &Endpoint, target: &Endpoint) -> Loopback {
    let (target, targets) = accept_all(target).await;
    let mut config = server_config(flags);
    config.target = target.clone();
    let transport = transport_config(&config.tunnel).unwrap();
    let listener = Listener::bind("127.0.0.1:0", transport).await.unwrap();
    let port = listener.local_addr().port();
    let server = Server::new(config, target);
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });

    let mut config = client_config(flags);
    "127.0.0.1".clone_into(&mut config.remote.host);
    config.remote.ports = port..=port;
    let transport = transport_config(&config.tunnel).unwrap();
    let acceptor = Acceptor::bind(local).await.unwrap();
    let local = acceptor.local().unwrap();
    let client = Client::new(config.clone(), UdpDialer::new(config.remote, transport));
    let serving = client.clone();
    tokio::spawn(async move { serving.serve(acceptor).await });
    Loopback {
        client,
        server,
        local,
        targets,
    }
}

impl Loopback {
    async fn pair(&mut self) -> (Socket, Socket) {
        let app = Socket::connect(&self.local).await.unwrap();
        (app, within(GUARD, self.targets.recv()).await.unwrap())
    }

    /// Both ends stop by themselves: every connection has ended.
    async fn stops(self) {
        assert!(self.client.stop(GUARD).await);
        assert!(self.server.stop(GUARD).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_connections_are_carried_both_ways_at_once() {
    let flags = ["--crypt", "aes-128-gcm", "--nocomp"];
    let mut tunnel = tunnel(&flags, &any_port(), &any_port()).await;
    let (app, target) = tunnel.pair().await;
    within(GUARD, exchange(app, target, 1, 16 << 20)).await;
    tunnel.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unix_sockets_serve_at_both_ends_and_leave_nothing_behind() {
    let dir = TempDir::new("unix");
    let (local, target) = (dir.file("local.sock"), dir.file("target.sock"));
    // A file that an earlier run has left behind.
    drop(std::os::unix::net::UnixListener::bind(&local).unwrap());
    let mut tunnel = tunnel(
        &["--smuxver", "1"],
        &Endpoint::Unix(local.clone()),
        &Endpoint::Unix(target),
    )
    .await;
    let (app, target) = tunnel.pair().await;
    within(GUARD, exchange(app, target, 1, 2 << 20)).await;
    tunnel.stops().await;
    within(GUARD, async {
        while local.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_unix_socket_that_is_in_use_is_not_taken_over() {
    let dir = TempDir::new("in-use");
    let at = Endpoint::Unix(dir.file("socket"));
    let first = Acceptor::bind(&at).await.unwrap();
    assert!(Acceptor::bind(&at).await.is_err());
    drop(first);
    Acceptor::bind(&at).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_tcp_connections_go_on_in_the_other_direction() {
    let mut tunnel = tunnel(&[], &any_port(), &any_port()).await;
    let (mut app, mut target) = tunnel.pair().await;
    app.write_all(b"question").await.unwrap();
    app.shutdown().await.unwrap();
    let mut question = String::new();
    within(GUARD, target.read_to_string(&mut question))
        .await
        .unwrap();
    assert_eq!(question, "question");
    let target = send(target, 7, 3 << 20).await;
    let app = within(GUARD, expect(app, 7, 3 << 20)).await;
    drop((app, target));
    tunnel.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_over_eight_sessions() {
    let mut tunnel = tunnel_of_eight_sessions(&["--crypt", "salsa20"]).await;
    let mut apps = JoinSet::new();
    for number in 0..200_u64 {
        let local = tunnel.local.clone();
        apps.spawn(async move {
            let mut app = Socket::connect(&local).await.unwrap();
            app.write_all(&number.to_le_bytes()).await.unwrap();
            let (reader, writer) = tokio::io::split(app);
            tokio::join!(
                send(writer, number, 30_000),
                expect(reader, number + 1_000, 30_000)
            );
        });
    }
    let mut targets = JoinSet::new();
    for _ in 0..200 {
        let mut target = within(GUARD, tunnel.targets.recv()).await.unwrap();
        targets.spawn(async move {
            let number = target.read_u64_le().await.unwrap();
            let (reader, writer) = tokio::io::split(target);
            tokio::join!(
                send(writer, number + 1_000, 30_000),
                expect(reader, number, 30_000)
            );
        });
    }
    within(GUARD, apps.join_all()).await;
    within(GUARD, targets.join_all()).await;
    assert_eq!(tunnel.client.status().sessions.len(), 8);
    assert_eq!(tunnel.client.status().connections_total, 200);
    tunnel.stops().await;
}

/// `conn` is a flag of the client only.
async fn tunnel_of_eight_sessions(flags: &[&str]) -> Loopback {
    let mut made = tunnel(flags, &any_port(), &any_port()).await;
    let mut config = made.client.config().clone();
    config.sessions = 8.try_into().unwrap();
    let transport = transport_config(&config.tunnel).unwrap();
    let acceptor = Acceptor::bind(&any_port()).await.unwrap();
    made.local = acceptor.local().unwrap();
    made.client.stop(Duration::ZERO).await;
    made.client = Client::new(config.clone(), UdpDialer::new(config.remote, transport));
    let serving = made.client.clone();
    tokio::spawn(async move { serving.serve(acceptor).await });
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fast_reader_is_not_held_up_by_a_slow_one_on_the_same_session() {
    let flags = ["--streambuf", "262144", "--nocomp", "--crypt", "null"];
    let mut tunnel = tunnel(&flags, &any_port(), &any_port()).await;
    let (slow_app, slow_target) = tunnel.pair().await;
    let (slow_read, slow_write) = tokio::io::split(slow_app);
    let writing = tokio::spawn(async move { send(slow_write, 1, 64 << 20).await });
    let (app, target) = tunnel.pair().await;
    within(GUARD, exchange(app, target, 2, 8 << 20)).await;
    assert!(!writing.is_finished(), "the slow one's writer waits");
    let unread: u64 = tunnel
        .server
        .status()
        .sessions
        .iter()
        .map(|session| session.stats.unread)
        .sum();
    assert!(unread < 1 << 20, "{unread} bytes wait below the streams");
    // Once it reads, all comes.
    let target = within(GUARD, expect(slow_target, 1, 64 << 20)).await;
    drop((slow_read, target));
    drop(within(GUARD, writing).await.unwrap());
    tunnel.stops().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_spread_over_a_range_of_ports() {
    let (target, _targets) = accept_all(&any_port()).await;
    let config = server_config(&[]);
    let transport = transport_config(&config.tunnel).unwrap();
    let server = Server::new(config, target);
    // Two neighbouring ports that are free.
    let (first, second) = loop {
        let first = Listener::bind("127.0.0.1:0", transport.clone())
            .await
            .unwrap();
        let next = first.local_addr().port().checked_add(1);
        let Some(next) = next else { continue };
        if let Ok(second) = Listener::bind(("127.0.0.1", next), transport.clone()).await {
            break (first, second);
        }
    };
    let ports = first.local_addr().port()..=second.local_addr().port();
    for listener in [first, second] {
        let serving = server.clone();
        tokio::spawn(async move { serving.serve(listener).await });
    }
    let mut config = client_config(&["--conn", "30"]);
    "127.0.0.1".clone_into(&mut config.remote.host);
    config.remote.ports = ports.clone();
    let client = Client::new(config.clone(), UdpDialer::new(config.remote, transport));
    client.open_sessions();
    within(GUARD, async {
        while client.status().sessions.len() < 30 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let sessions = client.status().sessions;
    for port in ports {
        // Fails once in 2³⁰ runs.
        assert!(sessions.iter().any(|session| session.peer.port() == port));
    }
    assert!(client.stop(GUARD).await);
    assert!(server.stop(GUARD).await);
}
