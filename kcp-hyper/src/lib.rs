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
//! use kcp_transport::{Config, Listener};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
//! let uri = format!("http://{}/", listener.local_addr());
//! let hello = async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_string()));
//! tokio::spawn(kcp_hyper::serve(listener, service_fn(hello)));
//!
//! let client = kcp_hyper::client::<_, String>(Config::default());
//! let response = client.get(uri.parse()?).await?;
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Multiplexed, unless both ends say `bare`
//!
//! A configuration, a connector or a listener given by itself is multiplexed: connections are streams of one session, and
//! each end learns at once when the other closes one. `connector.mux(config)` and `listener.mux(config)` do that with other
//! settings. `Connector::new(config).bare()` and `listener.bare()` make every connection a session: then a body must tell its
//! length, or be chunked, for KCP has no end of stream, and a connection that the peer has closed looks idle.
//!
//! Both ends must do the same, for nothing is negotiated. Ends that disagree cannot read each other: connections break
//! with an error as soon as one end sees what it cannot parse, and otherwise when pings or the idle timeout give up, a minute
//! at most by default. Nothing is taken for an answer.

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "client")]
mod connector;
mod ends;
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
pub use ends::IntoConnector;
pub use ends::IntoIncoming;
#[cfg(feature = "client")]
pub use error::ConnectError;
pub use info::{KcpConnectInfo, KcpIo};
#[cfg(feature = "client")]
pub use io::HyperIo;
#[cfg(feature = "server")]
pub use server::{serve, serve_with_shutdown};
