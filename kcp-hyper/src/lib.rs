//! HTTP over KCP, with an unmodified hyper.
//!
//! - **Client**: [`client`] and [`http2_client`] give hyper-util's pooling client over any connector of
//!   `kcp-transport`; [`Connector`] is what they are built with.
//! - **Server**: [`serve`] and [`serve_with_shutdown`] run a hyper service on the connections of a listener, HTTP/1 and
//!   HTTP/2, upgrades included. With the feature `axum`, [`AxumListener`] goes into `axum::serve`.
//!
//! Handlers find out about their connection by [`KcpConnectInfo`] in the extensions of each request, and clients in those
//! of each response.
//!
#![cfg_attr(all(feature = "client", feature = "server"), doc = "```")]
#![cfg_attr(not(all(feature = "client", feature = "server")), doc = "```ignore")]
//! use std::convert::Infallible;
//!
//! use http_body_util::BodyExt;
//! use hyper::body::Incoming;
//! use hyper::service::service_fn;
//! use hyper::{Request, Response};
//! use kcp_transport::{Config, Connector, Listener};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
//! let uri = format!("http://{}/", listener.local_addr());
//! let hello = async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_string()));
//! tokio::spawn(kcp_hyper::serve(listener.incoming(), service_fn(hello)));
//!
//! let client = kcp_hyper::client::<_, String>(Connector::new(Config::default()));
//! let response = client.get(uri.parse()?).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```
//!
//! So every connection is a session. Over a bare session a body must tell its length, or be chunked, for KCP has no end of
//! stream; and a connection that the peer has closed looks idle. HTTP/1 is better off multiplexed, at both ends:
//! `kcp_hyper::client(Connector::new(config).mux(MuxConfig::default()))`, and
//! `kcp_hyper::serve(listener.mux(MuxConfig::default()), service)`.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connector;
#[cfg(feature = "client")]
mod error;
mod info;
#[cfg(feature = "client")]
mod io;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "axum")]
pub use crate::axum::AxumListener;
#[cfg(feature = "client")]
pub use client::{client, client_builder, http2_client};
#[cfg(feature = "client")]
pub use connector::Connector;
#[cfg(feature = "client")]
pub use error::ConnectError;
pub use info::{KcpConnectInfo, KcpIo};
#[cfg(feature = "client")]
pub use io::HyperIo;
#[cfg(feature = "server")]
pub use server::{serve, serve_with_shutdown};
