//! kcp-go v5.6.72 as an executable model: what it does, exactly, and in no hurry.
//!
//! Built from the wire specification, not from the Go source, and checked against states, packets and
//! counters recorded from the original. Reads no clock: time is an argument. Nothing a peer sends makes it
//! panic or grow without bound.
//!
//! From the bottom up: [`Header`] · [`Rtt`] · [`Kcp`] (the reliable protocol) · [`Encoder`], [`Decoder`],
//! [`Tuner`] (forward error correction) · [`PacketSizes`] · [`Session`] (all of it together, what kcp-go
//! calls `UDPSession`).
//!
//! Names follow kcp-go where a test compares state (`snd_una`, `ssthresh`, …).

mod fec;
mod kcp;
mod rtt;
mod segment;
mod session;
mod sizes;
mod tuner;

pub use fec::{Decoder, Encoder, FecCounters, FecKind, FecParams, MAX_FEC_GAP_MS};
pub use kcp::{Flush, InputError, Kcp, KcpCounters, NoDelay, Origin, RecvError, SendError};
pub use rtt::Rtt;
pub use segment::{Command, Header, OVERHEAD};
pub use session::{Config, OobError, Session};
pub use sizes::{Envelope, MTU_LIMIT, PacketSizes};
pub use tuner::Tuner;

/// How far `a` lies after `b` on the circle of 32-bit numbers; negative if before.
pub const fn diff(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b).cast_signed()
}
