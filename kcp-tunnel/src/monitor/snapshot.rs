//! A tunnel at one moment, as one program tells another.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::status::{Role, SessionStatus, Status};

/// A running tunnel at one moment. Written as a JSON object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Snapshot {
    /// `client` or `server`.
    pub role: String,
    /// Milliseconds since it began.
    pub uptime_ms: u64,
    /// Connections that are carried.
    pub connections: u64,
    /// Connections since the begin.
    pub connections_total: u64,
    /// Sessions since the begin.
    pub sessions_total: u64,
    /// Attempts to open a session that failed.
    pub failed_dials: u64,
    /// Sessions that live, oldest first.
    pub sessions: Vec<SessionSnapshot>,
}

/// A session at one moment.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct SessionSnapshot {
    /// Counts sessions of a process from 1.
    pub number: u64,
    /// The other end of the tunnel.
    pub peer: String,
    /// Milliseconds since it was opened or accepted.
    pub age_ms: u64,
    /// Milliseconds since the peer was last heard.
    pub silence_ms: u64,
    /// Streams that exist.
    pub streams: u64,
    /// Whether the next connections go elsewhere.
    pub retired: bool,
    /// Smoothed round-trip time in microseconds; `None` before the first.
    pub rtt_us: Option<u64>,
    /// Share of lost packets, 0 to 1.
    pub loss: f32,
    /// Bytes of streams sent.
    pub bytes_sent: u64,
    /// Bytes of streams received.
    pub bytes_received: u64,
    /// Bytes of datagrams sent.
    pub wire_bytes_sent: u64,
    /// Bytes of datagrams received.
    pub wire_bytes_received: u64,
    /// Segments sent, repeated ones included.
    pub segments_sent: u64,
    /// Segments sent again.
    pub resends: u64,
    /// Packets that forward error correction has rebuilt.
    pub fec_recovered: u64,
    /// Segments on their way.
    pub in_flight: u64,
}

impl From<&Status> for Snapshot {
    fn from(status: &Status) -> Self {
        Self {
            role: role(status.role).to_owned(),
            uptime_ms: millis(status.uptime),
            connections: status.connections,
            connections_total: status.connections_total,
            sessions_total: status.sessions_total,
            failed_dials: status.failed_dials,
            sessions: status.sessions.iter().map(Into::into).collect(),
        }
    }
}

impl From<&SessionStatus> for SessionSnapshot {
    fn from(session: &SessionStatus) -> Self {
        let stats = &session.stats;
        Self {
            number: session.number,
            peer: session.peer.to_string(),
            age_ms: millis(session.age),
            silence_ms: millis(session.silence),
            streams: session.streams as u64,
            retired: session.retired,
            rtt_us: stats.rtt.map(micros),
            loss: stats.loss_rate,
            bytes_sent: stats.bytes_sent,
            bytes_received: stats.bytes_received,
            wire_bytes_sent: stats.wire_bytes_sent,
            wire_bytes_received: stats.wire_bytes_received,
            segments_sent: stats.segments_sent,
            resends: stats.resends(),
            fec_recovered: stats.fec_recovered,
            in_flight: stats.in_flight,
        }
    }
}

/// The word for it.
pub(super) const fn role(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
