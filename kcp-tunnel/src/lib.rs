//! A TCP tunnel over KCP, compatible with kcptun.

mod outbox;
pub mod qpp;
pub mod smux;
pub mod snappy;
