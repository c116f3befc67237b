//! The 24-byte segment header, both ways.

use super::seq::{Seq, TransmissionId};

/// Bytes of a segment's header. Source: ikcp.c `IKCP_OVERHEAD`.
pub(crate) const HEADER_LEN: usize = 24;

/// What a segment asks of its receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Carries data.
    Push,
    /// Acknowledges one segment.
    Ack,
    /// Asks for the receive window; every peer answers with [`Command::WindowTell`].
    WindowAsk,
    /// Tells the receive window, which stands in every header.
    WindowTell,
}

impl Command {
    /// The command's byte on the wire. Source: ikcp.c `IKCP_CMD_PUSH` to `IKCP_CMD_WINS`.
    const fn to_wire(self) -> u8 {
        match self {
            Self::Push => 81,
            Self::Ack => 82,
            Self::WindowAsk => 83,
            Self::WindowTell => 84,
        }
    }

    const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            81 => Some(Self::Push),
            82 => Some(Self::Ack),
            83 => Some(Self::WindowAsk),
            84 => Some(Self::WindowTell),
            _ => None,
        }
    }
}

/// A segment without its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// Conversation it belongs to.
    pub(crate) conv: u32,
    /// What it asks.
    pub(crate) command: Command,
    /// Fragments of the same message that still follow.
    pub(crate) fragments_after: u8,
    /// Free receive window of its sender, in segments.
    pub(crate) window: u16,
    /// Number of this transmission; in an acknowledgement, the one it answers.
    pub(crate) transmission: TransmissionId,
    /// Number of the segment; in an acknowledgement, the one it acknowledges.
    pub(crate) sn: Seq,
    /// Everything before this number was received by its sender.
    pub(crate) una: Seq,
    /// Bytes of data behind the header.
    pub(crate) len: u32,
}

impl Header {
    /// Writes the header to the start of `out`, which must have room for it.
    pub(crate) fn write(&self, out: &mut [u8]) {
        let out: &mut [u8; HEADER_LEN] = out[..HEADER_LEN]
            .as_mut()
            .try_into()
            .expect("the slice has the header's length");
        out[0..4].copy_from_slice(&self.conv.to_le_bytes());
        out[4] = self.command.to_wire();
        out[5] = self.fragments_after;
        out[6..8].copy_from_slice(&self.window.to_le_bytes());
        out[8..12].copy_from_slice(&self.transmission.0.to_le_bytes());
        out[12..16].copy_from_slice(&self.sn.0.to_le_bytes());
        out[16..20].copy_from_slice(&self.una.0.to_le_bytes());
        out[20..24].copy_from_slice(&self.len.to_le_bytes());
    }

    /// Reads a header; `None` if its command is unknown.
    fn read(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Some(Self {
            conv: word(0),
            command: Command::from_wire(bytes[4])?,
            fragments_after: bytes[5],
            window: u16::from_le_bytes([bytes[6], bytes[7]]),
            transmission: TransmissionId(word(8)),
            sn: Seq(word(12)),
            una: Seq(word(16)),
            len: word(20),
        })
    }
}

/// Why a packet's bytes are no segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// A command that no peer sends.
    UnknownCommand,
    /// A segment announces more data than the packet holds.
    Truncated,
}

/// The segments of one packet, front to back; ends after the first malformed one.
///
/// A rest shorter than a header is ignored, as kcp-go does (§4.9); `rest` tells how long it was.
pub(crate) struct Segments<'a> {
    bytes: &'a [u8],
    failed: bool,
}

impl<'a> Segments<'a> {
    /// Reads `packet`, which begins with a segment.
    pub(crate) const fn new(packet: &'a [u8]) -> Self {
        Self {
            bytes: packet,
            failed: false,
        }
    }

    /// Bytes not read yet.
    pub(crate) const fn rest(&self) -> usize {
        self.bytes.len()
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Result<(Header, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let (header, rest) = self.bytes.split_first_chunk::<HEADER_LEN>()?;
        let Some(header) = Header::read(header) else {
            self.failed = true;
            return Some(Err(Malformed::UnknownCommand));
        };
        let Some((data, rest)) = rest.split_at_checked(header.len as usize) else {
            self.failed = true;
            return Some(Err(Malformed::Truncated));
        };
        self.bytes = rest;
        Some(Ok((header, data)))
    }
}

/// Whether segments of conversation `conv` tile `packet` exactly, none of them empty-handed or over-long.
///
/// What a packet rebuilt by error correction must pass before any of it is believed: a wrong reconstruction keeps
/// `conv`, `cmd` and `len` intact where neighbouring packets agree in them, so every field with a known range counts.
pub(crate) fn tiles_exactly(packet: &[u8], accept: impl Fn(&Header) -> bool) -> bool {
    let mut segments = Segments::new(packet);
    let mut count = 0;
    for segment in segments.by_ref() {
        match segment {
            Ok((header, _)) if accept(&header) => count += 1,
            Ok(_) | Err(_) => return false,
        }
    }
    count > 0 && segments.rest() == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(len: u32) -> Header {
        Header {
            conv: 0x1122_3344,
            command: Command::Push,
            fragments_after: 3,
            window: 0x0506,
            transmission: TransmissionId(0x0708_090a),
            sn: Seq(11),
            una: Seq(12),
            len,
        }
    }

    fn packet(len: u32, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        header(len).write(&mut bytes);
        bytes.extend_from_slice(data);
        bytes
    }

    #[test]
    fn a_header_survives_the_wire() {
        let bytes = packet(2, b"ab");
        assert_eq!(&bytes[..8], [0x44, 0x33, 0x22, 0x11, 81, 3, 6, 5]);
        let read: Vec<_> = Segments::new(&bytes).collect();
        assert_eq!(read, [Ok((header(2), &b"ab"[..]))]);
    }

    #[test]
    fn reading_stops_at_the_first_malformed_segment() {
        let mut bytes = packet(1, b"a");
        bytes.extend(packet(9, b"short"));
        let mut segments = Segments::new(&bytes);
        assert!(matches!(segments.next(), Some(Ok(_))));
        assert_eq!(segments.next(), Some(Err(Malformed::Truncated)));
        assert_eq!(segments.next(), None);

        let mut bytes = packet(0, b"");
        bytes[4] = 85;
        assert_eq!(
            Segments::new(&bytes).next(),
            Some(Err(Malformed::UnknownCommand))
        );
    }

    #[test]
    fn a_rest_shorter_than_a_header_is_ignored_but_does_not_tile() {
        let mut bytes = packet(1, b"a");
        assert!(tiles_exactly(&bytes, |_| true));
        bytes.extend([0; 23]);
        assert_eq!(Segments::new(&bytes).filter(Result::is_ok).count(), 1);
        assert!(!tiles_exactly(&bytes, |_| true));
        assert!(!tiles_exactly(&[], |_| true));
        assert!(!tiles_exactly(&packet(0, b""), |h| h.conv == 0));
    }
}
