//! Forward error correction: parity for groups of packets, and packets rebuilt from it.

use std::collections::BTreeMap;

use reed_solomon_erasure::galois_8::ReedSolomon;

use super::{Tuner, diff};

/// Milliseconds between the last two data packets of a group from which on its parity is left out.
/// Source: kcp-go `maxFECEncodeLatency`.
pub const MAX_FEC_GAP_MS: u64 = 500;
/// Sets that may be newer than one that is kept. Source: kcp-go, 3 sets back.
const SETS_BACK: u32 = 3;
/// Where the coded part of a packet begins: behind sequence number and type.
const CODED_FROM: usize = 6;
/// The size field at the start of the coded part, which counts itself.
const SIZE_FIELD: usize = 2;

/// Data and parity shards of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FecParams {
    /// Data packets of a group.
    pub data: usize,
    /// Parity packets of a group.
    pub parity: usize,
}

impl FecParams {
    /// At least one of each, together at most 256: more do not fit the field that is calculated in.
    pub fn new(data: usize, parity: usize) -> Option<Self> {
        (data > 0 && parity > 0 && data + parity <= 256).then_some(Self { data, parity })
    }

    fn total(self) -> u32 {
        (self.data + self.parity) as u32
    }

    /// Where sequence numbers start again from 0: the largest multiple of a group's size below 2³².
    pub fn paws(self) -> u32 {
        u32::MAX / self.total() * self.total()
    }

    fn code(self) -> ReedSolomon {
        ReedSolomon::new(self.data, self.parity).expect("counts were checked by `new`")
    }
}

/// The type field of a packet under forward error correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FecKind {
    /// Carries a packet of the protocol.
    Data = 0xf1,
    /// Carries parity.
    Parity = 0xf2,
    /// Carries a message outside of the protocol.
    Oob = 0xf3,
}

impl FecKind {
    /// The type of a packet; `None` for a packet without forward error correction.
    pub fn of(packet: &[u8]) -> Option<Self> {
        match packet.get(4..6)? {
            [0xf1, 0] => Some(Self::Data),
            [0xf2, 0] => Some(Self::Parity),
            [0xf3, 0] => Some(Self::Oob),
            _ => None,
        }
    }

    pub(super) fn write_header(self, seqid: u32, out: &mut Vec<u8>) {
        out.extend(seqid.to_le_bytes());
        out.extend((self as u16).to_le_bytes());
    }
}

/// Puts `payload` behind the header of a data or out-of-band packet.
pub(super) fn packet_with_size(kind: FecKind, seqid: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    kind.write_header(seqid, &mut packet);
    let size = u16::try_from(SIZE_FIELD + payload.len()).expect("a payload fits a datagram");
    packet.extend(size.to_le_bytes());
    packet.extend(payload);
    packet
}

/// Makes data packets, and parity after every full group of them.
#[derive(Clone, Debug)]
pub struct Encoder {
    params: FecParams,
    next: u32,
    group: Vec<Vec<u8>>,
    last_data_ms: Option<u64>,
}

impl Encoder {
    /// Starts with sequence number 0.
    pub fn new(params: FecParams) -> Self {
        Self::starting_at(params, 0)
    }

    /// Starts with the sequence number `next`, which must be the first of a group.
    pub fn starting_at(params: FecParams, next: u32) -> Self {
        Self {
            params,
            next,
            group: Vec::new(),
            last_data_ms: None,
        }
    }

    /// The data packet of `payload`, and the parity packets if it completes a group.
    pub fn encode(&mut self, now_ms: u64, payload: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let packet = packet_with_size(FecKind::Data, self.take_seqid(), payload);
        self.group.push(packet[CODED_FROM..].to_vec());
        let mut parity = Vec::new();
        if self.group.len() == self.params.data {
            let group = std::mem::take(&mut self.group);
            let prompt = self
                .last_data_ms
                .is_some_and(|last| now_ms.saturating_sub(last) < MAX_FEC_GAP_MS);
            if prompt {
                parity = self.parity_packets(group);
            } else {
                // Receivers tell data from parity by the sequence number, so the numbers are used up.
                for _ in 0..self.params.parity {
                    self.take_seqid();
                }
            }
        }
        self.last_data_ms = Some(now_ms);
        (packet, parity)
    }

    /// The sequence number of the next packet.
    pub const fn next_seqid(&self) -> u32 {
        self.next
    }

    fn parity_packets(&mut self, mut shards: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let longest = shards.iter().map(Vec::len).max().unwrap_or_default();
        shards.resize(self.params.data + self.params.parity, Vec::new());
        for shard in &mut shards {
            shard.resize(longest, 0);
        }
        self.params
            .code()
            .encode(&mut shards)
            .expect("all shards are there and equally long");
        shards
            .drain(self.params.data..)
            .map(|shard| {
                let mut packet = Vec::new();
                FecKind::Parity.write_header(self.take_seqid(), &mut packet);
                packet.extend(shard);
                packet
            })
            .collect()
    }

    fn take_seqid(&mut self) -> u32 {
        let seqid = self.next;
        self.next = seqid.wrapping_add(1) % self.params.paws();
        seqid
    }
}

/// What a [`Decoder`] counts; see [`Snmp`](crate::snmp::Snmp) for the meaning of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at `Snmp`")]
pub struct FecCounters {
    pub full_shards: u64,
    pub parity_shards: u64,
    pub errs: u64,
    pub recovered: u64,
    pub shard_set: u64,
    pub shard_min: u64,
}

/// Packets of one group by sequence number; only what the code runs over is kept.
type Set = BTreeMap<u32, Vec<u8>>;

/// Rebuilds lost data packets, and learns the shard counts of its peer.
#[derive(Clone, Debug)]
pub struct Decoder {
    params: FecParams,
    sets: BTreeMap<u32, Set>,
    newest: u32,
    tuner: Tuner,
    /// A packet did not fit the counts: nothing is stored until new ones are found.
    tuning: bool,
    /// What happened so far.
    pub counters: FecCounters,
}

impl Decoder {
    /// Expects groups of this shape, until packets say otherwise.
    pub fn new(params: FecParams) -> Self {
        Self {
            params,
            sets: BTreeMap::new(),
            newest: 0,
            tuner: Tuner::new(),
            tuning: false,
            counters: FecCounters::default(),
        }
    }

    /// Takes in a data or parity packet; returns the shards that it makes known, in order.
    ///
    /// What it returns may be a duplicate, and its size field may be wrong: see [`Decoder::payload`].
    pub fn decode(&mut self, packet: &[u8]) -> Vec<Vec<u8>> {
        let is_data = match FecKind::of(packet) {
            Some(FecKind::Data) => true,
            Some(FecKind::Parity) => false,
            Some(FecKind::Oob) | None => return Vec::new(),
        };
        let seqid = u32::from_le_bytes([packet[0], packet[1], packet[2], packet[3]]);
        self.tuner.sample(is_data, seqid);
        if seqid >= self.params.paws() {
            return Vec::new();
        }
        let position = (seqid % self.params.total()) as usize;
        self.tuning |= is_data != (position < self.params.data);
        if self.tuning {
            self.tune();
            return Vec::new();
        }

        let id = seqid / self.params.total();
        let set = self.sets.entry(id).or_default();
        if set.contains_key(&seqid) {
            return Vec::new();
        }
        set.insert(seqid, packet[CODED_FROM..].to_vec());
        self.counters.parity_shards += u64::from(!is_data);
        let mut rebuilt = Vec::new();
        if set.len() >= self.params.data {
            let shards = std::mem::take(set);
            rebuilt = self.rebuild(shards);
        }
        self.forget_old_sets(id);
        rebuilt
    }

    /// The packet inside a rebuilt shard, if its size field can be right.
    pub fn payload(shard: &[u8]) -> Option<&[u8]> {
        let size = u16::from_le_bytes([*shard.first()?, *shard.get(1)?]);
        shard.get(SIZE_FIELD..usize::from(size))
    }

    /// Groups that are kept, complete ones included.
    pub fn sets(&self) -> usize {
        self.sets.len()
    }

    /// The shape that groups are taken to have.
    pub const fn params(&self) -> FecParams {
        self.params
    }

    fn tune(&mut self) {
        let (Some(data), Some(parity)) = (self.tuner.period(true), self.tuner.period(false)) else {
            return;
        };
        // One less than the code would allow: kcp-go asks for a sum below 256.
        let Some(params) = FecParams::new(data, parity).filter(|params| params.total() < 256)
        else {
            return;
        };
        if params != self.params {
            self.params = params;
            self.sets.clear();
        }
        self.tuning = false;
    }

    /// The missing data shards of a group that has enough of any.
    fn rebuild(&mut self, set: Set) -> Vec<Vec<u8>> {
        let FecParams { data, parity } = self.params;
        let longest = set.values().map(Vec::len).max().unwrap_or_default();
        let mut shards = vec![None; data + parity];
        for (seqid, mut shard) in set {
            shard.resize(longest, 0);
            shards[(seqid % self.params.total()) as usize] = Some(shard);
        }
        let missing: Vec<_> = (0..data).filter(|&i| shards[i].is_none()).collect();
        if missing.is_empty() {
            self.counters.full_shards += 1;
            return Vec::new();
        }
        if self.params.code().reconstruct_data(&mut shards).is_err() {
            self.counters.errs += 1;
            return Vec::new();
        }
        self.counters.recovered += missing.len() as u64;
        missing
            .into_iter()
            .filter_map(|i| shards[i].take())
            .collect()
    }

    fn forget_old_sets(&mut self, id: u32) {
        // In sequence numbers, whose circle is the one that wraps.
        let total = self.params.total();
        let start = |id: u32| id.wrapping_mul(total);
        if diff(start(id), start(self.newest)) > 0 {
            self.newest = id;
        }
        let newest = start(self.newest);
        let keep = (SETS_BACK * total).cast_signed();
        self.sets.retain(|&id, _| diff(newest, start(id)) <= keep);
        self.counters.shard_set = self.sets.len() as u64;
        self.counters.shard_min = u64::from(self.newest);
    }
}
