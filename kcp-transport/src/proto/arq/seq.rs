//! Numbers that wrap: segments and transmissions count modulo 2³².

/// Number of a segment. Counts modulo 2³², so it has no total order: only [`precedes`](Self::precedes), no `Ord`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seq(pub(crate) u32);

impl Seq {
    /// Whether `self` was numbered before `other`. Source: ikcp.c `_itimediff()`.
    pub(crate) const fn precedes(self, other: Self) -> bool {
        self.distance_from(other) < 0
    }

    /// How far `self` lies behind `other`; negative if it lies before it.
    pub(crate) const fn distance_from(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0) as i32
    }

    /// The number `count` later.
    pub(crate) const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The index of `self` in a queue that starts with `first`, if it lies within the next `len` numbers.
    pub(crate) fn index_from(self, first: Self, len: usize) -> Option<usize> {
        let index = self.0.wrapping_sub(first.0) as usize;
        (index < len).then_some(index)
    }
}

/// Number of a transmission, carried in a segment's `ts` field and echoed by every acknowledgement.
///
/// Each sending of a segment, the first or a repeated one, takes the next number, so an acknowledgement names the
/// very transmission it answers. kcp-go uses the field for its own clock only, and echoes it verbatim.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct TransmissionId(pub(crate) u32);

impl TransmissionId {
    /// Whether `self` was sent before `other`.
    pub(crate) const fn precedes(self, other: Self) -> bool {
        (self.0.wrapping_sub(other.0) as i32) < 0
    }

    /// The number `count` later.
    pub(crate) const fn plus(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// How many transmissions lie between `earlier` and `self`.
    pub(crate) const fn count_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_survives_the_wrap() {
        assert!(Seq(u32::MAX).precedes(Seq(0)));
        assert!(!Seq(0).precedes(Seq(u32::MAX)));
        assert!(!Seq(7).precedes(Seq(7)));
        assert_eq!(Seq(2).distance_from(Seq(u32::MAX)), 3);
        assert_eq!(Seq(1).index_from(Seq(u32::MAX), 3), Some(2));
        assert_eq!(Seq(1).index_from(Seq(u32::MAX), 2), None);
        assert_eq!(Seq(5).index_from(Seq(6), 10), None);
        assert!(TransmissionId(u32::MAX).precedes(TransmissionId(3)));
        assert_eq!(TransmissionId(3).count_from(TransmissionId(u32::MAX)), 4);
    }
}
