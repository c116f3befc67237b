//! From an endpoint's URI to a connection.

use std::task::{Context, Poll};

use http::Uri;
use kcp_hyper::ConnectError;
use tower_service::Service;

/// Makes connections for `Endpoint::connect_with_connector`, out of any service that makes them for addresses.
///
/// The endpoint's URI must name a host and a port. Its host is resolved anew for each connection, and its addresses are
/// tried one after the other. TLS is the endpoint's business: `https` URIs work if it has a TLS configuration.
///
/// ```
/// # use kcp_transport::Listener;
/// # use tonic::transport::{Endpoint, Server};
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// use std::time::Duration;
///
/// use kcp_transport::Config;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// # let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
/// # let (_, health) = tonic_health::server::health_reporter();
/// # let server = Server::builder().add_service(health);
/// # tokio::spawn(server.serve_with_incoming(kcp_tonic::incoming(listener)));
/// let connector = kcp_tonic::Connector::new(kcp_transport::Connector::new(Config::default()));
/// let channel = endpoint
///     .http2_keep_alive_interval(Duration::from_secs(5))
///     .keep_alive_while_idle(true)
///     .connect_with_connector(connector)
///     .await?;
/// HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector<C>(kcp_hyper::Connector<C>);

impl<C> Connector<C> {
    /// Resolves for `inner`.
    pub fn new(inner: C) -> Self {
        Self(kcp_hyper::Connector::new(inner).enforce_http(false))
    }
}

impl<C> Service<Uri> for Connector<C>
where
    kcp_hyper::Connector<C>: Service<Uri, Error = ConnectError>,
{
    type Response = <kcp_hyper::Connector<C> as Service<Uri>>::Response;
    type Error = ConnectError;
    type Future = <kcp_hyper::Connector<C> as Service<Uri>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        self.0.call(uri)
    }
}
