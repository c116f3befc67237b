//! A client and a server of a tunnel as processes, each of any make, and the target behind the server.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interop::go;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::process::{Process, within};

/// Who made a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    /// We did.
    Ours,
    /// kcptun 20210922, from the Debian package `kcptun`.
    Kcptun2021,
    /// A program on the libraries of kcptun of January 2026.
    Kcptun2026,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Client,
    Server,
}

/// A tunnel to be.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) client: Make,
    pub(crate) server: Make,
    /// Flags of both.
    pub(crate) flags: Vec<String>,
    /// Further flags of the client.
    pub(crate) at_client: Vec<String>,
    /// Further flags of the server.
    pub(crate) at_server: Vec<String>,
}

/// A running tunnel.
pub(crate) struct Tunnel {
    setup: Setup,
    pub(crate) client: Process,
    pub(crate) server: Process,
    /// Where the client accepts connections.
    pub(crate) local: SocketAddr,
    remote: SocketAddr,
    target: SocketAddr,
}

impl Make {
    /// The beginning of a command line; `None`, said visibly, if there is no such program here.
    fn command(self, role: Role) -> Option<Command> {
        let role_name = match role {
            Role::Client => "client",
            Role::Server => "server",
        };
        let program: PathBuf = match self {
            Self::Ours => env!("CARGO_BIN_EXE_kcp-tunnel").into(),
            Self::Kcptun2021 => {
                let name = format!("kcptun-{role_name}");
                let found = find(&name);
                if found.is_none() {
                    go::skip(
                        &format!("{name} not found"),
                        "tests against kcptun 20210922",
                    );
                }
                found?
            }
            Self::Kcptun2026 => go::kcptun_of_2026()?.to_owned(),
        };
        let mut command = Command::new(program);
        command.env_remove("KCPTUN_KEY");
        if self != Self::Kcptun2021 {
            command.arg(role_name);
        }
        Some(command)
    }

    /// Whether there is such a program here. Says visibly if not.
    pub(crate) fn is_here(self) -> bool {
        self.command(Role::Client).is_some() && self.command(Role::Server).is_some()
    }
}

impl Setup {
    pub(crate) fn new(client: Make, server: Make, flags: &[&str]) -> Self {
        Self {
            client,
            server,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            at_client: Vec::new(),
            at_server: Vec::new(),
        }
    }

    pub(crate) fn at_client(mut self, flags: &[&str]) -> Self {
        self.at_client
            .extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    pub(crate) fn at_server(mut self, flags: &[&str]) -> Self {
        self.at_server
            .extend(flags.iter().map(|&flag| flag.to_owned()));
        self
    }

    /// Starts both ends of a tunnel to `target`.
    pub(crate) async fn start(self, target: SocketAddr) -> Tunnel {
        let (server, remote) = within("a server that listens", self.listen(target)).await;
        let (client, local) = within("a client that listens", self.dial(remote)).await;
        Tunnel {
            setup: self,
            client,
            server,
            local,
            remote,
            target,
        }
    }

    /// Starts the server, at an address that is free.
    pub(crate) async fn listen(&self, target: SocketAddr) -> (Process, SocketAddr) {
        loop {
            let remote = free_udp_addr();
            if let Some(server) = self.listen_at(remote, target).await {
                return (server, remote);
            }
        }
    }

    /// `None` if somebody else has taken the port meanwhile.
    async fn listen_at(&self, remote: SocketAddr, target: SocketAddr) -> Option<Process> {
        let mut command = self.server.command(Role::Server)?;
        command
            .args(["-listen", &remote.to_string()])
            .args(["-target", &target.to_string()])
            .args(&self.flags)
            .args(&self.at_server);
        let mut server = Process::start(command);
        while !is_bound(remote) {
            if !server.is_running() {
                let words = server.last_words();
                assert!(
                    words.contains("in use"),
                    "the server does not start:\n    {words}"
                );
                return None;
            }
            // Not every server says when it listens.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Some(server)
    }

    /// Starts the client of a server at `remote`.
    pub(crate) async fn dial(&self, remote: SocketAddr) -> (Process, SocketAddr) {
        let command = self.client.command(Role::Client);
        let mut command = command.expect("the caller has asked whether it is here");
        command
            .args(["-localaddr", "127.0.0.1:0"])
            .args(["-remoteaddr", &remote.to_string()])
            .args(&self.flags)
            .args(&self.at_client);
        let mut client = Process::start(command);
        let Some(local) = client.says("listening on: ").await else {
            panic!("the client does not start:\n    {}", client.last_words());
        };
        let local = local.parse().expect("an address");
        (client, local)
    }
}

impl Tunnel {
    /// Starts the server again, at the same address.
    pub(crate) async fn restart_server(&mut self) {
        let server = self.setup.listen_at(self.remote, self.target);
        let server = within("a server that listens again", server).await;
        self.server = server.expect("nobody has taken the port of a server that has just ended");
    }

    /// Starts the client again, wherever.
    pub(crate) async fn restart_client(&mut self) {
        let again = within("a client that listens again", self.setup.dial(self.remote));
        (self.client, self.local) = again.await;
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = self.flags.join(" ");
        write!(f, "{:?} to {:?}, {flags}", self.client, self.server)?;
        for (end, flags) in [("client", &self.at_client), ("server", &self.at_server)] {
            if !flags.is_empty() {
                write!(f, ", {end} {}", flags.join(" "))?;
            }
        }
        Ok(())
    }
}

/// Who listens on a port that the system chooses, and where.
pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A UDP port that is free for now.
fn free_udp_addr() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap()
}

/// Whether a UDP socket has this address, by what the kernel lists.
fn is_bound(addr: SocketAddr) -> bool {
    let port = format!(":{:04X} ", addr.port());
    let list = std::fs::read_to_string("/proc/net/udp").unwrap();
    list.lines().any(|line| {
        line.split_once(": ")
            .is_some_and(|(_, rest)| rest[8..].starts_with(&port))
    })
}

/// A program of this name in the search path.
fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|program| Path::is_file(program))
}
