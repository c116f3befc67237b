//! The protocol as state machines: no socket, clock, random source, lock, task or `async`.

pub(crate) mod batch;
pub mod fec;
pub mod time;

pub use time::Time;
