//! Whether what arrived so far leaves no shape possible but one.
//!
//! Both ends may be configured differently, and loss may hide every packet that would show it. What is rebuilt in the
//! wrong shape is garbage that often passes for a KCP packet, so nothing is rebuilt before all other shapes are ruled
//! out. At 10/3 without loss that is with the first packet of the second group.

use super::Fec;

/// Packets of a peer whose shape is presumed but not proven.
#[derive(Default)]
pub(super) struct Evidence {
    /// The latest packets, in no order: their numbers, and whether they are data.
    samples: Vec<(u32, bool)>,
    /// Where the next sample goes once the ring is full.
    next: usize,
    /// Groups of fewer packets than this are ruled out, but for the presumed size.
    rival: u32,
}

impl Evidence {
    /// Takes in a packet. Returns whether `shape` is proven.
    pub(super) fn sample(&mut self, seqid: u32, is_data: bool, shape: Fec) -> bool {
        if self.samples.len() < WINDOW {
            self.samples.push((seqid, is_data));
        } else {
            self.samples[self.next] = (seqid, is_data);
            self.next = (self.next + 1) % WINDOW;
        }
        let presumed = shape.data() as u32;
        if self.data_counts(shape.packets()) != (presumed, presumed) {
            return false;
        }
        // What is ruled out once stays so, hence all of this costs little more than one look at each size of a group.
        self.rival = self.rival.max(2);
        while self.rival <= LARGEST {
            let (least, most) = self.data_counts(self.rival);
            if self.rival != shape.packets() && least <= most {
                return false;
            }
            self.rival += 1;
        }
        true
    }

    /// Least and largest number of data packets that groups of `packets` can have; none if the first exceeds the second.
    fn data_counts(&self, packets: u32) -> (u32, u32) {
        self.samples
            .iter()
            .map(|&(seqid, is_data)| (seqid % packets, is_data))
            .fold(
                (1, packets - 1),
                |(least, most), (position, is_data)| match is_data {
                    true => (least.max(position + 1), most),
                    false => (least, most.min(position)),
                },
            )
    }
}

/// Packets remembered: the largest group and one more on either side.
const WINDOW: usize = 258;

/// Packets in the largest group that there can be.
const LARGEST: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::fec::tests::fec;
    use proptest::prelude::*;

    /// The number of the packet with which the presumed shape is proven, if a peer of the true one sends `seqids`.
    fn proven(presumed: Fec, truth: Fec, seqids: impl IntoIterator<Item = u32>) -> Option<u32> {
        let mut evidence = Evidence::default();
        seqids
            .into_iter()
            .find(|&seqid| evidence.sample(seqid, truth.is_data(seqid), presumed))
    }

    #[test]
    fn without_loss_the_first_packet_of_the_second_group_proves_the_shape() {
        for shape in [fec(10, 3), fec(3, 1), fec(20, 10), fec(2, 2), fec(128, 127)] {
            assert_eq!(proven(shape, shape, 0..1_000), Some(shape.packets()));
        }
    }

    #[test]
    fn groups_of_two_need_no_second_one() {
        // Data, then parity: anything larger would be of the same shape.
        assert_eq!(proven(fec(1, 1), fec(1, 1), 0..9), Some(2));
    }

    #[test]
    fn a_lost_packet_that_could_be_either_leaves_it_open() {
        let shape = fec(10, 3);
        // The last data packet may have been parity; the one in the next group tells.
        let lost = (0..100).filter(|&seqid| seqid != 9);
        assert_eq!(proven(shape, shape, lost), Some(22));
        // So may the first of the next group: 10/4 is ruled out where it would have data again.
        let lost = (0..100).filter(|&seqid| seqid != 13);
        assert_eq!(proven(shape, shape, lost), Some(23));
    }

    #[test]
    fn data_alone_proves_nothing() {
        let shape = fec(10, 3);
        let data = (0..5_000).filter(|&seqid| shape.is_data(seqid));
        assert_eq!(proven(shape, shape, data), None);
    }

    proptest! {
        /// Whatever is lost of what a peer of another shape sends.
        #[test]
        fn no_other_shape_is_proven(
            (data, parity) in (1..24_usize, 1..12_usize),
            (true_data, true_parity) in (1..24_usize, 1..12_usize),
            seqids in proptest::collection::vec(0..90_u32, 0..120),
        ) {
            prop_assume!((data, parity) != (true_data, true_parity));
            prop_assert_eq!(proven(fec(data, parity), fec(true_data, true_parity), seqids), None);
        }
    }
}
