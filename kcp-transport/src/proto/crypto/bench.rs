//! What benchmarks and fuzz targets need to reach: sealing and opening without a session.

use super::{Cipher, Nonces};
use crate::proto::batch::Span;

/// Packets of equal length, back to back.
pub struct Batch {
    nonces: Nonces,
    buffer: Vec<u8>,
    packets: Vec<Span>,
}

impl Batch {
    /// `count` datagrams of `len` bytes each.
    pub fn new(count: usize, len: usize) -> Self {
        let packets = (0..count)
            .map(|i| Span {
                start: (i * len) as u32,
                len: len as u32,
            })
            .collect();
        Self {
            nonces: Nonces::new([1; 32]),
            buffer: vec![0x5a; count * len],
            packets,
        }
    }

    /// Seals all packets at once.
    pub fn seal(&mut self, cipher: &Cipher) {
        cipher.seal(&mut self.nonces, &mut self.buffer, &self.packets);
    }

    /// The datagrams.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.packets
            .iter()
            .map(|packet| &self.buffer[packet.range()])
    }
}

/// A datagram around `inner`, as a peer with the same key would send it.
pub fn seal(cipher: &Cipher, inner: &[u8]) -> Vec<u8> {
    let header = cipher.header_len();
    let mut batch = Batch::new(1, header + inner.len() + cipher.tag_len());
    batch.buffer[header..header + inner.len()].copy_from_slice(inner);
    batch.seal(cipher);
    batch.buffer
}

/// Opens a datagram in place and tells whether it was in order.
pub fn open(cipher: &Cipher, datagram: &mut [u8]) -> bool {
    cipher.open(datagram).is_ok()
}
