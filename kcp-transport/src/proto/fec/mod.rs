//! Forward error correction as kcp-go does it: groups of data packets, each followed by parity packets that can stand
//! in for lost ones.
//!
//! | part | job |
//! |---|---|
//! | [`Fec`] | how many data and parity packets form a group |
//! | [`encoder`] | numbers packets on their way out and folds them into parity |
//! | [`decoder`] | keeps what a repair may need, and repairs |
//! | [`group`] | what arrived of one group |
//! | [`evidence`] | whether the peer can have another shape than presumed |
//! | [`tuner`] | finds out the shape of a peer that is configured otherwise |
//! | [`code`], [`solver`] | the Reed-Solomon code: coefficients of parity, and of repair |
//! | [`rows`], [`kernel`] | sums of shards times coefficients, and the arithmetic they are made with |
//!
//! Knows packets from the FEC header on: what encrypts them lies outside, what they carry is opaque. The part of a packet
//! that parity protects is called a shard.

#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod bench;
mod code;
mod decoder;
mod encoder;
mod evidence;
mod group;
mod header;
#[allow(unsafe_code)] // The only exception of the crate: vector instructions.
mod kernel;
mod rows;
mod shape;
mod solver;
#[cfg(test)]
mod tests;
mod tuner;

pub(crate) use code::Code;
pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;
pub use shape::Fec;
