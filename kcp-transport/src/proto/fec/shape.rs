//! How many data and parity packets form a group, and what follows from it for the numbering of packets.

use crate::error::ConfigError;
use core::fmt;

/// Shape of the forward error correction: a group is `data` packets, and `parity` packets computed from them.
///
/// Any `data` packets of a group suffice to rebuild the others of it. More parity survives more loss and costs
/// `parity / data` of the bandwidth; larger groups survive longer bursts and repair later. kcptun's default is 10/3.
///
/// Both ends should use the same shape. If not, each follows the other: kcp-go after a stretch of packets without loss,
/// we after two groups without loss, if they have 64 packets at most. Until then nothing that is lost is rebuilt.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "(usize, usize)", into = "(usize, usize)")
)]
pub struct Fec {
    data: u8,
    parity: u8,
}

impl Fec {
    /// A group of `data` and `parity` packets.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Shards`] unless both are at least 1 and together at most 256: the code has one element of
    /// GF(2⁸) for each packet of a group, and beyond it kcp-go uses a different code or none.
    pub fn new(data: usize, parity: usize) -> Result<Self, ConfigError> {
        match (u8::try_from(data), u8::try_from(parity)) {
            (Ok(d @ 1..), Ok(p @ 1..)) if data + parity <= MAX_PACKETS => {
                Ok(Self { data: d, parity: p })
            }
            _ => Err(ConfigError::Shards { data, parity }),
        }
    }

    /// Data packets in a group.
    pub const fn data(self) -> usize {
        self.data as usize
    }

    /// Parity packets in a group.
    pub const fn parity(self) -> usize {
        self.parity as usize
    }

    /// Packets in a group.
    pub(super) const fn packets(self) -> u32 {
        self.data as u32 + self.parity as u32
    }

    /// Where the numbering wraps to 0: the largest multiple of the group size that fits, so that group `g` has the
    /// numbers `g * packets` and following for ever. Source: kcp-go, `paws`.
    pub(super) const fn wrap(self) -> u32 {
        u32::MAX / self.packets() * self.packets()
    }

    /// Place of a packet in its group: data packets first, then parity.
    pub(super) const fn position(self, seqid: u32) -> usize {
        (seqid % self.packets()) as usize
    }

    /// Whether the packet of this number is a data packet.
    pub(super) const fn is_data(self, seqid: u32) -> bool {
        self.position(seqid) < self.data()
    }

    /// Number of the data packet after the one of this number.
    pub(super) const fn next_data(self, seqid: u32) -> u32 {
        let next = seqid.wrapping_add(1);
        if self.is_data(next) {
            next
        } else {
            next.wrapping_add(self.parity as u32)
        }
    }
}

impl TryFrom<(usize, usize)> for Fec {
    type Error = ConfigError;

    fn try_from((data, parity): (usize, usize)) -> Result<Self, ConfigError> {
        Self::new(data, parity)
    }
}

impl From<Fec> for (usize, usize) {
    fn from(shape: Fec) -> Self {
        (shape.data(), shape.parity())
    }
}

impl fmt::Display for Fec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.data, self.parity)
    }
}

/// Packets in the largest group: elements of the field GF(2⁸).
const MAX_PACKETS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_needs_data_and_parity_and_fits_the_field() {
        for (data, parity) in [(1, 1), (10, 3), (255, 1), (1, 255), (128, 128)] {
            let shape = Fec::new(data, parity).unwrap();
            assert_eq!((shape.data(), shape.parity()), (data, parity));
        }
        for (data, parity) in [
            (0, 3),
            (10, 0),
            (256, 1),
            (1, 256),
            (200, 57),
            (usize::MAX, 1),
        ] {
            assert_eq!(
                Fec::new(data, parity),
                Err(ConfigError::Shards { data, parity })
            );
        }
        assert_eq!(Fec::new(10, 3).unwrap().to_string(), "10/3");
    }

    #[test]
    fn numbering_wraps_between_two_groups() {
        for (data, parity) in [(1, 1), (3, 1), (10, 3), (128, 128), (255, 1)] {
            let shape = Fec::new(data, parity).unwrap();
            assert_eq!(shape.wrap() % shape.packets(), 0);
            assert!(shape.wrap().checked_add(shape.packets()).is_none());
        }
    }
}
