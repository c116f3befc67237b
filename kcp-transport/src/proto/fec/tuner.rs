//! Finds out the shape of a peer that uses another than we were told, from which packets are data and which parity.
//!
//! Stricter than kcp-go, which measures the first full run of data and of parity in its window and takes that. A wrong
//! shape rebuilds garbage that often passes for a KCP packet, so we also want two periods without a gap, and nothing
//! later that contradicts them.

use super::Fec;

/// The latest packets of a peer whose shape is unknown.
pub(super) struct Tuner {
    ring: [Sample; WINDOW],
    /// Where the next sample goes.
    next: usize,
    /// Samples in the ring.
    taken: usize,
    /// The shape that held before; it needs no measuring, only the two periods.
    known: Option<Fec>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Sample {
    seqid: u32,
    is_data: bool,
}

impl Tuner {
    pub(super) fn new(known: Option<Fec>) -> Self {
        Self {
            ring: [Sample::default(); WINDOW],
            next: 0,
            taken: 0,
            known,
        }
    }

    /// Takes in a packet. Returns the shape once it is sure.
    ///
    /// A period has ended when a new group begins, so only then is there anything to compute.
    pub(super) fn sample(&mut self, seqid: u32, is_data: bool) -> Option<Fec> {
        let begins_group = is_data && !self.latest().is_data;
        self.ring[self.next] = Sample { seqid, is_data };
        self.next = (self.next + 1) % WINDOW;
        self.taken = WINDOW.min(self.taken + 1);
        if begins_group { self.shape() } else { None }
    }

    /// The number of the latest packet.
    pub(super) fn newest(&self) -> Option<u32> {
        (self.taken > 0).then(|| self.latest().seqid)
    }

    /// The shape for which two periods arrived without a gap and which nothing after their begin contradicts.
    fn shape(&self) -> Option<Fec> {
        let mut ring = self.ring;
        let samples = dedup(self.sort(&mut ring));
        self.known
            .filter(|&shape| confirms(samples, shape))
            .or_else(|| measure(samples).filter(|&shape| confirms(samples, shape)))
    }

    /// The samples in the order of their numbers, which are taken to lie around the latest one: that gives numbers that
    /// wrap a total order, whatever the peer sends.
    fn sort<'a>(&self, ring: &'a mut [Sample; WINDOW]) -> &'a mut [Sample] {
        let pivot = self.latest().seqid;
        let samples = &mut ring[..self.taken];
        samples.sort_unstable_by_key(|sample| sample.seqid.wrapping_sub(pivot).cast_signed());
        samples
    }

    fn latest(&self) -> Sample {
        self.ring[(self.next + WINDOW - 1) % WINDOW]
    }
}

impl Sample {
    /// Whether `next` has the number after this one's.
    fn precedes(&self, next: &Self) -> bool {
        self.seqid.wrapping_add(1) == next.seqid
    }
}

/// The shape that the latest full runs of data and parity suggest.
fn measure(samples: &[Sample]) -> Option<Fec> {
    let (data, parity) = samples
        .chunk_by(|a, b| a.precedes(b))
        .rev()
        .find_map(|gapless| {
            let kinds = || gapless.iter().rev().map(|sample| sample.is_data);
            Some((full_run(kinds(), true)?, full_run(kinds(), false)?))
        })?;
    let shape = Fec::new(data, parity).ok()?;
    (shape.packets() <= MAX_PACKETS).then_some(shape)
}

/// Whether the latest samples fit the shape, two periods without a gap among them. As much as we remember has to do
/// for periods that are longer.
fn confirms(samples: &[Sample], shape: Fec) -> bool {
    let enough = (2 * shape.packets() as usize).min(WINDOW - 2);
    let fits = |sample: &&Sample| shape.is_data(sample.seqid) == sample.is_data;
    let fitting = samples.iter().rev().take_while(fits).count();
    samples[samples.len() - fitting..]
        .chunk_by(|a, b| a.precedes(b))
        .any(|gapless| gapless.len() >= enough)
}

/// Moves the first of equal samples to the front, in order, and returns these.
fn dedup(samples: &mut [Sample]) -> &[Sample] {
    let mut kept = 0;
    for at in 0..samples.len() {
        if kept == 0 || samples[kept - 1] != samples[at] {
            samples[kept] = samples[at];
            kept += 1;
        }
    }
    &samples[..kept]
}

/// Length of the first run of `kind` that is seen from begin to end. Source: kcp-go, `FindPeriod`.
fn full_run(kinds: impl Iterator<Item = bool>, kind: bool) -> Option<usize> {
    let mut kinds = kinds.skip_while(|&other| other == kind).peekable();
    while kinds.next_if(|&other| other != kind).is_some() {}
    let mut len = 0;
    while kinds.next_if_eq(&kind).is_some() {
        len += 1;
    }
    kinds.next().and(Some(len)).filter(|&len| len > 0)
}

/// Packets remembered: the largest group and one more on either side. Source: kcp-go, `maxAutoTuneSamples`.
const WINDOW: usize = 258;

/// Largest group that is learned. Two periods of a larger one hardly ever arrive without a gap on a path that needs
/// repair, and its code would be costly to make at the word of a stranger: 1.4 ms at 63/1, 11 ms at 127/1.
const MAX_PACKETS: u32 = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::fec::tests::{fec, vectors};
    use proptest::prelude::*;

    impl Tuner {
        /// What kcp-go measures: the first full run of a kind, as long as no number is missing or double up to there.
        fn period(&self, kind: bool) -> Option<usize> {
            let mut ring = self.ring;
            let mut gapless = self.sort(&mut ring).chunk_by(|a, b| a.precedes(b));
            full_run(gapless.next()?.iter().map(|sample| sample.is_data), kind)
        }

        /// Takes in the packets of these numbers as a peer of this shape sends them; returns what is learned first.
        fn learn(
            &mut self,
            shape: Fec,
            seqids: impl IntoIterator<Item = u32>,
        ) -> Option<(u32, Fec)> {
            seqids
                .into_iter()
                .find_map(|seqid| Some((seqid, self.sample(seqid, shape.is_data(seqid))?)))
        }
    }

    #[test]
    fn periods_are_those_that_kcp_go_measures() {
        for case in vectors!("autotune.json")["cases"].as_array().unwrap() {
            let mut tuner = Tuner::new(None);
            let samples = case["samples"].as_array().unwrap();
            let mut results = case["results"].as_array().unwrap().iter().peekable();
            for (taken, sample) in samples.iter().enumerate() {
                tuner.sample(sample[1].as_u64().unwrap() as u32, sample[0] == 1);
                if let Some(result) = results.next_if(|result| result["after"] == taken + 1) {
                    let period = |kind| tuner.period(kind).map_or(-1, |period| period as i64);
                    assert_eq!(result["data"], period(true), "{} {}", case["name"], result);
                    assert_eq!(
                        result["parity"],
                        period(false),
                        "{} {}",
                        case["name"],
                        result
                    );
                }
            }
            assert!(results.next().is_none());
        }
    }

    #[test]
    fn two_periods_are_enough_and_fewer_are_not() {
        assert_eq!(
            Tuner::new(None).learn(fec(10, 3), 0..),
            Some((26, fec(10, 3)))
        );
        assert_eq!(
            Tuner::new(None).learn(fec(10, 3), 5..),
            Some((39, fec(10, 3)))
        );
        assert_eq!(
            Tuner::new(None).learn(fec(1, 1), 7..),
            Some((10, fec(1, 1)))
        );
        assert_eq!(
            Tuner::new(Some(fec(10, 3))).learn(fec(10, 3), 0..),
            Some((26, fec(10, 3)))
        );
    }

    #[test]
    fn a_gap_delays_the_answer_by_two_periods() {
        let seqids = (0..200).filter(|&seqid| seqid != 15);
        assert_eq!(
            Tuner::new(None).learn(fec(10, 3), seqids),
            Some((52, fec(10, 3)))
        );
    }

    #[test]
    fn duplicates_and_reordering_do_not_disturb() {
        let seqids = (0..200).flat_map(|seqid| [seqid ^ 1, seqid ^ 1]);
        assert_eq!(
            Tuner::new(None).learn(fec(10, 3), seqids),
            Some((27, fec(10, 3)))
        );
    }

    #[test]
    fn groups_that_do_not_begin_at_a_multiple_of_their_size_are_not_learned() {
        let mut tuner = Tuner::new(None);
        for seqid in 0..2_000 {
            assert_eq!(tuner.sample(seqid, fec(10, 3).is_data(seqid + 4)), None);
        }
    }

    #[test]
    fn the_shape_before_a_change_is_not_confirmed_by_what_arrived_before_it() {
        let mut tuner = Tuner::new(Some(fec(10, 3)));
        for seqid in 0..21 {
            assert_eq!(tuner.sample(seqid, fec(10, 3).is_data(seqid)), None);
        }
        assert_eq!(tuner.learn(fec(5, 3), 24..), Some((40, fec(5, 3))));
    }

    #[test]
    fn a_large_shape_is_confirmed_but_not_learned() {
        let large = fec(70, 30);
        assert_eq!(Tuner::new(None).learn(large, 0..2_000), None);
        assert_eq!(
            Tuner::new(Some(large)).learn(large, 0..2_000),
            Some((200, large))
        );
        let largest = fec(200, 56);
        assert_eq!(
            Tuner::new(Some(largest)).learn(largest, 0..2_000),
            Some((256, largest))
        );
    }

    proptest! {
        #[test]
        fn anything_may_be_sampled(samples in proptest::collection::vec((any::<u32>(), any::<bool>()), 0..600)) {
            let mut tuner = Tuner::new(None);
            for (seqid, is_data) in samples {
                tuner.sample(seqid, is_data);
            }
        }
    }
}
