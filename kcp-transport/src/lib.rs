//! Reliable UDP with forward error correction and packet encryption, wire-compatible with kcp-go.

pub mod error;
pub mod proto;

pub use proto::fec::Fec;
