//! A simulated network in virtual time, from a seed.
//!
//! - [`Sim`]: protocol cores ([`kcp_transport::proto::Hub`]) and models of kcp-go joined by links, without tokio, sockets
//!   or a clock. Fast: scenarios of hours and of gigabytes.
//! - [`SimNetwork`] and [`SimSocket`]: the same links under whole [`Listener`](kcp_transport::Listener)s,
//!   [`Connector`](kcp_transport::Connector)s and whatever runs on top of them, in tokio's paused time.
//! - [`Seed`]: where all randomness comes from, told when a test fails.
//! - [`Pattern`]: bytes that tell where they belong.
//!
//! What is proven with them stands in `tests/scenarios`.

mod host;
mod lanes;
mod network;
mod pattern;
mod program;
mod seed;
mod sim;

pub use netlab::link::{
    BurstLength, Damage, DropMask, Jitter, LinkConfig, LinkStats, Loss, Probability, Rate,
};
pub use network::{SimNetwork, SimSocket};
pub use pattern::Pattern;
pub use seed::Seed;
pub use sim::{End, HostId, Sim};
