//! From an endpoint's URI to a connection.

use std::task::{Context, Poll};

use http::Uri;
use kcp_hyper::ConnectError;
use tower_service::Service;

/// Makes connections for `Endpoint::connect_with_connector`, out of any service that makes them for addresses.
///
/// The endpoint's URI must name a host and a port. Its host is resolved anew for each connection, and its addresses are
/// tried one after the other. TLS is the endpoint's business: `https` URIs work if it has a TLS configuration.
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
