//! smux: many streams over one reliable connection, as kcptun uses it. Versions 1 and 2.
//!
//! The wire format is that of the Go library smux 1.5. [`proto`] holds the protocol as a state
//! machine; [`Session`] and [`Stream`] run it over any transport that reads and writes.
//!
//! ```
//! use kcp_tunnel::smux::{Config, Session, Version};
//! use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let (near, far) = tokio::io::duplex(4_096);
//! let client = Session::client(near, Config::new(Version::V2));
//! let server = Session::server(far, Config::new(Version::V2));
//!
//! let mut request = client.open()?;
//! request.write_all(b"hello").await?;
//! request.shutdown().await?;
//!
//! let mut text = String::new();
//! server.accept().await?.read_to_string(&mut text).await?;
//! assert_eq!(text, "hello");
//! # Ok(())
//! # }
//! ```

pub mod config;
mod driver;
pub mod error;
pub mod proto;
mod session;
mod shared;
mod stream;

pub use config::{Config, ConfigError, Version};
pub use error::{OpenError, ProtocolError, SessionError, WriteError};
pub use proto::{Block, Peer, StreamId};
pub use session::{Session, Watch};
pub use stream::Stream;

#[cfg(test)]
mod tests;
