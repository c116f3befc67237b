//! Reliable UDP with forward error correction and packet encryption, wire-compatible with kcp-go.

pub mod error;
#[cfg(feature = "tokio")]
mod io;
#[cfg(feature = "tokio")]
pub mod mux;
pub mod proto;
