//! Automatic repeat request: segments, acknowledgements, windows and timers of one conversation.
//!
//! Numbers in `§` refer to `docs/wire.md`.

pub(crate) mod buffer;
pub(crate) mod congestion;
pub(crate) mod copies;
pub(crate) mod history;
pub(crate) mod pacer;
pub(crate) mod receiver;
pub(crate) mod rtt;
pub(crate) mod segment;
pub(crate) mod sender;
pub(crate) mod seq;
