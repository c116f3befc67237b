//! What runs at the moment, for people and for monitoring: copied out, never a live view.

use core::future::Future;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kcp_transport::{Discard, Endpoint, EndpointStats, SessionInfo, SessionStats};
use tokio::time::Instant;

use crate::drain::Drain;
use crate::link;
use crate::smux::{Peer, Watch};
use crate::snmp::Counters;

/// Which end of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Accepts connections and carries them to the server.
    Client,
    /// Accepts sessions and connects to the target.
    Server,
}

/// A running tunnel at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Status {
    /// Which end it is.
    pub role: Role,
    /// Time since it began.
    pub uptime: Duration,
    /// Connections that are carried, those that wait for a session included.
    pub connections: u64,
    /// Connections since the begin.
    pub connections_total: u64,
    /// Sessions since the begin.
    pub sessions_total: u64,
    /// Attempts to open a session that failed. Always 0 on a server.
    pub failed_dials: u64,
    /// Sessions that live, oldest first.
    pub sessions: Vec<SessionStatus>,
}

/// A session at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionStatus {
    /// Counts sessions of this process from 1.
    pub number: u64,
    /// The other end of the tunnel.
    pub peer: SocketAddr,
    /// The address of our socket.
    pub local: SocketAddr,
    /// The conversation number of KCP.
    pub conv: u32,
    /// Time since it was opened or accepted.
    pub age: Duration,
    /// Time since the peer was last heard.
    pub silence: Duration,
    /// Streams that exist.
    pub streams: usize,
    /// Whether the next connections go elsewhere: the session is too old, its peer is leaving or
    /// does not answer.
    pub retired: bool,
    /// How the peer ends streams: tells ours from others.
    pub peer_kind: Peer,
    /// The counters of KCP.
    pub stats: SessionStats,
}

/// A running tunnel, whichever end it is.
pub trait Tunnel: Clone + Send + Sync + 'static {
    /// What it keeps while it runs.
    fn running(&self) -> &Running;

    /// What runs.
    fn status(&self) -> Status {
        self.running().registry.status()
    }

    /// kcptun's counters.
    fn counters(&self) -> impl Future<Output = Counters> + Send {
        self.running().registry.counters()
    }

    /// Begins nothing new, waits up to `deadline` for connections that run, breaks off what is left
    /// then, and closes the sessions. Returns whether nothing was broken off.
    fn stop(&self, deadline: Duration) -> impl Future<Output = bool> + Send {
        let Running { registry, drain } = self.running();
        async move {
            drain.stop();
            let all = drain.wait(deadline).await;
            link::close(registry.watches()).await;
            all
        }
    }
}

/// What either end keeps while it runs: its sessions, and the connections that its end must wait for.
#[derive(Debug)]
pub struct Running {
    pub(crate) registry: Arc<Registry>,
    pub(crate) drain: Drain,
}

impl Running {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            registry: Arc::new(Registry::new(role)),
            drain: Drain::default(),
        }
    }
}

/// What a running tunnel keeps for its [`Status`].
#[derive(Debug)]
pub(crate) struct Registry {
    role: Role,
    started: Instant,
    state: Mutex<State>,
    failed_dials: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<u64, Entry>,
    /// Endpoints that serve more than one session.
    endpoints: Vec<Endpoint>,
    /// What endpoints counted that are gone.
    past: EndpointStats,
    sessions_total: u64,
    sessions_most: u64,
    connections: u64,
    connections_total: u64,
}

/// A session that lives.
#[derive(Clone, Debug)]
struct Entry {
    since: Instant,
    info: SessionInfo,
    watch: Watch,
    retired: bool,
    /// The endpoint that it has for itself.
    endpoint: Option<Endpoint>,
}

/// A connection counts for as long as it has this.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Registry>);

impl Registry {
    pub(crate) fn new(role: Role) -> Self {
        Self {
            role,
            started: Instant::now(),
            state: Mutex::default(),
            failed_dials: AtomicU64::new(0),
        }
    }

    /// An endpoint serves sessions from now on.
    pub(crate) fn add_endpoint(&self, endpoint: Endpoint) {
        self.lock().endpoints.push(endpoint);
    }

    /// A session begins; `endpoint` is its own, if it has one. Returns its number.
    pub(crate) fn add_session(
        &self,
        info: SessionInfo,
        watch: Watch,
        endpoint: Option<Endpoint>,
    ) -> u64 {
        let mut state = self.lock();
        state.sessions_total += 1;
        let number = state.sessions_total;
        let entry = Entry {
            since: Instant::now(),
            info,
            watch,
            retired: false,
            endpoint,
        };
        state.sessions.insert(number, entry);
        state.sessions_most = state.sessions_most.max(state.sessions.len() as u64);
        number
    }

    /// The next connections go to other sessions than this.
    pub(crate) fn retire_session(&self, number: u64) {
        if let Some(entry) = self.lock().sessions.get_mut(&number) {
            entry.retired = true;
        }
    }

    /// A session is over. What its endpoint has counted is kept.
    pub(crate) async fn remove_session(&self, number: u64) {
        let endpoint = self
            .lock()
            .sessions
            .get(&number)
            .and_then(|entry| entry.endpoint.clone());
        let past = match &endpoint {
            Some(endpoint) => endpoint.stats().await.ok(),
            None => None,
        };
        let mut state = self.lock();
        if let Some(past) = past {
            state.past.add(&past);
        }
        state.sessions.remove(&number);
    }

    /// A connection begins.
    pub(crate) fn count_connection(self: &Arc<Self>) -> Counted {
        let mut state = self.lock();
        state.connections += 1;
        state.connections_total += 1;
        drop(state);
        Counted(Arc::clone(self))
    }

    pub(crate) fn count_failed_dial(&self) {
        self.failed_dials.fetch_add(1, Ordering::Relaxed);
    }

    /// Every session that lives.
    pub(crate) fn watches(&self) -> Vec<Watch> {
        let state = self.lock();
        state
            .sessions
            .values()
            .map(|entry| entry.watch.clone())
            .collect()
    }

    pub(crate) fn status(&self) -> Status {
        let (entries, mut status) = {
            let state = self.lock();
            let entries: Vec<(u64, Entry)> = state
                .sessions
                .iter()
                .map(|(&number, entry)| (number, entry.clone()))
                .collect();
            let status = Status {
                role: self.role,
                uptime: self.started.elapsed(),
                connections: state.connections,
                connections_total: state.connections_total,
                sessions_total: state.sessions_total,
                failed_dials: self.failed_dials.load(Ordering::Relaxed),
                sessions: Vec::new(),
            };
            (entries, status)
        };
        status.sessions = entries
            .into_iter()
            .map(|(number, entry)| entry.status(number))
            .collect();
        status
    }

    /// kcptun's counters, past sessions included.
    pub(crate) async fn counters(&self) -> Counters {
        let (mut sum, endpoints, newest, most, now) = {
            let state = self.lock();
            let own = state
                .sessions
                .values()
                .filter_map(|entry| entry.endpoint.clone());
            let endpoints: Vec<Endpoint> = own.chain(state.endpoints.iter().cloned()).collect();
            let newest = state.sessions.values().next_back().cloned();
            (
                state.past,
                endpoints,
                newest,
                state.sessions_most,
                state.sessions.len() as u64,
            )
        };
        for endpoint in endpoints {
            // One that has just ended is counted as past the next time.
            if let Ok(stats) = endpoint.stats().await {
                sum.add(&stats);
            }
        }
        let gauges = newest.map(|entry| entry.info.stats()).unwrap_or_default();
        counters(&sum, &gauges, most, now)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn status(&self, number: u64) -> SessionStatus {
        SessionStatus {
            number,
            peer: self.info.peer_addr(),
            local: self.info.local_addr(),
            conv: self.info.conv(),
            age: self.since.elapsed(),
            silence: self.watch.silence(),
            streams: self.watch.stream_count(),
            retired: self.retired,
            peer_kind: self.watch.peer(),
            stats: self.info.stats(),
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().connections -= 1;
    }
}

/// The names of kcp-go for what the transport counts. FEC groups and the lengths of
/// queues are those of the newest session, the latter in segments of about a packet.
fn counters(sum: &EndpointStats, gauges: &SessionStats, most: u64, now: u64) -> Counters {
    let sessions = &sum.sessions;
    Counters {
        bytes_sent: sessions.bytes_sent,
        bytes_received: sessions.bytes_received,
        max_conn: most,
        active_opens: sum.active_opens,
        passive_opens: sum.passive_opens,
        curr_estab: now,
        in_errs: sum.discarded(Discard::Stranger),
        in_csum_errors: sum.discarded(Discard::BadChecksum),
        kcp_in_errors: sum.discarded(Discard::Malformed),
        in_pkts: sessions.packets_received,
        out_pkts: sessions.packets_sent,
        in_segs: sessions.segments_received,
        out_segs: sessions.segments_sent,
        in_bytes: sessions.wire_bytes_received,
        out_bytes: sessions.wire_bytes_sent,
        retrans_segs: sessions.resends(),
        fast_retrans_segs: sessions.fast_resends,
        early_retrans_segs: sessions.early_resends,
        lost_segs: sessions.timeout_resends,
        repeat_segs: sessions.segments_repeated,
        fec_full_shards: sessions.fec_full_groups,
        fec_parity_shards: sessions.fec_parity_received,
        fec_errs: sessions.fec_errors,
        fec_recovered: sessions.fec_recovered,
        fec_shard_set: gauges.fec_groups,
        fec_shard_min: gauges.fec_newest_group,
        ring_buffer_snd_queue: gauges.unsent / SEGMENT,
        ring_buffer_rcv_queue: gauges.unread / SEGMENT,
        ring_buffer_snd_buffer: gauges.in_flight,
        oob_packets: sessions.oob_received,
        fec_short_shards: sessions.fec_short_packets,
    }
}

/// About the bytes in a segment.
const SEGMENT: u64 = 1_300;
