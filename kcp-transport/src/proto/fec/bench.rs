//! What benchmarks and fuzz targets need to reach: encoding and decoding without a session.

use super::header::{HEADER, MAX_PACKET};
use super::kernel::Kernel;
use super::rows::Rows;
use super::{Code, Decoder, Encoder, Fec};
use crate::proto::Time;

/// A stream of data packets, folded into parity in place.
pub struct Sender {
    encoder: Encoder,
    packet: Vec<u8>,
    parity: [u8; MAX_PACKET],
}

impl Sender {
    /// KCP packets of `len` bytes, unless [`send`](Self::send) is given another.
    pub fn new(shape: Fec, len: usize) -> Self {
        Self {
            encoder: Encoder::new(Code::new(shape)),
            packet: (0..HEADER + len).map(|i| (i * 31 % 251) as u8).collect(),
            parity: [0; MAX_PACKET],
        }
    }

    /// Sends the packets of one group and hands them to `wire`.
    pub fn group(&mut self, mut wire: impl FnMut(&[u8])) {
        for _ in 0..self.encoder.shape().data() {
            self.encoder.fold(Time::ZERO, &mut self.packet);
            wire(&self.packet);
        }
        while let Some(len) = self.encoder.next_parity(&mut self.parity) {
            wire(&self.parity[..len]);
        }
    }

    /// Sends a KCP packet and the parity that is due, and hands them to `wire`.
    pub fn send(&mut self, packet: &[u8], mut wire: impl FnMut(&[u8])) {
        self.packet.truncate(HEADER);
        self.packet.extend_from_slice(packet);
        self.encoder.fold(Time::ZERO, &mut self.packet);
        wire(&self.packet);
        while let Some(len) = self.encoder.next_parity(&mut self.parity) {
            wire(&self.parity[..len]);
        }
    }
}

/// Receives what a [`Sender`] sent.
pub struct Receiver(Decoder);

impl Receiver {
    /// Of a peer with this shape.
    pub fn new(shape: Fec) -> Self {
        Self(Decoder::new(Some(Code::new(shape))))
    }

    /// Of a peer whose shape is unknown.
    pub fn learning() -> Self {
        Self(Decoder::new(None))
    }

    /// Takes in one packet and returns how many it allowed to rebuild.
    pub fn accept(&mut self, packet: &[u8]) -> usize {
        self.0.accept(packet, |_| true).count()
    }

    /// Takes in one packet and hands the KCP packets that it allowed to rebuild to `rebuilt`, with their numbers.
    pub fn repair(&mut self, packet: &[u8], mut rebuilt: impl FnMut(u32, &[u8])) {
        for repaired in self.0.accept(packet, |_| true) {
            rebuilt(repaired.seqid, repaired.packet);
        }
    }

    /// Gives back memory as after a pause.
    pub fn shrink(&mut self) {
        self.0.shrink();
    }
}

/// The matrix of a shape.
pub fn make_code(shape: Fec) -> impl Sized {
    Code::new(shape)
}

/// An instruction set that this processor has.
#[derive(Clone, Copy, Debug)]
pub struct Instructions(Kernel);

impl Instructions {
    /// All that we can use, the fastest last.
    pub fn available() -> impl Iterator<Item = Self> {
        Kernel::available().map(Self)
    }

    /// A function that folds a shard into `rows` rows.
    pub fn fold(self, rows: usize) -> impl FnMut(&[u8]) {
        let coefficients: Vec<u8> = (0..rows).map(|row| 17 * row as u8 + 3).collect();
        let mut rows = Rows::with_kernel(self.0);
        rows.begin(coefficients.len());
        move |shard| rows.add(&coefficients, shard)
    }
}
