//! The protocol as a state machine: no socket, clock, lock, task or `async`.
//!
//! [`Session`] is driven by what happened (`handle_*`) and asked what it wants next (`poll_*`).
//! Time is an argument. After `handle_input` or any call of the application, `poll_event` says who
//! can go on and `poll_transmit` what is to be sent.

mod frame;
mod greeting;
mod liveness;
mod news;
mod outgoing;
mod queue;
mod session;
mod stream;

pub use frame::StreamId;
pub use greeting::Peer;
pub use news::{Event, Readable, Role, Taken};
pub use outgoing::Frame;
pub use queue::Block;
pub use session::Session;
