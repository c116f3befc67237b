//! The KCP settings of rpcx.

use kcp_transport::{Cipher, Config, ConfigError, Fec};
use sha1::Sha1;

/// What rpcx derives keys with, in its own examples.
const ROUNDS: u32 = 4_096;

/// Settings for a peer of rpcx: this cipher, and the ten data and three parity packets that its code fixes.
///
/// rpcx leaves all else as kcp-go has it: windows of 32 segments, an interval of 100 ms, congestion control. Those are the
/// peer's own affair; ours stay fast, and heed the window that the peer announces. Its kcp-go is so old that it takes only
/// acknowledgements that error correction protects.
///
/// # Errors
/// Never: the shards are valid.
pub fn config(cipher: Cipher) -> Result<Config, ConfigError> {
    let config = Config::fast3().cipher(cipher).fec(Fec::new(10, 3)?);
    Ok(config.protect_control(true))
}

/// The cipher of this name, by kcptun's names, with a key derived from `password` and `salt` as rpcx's examples do it:
/// 32 bytes of PBKDF2-HMAC-SHA1 after 4,096 rounds. `aes` is what they use, AES-256 in CFB.
///
/// # Errors
/// [`ConfigError::UnknownCipher`]. rpcx cannot do without a cipher, and kcp-go 5.4 has no AES-GCM, so `null` and
/// `aes-128-gcm` are unknown, too.
pub fn cipher(name: &str, password: &str, salt: &str) -> Result<Cipher, ConfigError> {
    let key: [u8; 32] =
        pbkdf2::pbkdf2_hmac_array::<Sha1, 32>(password.as_bytes(), salt.as_bytes(), ROUNDS);
    let unknown = || ConfigError::UnknownCipher(name.to_owned());
    let short = key.first_chunk::<16>().ok_or_else(unknown)?;
    let middle = key.first_chunk::<24>().ok_or_else(unknown)?;
    Ok(match name {
        "aes" => Cipher::aes_256(&key),
        "aes-192" => Cipher::aes_192(middle),
        "aes-128" => Cipher::aes_128(short),
        "salsa20" => Cipher::salsa20(&key),
        "blowfish" => Cipher::blowfish(&key)?,
        "twofish" => Cipher::twofish(&key)?,
        "cast5" => Cipher::cast5(short),
        "3des" => Cipher::triple_des(middle),
        "tea" => Cipher::tea(short),
        "xtea" => Cipher::xtea(short),
        "sm4" => Cipher::sm4(short),
        "xor" => Cipher::xor(&key),
        "none" => Cipher::none(),
        _ => return Err(unknown()),
    })
}
