//! Finds the shard counts of a peer in the order of its packets.

use std::collections::VecDeque;

use super::diff;

/// Packets remembered. Source: kcp-go, two over the largest possible group.
const WINDOW: usize = 258;
/// Fewer packets than this tell nothing.
const FEWEST: usize = 3;

#[derive(Clone, Copy, Debug)]
struct Sample {
    data: bool,
    seqid: u32,
}

/// The last 258 packets, and whether each was data or parity.
#[derive(Clone, Debug, Default)]
pub struct Tuner {
    samples: VecDeque<Sample>,
}

impl Tuner {
    /// Has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in a packet, duplicates included.
    pub fn sample(&mut self, data: bool, seqid: u32) {
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { data, seqid });
    }

    /// Length of the first complete run of data (or parity) packets.
    ///
    /// `None` if there is none yet, or if the sequence numbers up to its end are not consecutive: a lost or
    /// repeated packet hides the answer until it leaves the window.
    pub fn period(&self, data: bool) -> Option<usize> {
        if self.samples.len() < FEWEST {
            return None;
        }
        let ordered = self.ordered();
        let mut start = None;
        for (i, pair) in ordered.windows(2).enumerate() {
            let [before, after] = [pair[0], pair[1]];
            if after.seqid != before.seqid.wrapping_add(1) {
                return None;
            }
            let here = i + 1;
            match start {
                None if before.data != data && after.data == data => start = Some(here),
                Some(start) if before.data == data && after.data != data => {
                    return Some(here - start);
                }
                None | Some(_) => {}
            }
        }
        None
    }

    /// The samples by sequence number. Sorted by insertion: numbers more than half the circle apart have no
    /// order, and the sorts of the standard library may panic without one.
    fn ordered(&self) -> Vec<Sample> {
        let mut ordered = Vec::<Sample>::with_capacity(self.samples.len());
        for &sample in &self.samples {
            let at = ordered
                .iter()
                .rposition(|other| diff(other.seqid, sample.seqid) <= 0)
                .map_or(0, |last| last + 1);
            ordered.insert(at, sample);
        }
        ordered
    }
}
