//! The protocol as state machines: no socket, clock, random source, lock, task or `async`.
//!
//! [`Hub`] holds every session of one socket. Four verbs drive it: `handle_*` tells what happened, `poll_*` asks what
//! it wants next. Time is an argument.
//!
//! Numbers in `§` refer to `docs/wire.md`.

mod arq;
mod batch;
pub(crate) mod chunk;
pub(crate) mod crypto;
mod deadlines;
mod doubt;
pub(crate) mod fec;
pub(crate) mod hub;
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod inspect;
pub(crate) mod layout;
pub(crate) mod meters;
mod packet;
mod path;
mod session;
mod time;

pub use batch::{PacketBatch, Transmit};
pub use chunk::Chunk;
pub use hub::{Change, Event, Hub, SessionKey};
pub use time::Time;
