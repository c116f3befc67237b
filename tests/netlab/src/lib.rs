//! A link emulator: what a bad network does to datagrams, from a seed.
//!
//! - [`link`]: one direction of a link as a plain state machine. Time is an argument, so it runs
//!   in simulated time as well as in real time.
//! - [`relay`]: a UDP relay with such a link in each direction (feature `relay`).
//! - [`tun`]: two network namespaces with such a link between them, for the kernel's own TCP and
//!   for any program (feature `tun`, Linux only).
//!
//! The program `netlab` runs the latter two from the command line (feature `cli`).

pub mod link;
#[cfg(feature = "relay")]
pub mod relay;
#[cfg(all(feature = "tun", target_os = "linux"))]
pub mod tun;

#[cfg(any(feature = "relay", all(feature = "tun", target_os = "linux")))]
mod alarm;
#[cfg(any(feature = "relay", all(feature = "tun", target_os = "linux")))]
mod duplex;
