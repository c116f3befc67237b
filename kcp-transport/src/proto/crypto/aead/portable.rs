//! AES-GCM by RustCrypto: everything where `ring` is missing, and AES-192, which it never has.

use super::{NONCE_LEN, TAG_LEN};
use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::consts::U12;
use aes_gcm::aes::Aes192;
#[cfg(any(test, target_arch = "wasm32"))]
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use aes_gcm::{AesGcm, KeyInit};

pub(in super::super) enum Key {
    #[cfg(any(test, target_arch = "wasm32"))]
    Aes128(Box<Aes128Gcm>),
    Aes192(Box<AesGcm<Aes192, U12>>),
    #[cfg(any(test, target_arch = "wasm32"))]
    Aes256(Box<Aes256Gcm>),
}

impl Key {
    #[cfg(any(test, target_arch = "wasm32"))]
    pub(super) fn aes_128(key: &[u8; 16]) -> Self {
        Self::Aes128(Box::new(Aes128Gcm::new(key.into())))
    }

    pub(super) fn aes_192(key: &[u8; 24]) -> Self {
        Self::Aes192(Box::new(AesGcm::new(key.into())))
    }

    #[cfg(any(test, target_arch = "wasm32"))]
    pub(super) fn aes_256(key: &[u8; 32]) -> Self {
        Self::Aes256(Box::new(Aes256Gcm::new(key.into())))
    }

    pub(super) fn seal(&self, nonce: [u8; NONCE_LEN], inner: &mut [u8]) -> [u8; TAG_LEN] {
        let tag = match self {
            #[cfg(any(test, target_arch = "wasm32"))]
            Self::Aes128(key) => key.encrypt_inout_detached(&nonce.into(), &[], inner.into()),
            Self::Aes192(key) => key.encrypt_inout_detached(&nonce.into(), &[], inner.into()),
            #[cfg(any(test, target_arch = "wasm32"))]
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
            #[cfg(any(test, target_arch = "wasm32"))]
            Self::Aes128(key) => key.decrypt_inout_detached(&nonce, &[], inner.into(), &tag),
            Self::Aes192(key) => key.decrypt_inout_detached(&nonce, &[], inner.into(), &tag),
            #[cfg(any(test, target_arch = "wasm32"))]
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

    /// Source: McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 7 and 8.
    #[test]
    fn aes_192_gives_the_published_tags() {
        let key = Key::aes_192(&[0; 24]);
        let nonce = [0; NONCE_LEN];
        assert_eq!(
            key.seal(nonce, &mut []),
            0xcd33_b28a_c773_f74b_a00e_d1f3_1257_2435_u128.to_be_bytes()
        );
        let mut inner = [0; 16];
        let tag = key.seal(nonce, &mut inner);
        assert_eq!(
            inner,
            0x98e7_247c_07f0_fe41_1c26_7e43_84b0_f600_u128.to_be_bytes()
        );
        assert_eq!(
            tag,
            0x2ff5_8d80_0339_27ab_8ef4_d458_7514_f0fb_u128.to_be_bytes()
        );
        let mut sealed = [inner, tag].concat();
        assert!(key.open(nonce, &mut sealed));
        assert_eq!(sealed[..16], [0; 16]);
        sealed[20] ^= 1;
        assert!(!key.open(nonce, &mut sealed));
    }

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
