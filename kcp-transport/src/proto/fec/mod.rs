//! Forward error correction as kcp-go does it: groups of data packets, each followed by parity packets that can stand
//! in for lost ones.
//!
//! | part | job |
//! |---|---|
//! | [`Fec`] | how many data and parity packets form a group |
//! | [`encoder`] | numbers packets on their way out and folds them into parity |
//! | [`code`] | the Reed-Solomon code: coefficients of parity |
//! | [`rows`], [`kernel`] | sums of shards times coefficients, and the arithmetic they are made with |
//!
//! Knows packets from the FEC header on: what encrypts them lies outside, what they carry is opaque. The part of a packet
//! that parity protects is called a shard.

mod code;
mod encoder;
mod header;
#[allow(unsafe_code)] // The only exception of the crate: vector instructions.
mod kernel;
mod rows;
mod shape;
#[cfg(test)]
mod tests;

pub(crate) use code::Code;
pub(crate) use encoder::Encoder;
pub use shape::Fec;
