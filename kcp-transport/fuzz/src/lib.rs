//! Fuzz targets for everything that takes bytes from a peer. Each is a function of its input, so that the crate's own
//! tests replay the inputs in `seeds/` and every input that ever failed.
//!
//! `cargo +nightly fuzz run <target> fuzz/corpus/<target> fuzz/seeds/<target>`, from `kcp-transport/`.

pub mod datagram;
pub mod fec;
pub mod opened;
pub mod segments;
pub mod session_pair;

mod endpoint;
mod steering;
