//! Our sessions against real peers: every byte checked, in either role, over good and bad links.
//!
//! These tests run in real time, for so do the peers. They wait for what happens, never for a while, and give up
//! after a bounded time. What is random comes from `KCP_INTEROP_SEED`, which a failure prints.

mod c;
mod cell;
mod conversations;
mod design;
mod edges;
mod exchange;
mod grpc;
mod guard;
mod known;
mod liberties;
mod many;
mod matrix;
mod oob;
mod parity_first;
mod record;
mod restart;
mod rpcx;
mod rpcx_encodings;
mod seed;
mod soak;
