//! [`Cipher`]: which algorithm protects the datagrams, under which key, and what it adds to them.

#[cfg(test)]
mod tests;

use super::aead::{self, AesGcm};
use super::cfb::Cfb;
use super::des::TripleDes;
use super::salsa20::Salsa20;
use super::tea::{Tea, TeaFamily, Xtea};
use super::twofish::Twofish;
use super::xor::Xor;
use super::{Nonces, OpenError, PacketCipher, kdf};
use crate::error::ConfigError;
use crate::proto::batch::Span;
use blowfish::Blowfish;
use cfb_mode::cipher::{BlockCipherEncrypt, KeyInit};
use core::fmt;
use core::ops::Range;
use std::sync::Arc;

/// Length in bytes of the nonce in front of packets with a checksum. Source: kcp-go `nonceSize`.
const NONCE_LEN: usize = 16;
/// Length in bytes of nonce and checksum. Source: kcp-go `cryptHeaderSize`.
const CHECKED_HEADER_LEN: usize = NONCE_LEN + size_of::<u32>();

/// A cipher with its key, the same at both ends. Cheap to clone.
///
/// Nothing about it is negotiated: with another cipher or key at the other end, every packet is dropped there.
///
/// **Only AES-GCM authenticates.** All other ciphers are here to talk to existing kcp-go and kcptun peers. Packets
/// under them carry a CRC-32, which finds damage but not tampering: whoever only listens learns nothing from a block
/// cipher or Salsa20, but whoever can send can alter packets on their way without knowing the key. Under every cipher,
/// a recorded packet can be sent again and is accepted again. See [`protection`](Self::protection).
///
/// Triple DES, Blowfish, CAST-128, Twofish and SM4 look up tables by secret bytes, as in kcp-go, so their timing depends
/// on key and content.
///
/// For new deployments use [`aes_128_gcm`](Self::aes_128_gcm) with a random key.
#[derive(Clone)]
pub struct Cipher {
    name: &'static str,
    protection: Protection,
    scheme: Scheme,
}

/// How packets are laid out, with what encrypts them.
#[derive(Clone)]
enum Scheme {
    /// The inner packet and nothing else.
    Bare,
    /// Nonce, CRC-32, inner packet.
    Checked(Arc<dyn PacketCipher>),
    /// Nonce, inner packet, tag.
    Authenticated(Arc<AesGcm>),
}

/// What a [`Cipher`] protects packets from.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protection {
    /// Nothing: `null` and `none` send in clear, and `xor` lays the same bytes over every packet, so that one known
    /// packet opens all others.
    Unprotected,
    /// Listeners. Block ciphers and Salsa20 with a CRC-32: confidential against a passive observer, but not
    /// authenticated, so anyone on the path can alter packets unnoticed.
    Confidential,
    /// Listeners and forgers: altered packets are dropped. AES-GCM.
    Authenticated,
}

impl Cipher {
    /// Every name that [`kcptun`](Self::kcptun) accepts.
    pub const KCPTUN_NAMES: &'static [&'static str] = &[
        "aes",
        "aes-128",
        "aes-192",
        "aes-128-gcm",
        "salsa20",
        "blowfish",
        "twofish",
        "cast5",
        "3des",
        "tea",
        "xtea",
        "sm4",
        "xor",
        "none",
        "null",
    ];

    /// The cipher that kcptun uses for `--crypt name --key passphrase`.
    ///
    /// The key is the front of PBKDF2-HMAC-SHA1 of the passphrase with 4,096 rounds, which takes some milliseconds.
    /// That is little: a passphrase that can be guessed will be.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownCipher`] if `name` is not one of [`KCPTUN_NAMES`](Self::KCPTUN_NAMES); kcptun itself
    /// silently takes `aes` then.
    pub fn kcptun(name: &str, passphrase: &str) -> Result<Self, ConfigError> {
        let key = kdf::kcptun_key(passphrase.as_bytes());
        Ok(match name {
            "aes" => Self::aes_256(&key),
            "aes-128" => Self::aes_128(front(&key)),
            "aes-192" => Self::aes_192(front(&key)),
            "aes-128-gcm" => Self::aes_128_gcm(front(&key)),
            "salsa20" => Self::salsa20(&key),
            "blowfish" => Self::blowfish(&key)?,
            "twofish" => Self::twofish(&key)?,
            "cast5" => Self::cast5(front(&key)),
            "3des" => Self::triple_des(front(&key)),
            "tea" => Self::tea(front(&key)),
            "xtea" => Self::xtea(front(&key)),
            "sm4" => Self::sm4(front(&key)),
            "xor" => Self::xor(&key),
            "none" => Self::none(),
            "null" => Self::null(),
            _ => return Err(ConfigError::UnknownCipher(name.to_owned())),
        })
    }

    /// AES-128-GCM: encrypts and authenticates. The one to use.
    ///
    /// Nonces are 96 random bits. Change the key before 2³² packets were sent under it, by all its users together: up
    /// to there the chance that any nonce came twice, which would let forgers in, is below 2⁻³². Source: NIST
    /// SP 800-38D, §8.3. Old versions of kcp-go, 5.6.1 for one, lack this cipher.
    pub fn aes_128_gcm(key: &[u8; 16]) -> Self {
        Self::authenticated("aes-128-gcm", AesGcm::aes_128(key))
    }

    /// AES-192-GCM, for kcp-go peers that have a key of 24 bytes; kcptun does not have it. More than twice as slow as
    /// the others here: few use it, so no library has it in assembly.
    pub fn aes_192_gcm(key: &[u8; 24]) -> Self {
        Self::authenticated("aes-192-gcm", AesGcm::aes_192(key))
    }

    /// AES-256-GCM, like [`aes_128_gcm`](Self::aes_128_gcm) with a longer key. kcp-go has it, kcptun does not.
    pub fn aes_256_gcm(key: &[u8; 32]) -> Self {
        Self::authenticated("aes-256-gcm", AesGcm::aes_256(key))
    }

    /// AES-128 in CFB.
    pub fn aes_128(key: &[u8; 16]) -> Self {
        Self::block("aes-128", aes::Aes128Enc::new(key.into()))
    }

    /// AES-192 in CFB.
    pub fn aes_192(key: &[u8; 24]) -> Self {
        Self::block("aes-192", aes::Aes192Enc::new(key.into()))
    }

    /// AES-256 in CFB, which kcptun calls `aes`.
    pub fn aes_256(key: &[u8; 32]) -> Self {
        Self::block("aes", aes::Aes256Enc::new(key.into()))
    }

    /// Triple DES with three keys in CFB. Very slow, and its blocks are too short for much traffic: after some 32 GB
    /// under one key, equal blocks of ciphertext begin to give away content.
    pub fn triple_des(key: &[u8; 24]) -> Self {
        Self::block("3des", TripleDes::new(key))
    }

    /// Blowfish in CFB. Its blocks are as short as those of [`triple_des`](Self::triple_des).
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeyLength`] unless the key has 1 to 56 bytes.
    pub fn blowfish(key: &[u8]) -> Result<Self, ConfigError> {
        let wrong_length = || key_length("blowfish", "1 to 56", key.len());
        // Blowfish repeats its key until it is long enough. The crate takes no key below four bytes, but repeating
        // the key for it changes nothing.
        let repeated = if key.len() < 4 { &key.repeat(4) } else { key };
        let cipher: Blowfish = Blowfish::new_from_slice(repeated).map_err(|_| wrong_length())?;
        Ok(Self::block("blowfish", cipher))
    }

    /// CAST-128 with 16 rounds in CFB. Its blocks are as short as those of [`triple_des`](Self::triple_des).
    pub fn cast5(key: &[u8; 16]) -> Self {
        Self::block("cast5", cast5::Cast5::new(key.into()))
    }

    /// TEA with 8 cycles instead of the usual 32, in CFB. Far too few for comfort, and its blocks are as short as those
    /// of [`triple_des`](Self::triple_des).
    pub fn tea(key: &[u8; 16]) -> Self {
        Self::block("tea", TeaFamily::<Tea>::new(key))
    }

    /// XTEA with the usual 32 cycles, in CFB. Its blocks are as short as those of [`triple_des`](Self::triple_des).
    pub fn xtea(key: &[u8; 16]) -> Self {
        Self::block("xtea", TeaFamily::<Xtea>::new(key))
    }

    /// Twofish in CFB.
    ///
    /// # Errors
    ///
    /// [`ConfigError::KeyLength`] unless the key has 16, 24 or 32 bytes.
    pub fn twofish(key: &[u8]) -> Result<Self, ConfigError> {
        let cipher =
            Twofish::new(key).ok_or_else(|| key_length("twofish", "16, 24 or 32", key.len()))?;
        Ok(Self::block("twofish", cipher))
    }

    /// SM4, the block cipher of GB/T 32907-2016, in CFB.
    pub fn sm4(key: &[u8; 16]) -> Self {
        Self::block("sm4", sm4::Sm4::new(key.into()))
    }

    /// Salsa20 with 20 rounds. Its nonce is the first half of the packet's and the only part in clear.
    pub fn salsa20(key: &[u8; 32]) -> Self {
        Self::checked("salsa20", Protection::Confidential, Salsa20::new(key))
    }

    /// Lays one table of 1,500 bytes, derived from the key, over every packet. Not encryption.
    pub fn xor(key: &[u8]) -> Self {
        Self::checked("xor", Protection::Unprotected, Xor::new(key))
    }

    /// No encryption, but nonce and checksum all the same. Not compatible with [`null`](Self::null).
    pub fn none() -> Self {
        Self::checked("none", Protection::Unprotected, Clear)
    }

    /// No encryption, no nonce, no checksum: damage is left to the checksum of UDP. Not compatible with
    /// [`none`](Self::none).
    pub fn null() -> Self {
        Self {
            name: "null",
            protection: Protection::Unprotected,
            scheme: Scheme::Bare,
        }
    }

    /// Name of the cipher, as kcptun spells it if it has it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the cipher protects packets from.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Whether altered and forged packets are recognised: true for AES-GCM only.
    pub fn is_authenticated(&self) -> bool {
        self.protection == Protection::Authenticated
    }

    /// Bytes in front of the inner packet.
    pub(crate) fn header_len(&self) -> usize {
        match &self.scheme {
            Scheme::Bare => 0,
            Scheme::Checked(_) => CHECKED_HEADER_LEN,
            Scheme::Authenticated(_) => aead::NONCE_LEN,
        }
    }

    /// Bytes behind the inner packet.
    pub(crate) fn tag_len(&self) -> usize {
        match &self.scheme {
            Scheme::Bare | Scheme::Checked(_) => 0,
            Scheme::Authenticated(_) => aead::TAG_LEN,
        }
    }

    /// Turns `packets` into datagrams where they lie in `buffer`: writes nonce and checksum or tag around each inner
    /// packet, and encrypts. The more packets at once, the less each costs.
    ///
    /// # Panics
    ///
    /// If packets overlap, leave the buffer, or are shorter than header and tag.
    pub(crate) fn seal(&self, nonces: &mut Nonces, buffer: &mut [u8], packets: &[Span]) {
        match &self.scheme {
            Scheme::Bare => {}
            Scheme::Checked(cipher) => {
                for packet in packets {
                    let (header, inner) = buffer[packet.range()].split_at_mut(CHECKED_HEADER_LEN);
                    header[..NONCE_LEN].copy_from_slice(&nonces.draw());
                    header[NONCE_LEN..].copy_from_slice(&crc32fast::hash(inner).to_le_bytes());
                }
                cipher.encrypt(buffer, packets);
            }
            Scheme::Authenticated(cipher) => {
                for packet in packets {
                    cipher.seal(*front(&nonces.draw()), &mut buffer[packet.range()]);
                }
            }
        }
    }

    /// Decrypts a received datagram in place and says where in it the inner packet lies.
    pub(crate) fn open(&self, datagram: &mut [u8]) -> Result<Range<usize>, OpenError> {
        let inner = self.header_len()..datagram.len().saturating_sub(self.tag_len());
        if inner.start > inner.end {
            return Err(OpenError::TooShort);
        }
        match &self.scheme {
            Scheme::Bare => {}
            Scheme::Checked(cipher) => {
                cipher.decrypt(datagram);
                let checksum = crc32fast::hash(&datagram[inner.clone()]).to_le_bytes();
                if datagram[NONCE_LEN..CHECKED_HEADER_LEN] != checksum {
                    return Err(OpenError::BadChecksum);
                }
            }
            Scheme::Authenticated(cipher) => {
                if !cipher.open(datagram) {
                    return Err(OpenError::BadTag);
                }
            }
        }
        Ok(inner)
    }

    fn authenticated(name: &'static str, cipher: AesGcm) -> Self {
        Self {
            name,
            protection: Protection::Authenticated,
            scheme: Scheme::Authenticated(Arc::new(cipher)),
        }
    }

    fn block(name: &'static str, cipher: impl BlockCipherEncrypt + Send + Sync + 'static) -> Self {
        Self::checked(name, Protection::Confidential, Cfb::new(cipher))
    }

    fn checked(
        name: &'static str,
        protection: Protection,
        cipher: impl PacketCipher + 'static,
    ) -> Self {
        Self {
            name,
            protection,
            scheme: Scheme::Checked(Arc::new(cipher)),
        }
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name)
    }
}

/// Shows the name, never the key.
impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cipher").field(&self.name).finish()
    }
}

/// kcp-go's `none`: leaves packets as they are.
struct Clear;

impl PacketCipher for Clear {
    fn encrypt(&self, _: &mut [u8], _: &[Span]) {}

    fn decrypt(&self, _: &mut [u8]) {}
}

/// The first `N` bytes of something at least as long.
fn front<const N: usize, const LEN: usize>(bytes: &[u8; LEN]) -> &[u8; N] {
    const { assert!(N <= LEN) }
    bytes.first_chunk().expect("checked when compiled")
}

fn key_length(cipher: &'static str, expected: &'static str, actual: usize) -> ConfigError {
    ConfigError::KeyLength {
        cipher,
        expected,
        actual,
    }
}
