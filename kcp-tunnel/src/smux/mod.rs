//! smux: many streams over one reliable connection, as kcptun uses it. Versions 1 and 2.
//!
//! The wire format is that of the Go library smux 1.5. [`proto`] holds the protocol as a state
//! machine; [`Session`] and [`Stream`] run it over any transport that reads and writes.

pub mod config;
mod driver;
pub mod error;
pub mod proto;
mod session;
mod shared;
mod stream;

pub use config::{Config, ConfigError, Version};
pub use error::{OpenError, ProtocolError, SessionError, WriteError};
pub use proto::StreamId;
pub use session::Session;
pub use stream::Stream;

#[cfg(test)]
mod tests;
