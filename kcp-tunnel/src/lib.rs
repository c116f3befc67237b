//! A TCP tunnel over KCP, compatible with kcptun.
//!
//! [`client`] and [`server`] are the two programs without their command lines, which [`program`]
//! adds. Below them are the layers between a TCP connection and a KCP session, each usable on its
//! own: [`qpp`] (optional) on every stream, [`smux`] for many streams in one session, [`snappy`]
//! (unless turned off) below. [`config`] reads kcptun's settings, [`snmp`] writes its statistics,
//! [`status`] tells what runs,
//! and [`monitor`] shows it.

mod backoff;
mod cli;
pub mod client;
pub mod config;
mod drain;
mod layout;
pub mod link;
pub mod monitor;
mod outbox;
pub mod program;
pub mod qpp;
pub mod relay;
pub mod server;
pub mod smux;
pub mod snappy;
pub mod snmp;
pub mod sockets;
pub mod status;
