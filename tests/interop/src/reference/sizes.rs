//! How many bytes of a datagram are left for what.

use super::OVERHEAD;

/// No datagram is longer, in bytes of UDP payload: kcp-go receives into buffers of this size.
pub const MTU_LIMIT: usize = 1500;
/// Sequence number, type and size in front of a data packet under forward error correction.
pub(super) const FEC_HEADER: usize = 8;
/// The authentication tag of AES-GCM.
const AEAD_TAG: usize = 16;
/// The conversation in front of an out-of-band message.
const OOB_HEADER: usize = 4;

/// What the cipher puts around a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Envelope {
    /// Nothing: no cipher at all, which kcptun calls `null`.
    #[default]
    Null,
    /// A nonce of 16 bytes and a CRC-32: every block and stream cipher, and `none`.
    Checksum,
    /// A nonce of 12 bytes and a tag of 16: AES-GCM.
    Aead,
}

/// The sizes that follow from an MTU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketSizes {
    /// Bytes in front of what the protocol writes: nonce, checksum and the header of the code.
    pub header_size: usize,
    /// Longest packet the protocol writes.
    pub kcp_mtu: usize,
    /// Most data in one segment.
    pub mss: usize,
    /// Longest out-of-band message; 0 without forward error correction.
    pub oob_max: usize,
}

impl PacketSizes {
    /// Sizes for datagrams of `mtu` bytes, which count as 1500 when larger; `None` if nothing is left for data.
    pub fn new(envelope: Envelope, fec: bool, mtu: usize) -> Option<Self> {
        let (front, back) = match envelope {
            Envelope::Null => (0, 0),
            Envelope::Checksum => (20, 0),
            Envelope::Aead => (12, AEAD_TAG),
        };
        let header_size = front + if fec { FEC_HEADER } else { 0 };
        let kcp_mtu = mtu.min(MTU_LIMIT).checked_sub(header_size + back)?;
        let mss = kcp_mtu.checked_sub(OVERHEAD).filter(|&mss| mss > 0)?;
        let oob_max = if fec { kcp_mtu - OOB_HEADER } else { 0 };
        Some(Self {
            header_size,
            kcp_mtu,
            mss,
            oob_max,
        })
    }
}
