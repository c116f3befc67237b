//! Packet encryption as kcp-go does it: one pre-shared key, every datagram on its own, sealed a batch at a time.
//!
//! Draws no random bytes: nonces come from [`Nonces`], whose seed the caller brings. Allocates only when a [`Cipher`]
//! or a [`Nonces`] is made.
//!
//! | [`Cipher`] | datagram |
//! |---|---|
//! | `null` | inner packet |
//! | AES-GCM | nonce (12 bytes), ciphertext of the inner packet, tag (16 bytes) |
//! | all others | nonce (16 bytes), CRC-32 of the inner packet (4 bytes), inner packet: encrypted as a whole |

mod aead;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod bench;
mod cfb;
mod cipher;
mod des;
mod kdf;
mod nonce;
mod salsa20;
mod tea;
mod twofish;
mod xor;

pub use cipher::{Cipher, Protection};

pub(crate) use nonce::Nonces;

use super::batch::Span;

/// Encrypts whole datagrams without changing their length.
trait PacketCipher: Send + Sync {
    /// Encrypts `packets`, which do not overlap, where they lie in `buffer`.
    fn encrypt(&self, buffer: &mut [u8], packets: &[Span]);

    /// Undoes [`encrypt`](Self::encrypt) for one datagram, of any length.
    fn decrypt(&self, datagram: &mut [u8]);
}

/// Why a datagram was not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum OpenError {
    /// It cannot hold what the cipher puts around an inner packet.
    TooShort,
    /// The CRC-32 does not match: damaged, or encrypted with another key or cipher.
    BadChecksum,
    /// The tag does not match: damaged, forged, or sealed with another key.
    BadTag,
}

/// The instruction sets to test with: the least of the target, the one in use, and what most processors have.
#[cfg(test)]
fn simd_levels() -> Vec<fearless_simd::Level> {
    use fearless_simd::{Level, Simd};
    let best = Level::new();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let common = best.as_avx2().map(Simd::level);
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
    let common = None;
    [Some(Level::baseline()), common, Some(best)]
        .into_iter()
        .flatten()
        .collect()
}
