//! The Reed-Solomon code of one shape: which coefficients make parity, and which undo a loss.

use super::Fec;
use reed_solomon_erasure::galois_8::ReedSolomon;
use std::sync::Arc;

/// Coefficients of one shape. Costs some 10 µs to make at 10/3 and grows with the cube of the data packets, so sessions
/// of one configuration share it.
///
/// The code is systematic: Vandermonde matrix `r^c`, times the inverse of its upper square. That is what kcp-go's
/// klauspost/reedsolomon builds, and the crate `reed-solomon-erasure`, from which it is read here.
#[derive(Debug)]
pub(crate) struct Code {
    shape: Fec,
    /// For each data packet in turn its coefficient in every parity packet.
    coefficients: Box<[u8]>,
}

impl Code {
    pub(crate) fn new(shape: Fec) -> Arc<Self> {
        // The parity of the unit vectors is the matrix itself.
        let unit = |i| (0..shape.data()).map(|j| u8::from(i == j)).collect();
        let units: Vec<Vec<u8>> = (0..shape.data()).map(unit).collect();
        let mut rows = vec![vec![0; shape.data()]; shape.parity()];
        ReedSolomon::new(shape.data(), shape.parity())
            .and_then(|code| code.encode_sep(&units, &mut rows))
            .expect("the shape is within the limits of the field, and the unit vectors fit it");

        let column = |data: usize| rows.iter().map(move |row| row[data]);
        Arc::new(Self {
            shape,
            coefficients: (0..shape.data()).flat_map(column).collect(),
        })
    }

    pub(crate) fn shape(&self) -> Fec {
        self.shape
    }

    /// Coefficients of a data packet in the parity packets, first to last.
    pub(super) fn column(&self, data: u8) -> &[u8] {
        let parity = self.shape.parity();
        &self.coefficients[usize::from(data) * parity..][..parity]
    }
}
