//! A link emulator: what a bad network does to datagrams, from a seed.
//!
//! - [`link`]: one direction of a link as a plain state machine. Time is an argument, so it runs
//!   in simulated time as well as in real time.
//! - [`relay`]: a UDP relay with such a link in each direction (feature `relay`).

pub mod link;
#[cfg(feature = "relay")]
pub mod relay;

#[cfg(feature = "relay")]
mod duplex;
