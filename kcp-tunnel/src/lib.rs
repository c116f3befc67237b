//! A TCP tunnel over KCP, compatible with kcptun.

pub mod smux;
