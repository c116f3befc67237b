//! kcp-go itself, as child processes.
//!
//! The program is `go/`, one end of a conversation that does what its flags say and reports what happened.
//! [`Go::find`] builds it, [`Go::listen`] and [`Go::dial`] start it, and a [`GoPeer`] is a running one, which
//! dies with its value. Everything happens on the loopback interface, on ports that the kernel picks.
//!
//! Without Go, [`Go::find`] says so once, visibly, and returns `None`: the test has nothing to do then. With
//! `KCP_INTEROP_REQUIRED=1` in the environment it panics instead.
//!
//! [`kcptun_of_2026`] builds a tunnel in the same way.
//!
//! Meant for tests: what should not happen panics with what the child said about it.

mod build;
mod grpc;
mod options;
mod peer;
mod process;
mod rpcx;

pub use build::{Go, Release, kcptun_of_2026, skip};
pub use grpc::{GrpcOptions, GrpcPeer};
pub use options::{Cipher, Mode, PeerOptions};
pub use peer::{Conversation, Estimate, Final, GoPeer, Replies, Transfer};
pub use rpcx::{RpcxCodec, RpcxPeer};
