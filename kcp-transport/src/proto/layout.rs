//! Where things lie in a packet, and the writer that fills one.

use super::arq::segment::{HEADER_LEN, Header};

/// Length of the FEC header in front of a data packet's segments.
pub(crate) const FEC_HEADER_LEN: usize = 8;

/// Longest UDP payload a kcp-go peer can receive. Source: kcp-go `mtuLimit`.
pub(crate) const MAX_DATAGRAM: usize = 1_500;

/// Bytes around the segments of a packet, and how many the segments may take (§1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Nonce and checksum, or the nonce of an authenticated cipher.
    pub(crate) crypto_header: usize,
    /// The FEC header; zero without FEC.
    pub(crate) fec_header: usize,
    /// Authentication tag behind the segments.
    pub(crate) tag: usize,
    /// Longest datagram.
    pub(crate) mtu: usize,
}

impl Layout {
    /// Bytes in front of the segments.
    pub(crate) const fn headroom(&self) -> usize {
        self.crypto_header + self.fec_header
    }

    /// Bytes that segments may take in one packet.
    pub(crate) const fn payload(&self) -> usize {
        self.mtu.saturating_sub(self.headroom() + self.tag)
    }

    /// Bytes of data that one full segment carries.
    pub(crate) const fn mss(&self) -> usize {
        self.payload().saturating_sub(HEADER_LEN)
    }
}

/// Puts segments one behind the other into a packet.
#[derive(Debug)]
pub(crate) struct PacketWriter<'a> {
    out: &'a mut [u8],
    len: usize,
}

impl<'a> PacketWriter<'a> {
    /// An empty packet that may grow to fill `out`.
    pub(crate) fn new(out: &'a mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Bytes left.
    pub(crate) fn room(&self) -> usize {
        self.out.len() - self.len
    }

    /// Bytes written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends a segment; returns where its data goes. There must be room for both.
    pub(crate) fn put(&mut self, header: &Header) -> &mut [u8] {
        let data = self.len + HEADER_LEN;
        let end = data + header.len as usize;
        header.write(&mut self.out[self.len..data]);
        self.len = end;
        &mut self.out[data..end]
    }
}
