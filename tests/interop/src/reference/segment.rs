//! The 24 bytes in front of every segment.

/// Bytes of a segment header. Source: ikcp.c `IKCP_OVERHEAD`.
pub const OVERHEAD: usize = 24;

/// What a segment is for. The value is the byte on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Command {
    /// Carries data.
    Push = 81,
    /// Acknowledges one data segment.
    Ack = 82,
    /// Asks for the receive window.
    WindowAsk = 83,
    /// Tells the receive window.
    WindowTell = 84,
}

impl Command {
    /// The command of a byte, if there is one.
    pub const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            81 => Some(Self::Push),
            82 => Some(Self::Ack),
            83 => Some(Self::WindowAsk),
            84 => Some(Self::WindowTell),
            _ => None,
        }
    }
}

/// A segment header, field for field; little-endian on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Conversation.
    pub conv: u32,
    /// [`Command`], or what came instead of one.
    pub cmd: u8,
    /// Fragments of this message still to follow.
    pub frg: u8,
    /// Free receive window of the sender, in segments.
    pub wnd: u16,
    /// Data: the sender's clock in milliseconds. Acknowledgement: the same, returned.
    pub ts: u32,
    /// Number of the data segment that is sent or acknowledged.
    pub sn: u32,
    /// Every segment before this number has arrived at the sender.
    pub una: u32,
    /// Data bytes that follow.
    pub len: u32,
}

impl Header {
    /// Takes a header off the front; `None` if there are not enough bytes for one.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (head, rest) = bytes.split_first_chunk::<OVERHEAD>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let header = Self {
            conv: word(0),
            cmd: head[4],
            frg: head[5],
            wnd: u16::from_le_bytes([head[6], head[7]]),
            ts: word(8),
            sn: word(12),
            una: word(16),
            len: word(20),
        };
        Some((header, rest))
    }

    /// Appends the header to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.conv.to_le_bytes());
        out.extend([self.cmd, self.frg]);
        out.extend(self.wnd.to_le_bytes());
        for word in [self.ts, self.sn, self.una, self.len] {
            out.extend(word.to_le_bytes());
        }
    }
}
