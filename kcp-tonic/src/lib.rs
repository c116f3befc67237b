//! gRPC over KCP, with an unmodified tonic.
//!
//! - **Client**: [`EndpointExt`] adds `connect_kcp` and its like to tonic's `Endpoint`; [`Connector`] is what goes into
//!   `connect_with_connector` where these are too short. [`ChannelPool`] spreads calls over several sessions.
//! - **Server**: [`incoming`] makes of a listener what `serve_with_incoming` and `serve_with_incoming_shutdown` take.
//!   Services find out about their peer by [`KcpConnectInfo`] in the extensions of each request, and with the interceptor
//!   [`remote_addr`] by `Request::remote_addr()` too.
//! - **Where calls are many and small**: [`DirectChannel`] and [`serve_direct`] are ends of the same gRPC without the layers
//!   of tonic's transport, each by itself or both. Generated clients and services stay as they are.
//!
//! ```
//! use kcp_tonic::EndpointExt;
//! use kcp_transport::{Config, Listener};
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
//!     .connect_kcp(Config::default())
//!     .await?;
//! HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Multiplexed, unless both ends say `bare`
//!
//! A configuration, a connector or a listener given by itself is multiplexed: a channel is a stream of a session, and each
//! end learns at once when the other closes. Channels share a session if they are made with clones of one
//! `connector.mux(config)`. With `connect_kcp(Connector::new(config).bare())` and `incoming(listener.bare())` a channel is a
//! session, whose end shows by silence only.
//!
//! Both ends must do the same, for nothing is negotiated. Ends that disagree cannot read each other: calls fail with an
//! error as soon as one end sees what it cannot parse, and otherwise when pings give up, after 30 s by default.
//!
//! A dead peer shows by HTTP/2 pings, which `EndpointExt` turns on; calls under way then fail with `Unavailable`, and the
//! next call connects anew.

mod connector;
mod direct;
mod endpoint;
mod pool;
mod server;

pub use connector::Connector;
pub use direct::{
    DirectBody, DirectChannel, DirectFuture, serve_direct, serve_direct_with_shutdown,
};
pub use endpoint::{Dial, EndpointExt};
pub use kcp_hyper::{ConnectError, IntoConnector, IntoIncoming, KcpConnectInfo, KcpIo};
pub use pool::{ChannelPool, PoolBody, PoolFuture, Sessions};
pub use server::{Incoming, ServerIo, incoming, remote_addr};
