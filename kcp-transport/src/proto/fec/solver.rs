//! Which coefficients turn the packets at hand into the lost ones.

use super::Code;
use super::group::Positions;
use reed_solomon_erasure::galois_8::{div, mul};

/// The solution for one loss. Keeps its memory from one to the next.
///
/// Parity is known data plus `M` · lost data, where `M` is the square part of the code that belongs to the lost packets
/// and to as many parity packets. Hence the lost data is the inverse of `M`, applied to parity plus known data.
#[derive(Default)]
pub(super) struct Solver {
    /// Positions of the lost data packets, ascending.
    lost: Vec<u8>,
    /// Positions of the parity packets in use, ascending; as many.
    parity: Vec<u8>,
    /// Inverse of `M`, row by row: a row for each lost packet, in it an entry for each parity packet.
    inverse: Vec<u8>,
    coefficients: Vec<u8>,
}

impl Solver {
    /// Prepares to compute the data packets that did not arrive: at least one. As many as the group has data packets
    /// did arrive.
    pub(super) fn solve(&mut self, code: &Code, arrived: &Positions) {
        let shape = code.shape();
        let (data, packets) = (shape.data() as u8, shape.packets());
        self.lost.clear();
        self.lost
            .extend((0..data).filter(|&position| !arrived.contains(position)));
        self.parity.clear();
        let parity = (u32::from(data)..packets).map(|position| position as u8);
        self.parity
            .extend(parity.filter(|&position| arrived.contains(position)));
        debug_assert_eq!(self.lost.len(), self.parity.len());

        self.inverse.clear();
        for &parity in &self.parity {
            let row = usize::from(parity - data);
            let entry = |&lost: &u8| code.column(lost)[row];
            self.inverse.extend(self.lost.iter().map(entry));
        }
        invert(&mut self.inverse, self.lost.len());
    }

    /// Positions of the data packets to compute, ascending.
    pub(super) fn lost(&self) -> &[u8] {
        &self.lost
    }

    /// Coefficients of a packet at hand in each of the lost ones.
    pub(super) fn coefficients(&mut self, code: &Code, position: u8) -> &[u8] {
        let data = code.shape().data() as u8;
        let rows = self.inverse.chunks(self.parity.len());
        self.coefficients.clear();
        if position < data {
            let column = code.column(position);
            self.coefficients.extend(rows.map(|row| {
                let terms = row.iter().zip(&self.parity);
                terms.fold(0, |sum, (&factor, &parity)| {
                    sum ^ mul(factor, column[usize::from(parity - data)])
                })
            }));
        } else if let Ok(index) = self.parity.binary_search(&position) {
            self.coefficients.extend(rows.map(|row| row[index]));
        }
        &self.coefficients
    }
}

/// Inverts a square part of the parity rows in place: Gauss and Jordan's elimination.
///
/// Any `data` packets of a group determine the others, which makes every square part of the parity rows invertible, the
/// leading parts of that part included. So no pivot is ever 0, and no rows need to change places.
fn invert(matrix: &mut [u8], size: usize) {
    for pivot in 0..size {
        let scale = div(1, matrix[pivot * size + pivot]);
        matrix[pivot * size + pivot] = 1;
        for entry in &mut matrix[pivot * size..][..size] {
            *entry = mul(*entry, scale);
        }
        for row in (0..size).filter(|&row| row != pivot) {
            let factor = core::mem::take(&mut matrix[row * size + pivot]);
            for column in 0..size {
                let entry = mul(factor, matrix[pivot * size + column]);
                matrix[row * size + column] ^= entry;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::fec::Fec;
    use proptest::prelude::*;
    use proptest::sample::subsequence;
    use reed_solomon_erasure::galois_8::ReedSolomon;

    /// A shape, and which positions of a group arrive: as many as it has data packets, parity among them.
    fn losses() -> impl Strategy<Value = (Fec, Vec<u8>)> {
        (1..60_usize, 1..30_usize).prop_flat_map(|(data, parity)| {
            let shape = Fec::new(data, parity).unwrap();
            let positions: Vec<u8> = (0..(data + parity) as u8).collect();
            let some_lost =
                move |arrived: &Vec<u8>| arrived.iter().any(|&at| usize::from(at) >= data);
            let arrived = subsequence(positions, data);
            (Just(shape), arrived.prop_filter("nothing lost", some_lost))
        })
    }

    proptest! {
        #[test]
        fn whatever_is_lost_is_what_the_reference_rebuilds((shape, arrived) in losses()) {
            let (data, parity) = (shape.data(), shape.parity());
            let reference = ReedSolomon::new(data, parity).unwrap();
            let mut group: Vec<Vec<u8>> = (0..data + parity).map(|i| vec![(i * 37 + 5) as u8; 1]).collect();
            reference.encode(&mut group).unwrap();

            let code = Code::new(shape);
            let mut at_hand = Positions::default();
            arrived.iter().for_each(|&position| assert!(at_hand.insert(position)));
            let mut solver = Solver::default();
            solver.solve(&code, &at_hand);
            let mut rebuilt = vec![0; solver.lost().len()];
            for &position in &arrived {
                let byte = group[usize::from(position)][0];
                for (sum, &coefficient) in rebuilt.iter_mut().zip(solver.coefficients(&code, position)) {
                    *sum ^= mul(coefficient, byte);
                }
            }
            for (&position, byte) in solver.lost().iter().zip(rebuilt) {
                prop_assert_eq!(byte, group[usize::from(position)][0]);
            }
        }
    }

    #[test]
    fn the_largest_losses_can_be_solved() {
        for (data, parity) in [(1, 255), (128, 128), (255, 1)] {
            let code = Code::new(Fec::new(data, parity).unwrap());
            let mut at_hand = Positions::default();
            let lost = data.min(parity);
            (lost..lost + data).for_each(|position| assert!(at_hand.insert(position as u8)));
            let mut solver = Solver::default();
            solver.solve(&code, &at_hand);
            assert_eq!(solver.lost().len(), lost);
        }
    }
}
