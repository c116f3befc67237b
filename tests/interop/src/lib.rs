//! The ground truth that our implementation is checked against.
//!
//! - [`mod@reference`]: kcp-go as an executable model, for tests in simulated time on machines without Go.
//! - [`go`]: kcp-go itself, as child processes, on machines with Go.
//! - [`stream`]: the pseudo-random bytes that both ends of a test can produce for themselves.
//! - `vectors/`: bytes and states recorded from kcp-go, which the model reproduces exactly.

pub mod go;
pub mod reference;
pub mod snmp;
pub mod stream;
