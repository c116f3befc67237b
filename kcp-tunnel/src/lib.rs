//! A TCP tunnel over KCP, compatible with kcptun.
//!
//! The layers between a TCP connection and a KCP session, each usable on its own: [`qpp`] (optional)
//! on every stream, [`smux`] for many streams in one session, [`snappy`] (unless turned off) below.
//! [`config`] reads kcptun's settings, [`snmp`] writes its statistics.

mod cli;
pub mod config;
mod layout;
mod outbox;
pub mod qpp;
pub mod smux;
pub mod snappy;
pub mod snmp;
