//! Where the protocol meets the world: sockets, the clock, random bytes, and the task that drives a hub.

pub(crate) mod clock;
pub(crate) mod driver;
pub(crate) mod entropy;
pub(crate) mod mailbox;
pub(crate) mod patience;
pub(crate) mod pipe;
pub(crate) mod socket;
mod threshold;
pub(crate) mod turn;
