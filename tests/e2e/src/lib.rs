//! What the end-to-end tests share: [`World`], where a scenario plays, and [`Probe`](probe::Probe), the service they
//! call.
//!
//! Each scenario in `tests/scenarios` is written once and plays in two worlds: a simulated network in virtual time that
//! loses a tenth of the packets, and real sockets on loopback.

pub mod probe;
pub mod world;

/// The code generated from `proto`.
#[allow(missing_docs, clippy::all, clippy::use_self)]
pub mod generated {
    include!("generated/probe.rs");
}

pub use world::{Dialer, Ends, World};

#[cfg(test)]
mod tests;
