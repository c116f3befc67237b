//! Our sessions against real peers: every byte checked, in either role, over good and bad links.
//!
//! These tests run in real time, for so do the peers. They wait for what happens, never for a while, and give up
//! after a bounded time. What is random comes from `KCP_INTEROP_SEED`, which a failure prints.

mod cell;
mod design;
mod exchange;
mod known;
mod matrix;
mod record;
mod seed;
