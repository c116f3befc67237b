//! A running end of a kcp-go conversation.

use std::net::SocketAddr;
use std::path::Path;

use serde::Deserialize;

use super::PeerOptions;
use super::process::Process;
use crate::snmp::Snmp;

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
    /// Resend timeout after each, in milliseconds: `GetRTO`.
    pub rtos: Vec<u32>,
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
    process: Process,
    addr: SocketAddr,
}

impl GoPeer {
    pub(super) async fn listen(program: &Path, options: &PeerOptions) -> Self {
        let mut arguments = vec!["-role=listen".into()];
        arguments.extend(options.local.map(|local| format!("-addr={local}")));
        arguments.extend(options.flags());
        let mut process = Process::start(program, &arguments, options.timeout);
        let Listening { addr } = process.event("listening").await;
        Self { process, addr }
    }

    pub(super) async fn dial(program: &Path, addr: SocketAddr, options: &PeerOptions) -> Self {
        let mut arguments = vec!["-role=dial".into(), format!("-addr={addr}")];
        arguments.extend(options.local.map(|local| format!("-local={local}")));
        arguments.extend(options.flags());
        let mut process = Process::start(program, &arguments, options.timeout);
        let conversation: Conversation = process.event("session").await;
        Self {
            process,
            addr: conversation.local,
        }
    }

    /// Number of the process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// Where it listens, or dials its first session from.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next session that a listener accepts.
    pub async fn accepted(&mut self) -> Conversation {
        self.process.event("session").await
    }

    /// The next stream that was written as a whole; the other side need not have it yet.
    pub async fn sent(&mut self) -> Transfer {
        self.process.event("sent").await
    }

    /// The next stream that was read as a whole.
    pub async fn received(&mut self) -> Transfer {
        self.process.event("received").await
    }

    /// The end of [`Mode::Sparse`](super::Mode::Sparse).
    pub async fn replies(&mut self) -> Replies {
        self.process.event("replies").await
    }

    /// The end of [`Mode::Oob`](super::Mode::Oob) of a dialler: how many messages came back.
    pub async fn oob_returned(&mut self) -> usize {
        #[derive(Deserialize)]
        struct Oob {
            returned: usize,
        }
        let Oob { returned } = self.process.event("oob").await;
        returned
    }

    /// Asks what its sessions, in the order in which they began, think of their paths.
    pub async fn estimates(&mut self) -> Vec<Estimate> {
        self.process.command("status").await;
        self.reported_estimates().await
    }

    /// Asks what it counted so far.
    pub async fn snmp(&mut self) -> Snmp {
        self.process.command("snmp").await;
        self.reported_snmp().await
    }

    /// Closes all its sessions. Nothing is said to their peers, as always with kcp-go.
    pub async fn close_sessions(&mut self) {
        self.process.command("close").await;
    }

    /// Ends it, and waits for that.
    pub async fn quit(mut self) -> Final {
        self.process.command("quit").await;
        let sessions = self.reported_estimates().await;
        let snmp = self.reported_snmp().await;
        self.process.ended().await;
        Final { sessions, snmp }
    }

    /// Kills it, as a crash would, and waits until its sockets are closed.
    pub async fn kill(self) {
        self.process.kill().await;
    }

    async fn reported_estimates(&mut self) -> Vec<Estimate> {
        #[derive(Deserialize)]
        struct Status {
            sessions: Vec<Estimate>,
        }
        let Status { sessions } = self.process.event("status").await;
        sessions
    }

    async fn reported_snmp(&mut self) -> Snmp {
        #[derive(Deserialize)]
        struct Counters {
            counters: Snmp,
        }
        let Counters { counters } = self.process.event("snmp").await;
        counters
    }

    #[cfg(test)]
    pub(super) fn into_process(self) -> Process {
        self.process
    }
}

/// What a listener first says.
#[derive(Deserialize)]
pub(super) struct Listening {
    pub(super) addr: SocketAddr,
}
