//! AES-GCM: packets that are authenticated as well as encrypted.
//!
//! Layout: nonce, ciphertext of the inner packet, tag. The nonce travels in clear; there is no associated data.

#[cfg(any(test, target_arch = "wasm32"))]
mod portable;
#[cfg(not(target_arch = "wasm32"))]
mod ring;

#[cfg(target_arch = "wasm32")]
use self::portable::Key;
#[cfg(not(target_arch = "wasm32"))]
use self::ring::Key;

/// Length of the nonce in bytes. Source: NIST SP 800-38D, §8.2.
pub(super) const NONCE_LEN: usize = 12;
/// Length of the tag in bytes.
pub(super) const TAG_LEN: usize = 16;

/// AES-GCM under one key.
pub(super) struct AesGcm(Key);

impl AesGcm {
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self(Key::aes_128(key))
    }

    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self(Key::aes_256(key))
    }

    /// Encrypts the inner packet of `datagram` in place, and writes the nonce in front of it and the tag behind it.
    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], datagram: &mut [u8]) {
        let (head, rest) = datagram.split_at_mut(NONCE_LEN);
        let (inner, tag) = rest.split_at_mut(rest.len() - TAG_LEN);
        head.copy_from_slice(&nonce);
        tag.copy_from_slice(&self.0.seal(nonce, inner));
    }

    /// Decrypts `datagram`, which holds at least nonce and tag, in place. False if it was not sealed with this key.
    #[must_use]
    pub(super) fn open(&self, datagram: &mut [u8]) -> bool {
        match datagram.split_first_chunk_mut::<NONCE_LEN>() {
            Some((nonce, sealed)) => self.0.open(*nonce, sealed),
            None => false,
        }
    }
}
