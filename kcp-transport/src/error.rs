//! What can go wrong, by operation, and its one mapping to [`std::io::Error`].

/// A configuration value that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The cipher does not take a key of this length.
    #[error("{cipher} takes a key of {expected} bytes, not {actual}")]
    KeyLength {
        /// Name of the cipher as kcptun spells it.
        cipher: &'static str,
        /// Accepted lengths in bytes, in words.
        expected: &'static str,
        /// Length of the key that was given, in bytes.
        actual: usize,
    },
    /// No cipher has this name.
    #[error("no cipher is called {0:?}")]
    UnknownCipher(String),
    /// The shard counts cannot form a code: both from 1 on, together at most 256.
    #[error(
        "{data} data and {parity} parity shards: each must be at least 1, together at most 256"
    )]
    Shards {
        /// Data shards asked for.
        data: usize,
        /// Parity shards asked for.
        parity: usize,
    },
    /// A value lies outside its range.
    #[error("{what} must be {allowed}, not {actual}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// The allowed range, in words.
        allowed: &'static str,
        /// The value that was given.
        actual: u64,
    },
}
