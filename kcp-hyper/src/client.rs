//! hyper-util's client, set up for KCP.

use std::time::Duration;

use hyper::body::Body;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::client::legacy::{Builder, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::connector::Connector;
use crate::ends::IntoConnector;

/// How long an idle HTTP/1 connection stays in the pool.
///
/// Below the 30 s after which hyper's server gives up waiting for a request: over a bare session, where the end of a
/// connection cannot be told, a request sent after that would wait for nothing.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// Idle HTTP/1 connections to one peer that stay in the pool. Each holds a session, or a stream of one.
const POOL_IDLE_PER_HOST: usize = 32;

/// Silence of an HTTP/2 peer after which it is pinged.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long it may take to answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// An HTTP/1 client that pools its connections.
///
/// Multiplexed unless `connector` says otherwise, see [`IntoConnector`]. It opens `http` URIs with a host and a port. For other settings, `https` among them, give a [`Connector`] to a
/// [`client_builder`].
///
/// ```
/// # use std::convert::Infallible;
/// # use hyper::body::Incoming;
/// # use hyper::service::service_fn;
/// # use hyper::{Request, Response};
/// # use kcp_transport::{Config, Listener};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = Config::default();
/// # let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
/// # let uri = format!("http://{}/", listener.local_addr());
/// # let hello = async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new(String::new()));
/// # #[cfg(feature = "server")]
/// # tokio::spawn(kcp_hyper::serve(listener, service_fn(hello)));
/// # #[cfg(feature = "server")]
/// # {
/// let client = kcp_hyper::client(config);
/// let request = Request::post(uri).body("some text".to_string())?;
/// let response = client.request(request).await?;
/// assert!(response.status().is_success());
/// let session = response.extensions().get::<kcp_hyper::KcpConnectInfo>();
/// println!("round trip {:?}", session.and_then(|session| session.stats().rtt));
/// # }
/// # Ok(())
/// # }
/// ```
pub fn client<C, B>(connector: C) -> Client<Connector<C::Connector>, B>
where
    C: IntoConnector,
    Connector<C::Connector>: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    client_builder().build(Connector::new(connector))
}

/// An HTTP/2 client, with one connection to each peer.
///
/// As [`client`] in every other respect.
pub fn http2_client<C, B>(connector: C) -> Client<Connector<C::Connector>, B>
where
    C: IntoConnector,
    Connector<C::Connector>: Connect + Clone,
    B: Body + Send,
    B::Data: Send,
{
    // Otherwise hyper learns of HTTP/2 from the first connection, and meanwhile begins one for each request.
    let mut builder = client_builder();
    builder.http2_only(true);
    builder.build(Connector::new(connector).http2_prior_knowledge(true))
}

/// What [`client`] and [`http2_client`] are built with.
///
/// Keeps at most 32 idle HTTP/1 connections to a peer, for 20 s, and pings HTTP/2 peers that are silent for 20 s: dead ones
/// are found 10 s later.
pub fn client_builder() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(POOL_IDLE_PER_HOST)
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .http2_keep_alive_while_idle(true);
    builder
}
