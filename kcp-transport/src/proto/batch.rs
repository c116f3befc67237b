//! Where packets are built and sent from: equal-sized packets back to back in one buffer.

use core::ops::Range;

/// One packet inside a buffer: the whole datagram, from nonce to tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset of the first byte.
    pub(crate) start: u32,
    /// Length in bytes.
    pub(crate) len: u32,
}

impl Span {
    /// The packet's bytes as a range into the buffer.
    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}
