//! Keeps what a repair may need, and repairs.
//!
//! Stricter than kcp-go's decoder, which takes any packet that fits the shape it believes in and hands out whatever the
//! code makes of it. Here nothing is rebuilt before what arrived rules out every other shape, and later a doubt is
//! enough to drop everything and to learn the shape anew: a packet that is data where parity should be, a rebuilt packet
//! that cannot be one, or a packet that arrives after its group was repaired and differs from what was rebuilt. What
//! remains beyond detection: a peer that changes its shape in the midst of a group (kcp-go and we never do) while all
//! packets are lost that would show it.

use super::evidence::Evidence;
use super::group::{Group, Progress, Repair, Repairs, Scratch};
use super::header::Packet;
use super::tuner::Tuner;
use super::{Code, Fec};
use std::sync::Arc;

/// The receiving half of the forward error correction of one session.
pub(crate) struct Decoder {
    state: State,
    counters: FecCounters,
}

enum State {
    /// The shape is unknown or in doubt: packets are evidence, none is kept. The code is the one used before.
    Learning(Box<Tuner>, Option<Arc<Code>>),
    Decoding(Box<Window>),
}

/// Counted since the decoder was made; in brackets kcp-go's name for it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct FecCounters {
    /// Parity packets taken in (`FECParityShards`).
    pub(crate) parity: u64,
    /// Groups of which all data packets arrived (`FECFullShards`).
    pub(crate) complete: u64,
    /// Data packets rebuilt (`FECRecovered`).
    pub(crate) recovered: u64,
    /// Doubts about the shape that a repair has raised (`FECErrs`).
    pub(crate) errors: u64,
    /// Data packets of groups that were forgotten while others of their data were missing (`FECShortShards` of kcp-go 5.6.1).
    pub(crate) short: u64,
    /// Groups that are remembered now (`FECShardSet`).
    pub(crate) groups: u64,
    /// Number of the newest group, counting groups (`FECShardMin`).
    pub(crate) newest: u64,
}

impl Decoder {
    /// A decoder for a peer that should use the shape of `code`, which is proven before anything is rebuilt; with `None`
    /// it finds out the shape.
    pub(crate) fn new(code: Option<Arc<Code>>) -> Self {
        Self {
            state: match code {
                Some(code) => {
                    State::Decoding(Box::new(Window::new(code, Some(Evidence::default()))))
                }
                None => State::Learning(Box::new(Tuner::new(None)), None),
            },
            counters: FecCounters::default(),
        }
    }

    /// Takes in a data or parity packet, from the FEC header on; others, and those of an impossible length, do nothing.
    /// Data packets belong to the session whatever comes of this.
    ///
    /// Returns the data packets that this one allowed to rebuild. `plausible` is asked about each of their KCP packets
    /// before any is returned, and must say no to what the peer cannot have sent: segments that do not fill the packet
    /// exactly, another conversation, numbers outside of what is possible. After a no, none of them is returned, and the
    /// shape has to be confirmed before anything is rebuilt again.
    pub(crate) fn accept(
        &mut self,
        packet: &[u8],
        plausible: impl FnMut(&[u8]) -> bool,
    ) -> Repairs<'_> {
        let repaired = Packet::parse(packet).and_then(|packet| self.insert(packet, plausible));
        match (&self.state, repaired) {
            (State::Decoding(window), Some(group)) => window.groups[group].repairs(),
            (State::Decoding(_) | State::Learning(..), _) => Repairs::default(),
        }
    }

    /// The peer may number its packets anew: nothing that arrived so far belongs to what comes.
    pub(crate) fn restart(&mut self) {
        let code = match &self.state {
            State::Learning(_, known) => known.clone(),
            State::Decoding(window) => Some(window.code.clone()),
        };
        self.state = Self::new(code).state;
    }

    /// A number near the highest one that arrived; `None` if nothing did.
    pub(crate) fn newest(&self) -> Option<u32> {
        match &self.state {
            State::Learning(tuner, _) => tuner.newest(),
            State::Decoding(window) => window.newest,
        }
    }

    /// Gives back all memory that can be spared, and with it the packets of incomplete groups. For a session that has
    /// been idle: what was lost by then has been sent again.
    pub(crate) fn shrink(&mut self) {
        if let State::Decoding(window) = &mut self.state {
            window.shrink();
        }
    }

    /// The shape in use; `None` while it is unknown or in doubt.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> Option<Fec> {
        match &self.state {
            State::Decoding(window) => Some(window.code.shape()),
            State::Learning(..) => None,
        }
    }

    /// What has happened so far.
    pub(crate) fn counters(&self) -> FecCounters {
        let (groups, newest) = match &self.state {
            State::Decoding(window) => (window.groups.len(), window.newest_group()),
            State::Learning(..) => (0, 0),
        };
        FecCounters {
            groups: groups as u64,
            newest: u64::from(newest),
            ..self.counters
        }
    }

    /// Returns the index of the group that was repaired.
    fn insert(
        &mut self,
        packet: Packet<'_>,
        plausible: impl FnMut(&[u8]) -> bool,
    ) -> Option<usize> {
        self.learn(packet);
        let State::Decoding(window) = &mut self.state else {
            return None;
        };
        match window.insert(packet, plausible, &mut self.counters) {
            Ok(repaired) => repaired,
            Err(Doubt) => {
                let mut tuner = Tuner::new(Some(window.code.shape()));
                tuner.sample(packet.seqid, packet.is_data);
                self.state = State::Learning(Box::new(tuner), Some(window.code.clone()));
                None
            }
        }
    }

    /// Ends learning if this packet is the last piece of evidence.
    fn learn(&mut self, packet: Packet<'_>) {
        let State::Learning(tuner, known) = &mut self.state else {
            return;
        };
        let Some(shape) = tuner.sample(packet.seqid, packet.is_data) else {
            return;
        };
        let code = match known.take() {
            Some(known) if known.shape() == shape => known,
            Some(_) | None => Code::new(shape),
        };
        self.state = State::Decoding(Box::new(Window::new(code, None)));
    }
}

/// The groups around the newest one.
struct Window {
    code: Arc<Code>,
    /// Remembered groups, four at most.
    groups: Vec<Group>,
    /// Groups that are no longer remembered, for their memory.
    spare: Vec<Group>,
    /// Number of the first packet of the newest group.
    newest: Option<u32>,
    outdated: OutdatedRun,
    /// What is known of a shape that is not proven yet.
    evidence: Option<Evidence>,
    /// The lack of a proof may have held up repairs.
    held_up: bool,
    scratch: Scratch,
}

/// The shape is not what we think, or has ceased to be.
struct Doubt;

impl Window {
    fn new(code: Arc<Code>, evidence: Option<Evidence>) -> Self {
        Self {
            code,
            groups: Vec::new(),
            spare: Vec::new(),
            newest: None,
            outdated: OutdatedRun::default(),
            held_up: evidence.is_some(),
            evidence,
            scratch: Scratch::new(),
        }
    }

    /// Returns the index of the group that the packet allowed to repair.
    fn insert(
        &mut self,
        packet: Packet<'_>,
        mut plausible: impl FnMut(&[u8]) -> bool,
        counters: &mut FecCounters,
    ) -> Result<Option<usize>, Doubt> {
        let shape = self.code.shape();
        let position = shape.position(packet.seqid) as u8;
        let first = packet.seqid - u32::from(position);
        if packet.seqid >= shape.wrap() || !self.advance(first, packet, counters) {
            return Ok(None);
        }
        if shape.is_data(packet.seqid) != packet.is_data {
            return Err(Doubt);
        }

        if let Some(evidence) = &mut self.evidence
            && evidence.sample(packet.seqid, packet.is_data, shape)
        {
            self.evidence = None;
        }

        let index = self.open(first);
        let group = &mut self.groups[index];
        let progress = group.insert(&self.code, position, packet.shard, &mut self.scratch);
        counters.parity += u64::from(!packet.is_data && progress != Progress::Repeated);
        match progress {
            Progress::Contradiction => {
                counters.errors += 1;
                return Err(Doubt);
            }
            // Repairs that were held up come one with each packet.
            _ if self.evidence.is_some() => return Ok(None),
            _ if self.held_up => {}
            Progress::Repeated | Progress::Pending => return Ok(None),
            Progress::Enough => return self.repair(index, plausible, counters),
        }
        for index in 0..self.groups.len() {
            let repaired = self.repair(index, &mut plausible, counters)?;
            if repaired.is_some() {
                return Ok(repaired);
            }
        }
        self.held_up = false;
        Ok(None)
    }

    /// Repairs a group if it holds enough. Returns its index if anything was rebuilt.
    fn repair(
        &mut self,
        index: usize,
        plausible: impl FnMut(&[u8]) -> bool,
        counters: &mut FecCounters,
    ) -> Result<Option<usize>, Doubt> {
        match self.groups[index].repair(&self.code, &mut self.scratch, plausible) {
            Repair::Impossible => Ok(None),
            Repair::Unneeded => {
                counters.complete += 1;
                Ok(None)
            }
            Repair::Rebuilt(packets) => {
                counters.recovered += packets;
                Ok(Some(index))
            }
            Repair::Contradiction => {
                counters.errors += 1;
                Err(Doubt)
            }
        }
    }

    /// Moves on to a newer group. False if the packet is of a group that is no longer remembered.
    fn advance(&mut self, first: u32, packet: Packet<'_>, counters: &mut FecCounters) -> bool {
        let reach = REMEMBERED * self.code.shape().packets() as i32;
        let age = |first: u32, newest: u32| newest.wrapping_sub(first).cast_signed();
        match self.newest {
            Some(newest) if age(first, newest) > reach => {
                if !self.outdated.is_restart(packet, self.code.shape()) {
                    return false;
                }
                // It may use another shape than before.
                self.forget(|_| true, counters);
                self.evidence = Some(Evidence::default());
                self.held_up = true;
                self.newest = Some(first);
            }
            Some(newest) if age(first, newest) >= 0 => {}
            Some(_) | None => {
                self.forget(|group| age(group.first(), first) > reach, counters);
                self.newest = Some(first);
            }
        }
        self.outdated = OutdatedRun::default();
        true
    }

    /// Drops groups, but not their memory.
    fn forget(&mut self, outdated: impl Fn(&Group) -> bool, counters: &mut FecCounters) {
        for mut group in self.groups.extract_if(.., |group| outdated(group)) {
            counters.short += group.unrepaired(&self.code);
            group.close(&mut self.scratch);
            self.spare.push(group);
        }
    }

    /// Index of the group that begins with this number.
    fn open(&mut self, first: u32) -> usize {
        if let Some(index) = self.groups.iter().position(|group| group.first() == first) {
            return index;
        }
        let mut group = self.spare.pop().unwrap_or_default();
        group.restart(first);
        self.groups.push(group);
        self.groups.len() - 1
    }

    /// Closes all groups and gives back the memory of what they held.
    fn shrink(&mut self) {
        self.spare = Vec::new();
        for group in &mut self.groups {
            group.close(&mut self.scratch);
            group.shrink();
        }
        self.scratch.shrink();
    }

    /// Number of the newest group, counting groups.
    fn newest_group(&self) -> u32 {
        self.newest.unwrap_or(0) / self.code.shape().packets()
    }
}

/// Successive data packets, all of groups that are no longer remembered, with nothing newer in between.
///
/// Stragglers do not come like that. So the peer counts from 0 again, or a forged number has led us astray; in either
/// case kcp-go repairs nothing until the numbers have caught up.
#[derive(Default)]
struct OutdatedRun {
    last: u32,
    len: u32,
}

impl OutdatedRun {
    /// Whether with this packet the run is long enough to follow it.
    fn is_restart(&mut self, packet: Packet<'_>, shape: Fec) -> bool {
        if packet.is_data {
            let continues = self.len > 0 && packet.seqid == shape.next_data(self.last);
            self.len = if continues { self.len + 1 } else { 1 };
            self.last = packet.seqid;
        }
        self.len >= RESTART
    }
}

/// Groups before the newest one that are remembered. Source: kcp-go, `maxShardSets`.
const REMEMBERED: i32 = 3;

/// Outdated data packets in a row after which the peer has started over.
const RESTART: u32 = 3;

#[cfg(test)]
impl Decoder {
    /// A decoder that takes the shape of `code` for proven.
    pub(super) fn trusting(code: Arc<Code>) -> Self {
        Self {
            state: State::Decoding(Box::new(Window::new(code, None))),
            counters: FecCounters::default(),
        }
    }

    /// Buffers for shards that exist, in use or not.
    pub(super) fn buffers(&self) -> usize {
        match &self.state {
            State::Decoding(window) => {
                let held = window.groups.iter().map(Group::held).sum::<usize>();
                held + window.scratch.spare()
            }
            State::Learning(..) => 0,
        }
    }
}

#[cfg(test)]
mod tests;
