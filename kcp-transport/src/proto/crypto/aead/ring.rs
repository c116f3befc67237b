//! AES-GCM by `ring`: assembly for each processor.

use super::{NONCE_LEN, TAG_LEN};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};

pub(in super::super) struct Key(LessSafeKey);

impl Key {
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self::new(&AES_128_GCM, key)
    }

    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self::new(&AES_256_GCM, key)
    }

    fn new(algorithm: &'static Algorithm, key: &[u8]) -> Self {
        let key = UnboundKey::new(algorithm, key).expect("the key has the length of the algorithm");
        Self(LessSafeKey::new(key))
    }

    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], inner: &mut [u8]) -> [u8; TAG_LEN] {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .0
            .seal_in_place_separate_tag(nonce, Aad::empty(), inner);
        let tag = tag.expect("a packet is far below the 64 GiB that one nonce may encrypt");
        tag.as_ref()
            .try_into()
            .expect("the tags of AES-GCM have 16 bytes")
    }

    pub(super) fn open(&self, nonce: [u8; NONCE_LEN], sealed: &mut [u8]) -> bool {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.0.open_in_place(nonce, Aad::empty(), sealed).is_ok()
    }
}
