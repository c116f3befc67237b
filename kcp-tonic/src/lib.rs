//! gRPC over KCP, with an unmodified tonic.
//!
//! - **Client**: [`EndpointExt`] adds `connect_kcp` and its like to tonic's `Endpoint`; [`Connector`] is what goes into
//!   `connect_with_connector` where these are too short. [`ChannelPool`] spreads calls over several sessions.
//! - **Server**: [`incoming`] makes of a listener what `serve_with_incoming` and `serve_with_incoming_shutdown` take.
//!   Services find out about their peer by [`KcpConnectInfo`] in the extensions of each request, and with the interceptor
//!   [`remote_addr`] by `Request::remote_addr()` too.
//!
//! ```no_run
//! use kcp_tonic::EndpointExt;
//! use kcp_transport::{Config, Connector, Listener};
//! use tonic::transport::{Endpoint, Server};
//!
//! # async fn run<S>(greeter: S) -> Result<(), Box<dyn std::error::Error>>
//! # where
//! #     S: tower_service::Service<
//! #             http::Request<tonic::body::Body>,
//! #             Response = http::Response<tonic::body::Body>,
//! #             Error = std::convert::Infallible,
//! #         > + Clone + Send + 'static,
//! #     S::Future: Send,
//! # {
//! // The server: one line more than over TCP.
//! let listener = Listener::bind("0.0.0.0:4000", Config::default()).await?;
//! let server = Server::builder().serve_with_incoming(greeter, kcp_tonic::incoming(listener));
//! tokio::spawn(server);
//!
//! // The client: `connect_kcp` instead of `connect`.
//! let channel = Endpoint::from_static("http://example.org:4000")
//!     .connect_kcp(Connector::new(Config::default()))
//!     .await?;
//! # drop(channel);
//! # Ok(())
//! # }
//! ```
//!
//! So every channel is a session. To share one, with other channels or other protocols, multiplex at both ends:
//! `connect_kcp(Connector::new(config).mux(MuxConfig::default()))`, and
//! `Incoming::new(listener.mux(MuxConfig::default()))`.
//!
//! A dead peer shows by HTTP/2 pings, which `EndpointExt` turns on; calls under way then fail with `Unavailable`, and the
//! next call connects anew.

mod connector;
mod endpoint;
mod pool;
mod server;

pub use connector::Connector;
pub use endpoint::{Dial, EndpointExt};
pub use kcp_hyper::{ConnectError, KcpConnectInfo, KcpIo};
pub use pool::{ChannelPool, PoolBody, PoolFuture, Sessions};
pub use server::{Incoming, ServerIo, incoming, remote_addr};
