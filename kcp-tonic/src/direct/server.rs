//! The server's end.

use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use h2::server::{Builder, SendResponse};
use http::{Request, Response};
use kcp_hyper::{IntoIncoming, KcpIo};
use pin_project::pin_project;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use tracing::{debug, warn};

use super::body::DirectBody;
use super::connection::{
    CONNECTION_WINDOW, Heard, MAX_HEADERS, SEND_BUFFER, STREAM_WINDOW, Silence,
};
use super::deadline::Deadline;
use super::outgoing::Outgoing;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Calls that one connection may have at a time; the client keeps further ones back.
const MAX_CALLS: u32 = 1_024;

/// Serves every connection of `incoming` with clones of `service`, straight from HTTP/2, without the layers of tonic's
/// `Server`.
///
/// With small calls it costs about a quarter less than tonic's, and the client may be any. `service` is what tonic
/// generates, or `tonic::service::Routes` of several. Each request has [`KcpConnectInfo`](crate::KcpConnectInfo) in its
/// extensions, and the deadline that its caller set holds here, too. Clients that are silent are found by HTTP/2 pings
/// after 30 s. At most 1,024 calls of a connection run at a time. There is no TLS; put other layers of tower around
/// `service`.
///
/// Multiplexed unless `incoming` says otherwise, see [`IntoIncoming`]. Completes when `incoming` has ended and every
/// connection after it. Dropping the future ends all connections.
///
/// ```
/// # use kcp_tonic::DirectChannel;
/// # use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
/// use kcp_transport::{Config, Listener};
/// use tonic::service::Routes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// # let address = listener.local_addr();
/// let (_, health) = tonic_health::server::health_reporter();
/// let services = Routes::new(health).prepare(); // and `add_service` for further ones
/// tokio::spawn(kcp_tonic::serve_direct(listener, services));
/// # let channel = DirectChannel::new(Config::default(), format!("http://{address}").parse()?)?;
/// # HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn serve_direct<I, IO, S, B>(incoming: I, service: S)
where
    I: IntoIncoming<Incoming: Stream<Item = io::Result<IO>>>,
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    serve_direct_with_shutdown(incoming, service, pending()).await;
}

/// As [`serve_direct`], until `signal` completes: then no connection is accepted any more, calls that have begun are
/// finished, and connections close. Completes when all have.
pub async fn serve_direct_with_shutdown<I, IO, S, B, F>(incoming: I, service: S, signal: F)
where
    I: IntoIncoming<Incoming: Stream<Item = io::Result<IO>>>,
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    F: Future<Output = ()>,
{
    let mut connections = JoinSet::new();
    // Dropped to tell connections that they shall end.
    let (open, closing) = watch::channel(());
    {
        let mut incoming = pin!(incoming.into_incoming());
        let mut signal = pin!(signal);
        loop {
            tokio::select! {
                () = &mut signal => {
                    drop(open);
                    break;
                }
                next = poll_fn(|cx| incoming.as_mut().poll_next(cx)) => match next {
                    Some(Ok(io)) => {
                        let peer = io.connect_info().peer_addr();
                        let serving = serve_connection(io, service.clone(), closing.clone());
                        connections.spawn(async move {
                            if let Err(error) = serving.await {
                                debug!(%peer, %error, "connection failed");
                            }
                        });
                    }
                    Some(Err(error)) => {
                        warn!(%error, "cannot accept");
                        tokio::task::yield_now().await;
                    }
                    None => break,
                },
                // Forgets those that have ended.
                Some(_) = connections.join_next() => {}
            }
        }
    }
    while connections.join_next().await.is_some() {}
}

/// Serves one connection to its end.
async fn serve_connection<IO, S, B>(
    io: IO,
    service: S,
    mut closing: watch::Receiver<()>,
) -> Result<(), h2::Error>
where
    IO: KcpIo + Unpin + Send + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    let info = io.connect_info();
    let (io, heard) = Heard::new(io);
    let mut silence = Silence::new(heard);
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .max_concurrent_streams(MAX_CALLS)
        .handshake(io);
    let mut connection = tokio::select! {
        connection = handshake => connection?,
        () = &mut silence => return Ok(()),
        _ = closing.changed() => return Ok(()),
    };
    silence.ping_with(connection.ping_pong());
    let mut ending = false;
    loop {
        tokio::select! {
            biased;
            call = poll_fn(|cx| connection.poll_accept(cx)) => {
                let Some(call) = call else {
                    return Ok(());
                };
                let (request, respond) = call?;
                let mut request = request.map(|stream| Body::new(DirectBody::new(stream, None)));
                request.extensions_mut().insert(info.clone());
                tokio::spawn(Answering {
                    respond,
                    deadline: Deadline::of(request.headers()),
                    stage: Stage::Waiting(service.clone(), Some(request)),
                });
            }
            () = &mut silence => return Ok(()),
            _ = closing.changed(), if !ending => {
                ending = true;
                connection.graceful_shutdown();
            }
        }
    }
}

/// One call: ends when it is answered, or when nobody waits for that any more.
#[pin_project]
struct Answering<S: Service<Request<Body>>, B> {
    respond: SendResponse<Bytes>,
    deadline: Deadline,
    #[pin]
    stage: Stage<S, S::Future, B>,
}

#[pin_project(project = StageProjection)]
enum Stage<S, F, B> {
    /// Until the service is ready.
    Waiting(S, Option<Request<Body>>),
    Called(#[pin] F),
    Responding(#[pin] Outgoing<B>),
}

impl<S, B> Future for Answering<S, B>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes>,
{
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let result = match this.stage.as_mut().project() {
                StageProjection::Waiting(service, request) => match service.poll_ready(cx) {
                    Poll::Ready(Ok(())) => {
                        let request = request.take().expect("there until the service is ready");
                        let called = Stage::Called(service.call(request));
                        this.stage.set(called);
                        continue;
                    }
                    Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
                    Poll::Pending => Poll::Pending,
                },
                StageProjection::Called(future) => future.poll(cx),
                StageProjection::Responding(body) => return body.poll(cx),
            };
            let result = match result {
                Poll::Ready(result) => result.map_err(|error| Status::from_error(error.into())),
                Poll::Pending if this.respond.poll_reset(cx).is_ready() => return Poll::Ready(()),
                Poll::Pending => Err(ready!(Pin::new(&mut *this.deadline).poll(cx))),
            };
            // Where that fails, nobody waits for it.
            let Ok(Some(body)) = begin(this.respond, result) else {
                return Poll::Ready(());
            };
            this.stage.set(Stage::Responding(body));
        }
    }
}

/// Sends the head of a response. Returns its body, if it has one.
fn begin<B: http_body::Body>(
    respond: &mut SendResponse<Bytes>,
    result: Result<Response<B>, Status>,
) -> Result<Option<Outgoing<B>>, h2::Error> {
    match result {
        Ok(response) => {
            let (head, body) = response.into_parts();
            let end = body.is_end_stream();
            let stream = respond.send_response(Response::from_parts(head, ()), end)?;
            Ok((!end).then(|| Outgoing::new(body, stream)))
        }
        Err(status) => {
            respond.send_response(status.into_http(), true)?;
            Ok(None)
        }
    }
}
