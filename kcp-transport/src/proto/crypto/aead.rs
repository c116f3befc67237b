//! AES-GCM: packets that are authenticated as well as encrypted.
//!
//! Layout: nonce, ciphertext of the inner packet, tag. The nonce travels in clear; there is no associated data.

mod portable;
#[cfg(not(target_arch = "wasm32"))]
mod ring;

/// Length of the nonce in bytes. Source: NIST SP 800-38D, §8.2.
pub(super) const NONCE_LEN: usize = 12;
/// Length of the tag in bytes.
pub(super) const TAG_LEN: usize = 16;

/// AES-GCM under one key.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one of it for each key, behind a pointer"
)]
pub(super) enum AesGcm {
    #[cfg(not(target_arch = "wasm32"))]
    Ring(ring::Key),
    /// Where `ring` does not build without a C compiler, and for keys of 24 bytes, which it does not take.
    Portable(portable::Key),
}

impl AesGcm {
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self::Ring(ring::Key::aes_128(key))
    }

    #[cfg(target_arch = "wasm32")]
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self::Portable(portable::Key::aes_128(key))
    }

    pub(super) fn aes_192(key: &[u8; 24]) -> Self {
        Self::Portable(portable::Key::aes_192(key))
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self::Ring(ring::Key::aes_256(key))
    }

    #[cfg(target_arch = "wasm32")]
    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self::Portable(portable::Key::aes_256(key))
    }

    /// Encrypts the inner packet of `datagram` in place, and writes the nonce in front of it and the tag behind it.
    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], datagram: &mut [u8]) {
        let (head, rest) = datagram.split_at_mut(NONCE_LEN);
        let (inner, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        head.copy_from_slice(&nonce);
        let sealed = match self {
            #[cfg(not(target_arch = "wasm32"))]
            Self::Ring(key) => key.seal(nonce, inner),
            Self::Portable(key) => key.seal(nonce, inner),
        };
        tag.copy_from_slice(&sealed);
    }

    /// Decrypts `datagram`, which holds at least nonce and tag, in place. False if it was not sealed with this key.
    #[must_use]
    pub(super) fn open(&self, datagram: &mut [u8]) -> bool {
        match datagram.split_first_chunk_mut::<NONCE_LEN>() {
            Some((nonce, sealed)) => match self {
                #[cfg(not(target_arch = "wasm32"))]
                Self::Ring(key) => key.open(*nonce, sealed),
                Self::Portable(key) => key.open(*nonce, sealed),
            },
            None => false,
        }
    }
}
