//! Many streams over one connection, by the yamux protocol.
//!
//! A [`MuxSession`] turns any connection into many streams, each with its own flow control, opened
//! by either end. It is independent of KCP: any `AsyncRead + AsyncWrite` will do. On top of it,
//! [`MuxConnector`] is a tower service that keeps sessions by target, and [`MuxIncoming`] yields
//! the streams of all connections that a listener accepts.
//!
//! The `yamux` crate speaks the protocol, which hashicorp/yamux (Go) and libp2p speak too. What the
//! crate leaves to its user is done here: a task that drives it, back-pressure without deadlock,
//! limits that do not cost the session, ends of streams that are told apart, and keep-alive.
//!
//! ```
//! use kcp_transport::mux::{MuxConfig, MuxSession};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (near, far) = tokio::io::duplex(64 * 1024);
//! let (client, _) = MuxSession::client(near, MuxConfig::default());
//! let (_server, mut incoming) = MuxSession::server(far, MuxConfig::default());
//!
//! tokio::spawn(async move {
//!     let mut stream = incoming.accept().await?;
//!     let mut request = String::new();
//!     stream.read_to_string(&mut request).await?;
//!     stream.write_all(request.to_uppercase().as_bytes()).await?;
//!     stream.shutdown().await
//! });
//!
//! let mut stream = client.open().await?;
//! stream.write_all(b"hello").await?;
//! stream.shutdown().await?; // ends our side only
//! let mut reply = String::new();
//! stream.read_to_string(&mut reply).await?;
//! assert_eq!(reply, "HELLO");
//! # Ok(())
//! # }
//! ```
//!
//! # What a byte costs
//!
//! A write is copied into a frame, from there into the session's send buffer, and that is given to
//! the connection below in as few writes as it takes, with one flush for each time the session's
//! task wakes up. A frame has a header of 12 bytes; it carries at most
//! [`frame_size`](MuxConfig::frame_size) bytes.

mod backoff;
mod config;
mod connector;
mod driver;
mod error;
mod frame;
mod gate;
mod incoming;
mod ledger;
mod pool;
mod pulse;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod wire;

pub use backoff::Backoff;
pub use config::{KeepAlive, MuxConfig};
pub use connector::MuxConnector;
pub use error::{MuxConnectError, MuxError};
pub use incoming::MuxIncoming;
pub use session::{ConnectionInfo, MuxAcceptor, MuxSession, MuxStats};
pub use stream::MuxStream;
