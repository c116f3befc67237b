//! Names: of ciphers, modes, and years.

use core::fmt;

/// A packet cipher, by the name that kcptun gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crypt {
    /// `aes-128-gcm`: the only one that authenticates. Unknown to kcptun of 2021.
    Aes128Gcm,
    /// `aes`: AES-256 in CFB mode, as all block ciphers below.
    Aes,
    /// `aes-128`.
    Aes128,
    /// `aes-192`.
    Aes192,
    /// `salsa20`.
    Salsa20,
    /// `blowfish`.
    Blowfish,
    /// `twofish`.
    Twofish,
    /// `cast5`.
    Cast5,
    /// `3des`.
    TripleDes,
    /// `tea`.
    Tea,
    /// `xtea`.
    Xtea,
    /// `sm4`.
    Sm4,
    /// `xor`: a fixed table, no protection.
    Xor,
    /// `none`: no encryption, but the checksum and its header.
    None,
    /// `null`: neither. Unknown to kcptun of 2021.
    Null,
}

/// A year of kcptun whose defaults are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// kcptun 20210922: smux version 1, frames of 32,768 bytes, no GCM.
    Y2021,
    /// kcptun of January 2026: smux version 2, frames of 8,192 bytes, `closewait` on the server.
    Y2026,
}

/// How eagerly a session sends and resends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `normal`.
    Normal,
    /// `fast`.
    Fast,
    /// `fast2`.
    Fast2,
    /// `fast3`.
    Fast3,
    /// `manual`: as the four hidden flags say.
    Manual,
}

impl Crypt {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Aes128Gcm,
        Self::Aes,
        Self::Aes128,
        Self::Aes192,
        Self::Salsa20,
        Self::Blowfish,
        Self::Twofish,
        Self::Cast5,
        Self::TripleDes,
        Self::Tea,
        Self::Xtea,
        Self::Sm4,
        Self::Xor,
        Self::None,
        Self::Null,
    ];

    /// The name that kcptun gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm => "aes-128-gcm",
            Self::Aes => "aes",
            Self::Aes128 => "aes-128",
            Self::Aes192 => "aes-192",
            Self::Salsa20 => "salsa20",
            Self::Blowfish => "blowfish",
            Self::Twofish => "twofish",
            Self::Cast5 => "cast5",
            Self::TripleDes => "3des",
            Self::Tea => "tea",
            Self::Xtea => "xtea",
            Self::Sm4 => "sm4",
            Self::Xor => "xor",
            Self::None => "none",
            Self::Null => "null",
        }
    }

    /// The cipher of this name, if `generation` has it.
    pub fn named(name: &str, generation: Generation) -> Option<Self> {
        let known = |crypt: &Self| match generation {
            Generation::Y2021 => !matches!(crypt, Self::Aes128Gcm | Self::Null),
            Generation::Y2026 => true,
        };
        Self::ALL
            .into_iter()
            .find(|crypt| crypt.name() == name)
            .filter(known)
    }
}

impl Mode {
    /// The mode of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "normal" => Some(Self::Normal),
            "fast" => Some(Self::Fast),
            "fast2" => Some(Self::Fast2),
            "fast3" => Some(Self::Fast3),
            "manual" => Some(Self::Manual),
            _ => None,
        }
    }
}

impl Generation {
    /// The generation of this year.
    pub fn named(year: &str) -> Option<Self> {
        match year {
            "2021" => Some(Self::Y2021),
            "2026" => Some(Self::Y2026),
            _ => None,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Normal => "normal",
            Self::Fast => "fast",
            Self::Fast2 => "fast2",
            Self::Fast3 => "fast3",
            Self::Manual => "manual",
        })
    }
}

impl fmt::Display for Crypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
