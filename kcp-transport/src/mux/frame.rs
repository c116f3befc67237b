//! The 12-byte yamux header, as far as the session looks at it.
//!
//! Source: the yamux specification (hashicorp/yamux `spec.md`).

/// Length of a header in bytes.
pub(super) const HEADER_LEN: usize = 12;

/// Opens a stream.
pub(super) const SYN: u16 = 1;
/// Acknowledges a stream or a ping.
pub(super) const ACK: u16 = 2;
/// Ends one direction of a stream.
pub(super) const FIN: u16 = 4;
/// Ends both directions of a stream at once.
pub(super) const RST: u16 = 8;

/// What a frame is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Bytes of a stream; the length says how many follow the header.
    Data,
    /// Credit for a stream; the length says how much.
    WindowUpdate,
    /// A probe or its answer; the length is an opaque value that the answer repeats.
    Ping,
    /// The end of the session; the length is an error code, 0 for none.
    GoAway,
}

/// A decoded header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) flags: u16,
    pub(super) stream: u32,
    pub(super) length: u32,
}

impl Header {
    /// A frame that resets `stream`.
    pub(super) fn reset(stream: u32) -> Self {
        Self {
            kind: Kind::Data,
            flags: RST,
            stream,
            length: 0,
        }
    }

    /// A probe that the peer answers with the same `value`.
    pub(super) fn ping(value: u32) -> Self {
        Self {
            kind: Kind::Ping,
            flags: SYN,
            stream: 0,
            length: value,
        }
    }

    /// The end of the session: with code 0 an orderly one, with 1 because the peer broke the protocol.
    pub(super) fn go_away(code: u32) -> Self {
        Self {
            kind: Kind::GoAway,
            flags: 0,
            stream: 0,
            length: code,
        }
    }

    /// The header in `bytes`; `None` if it is none of version 0.
    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Option<Self> {
        let [version, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3] = *bytes;
        let kind = match (version, kind) {
            (0, 0) => Kind::Data,
            (0, 1) => Kind::WindowUpdate,
            (0, 2) => Kind::Ping,
            (0, 3) => Kind::GoAway,
            (_, _) => return None,
        };
        Some(Self {
            kind,
            flags: u16::from_be_bytes([f0, f1]),
            stream: u32::from_be_bytes([s0, s1, s2, s3]),
            length: u32::from_be_bytes([l0, l1, l2, l3]),
        })
    }

    /// The header as it goes over the wire.
    pub(super) fn encode(self) -> [u8; HEADER_LEN] {
        let kind = match self.kind {
            Kind::Data => 0,
            Kind::WindowUpdate => 1,
            Kind::Ping => 2,
            Kind::GoAway => 3,
        };
        let [f0, f1] = self.flags.to_be_bytes();
        let [s0, s1, s2, s3] = self.stream.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [0, kind, f0, f1, s0, s1, s2, s3, l0, l1, l2, l3]
    }

    /// Whether any of `flags` is set.
    pub(super) fn has(self, flags: u16) -> bool {
        self.flags & flags != 0
    }

    /// Bytes that follow the header.
    pub(super) fn body_len(self) -> usize {
        match self.kind {
            Kind::Data => self.length as usize,
            Kind::WindowUpdate | Kind::Ping | Kind::GoAway => 0,
        }
    }
}
