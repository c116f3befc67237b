//! smux: many streams over one reliable connection, as kcptun uses it. Versions 1 and 2.
//!
//! The wire format is that of the Go library smux 1.5. [`proto`] holds the protocol as a state
//! machine.

pub mod config;
pub mod error;
pub mod proto;

pub use config::{Config, ConfigError, Version};
pub use error::{OpenError, ProtocolError, SessionError, WriteError};
pub use proto::{Role, StreamId};
