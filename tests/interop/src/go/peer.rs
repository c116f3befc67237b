//! A running Go peer: commands in, one JSON object a line out.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::PeerOptions;
use crate::snmp::Snmp;

/// How much longer we wait than the child, which can say what it was waiting for.
const GRACE: Duration = Duration::from_secs(5);

/// A session of a Go peer.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Conversation {
    /// Its number.
    pub conv: u32,
    /// Where the Go peer is.
    pub local: SocketAddr,
    /// Where it sends to.
    pub peer: SocketAddr,
}

/// A stream that was written or read as a whole.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Transfer {
    /// Of which session.
    pub conv: u32,
    /// How long it was.
    pub bytes: usize,
    /// SHA-256 of it, in hexadecimal.
    pub sha256: String,
    /// It was the stream of the expected seed.
    pub intact: bool,
}

/// Requests that were all answered.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Replies {
    /// Of which session.
    pub conv: u32,
    /// Microseconds from each request to its reply.
    pub micros: Vec<u64>,
    /// What the session thinks of its path after the last.
    pub timing: Estimate,
}

/// What a session thinks of its path, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
pub struct Estimate {
    /// Of which session.
    pub conv: u32,
    /// Resend timeout: `GetRTO`.
    pub rto: u32,
    /// Smoothed round trip: `GetSRTT`.
    pub srtt: i32,
    /// Its mean deviation: `GetSRTTVar`.
    pub srttvar: i32,
}

/// The last words of a Go peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Final {
    /// One for every session it had.
    pub sessions: Vec<Estimate>,
    /// What it counted.
    pub snmp: Snmp,
}

/// A child process that is one end of a conversation. Dropping it kills it.
///
/// Every method that waits panics when the child reports an error, ends, or says nothing until its timeout.
#[derive(Debug)]
pub struct GoPeer {
    child: Child,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// What was reported while waiting for something else.
    reported: VecDeque<(String, Value)>,
    addr: SocketAddr,
    patience: Duration,
}

impl GoPeer {
    pub(super) async fn listen(program: &Path, options: &PeerOptions) -> Self {
        #[derive(Deserialize)]
        struct Listening {
            addr: SocketAddr,
        }
        let mut role = vec!["-role=listen".into()];
        role.extend(options.local.map(|local| format!("-addr={local}")));
        let mut peer = Self::start(program, &role, options);
        let Listening { addr } = peer.event("listening").await;
        peer.addr = addr;
        peer
    }

    pub(super) async fn dial(program: &Path, addr: SocketAddr, options: &PeerOptions) -> Self {
        let mut role = vec!["-role=dial".into(), format!("-addr={addr}")];
        role.extend(options.local.map(|local| format!("-local={local}")));
        let mut peer = Self::start(program, &role, options);
        let conversation: Conversation = peer.event("session").await;
        peer.addr = conversation.local;
        peer
    }

    fn start(program: &Path, role: &[String], options: &PeerOptions) -> Self {
        let mut child = Command::new(program)
            .args(role)
            .args(options.flags())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program was built");
        let commands = child.stdin.take().expect("standard input is a pipe");
        let output = child.stdout.take().expect("standard output is a pipe");
        Self {
            child,
            commands,
            lines: BufReader::new(output).lines(),
            reported: VecDeque::new(),
            addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            patience: options.timeout + GRACE,
        }
    }

    /// Number of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Where it listens, or dials its first session from.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next session that a listener accepts.
    pub async fn accepted(&mut self) -> Conversation {
        self.event("session").await
    }

    /// The next stream that was written as a whole; the other side need not have it yet.
    pub async fn sent(&mut self) -> Transfer {
        self.event("sent").await
    }

    /// The next stream that was read as a whole.
    pub async fn received(&mut self) -> Transfer {
        self.event("received").await
    }

    /// The end of [`Mode::Sparse`](super::Mode::Sparse).
    pub async fn replies(&mut self) -> Replies {
        self.event("replies").await
    }

    /// The end of [`Mode::Oob`](super::Mode::Oob) of a dialler: how many messages came back.
    pub async fn oob_returned(&mut self) -> usize {
        #[derive(Deserialize)]
        struct Oob {
            returned: usize,
        }
        let Oob { returned } = self.event("oob").await;
        returned
    }

    /// Asks what its sessions, in the order in which they began, think of their paths.
    pub async fn estimates(&mut self) -> Vec<Estimate> {
        self.command("status").await;
        self.reported_estimates().await
    }

    /// Asks what it counted so far.
    pub async fn snmp(&mut self) -> Snmp {
        self.command("snmp").await;
        self.reported_snmp().await
    }

    /// Closes all its sessions. Nothing is said to their peers, as always with kcp-go.
    pub async fn close_sessions(&mut self) {
        self.command("close").await;
    }

    /// Ends it, and waits for that.
    pub async fn quit(mut self) -> Final {
        self.command("quit").await;
        let sessions = self.reported_estimates().await;
        let snmp = self.reported_snmp().await;
        let status = self.child.wait().await.expect("a child can be waited for");
        assert!(status.success(), "the Go peer ended with {status}");
        Final { sessions, snmp }
    }

    async fn reported_estimates(&mut self) -> Vec<Estimate> {
        #[derive(Deserialize)]
        struct Status {
            sessions: Vec<Estimate>,
        }
        let Status { sessions } = self.event("status").await;
        sessions
    }

    async fn reported_snmp(&mut self) -> Snmp {
        #[derive(Deserialize)]
        struct Counters {
            counters: Snmp,
        }
        let Counters { counters } = self.event("snmp").await;
        counters
    }

    async fn command(&mut self, command: &str) {
        let line = format!("{command}\n");
        let written = self.commands.write_all(line.as_bytes()).await;
        written.unwrap_or_else(|error| panic!("the Go peer does not hear {command:?}: {error}"));
    }

    /// The oldest report of this name, now or later.
    async fn event<T: DeserializeOwned>(&mut self, name: &str) -> T {
        let earlier = self
            .reported
            .iter()
            .position(|(reported, _)| reported == name);
        let found = earlier.and_then(|at| self.reported.remove(at));
        let (_, event) = match found {
            Some(event) => event,
            None => tokio::time::timeout(self.patience, self.read_until(name))
                .await
                .unwrap_or_else(|_| panic!("the Go peer never reported {name:?}")),
        };
        serde_json::from_value(event).unwrap_or_else(|error| panic!("{name:?}: {error}"))
    }

    async fn read_until(&mut self, name: &str) -> (String, Value) {
        loop {
            let line = self.lines.next_line().await.expect("a pipe can be read");
            let line = line.unwrap_or_else(|| panic!("the Go peer ended before {name:?}"));
            let event: Value = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("the Go peer said {line:?}: {error}"));
            let reported = event["event"].as_str().unwrap_or_default().to_owned();
            assert_ne!(
                reported, "error",
                "the Go peer failed: {}",
                event["message"]
            );
            if reported == name {
                return (reported, event);
            }
            self.reported.push_back((reported, event));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::go::{Go, Release};

    #[tokio::test]
    async fn a_dropped_peer_is_killed() {
        let Some(go) = Go::find(Release::Current) else {
            return;
        };
        let peer = go.listen(&PeerOptions::default()).await;
        let GoPeer {
            child,
            commands: _still_open,
            mut lines,
            ..
        } = peer;
        drop(child);
        let line = tokio::time::timeout(GRACE, lines.next_line())
            .await
            .unwrap();
        assert_eq!(line.unwrap(), None, "its end of the pipe is closed");
    }

    #[tokio::test]
    async fn an_error_of_the_peer_is_ours() {
        let Some(go) = Go::find(Release::Current) else {
            return;
        };
        let mut options = PeerOptions::default();
        options.session.mtu = 24;
        let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
        let dial = tokio::spawn(async move { go.dial(nobody, &options).await });
        let panic = dial.await.unwrap_err().into_panic();
        let message = panic.downcast::<String>().unwrap();
        assert!(message.contains("mtu 24 refused"), "{message}");
    }
}
