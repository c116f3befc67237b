//! rpcx over KCP: the messages of the Go framework of that name, a client and a server for calls in JSON.
//!
//! rpcx runs over one KCP session for each client, without multiplexing: see [`config`] for the settings that its Go peers
//! expect. [`Client`] and [`Server`] take any connection, so they can be tested without a network:
//!
//! ```
//! use std::sync::Arc;
//!
//! use examples::registry::{Metadata, Registry};
//! use examples::rpcx::{Client, Server};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::new().method("Arith", "Mul", async |(a, b): (i64, i64), _| Ok(a * b));
//! let (near, far) = tokio::io::duplex(4096);
//! tokio::spawn(Server::new(Arc::new(registry)).serve_connection(far));
//!
//! let client = Client::new(near);
//! let product: i64 = client.call("Arith", "Mul", &Metadata::new(), &(6, 7)).await?;
//! assert_eq!(product, 42);
//! # Ok(())
//! # }
//! ```
//!
//! Not here: codecs other than JSON, compression, and what rpcx does outside of KCP (its registries, file transfer and
//! HTTP gateway).

mod client;
mod message;
mod server;
mod settings;
#[cfg(test)]
mod tests;

pub use client::{CallError, Client};
pub use message::{Codec, Compression, Kind, Message, WireError};
pub use server::Server;
pub use settings::{cipher, config};

/// Longest message that is sent or taken, in bytes: 16 MiB. rpcx itself knows no limit by default.
pub const MAX_MESSAGE: usize = 16 * 1024 * 1024;

/// Metadata that carries the text of an error.
const ERROR_KEY: &str = "__rpcx_error__";

/// Metadata that says after how many milliseconds the caller will have given up.
const TIMEOUT_KEY: &str = "__ServerTimeout";
