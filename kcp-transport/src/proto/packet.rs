//! What an opened datagram holds, before any session sees it.

use super::arq::segment::{Command, Header, Segments};
use super::layout::FEC_HEADER_LEN;

/// Shortest packet inside a datagram: an out-of-band packet without data. Source: kcp-go v5.6.72, which dropped shorter
/// than 24 before it had these.
const MIN_LEN: usize = 12;

/// An opened datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Packet<'a> {
    /// All of it, from the FEC header on if there is one.
    pub(crate) bytes: &'a [u8],
    pub(crate) inner: Inner<'a>,
}

/// What a packet is (§1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inner<'a> {
    /// Segments that no parity protects.
    Segments(&'a [u8]),
    /// Segments behind an FEC header.
    Protected(&'a [u8]),
    /// Parity.
    Parity,
    /// A message beside the stream.
    OutOfBand(&'a [u8]),
}

impl<'a> Packet<'a> {
    /// Looks at the type; `None` if it is too short for any.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() < MIN_LEN {
            return None;
        }
        let inner = match u16::from_le_bytes([bytes[4], bytes[5]]) {
            0xf1 => Inner::Protected(&bytes[FEC_HEADER_LEN..]),
            0xf2 => Inner::Parity,
            0xf3 => Inner::OutOfBand(&bytes[FEC_HEADER_LEN + 4..]),
            _ => Inner::Segments(bytes),
        };
        Some(Self { bytes, inner })
    }

    /// The conversation that the packet names, if it does.
    pub(crate) fn conv(&self) -> Option<u32> {
        match self.inner {
            Inner::Segments(segments) | Inner::Protected(segments) => first_conv(segments),
            Inner::OutOfBand(_) => first_conv(&self.bytes[FEC_HEADER_LEN..]),
            Inner::Parity => None,
        }
    }

    /// Its number among protected packets, if it is one.
    pub(crate) fn number(&self) -> Option<u32> {
        match self.inner {
            Inner::Protected(_) | Inner::Parity => first_word(self.bytes),
            Inner::Segments(_) | Inner::OutOfBand(_) => None,
        }
    }

    /// Whether a session may begin with this packet: it holds data of the first window, or asks for a sign of life.
    /// Anything else is a leftover of a session that ended.
    pub(crate) fn may_open_session(&self, window: u32) -> bool {
        self.header().is_some_and(|header| match header.command {
            Command::Push => header.sn.0 < window && header.una.0 == 0,
            Command::WindowAsk => header.una.0 == 0,
            Command::Ack | Command::WindowTell => false,
        })
    }

    /// Whether this is the very first packet of a conversation.
    pub(crate) fn begins_conversation(&self) -> bool {
        self.header().is_some_and(|header| header.sn.0 == 0)
    }

    fn header(&self) -> Option<Header> {
        match self.inner {
            Inner::Segments(segments) | Inner::Protected(segments) => Segments::new(segments)
                .next()?
                .ok()
                .map(|(header, _)| header),
            Inner::Parity | Inner::OutOfBand(_) => None,
        }
    }
}

/// The conversation that the first segment names, if there are enough bytes for one.
pub(super) fn first_conv(segments: &[u8]) -> Option<u32> {
    first_word(segments)
}

fn first_word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}
