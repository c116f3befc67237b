//! Reliable UDP with forward error correction and packet encryption, wire-compatible with kcp-go, as tokio streams and
//! tower services.

pub mod config;
pub mod error;
pub mod proto;
pub mod stats;

#[cfg(feature = "tokio")]
mod connector;
#[cfg(feature = "tokio")]
mod endpoint;
#[cfg(feature = "tokio")]
mod io;
#[cfg(feature = "tokio")]
mod listener;
#[cfg(feature = "tokio")]
mod messages;
#[cfg(feature = "tokio")]
pub mod mux;
#[cfg(feature = "tokio")]
mod stream;

pub use config::{Config, CongestionControl, Mtu, Redundancy, Window};
pub use error::{ConfigError, ConnectError, SendError, SessionError};
pub use proto::crypto::{Cipher, Protection};
pub use proto::fec::Fec;
pub use stats::{Discard, EndpointStats, SessionStats};

#[cfg(feature = "tokio")]
pub use connector::Connector;
#[cfg(feature = "tokio")]
pub use endpoint::Endpoint;
#[cfg(feature = "tokio")]
pub use io::socket::{DatagramSocket, ReceiveSlot, UdpSocket};
#[cfg(feature = "tokio")]
pub use listener::{Incoming, Listener};
#[cfg(feature = "tokio")]
pub use messages::KcpMessages;
#[cfg(feature = "tokio")]
pub use stream::{KcpStream, OwnedReadHalf, OwnedWriteHalf, SessionInfo};

/// What benchmarks and fuzz targets need to see of the inside. Not part of the API.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    pub use crate::proto::crypto::bench as crypto;
    pub use crate::proto::fec::bench as fec;
    pub use crate::proto::inspect as packets;
}
