//! Plain counters of a session and of an endpoint, copied out as a snapshot.
//!
//! Names follow kcp-go's SNMP counters where the meaning is the same; `docs/kcp-go.md` has the table.

use std::time::Duration;

/// Counters and gauges of one session since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct SessionStats {
    /// Bytes that the application wrote and the session took (`BytesSent`).
    pub bytes_sent: u64,
    /// Bytes handed to the application (`BytesReceived`).
    pub bytes_received: u64,
    /// Datagrams sent, parity and copies included (`OutPkts`).
    pub packets_sent: u64,
    /// Packets of segments received, and those rebuilt from parity; parity and out-of-band packets do not count. Close to
    /// `InPkts`, which counts those and not the rebuilt ones.
    pub packets_received: u64,
    /// Those of them that acknowledge, in order, no less than had been acknowledged before. Late packets do not count; a
    /// peer that sends only others has forgotten the session.
    pub packets_up_to_date: u64,
    /// UDP payload bytes sent (`OutBytes`).
    pub wire_bytes_sent: u64,
    /// Bytes of those packets, without the headers of cipher and FEC. Close to `InBytes`.
    pub wire_bytes_received: u64,
    /// Segment headers sent, acknowledgements included (`OutSegs`).
    pub segments_sent: u64,
    /// Segments received in well-formed packets (`InSegs`).
    pub segments_received: u64,
    /// Segments sent again because later ones were acknowledged (`FastRetransSegs`).
    pub fast_resends: u64,
    /// Segments sent again because a later one was acknowledged and reordering no longer explained it
    /// (`EarlyRetransSegs`).
    pub early_resends: u64,
    /// Segments sent again because nothing was acknowledged in time (`LostSegs`).
    pub timeout_resends: u64,
    /// Resends whose first transmission arrived after all.
    pub spurious_resends: u64,
    /// Copies sent before any loss was known.
    pub copies_sent: u64,
    /// Data segments that arrived again, or beyond the window (`RepeatSegs`).
    pub segments_repeated: u64,
    /// Packets that were not a sequence of segments of this conversation (`KCPInErrors`).
    pub malformed_packets: u64,
    /// Out-of-band packets received (`OOBPackets`).
    pub oob_received: u64,
    /// Groups that arrived whole (`FECFullShards`).
    pub fec_full_groups: u64,
    /// Parity packets received (`FECParityShards`).
    pub fec_parity_received: u64,
    /// Packets rebuilt from parity (`FECRecovered`).
    pub fec_recovered: u64,
    /// Groups that could not be rebuilt or whose result was refused (`FECErrs`).
    pub fec_errors: u64,
    /// Data packets of groups that could not be rebuilt and are no longer remembered (`FECShortShards` of kcp-go 5.6.1).
    pub fec_short_packets: u64,
    /// Groups that are remembered now (`FECShardSet`).
    pub fec_groups: u64,
    /// Number of the newest group (`FECShardMin`).
    pub fec_newest_group: u64,
    /// Smoothed round trip; `None` before the first sample.
    pub rtt: Option<Duration>,
    /// Shortest round trip.
    pub min_rtt: Option<Duration>,
    /// Mean deviation of the round trip.
    pub rtt_deviation: Duration,
    /// Time after which an unanswered segment is sent again.
    pub rto: Duration,
    /// Share of our transmissions that were lost, as a moving mean.
    pub loss_rate: f32,
    /// Segments sent and not yet acknowledged in order (`RingBufferSndBuffer`).
    pub in_flight: u64,
    /// Bytes written that no segment holds yet.
    pub unsent: u64,
    /// Bytes received in order that the application has not read.
    pub unread: u64,
    /// Segments that wait for an earlier one.
    pub out_of_order: u64,
    /// The peer's free receive window, in segments.
    pub remote_window: u32,
    /// What congestion control allows under way, in segments.
    pub congestion_window: u32,
}

impl SessionStats {
    /// Segments sent again for whatever reason (`RetransSegs`).
    pub fn resends(&self) -> u64 {
        self.fast_resends + self.early_resends + self.timeout_resends
    }

    /// Application bytes per byte sent: what loss, redundancy and headers leave. 1 before anything was sent.
    pub fn useful_ratio(&self) -> f64 {
        if self.wire_bytes_sent == 0 {
            return 1.0;
        }
        self.bytes_sent as f64 / self.wire_bytes_sent as f64
    }

    /// Adds the counters of `other`; gauges stay.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.bytes_sent, other.bytes_sent),
            (&mut self.bytes_received, other.bytes_received),
            (&mut self.packets_sent, other.packets_sent),
            (&mut self.packets_received, other.packets_received),
            (&mut self.packets_up_to_date, other.packets_up_to_date),
            (&mut self.wire_bytes_sent, other.wire_bytes_sent),
            (&mut self.wire_bytes_received, other.wire_bytes_received),
            (&mut self.segments_sent, other.segments_sent),
            (&mut self.segments_received, other.segments_received),
            (&mut self.fast_resends, other.fast_resends),
            (&mut self.early_resends, other.early_resends),
            (&mut self.timeout_resends, other.timeout_resends),
            (&mut self.spurious_resends, other.spurious_resends),
            (&mut self.copies_sent, other.copies_sent),
            (&mut self.segments_repeated, other.segments_repeated),
            (&mut self.malformed_packets, other.malformed_packets),
            (&mut self.oob_received, other.oob_received),
            (&mut self.fec_full_groups, other.fec_full_groups),
            (&mut self.fec_parity_received, other.fec_parity_received),
            (&mut self.fec_recovered, other.fec_recovered),
            (&mut self.fec_errors, other.fec_errors),
            (&mut self.fec_short_packets, other.fec_short_packets),
        ];
        for (sum, count) in pairs {
            *sum += count;
        }
    }
}

/// Why a received datagram changed nothing but a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Discard {
    /// Too short for the cipher's header, or for any packet inside it.
    TooShort,
    /// Longer than any peer sends.
    TooLong,
    /// The checksum or the authentication tag did not fit (`InCsumErrors`).
    BadChecksum,
    /// From an address without a session, and not the begin of one (`InErrs`).
    Stranger,
    /// The begin of a session, but a limit on sessions or on the accept backlog was reached.
    Refused,
    /// For a session closed shortly before.
    Closed,
    /// Not a sequence of segments (`KCPInErrors`).
    Malformed,
}

impl Discard {
    pub(crate) const COUNT: usize = Self::Malformed as usize + 1;
}

/// Counters of one endpoint: a socket and all its sessions, past ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct EndpointStats {
    /// Sums over all sessions; the gauges in it are zero.
    pub sessions: SessionStats,
    /// Sessions opened here (`ActiveOpens`).
    pub active_opens: u64,
    /// Sessions opened by peers (`PassiveOpens`).
    pub passive_opens: u64,
    /// Sessions that live (`CurrEstab`).
    pub current_sessions: u64,
    /// The most that lived at once (`MaxConn`).
    pub max_sessions: u64,
    /// Datagrams received, whatever became of them.
    pub datagrams_received: u64,
    pub(crate) discarded: [u64; Discard::COUNT],
}

impl EndpointStats {
    /// Datagrams discarded for this reason.
    pub fn discarded(&self, reason: Discard) -> u64 {
        self.discarded[reason as usize]
    }

    /// Adds the counters of another endpoint, as for the shards of a listener.
    pub fn add(&mut self, other: &Self) {
        self.sessions.add(&other.sessions);
        self.active_opens += other.active_opens;
        self.passive_opens += other.passive_opens;
        self.current_sessions += other.current_sessions;
        self.max_sessions += other.max_sessions;
        self.datagrams_received += other.datagrams_received;
        for (sum, count) in self.discarded.iter_mut().zip(other.discarded) {
            *sum += count;
        }
    }

    pub(crate) fn discard(&mut self, reason: Discard) {
        self.discarded[reason as usize] += 1;
    }
}
