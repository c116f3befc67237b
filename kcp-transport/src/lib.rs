//! Reliable UDP with forward error correction and packet encryption, wire-compatible with kcp-go, as tokio streams and
//! tower services.
//!
//! KCP trades bandwidth for latency: it resends early, repairs loss with Reed-Solomon parity, and does not slow down
//! for loss unless it is told to. Sessions understand kcp-go v5.6.72 and are understood by it.
//!
#![cfg_attr(feature = "tokio", doc = "```")]
#![cfg_attr(not(feature = "tokio"), doc = "```ignore")]
//! use kcp_transport::{Cipher, Config, Connector, Fec, Listener};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config::fast3().cipher(Cipher::aes_128_gcm(&[7; 16])).fec(Fec::new(10, 3)?);
//! let mut listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
//! let mut client = Connector::new(config).connect(listener.local_addr()).await?;
//! client.write_all(b"hello").await?; // the first packet opens the session
//!
//! let (stream, _peer) = listener.accept().await?;
//! let (mut reader, mut writer) = stream.into_split();
//! tokio::spawn(async move { tokio::io::copy(&mut reader, &mut writer).await });
//!
//! let mut reply = [0; 5];
//! client.read_exact(&mut reply).await?;
//! assert_eq!(&reply, b"hello");
//! # Ok(())
//! # }
//! ```
//!
//! # What to know first
//!
//! - **Cipher and key must be equal at both ends.** Packets of others are dropped without a word. The default is no
//!   encryption at all.
//! - **There is no handshake and no end of stream.** Connecting succeeds at once unless [`Config::connect_probe`] is
//!   set; a reader learns of a peer that is gone by [`Config::idle_timeout`]. [`mux`] has streams that end.
//! - **There is one order in a session**: a lost packet holds up all that follow it. Open several sessions for
//!   independent work.
//! - **Loss does not slow it down** under [`CongestionControl::Fixed`], the default: set [`Config::max_bandwidth`] to
//!   what the path carries.
//!
//! # Where things are
//!
//! | to | see |
//! |---|---|
//! | set it up | [`config`]: [`Config`], its presets, [`Mtu`], [`Window`], [`Redundancy`]; [`Fec`], [`Cipher`] |
//! | open sessions | [`Connector`], a tower service; [`Endpoint`] for several sessions on one socket |
//! | accept sessions | [`Listener`], [`Incoming`] |
//! | read and write | [`KcpStream`] for bytes, [`KcpMessages`] for messages |
//! | run many streams over one session | [`mux`], by yamux |
//! | see how it goes | [`stats`]: [`SessionStats`], [`EndpointStats`] |
//! | know what went wrong | [`error`]: one type for each operation |
//! | bring another socket | [`DatagramSocket`] |
//! | run the protocol without I/O | [`proto`]: time, datagrams and randomness are arguments |
//!
//! # Features
//!
//! - `tokio` (default): sockets, streams, [`Connector`], [`Listener`] and [`mux`]. Without it [`proto`] remains, which
//!   builds for `wasm32-unknown-unknown`.
//! - `serde`: the settings can be read from and written to files, but for the cipher, which is set in code.
//!
//! # For production
//!
//! Set a cipher ([`Cipher::aes_128_gcm`] with a random key), [`Config::max_bandwidth`], and on listeners that strangers
//! reach [`Config::max_sessions`] and [`Config::max_sessions_per_ip`], which are generous by default. Windows bound
//! what a session takes of the path and of memory. `docs/security.md` says what is protected and what is not,
//! `docs/tuning.md` how to choose settings, `docs/kcp-go.md` what stands for each part of kcp-go, and `docs/wire.md`
//! what travels.

// The text above describes the whole crate, also where a part of it is left out.
#![cfg_attr(not(feature = "tokio"), allow(rustdoc::broken_intra_doc_links))]

pub mod config;
pub mod error;
pub mod proto;
pub mod stats;

#[cfg(feature = "tokio")]
mod bare;
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
pub use bare::Bare;
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
