//! Keys from passphrases, the way kcptun and kcp-go do it.

use sha1::Sha1;

/// Length in bytes of the key that kcptun derives from its passphrase.
pub(super) const KCPTUN_KEY_LEN: usize = 32;

/// Salt and rounds of kcptun's passphrase. Source: kcptun `client/main.go`, `SALT`.
const KCPTUN_SALT: &[u8] = b"kcp-go";
const KCPTUN_ROUNDS: u32 = 4_096;

/// Salt and rounds of the table of the cipher `xor`. Source: kcp-go `crypt.go`, `saltxor`.
const XOR_SALT: &[u8] = b"sH3CIVoF#rWLtJo6";
const XOR_ROUNDS: u32 = 32;

/// The key that every cipher of kcptun takes its slice of.
pub(super) fn kcptun_key(passphrase: &[u8]) -> [u8; KCPTUN_KEY_LEN] {
    pbkdf2::pbkdf2_hmac_array::<Sha1, KCPTUN_KEY_LEN>(passphrase, KCPTUN_SALT, KCPTUN_ROUNDS)
}

/// The bytes that the cipher `xor` lays over a packet.
pub(super) fn xor_table<const LEN: usize>(key: &[u8]) -> [u8; LEN] {
    pbkdf2::pbkdf2_hmac_array::<Sha1, LEN>(key, XOR_SALT, XOR_ROUNDS)
}
