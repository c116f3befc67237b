//! The header in front of every packet of a session with FEC.
//!
//! ```text
//! 0      4      6      8
//! | seqid | kind | size | payload …     all little-endian
//! ```
//! `size` counts itself and the payload. A parity packet has no `size`: its bytes from offset 6 on are the sum over
//! those of the data packets, `size` included, and that is how the length of a rebuilt packet is known.

/// Length of the header in bytes.
pub(crate) const HEADER: usize = 8;

/// Offset of what parity protects: `size` and payload.
pub(crate) const SHARD: usize = 6;

/// Longest packet from the header on, in bytes: kcp-go receives into buffers of this size.
pub(crate) const MAX_PACKET: usize = 1_500;

/// Longest part of a packet that parity protects, in bytes.
pub(super) const MAX_SHARD: usize = MAX_PACKET - SHARD;

/// What a packet is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// A packet of the session, protected by the parity of its group.
    Data,
    /// A combination of the data packets of its group.
    Parity,
    /// A datagram that passes by the session: outside the numbering, neither protected nor acknowledged.
    OutOfBand,
}

impl Kind {
    /// What an inner packet is; `None` if it has no FEC header: KCP has its command there, which is none of ours.
    pub(crate) fn of(packet: &[u8]) -> Option<Self> {
        match packet.get(4..SHARD)? {
            [0xf1, 0] => Some(Self::Data),
            [0xf2, 0] => Some(Self::Parity),
            [0xf3, 0] => Some(Self::OutOfBand),
            _ => None,
        }
    }

    fn code(self) -> u16 {
        match self {
            Self::Data => 0xf1,
            Self::Parity => 0xf2,
            Self::OutOfBand => 0xf3,
        }
    }
}

/// A data or parity packet that arrived.
#[derive(Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) seqid: u32,
    pub(super) is_data: bool,
    pub(super) shard: &'a [u8],
}

impl<'a> Packet<'a> {
    /// `None` if it is something else, or of a length that no sender gives it.
    pub(super) fn parse(packet: &'a [u8]) -> Option<Self> {
        let is_data = match Kind::of(packet)? {
            Kind::Data => true,
            Kind::Parity => false,
            Kind::OutOfBand => return None,
        };
        if !(HEADER..=MAX_PACKET).contains(&packet.len()) {
            return None;
        }
        Some(Self {
            seqid: u32::from_le_bytes(*packet.first_chunk()?),
            is_data,
            shard: &packet[SHARD..],
        })
    }
}

/// Writes number and kind to the front of a packet.
pub(super) fn write(packet: &mut [u8], seqid: u32, kind: Kind) {
    packet[..4].copy_from_slice(&seqid.to_le_bytes());
    packet[4..SHARD].copy_from_slice(&kind.code().to_le_bytes());
}
