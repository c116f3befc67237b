//! The counters of kcp-go under its own names.

use serde::Deserialize;

/// What kcp-go counts: for a real peer of the whole process, for the model of one session.
///
/// Counters that a release does not have are 0.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default, rename_all = "PascalCase")]
pub struct Snmp {
    /// Bytes that `Write` took.
    pub bytes_sent: u64,
    /// Bytes that `Read` returned.
    pub bytes_received: u64,
    /// Highest number of sessions at a time. Not counted by the model.
    pub max_conn: u64,
    /// Sessions made by dialling. Not counted by the model.
    pub active_opens: u64,
    /// Sessions made by a listener. Not counted by the model.
    pub passive_opens: u64,
    /// Sessions not yet closed. Not counted by the model.
    pub curr_estab: u64,
    /// Packets from a foreign address. Not counted by the model.
    pub in_errs: u64,
    /// Packets whose checksum or tag was wrong. Not counted by the model.
    pub in_csum_errors: u64,
    /// Packets too short, or refused by the state machine.
    #[serde(rename = "KCPInErrors")]
    pub kcp_in_errors: u64,
    /// Packets handed to sessions.
    pub in_pkts: u64,
    /// Datagrams written, parity and duplicates included.
    pub out_pkts: u64,
    /// Segments in packets without an error.
    pub in_segs: u64,
    /// Segment headers written.
    pub out_segs: u64,
    /// Bytes of the packets handed to sessions, without what the cipher adds.
    pub in_bytes: u64,
    /// Payload bytes of the datagrams written.
    pub out_bytes: u64,
    /// Segments sent again, for whatever reason.
    pub retrans_segs: u64,
    /// Segments sent again because later ones were acknowledged.
    pub fast_retrans_segs: u64,
    /// Segments sent again because a later one was acknowledged and nothing new was to be sent.
    pub early_retrans_segs: u64,
    /// Segments sent again because their timeout passed.
    pub lost_segs: u64,
    /// Data segments that were not wanted: known already, or beyond the window.
    pub repeat_segs: u64,
    /// Groups that arrived without a loss.
    #[serde(rename = "FECFullShards")]
    pub fec_full_shards: u64,
    /// Parity packets stored.
    #[serde(rename = "FECParityShards")]
    pub fec_parity_shards: u64,
    /// Groups that could not be encoded or rebuilt.
    #[serde(rename = "FECErrs")]
    pub fec_errs: u64,
    /// Data packets rebuilt.
    #[serde(rename = "FECRecovered")]
    pub fec_recovered: u64,
    /// Groups held by the decoder that ran last.
    #[serde(rename = "FECShardSet")]
    pub fec_shard_set: u64,
    /// Number of the newest group of the decoder that ran last.
    #[serde(rename = "FECShardMin")]
    pub fec_shard_min: u64,
    /// Data packets that could not be rebuilt. Counted by 5.6.1, no longer by 5.6.72.
    #[serde(rename = "FECShortShards")]
    pub fec_short_shards: u64,
    /// Segments not yet numbered, after the last flush of any session.
    pub ring_buffer_snd_queue: u64,
    /// Segments waiting to be read, after the last flush of any session.
    pub ring_buffer_rcv_queue: u64,
    /// Segments numbered and not yet passed by the peer, after the last flush of any session.
    pub ring_buffer_snd_buffer: u64,
    /// Out-of-band packets that arrived, whether or not there was a handler.
    #[serde(rename = "OOBPackets")]
    pub oob_packets: u64,
}
