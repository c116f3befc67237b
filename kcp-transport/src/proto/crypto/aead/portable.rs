//! AES-GCM by RustCrypto, for WebAssembly, where `ring` does not build without a C compiler.

use super::{NONCE_LEN, TAG_LEN};
use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes128Gcm, Aes256Gcm, KeyInit};

pub(super) enum Key {
    Aes128(Box<Aes128Gcm>),
    Aes256(Box<Aes256Gcm>),
}

impl Key {
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self::Aes128(Box::new(Aes128Gcm::new(key.into())))
    }

    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self::Aes256(Box::new(Aes256Gcm::new(key.into())))
    }

    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], inner: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = match self {
            Self::Aes128(key) => key.encrypt_inout_detached(&nonce.into(), &[], inner.into()),
            Self::Aes256(key) => key.encrypt_inout_detached(&nonce.into(), &[], inner.into()),
        };
        tag.expect("a packet is far below the 64 GiB that one nonce may encrypt")
            .into()
    }

    pub(super) fn open(&self, nonce: [u8; NONCE_LEN], sealed: &mut [u8]) -> bool {
        let Some((inner, tag)) = sealed.split_last_chunk_mut::<TAG_LEN>() else {
            return false;
        };
        let (nonce, tag) = (nonce.into(), (*tag).into());
        let opened = match self {
            Self::Aes128(key) => key.decrypt_inout_detached(&nonce, &[], inner.into(), &tag),
            Self::Aes256(key) => key.decrypt_inout_detached(&nonce, &[], inner.into(), &tag),
        };
        opened.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ring;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_implementations_seal_alike_and_open_each_other(
            key: [u8; 32],
            nonce: [u8; NONCE_LEN],
            inner in proptest::collection::vec(any::<u8>(), 0..1_500),
        ) {
            let short = key.first_chunk().unwrap();
            let pairs = [
                (Key::aes_128(short), ring::Key::aes_128(short)),
                (Key::aes_256(&key), ring::Key::aes_256(&key)),
            ];
            for (ours, theirs) in pairs {
                let (mut a, mut b) = (inner.clone(), inner.clone());
                let tag = ours.seal(nonce, &mut a);
                prop_assert_eq!(tag, theirs.seal(nonce, &mut b));
                prop_assert_eq!(&a, &b);

                a.extend(tag);
                b.extend(tag);
                prop_assert!(ours.open(nonce, &mut a) && theirs.open(nonce, &mut b));
                prop_assert_eq!(&a[..inner.len()], &inner[..]);
                prop_assert_eq!(&b[..inner.len()], &inner[..]);
            }
        }
    }
}
