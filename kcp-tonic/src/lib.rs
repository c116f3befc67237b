//! gRPC over KCP, with an unmodified tonic.
//!
//! - **Client**: [`EndpointExt`] adds `connect_kcp` and its like to tonic's `Endpoint`; [`Connector`] is what goes into
//!   `connect_with_connector` where these are too short. [`ChannelPool`] spreads calls over several sessions.
//! - **Server**: [`incoming`] makes of a listener what `serve_with_incoming` and `serve_with_incoming_shutdown` take.
//!   Services find out about their peer by [`KcpConnectInfo`] in the extensions of each request, and with the interceptor
//!   [`remote_addr`] by `Request::remote_addr()` too.
//!
//! ```
//! use kcp_tonic::EndpointExt;
//! use kcp_transport::{Config, Connector, Listener};
//! use tonic::transport::{Endpoint, Server};
//! use tonic_health::pb::HealthCheckRequest;
//! use tonic_health::pb::health_client::HealthClient;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // The server: `serve_with_incoming` instead of `serve`.
//! let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
//! let address = listener.local_addr();
//! let (_, health) = tonic_health::server::health_reporter();
//! let server = Server::builder().add_service(health);
//! tokio::spawn(server.serve_with_incoming(kcp_tonic::incoming(listener)));
//!
//! // The client: `connect_kcp` instead of `connect`.
//! let channel = Endpoint::from_shared(format!("http://{address}"))?
//!     .connect_kcp(Connector::new(Config::default()))
//!     .await?;
//! HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
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
