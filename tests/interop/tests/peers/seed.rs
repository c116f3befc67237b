//! Where randomness comes from.

use std::sync::OnceLock;

/// The seed of this run: `KCP_INTEROP_SEED`, by default 1.
pub(crate) fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| match std::env::var("KCP_INTEROP_SEED") {
        Ok(text) => text.parse().expect("KCP_INTEROP_SEED is a number"),
        Err(_) => 1,
    })
}
