//! From a URI to a connection.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use http::uri::Scheme;
use tokio::net::lookup_host;
use tower_service::Service;

use crate::error::ConnectError;
use crate::io::HyperIo;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Makes connections for URIs, out of any service that makes them for addresses.
///
/// Takes host and port of the URI, resolves the host's name, and tries its addresses one after the other. For hyper-util's
/// legacy client, for `hyper-rustls`, and for whatever else wants a `Service<Uri>`.
///
/// ```
/// use std::time::Duration;
///
/// use hyper_util::client::legacy::Client;
/// use hyper_util::rt::TokioExecutor;
/// use kcp_transport::Config;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default().connect_probe(Duration::from_millis(50));
/// let connector = kcp_hyper::Connector::new(kcp_transport::Connector::new(config));
/// let client: Client<_, String> = Client::builder(TokioExecutor::new()).build(connector);
/// let nobody_there = std::net::UdpSocket::bind("127.0.0.1:0")?;
/// let uri = format!("http://{}/", nobody_there.local_addr()?);
/// assert!(client.get(uri.parse()?).await.unwrap_err().is_connect());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Connector<C> {
    inner: C,
    http2: bool,
    enforce_http: bool,
}

impl<C> Connector<C> {
    /// Resolves for `inner`.
    pub fn new(inner: C) -> Self {
        Self {
            inner,
            http2: false,
            enforce_http: true,
        }
    }

    /// Whether peers speak HTTP/2 from the first byte on. Default false: HTTP/1.
    ///
    /// KCP does not negotiate protocols. hyper's client keeps one connection for each HTTP/2 peer, and opens one for each
    /// concurrent request to an HTTP/1 peer.
    pub fn http2_prior_knowledge(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// Whether URIs of other schemes than `http` are refused. Default true.
    ///
    /// False is right below a layer that does TLS; otherwise `https` would go out in plain text.
    pub fn enforce_http(mut self, enforce: bool) -> Self {
        self.enforce_http = enforce;
        self
    }
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<SocketAddr> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
{
    type Response = HyperIo<C::Response>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    /// Always ready: whether the service below is, is found out by each call, which may need it more than once.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Self {
            inner,
            http2,
            enforce_http,
        } = self.clone();
        Box::pin(async move {
            let (host, port) = target(&uri, enforce_http)?;
            let io = dial(inner, host, port).await?;
            Ok(HyperIo::new(io, http2))
        })
    }
}

/// Host, without the brackets of an IPv6 address, and port.
fn target(uri: &Uri, enforce_http: bool) -> Result<(&str, u16), ConnectError> {
    if let Some(scheme) = uri.scheme()
        && enforce_http
        && *scheme != Scheme::HTTP
    {
        return Err(ConnectError::Scheme(scheme.to_string()));
    }
    let host = uri
        .host()
        .filter(|host| !host.is_empty())
        .ok_or(ConnectError::NoHost)?;
    let port = uri
        .port_u16()
        .ok_or_else(|| ConnectError::NoPort(host.to_owned()))?;
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Ok((bare, port))
}

/// Connects to the first address that works.
async fn dial<C>(mut connector: C, host: &str, port: u16) -> Result<C::Response, ConnectError>
where
    C: Service<SocketAddr>,
    C::Error: Into<BoxError>,
{
    let addrs = lookup_host((host, port))
        .await
        .map_err(|source| ConnectError::Resolve {
            host: host.to_owned(),
            source,
        })?;
    let mut failure = ConnectError::NoAddress(host.to_owned());
    for addr in addrs {
        match dial_addr(&mut connector, addr).await {
            Ok(io) => return Ok(io),
            Err(source) => failure = ConnectError::Dial { addr, source },
        }
    }
    Err(failure)
}

async fn dial_addr<C>(connector: &mut C, addr: SocketAddr) -> Result<C::Response, BoxError>
where
    C: Service<SocketAddr>,
    C::Error: Into<BoxError>,
{
    poll_fn(|cx| connector.poll_ready(cx))
        .await
        .map_err(Into::into)?;
    connector.call(addr).await.map_err(Into::into)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Opens nothing but one address, and remembers what it was asked for.
    #[derive(Clone)]
    struct Only(SocketAddr, Arc<Mutex<Vec<SocketAddr>>>);

    impl Service<SocketAddr> for Only {
        type Response = SocketAddr;
        type Error = io::Error;
        type Future = std::future::Ready<io::Result<SocketAddr>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, addr: SocketAddr) -> Self::Future {
            self.1.lock().unwrap().push(addr);
            std::future::ready(if addr == self.0 {
                Ok(addr)
            } else {
                Err(io::ErrorKind::ConnectionRefused.into())
            })
        }
    }

    fn only(addr: &str) -> Connector<Only> {
        Connector::new(Only(addr.parse().unwrap(), Arc::default()))
    }

    async fn open(connector: &mut Connector<Only>, uri: &str) -> Result<SocketAddr, ConnectError> {
        let io = connector.call(uri.parse().unwrap()).await?;
        Ok(*io.get_ref())
    }

    #[tokio::test]
    async fn an_address_in_the_uri_is_opened_as_it_stands() {
        for addr in ["127.0.0.1:4000", "[::1]:4000"] {
            let opened = open(&mut only(addr), &format!("http://{addr}/path")).await;
            assert_eq!(opened.unwrap(), addr.parse().unwrap());
        }
    }

    #[tokio::test]
    async fn a_uri_without_a_port_is_refused_and_the_error_says_what_is_missing() {
        let error = open(&mut only("127.0.0.1:80"), "http://127.0.0.1/").await;
        let error = error.unwrap_err();
        assert!(matches!(error, ConnectError::NoPort(_)));
        assert!(error.to_string().contains("http://127.0.0.1:4000"));
    }

    #[tokio::test]
    async fn https_never_goes_out_in_plain_text() {
        let mut connector = only("127.0.0.1:443");
        let error = open(&mut connector, "https://127.0.0.1:443").await;
        assert!(matches!(error, Err(ConnectError::Scheme(_))));
        assert!(connector.inner.1.lock().unwrap().is_empty());

        let mut below_tls = connector.enforce_http(false);
        let opened = open(&mut below_tls, "https://127.0.0.1:443").await;
        assert_eq!(opened.unwrap(), "127.0.0.1:443".parse().unwrap());
    }

    #[tokio::test]
    async fn a_failure_names_the_address_and_keeps_its_cause() {
        let error = open(&mut only("127.0.0.1:1"), "http://127.0.0.1:2").await;
        let error = error.unwrap_err();
        assert_eq!(error.to_string(), "cannot connect to 127.0.0.1:2");
        assert!(std::error::Error::source(&error).is_some());
    }
}
