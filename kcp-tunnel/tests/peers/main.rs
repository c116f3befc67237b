//! Tunnels between this program and others of its kind: kcptun 20210922 as Debian packages it, and a program on
//! the libraries of kcptun of 2026. Every process is real, on the loopback interface, on ports that are free.
//!
//! Where a peer is missing, its tests say so once, visibly, and do nothing; with `KCP_INTEROP_REQUIRED=1` in the
//! environment they fail.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

mod back;
mod big;
mod http;
mod matrix;
#[allow(dead_code, reason = "the benchmark uses the rest")]
mod process;
mod traffic;
mod tunnel;
