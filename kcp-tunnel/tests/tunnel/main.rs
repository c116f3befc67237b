//! Whole tunnels: client, server and everything between them.

#![expect(
    clippy::unwrap_used,
    reason = "what a test needs besides its assertions must not fail"
)]

mod bad_peers;
mod binary;
mod endings;
mod loopback;
mod sessions;
mod transfers;
mod world;
