//! Serves hyper services on the connections of a listener.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::time::Duration;

use futures_core::Stream;
use hyper::body::{Body, Incoming};
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::info::KcpIo;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Silence of an HTTP/2 client after which it is pinged.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// How long it may take to answer.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves every connection of `incoming` with a clone of `service`: HTTP/1 and HTTP/2, whatever the client begins with,
/// upgrades included.
///
/// Every request has [`KcpConnectInfo`](crate::KcpConnectInfo) in its extensions. Clients that are silent are found by
/// HTTP/2 pings after 30 s; an HTTP/1 client has 30 s from one request to the headers of the next.
///
/// Completes when `incoming` has ended and every connection after it. Dropping the future ends all connections, but for
/// those that were upgraded: they belong to the service.
///
/// The [crate's documentation](crate) has an example.
pub async fn serve<I, IO, S, B>(incoming: I, service: S)
where
    I: Stream<Item = io::Result<IO>>,
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let mut server = Server::new(service);
    server.accept(incoming, pending()).await;
    server.connections.join_all().await;
}

/// As [`serve`], until `signal` completes: then no connection is accepted any more, requests that have begun are
/// finished, and connections close.
///
/// Connections still open after `drain` are cut. Returns how many.
///
/// ```
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// use hyper::body::Incoming;
/// use hyper::service::service_fn;
/// use hyper::{Request, Response};
/// use kcp_transport::{Config, Listener};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let hello = async |_: Request<Incoming>| Ok::<_, Infallible>(Response::new("hello".to_string()));
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let server = tokio::spawn(kcp_hyper::serve_with_shutdown(
///     listener.incoming(),
///     service_fn(hello),
///     async { drop(stopped.await) },
///     Duration::from_secs(10),
/// ));
/// drop(stop);
/// assert_eq!(server.await?, 0, "no connection was cut");
/// # Ok(())
/// # }
/// ```
pub async fn serve_with_shutdown<I, IO, S, B, F>(
    incoming: I,
    service: S,
    signal: F,
    drain: Duration,
) -> usize
where
    I: Stream<Item = io::Result<IO>>,
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    F: Future<Output = ()>,
{
    let mut server = Server::new(service);
    server.accept(incoming, signal).await;
    server.drain(drain).await
}

struct Server<S> {
    service: S,
    http: Builder<TokioExecutor>,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl<S, B> Server<S>
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn new(service: S) -> Self {
        let mut http = Builder::new(TokioExecutor::new());
        // Without a timer hyper does not enforce its limit of 30 s for reading headers.
        http.http1().timer(TokioTimer::new());
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
        Self {
            service,
            http,
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
        }
    }

    /// Takes connections until `incoming` ends or `signal` completes. Drops `incoming` then.
    async fn accept<I, IO>(&mut self, incoming: I, signal: impl Future<Output = ()>)
    where
        I: Stream<Item = io::Result<IO>>,
        IO: KcpIo + Unpin + Send + 'static,
    {
        let mut incoming = pin!(incoming);
        let mut signal = pin!(signal);
        loop {
            tokio::select! {
                () = &mut signal => return,
                next = poll_fn(|cx| incoming.as_mut().poll_next(cx)) => match next {
                    Some(Ok(io)) => {
                        let connection =
                            connection(self.http.clone(), io, self.service.clone(), self.graceful.watcher());
                        self.connections.spawn(connection);
                    }
                    Some(Err(error)) => {
                        warn!(%error, "cannot accept");
                        tokio::task::yield_now().await;
                    }
                    None => return,
                },
                // Forgets those that have ended.
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    /// Finishes what has begun, within `limit`. Returns how many connections did not make it.
    async fn drain(mut self, limit: Duration) -> usize {
        if timeout(limit, self.graceful.shutdown()).await.is_ok() {
            return 0;
        }
        while self.connections.try_join_next().is_some() {}
        self.connections.len()
    }
}

async fn connection<IO, S, B>(http: Builder<TokioExecutor>, io: IO, service: S, watcher: Watcher)
where
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let info = io.connect_info();
    let peer = info.peer_addr();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(info.clone());
        service.call(request)
    });
    let connection = http.serve_connection_with_upgrades(TokioIo::new(io), service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        debug!(%peer, error, "connection failed");
    }
}
