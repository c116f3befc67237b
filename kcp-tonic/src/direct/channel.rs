//! The client's end.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::client::{Builder, ResponseFuture, SendRequest};
use http::header::USER_AGENT;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};
use kcp_hyper::IntoConnector;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tonic::Status;
use tonic::body::Body;
use tower_service::Service;
use tracing::debug;

use super::body::{DirectBody, Sending};
use super::connection::{
    CONNECTION_WINDOW, Heard, MAX_HEADERS, SEND_BUFFER, STREAM_WINDOW, Silence, status,
};
use super::deadline::Deadline;
use super::outgoing::Outgoing;
use crate::{Connector, Dial};

/// What sends calls over the live connection.
type Sender = SendRequest<Bytes>;

/// Makes a connection and leaves it to a task.
type Connect =
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<Sender, Status>> + Send>> + Send + Sync;

/// A channel whose calls go straight to HTTP/2, without the queues and layers of tonic's `Channel`.
///
/// With small calls it costs about a quarter less than tonic's, and the server may be any. Goes into generated clients like
/// a `Channel`; clones share a connection, which is made with the first call and anew when it was lost. Deadlines of
/// requests hold. Pings are those of [`EndpointExt`](crate::EndpointExt). There is neither TLS nor anything else of tonic's
/// `Endpoint`: put layers of tower around it, or use a `Channel`.
///
/// ```
/// # use kcp_transport::Listener;
/// use kcp_tonic::DirectChannel;
/// use kcp_transport::Config;
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// # let address = listener.local_addr();
/// # let (_, health) = tonic_health::server::health_reporter();
/// # tokio::spawn(kcp_tonic::serve_direct(listener, health));
/// let channel = DirectChannel::new(Config::default(), format!("http://{address}").parse()?)?;
/// HealthClient::new(channel).check(HealthCheckRequest::default()).await?;
/// # Ok(())
/// # }
/// ```
pub struct DirectChannel {
    shared: Arc<Shared>,
    sender: Option<Sender>,
    connecting: Option<JoinHandle<Result<Sender, Status>>>,
    /// Why there is no connection for the next call.
    failure: Option<Status>,
}

struct Shared {
    scheme: Scheme,
    authority: Authority,
    connect: Box<Connect>,
    /// The newest connection. Locked while one is made.
    current: Mutex<Option<Sender>>,
}

impl DirectChannel {
    /// A channel to the host and port of `origin`, which is resolved anew for each connection. Connects with the first call.
    ///
    /// Multiplexed unless `connector` says otherwise, see [`IntoConnector`].
    ///
    /// # Errors
    /// `InvalidArgument` if `origin` is not an `http` URI with a host and a port.
    pub fn new<C>(connector: C, origin: Uri) -> Result<Self, Status>
    where
        C: IntoConnector<Connector: Dial>,
    {
        let invalid = |what| Status::invalid_argument(format!("{origin} {what}"));
        let authority = origin.authority().ok_or_else(|| invalid("names no host"))?;
        authority.port().ok_or_else(|| invalid("names no port"))?;
        let scheme = origin.scheme().ok_or_else(|| invalid("has no scheme"))?;
        if *scheme != Scheme::HTTP {
            return Err(invalid("is not plain http: a direct channel has no TLS"));
        }
        let (scheme, authority) = (scheme.clone(), authority.clone());
        // Behind a lock only to be shared: connectors need not be `Sync`.
        let connector = std::sync::Mutex::new(Connector::new(connector));
        let connect = Box::new(move || {
            let connector = connector
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            let connecting = open(connector.clone(), origin.clone());
            Box::pin(connecting) as Pin<Box<dyn Future<Output = _> + Send>>
        });
        Ok(Self {
            shared: Arc::new(Shared {
                scheme,
                authority,
                connect,
                current: Mutex::default(),
            }),
            sender: None,
            connecting: None,
            failure: None,
        })
    }

    fn send(&mut self, request: http::Request<Body>) -> Result<Call, Status> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let sender = self.sender.as_mut();
        let sender = sender.expect("`poll_ready` comes before `call`");
        let (mut head, body) = request.into_parts();
        let mut uri = head.uri.into_parts();
        uri.scheme = Some(self.shared.scheme.clone());
        uri.authority = Some(self.shared.authority.clone());
        head.uri = Uri::from_parts(uri).map_err(|error| Status::internal(error.to_string()))?;
        let agent = head.headers.entry(USER_AGENT);
        agent.or_insert(HeaderValue::from_static(AGENT));
        let deadline = Deadline::of(&head.headers);
        let head = http::Request::from_parts(head, ());
        let (response, stream) = sender.send_request(head, false).map_err(status)?;
        Ok(Call {
            response,
            outgoing: Some(Outgoing::new(body, stream)),
            sending: None,
            deadline,
        })
    }
}

/// Calls sent before the server has said how many it takes: as hyper's client.
const UNTOLD_CALLS: usize = 100;

/// How the client names itself.
const AGENT: &str = concat!("kcp-tonic/", env!("CARGO_PKG_VERSION"));

impl Shared {
    /// The current connection if it is alive, or a new one.
    async fn connection(&self) -> Result<Sender, Status> {
        let mut current = self.current.lock().await;
        if let Some(sender) = current.take()
            && let Ok(sender) = sender.ready().await
        {
            *current = Some(sender.clone());
            return Ok(sender);
        }
        let sender = (self.connect)().await?;
        *current = Some(sender.clone());
        Ok(sender)
    }
}

/// Connects, and leaves the connection to a task that lasts as long as it and somebody who uses it.
async fn open<C: Dial>(mut connector: Connector<C>, target: Uri) -> Result<Sender, Status> {
    let io = connector.call(target).await;
    let io = io.map_err(|error| {
        let mut status = Status::unavailable(error.to_string());
        status.set_source(Arc::new(error));
        status
    })?;
    let (io, heard) = Heard::new(io.into_inner());
    let handshake = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADERS)
        .initial_max_send_streams(UNTOLD_CALLS)
        .enable_push(false)
        .handshake(io);
    let (sender, mut connection) = handshake.await.map_err(status)?;
    let mut silence = Silence::new(heard);
    silence.ping_with(connection.ping_pong());
    tokio::spawn(poll_fn(move |cx| {
        if let Poll::Ready(end) = Pin::new(&mut connection).poll(cx) {
            if let Err(error) = end {
                debug!(%error, "connection failed");
            }
            return Poll::Ready(());
        }
        Pin::new(&mut silence).poll(cx)
    }));
    Ok(sender)
}

impl Clone for DirectChannel {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            sender: self.sender.clone(),
            connecting: None,
            failure: None,
        }
    }
}

impl fmt::Debug for DirectChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectChannel")
            .field("authority", &self.shared.authority)
            .field("connected", &self.sender.is_some())
            .finish_non_exhaustive()
    }
}

impl Service<http::Request<Body>> for DirectChannel {
    type Response = http::Response<DirectBody>;
    type Error = Status;
    type Future = DirectFuture;

    /// Ready when there is a connection with room for a call, or none could be made: then the next call fails with
    /// `Unavailable`, and the one after it has another connection made. Never an error.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        loop {
            if let Some(connecting) = &mut self.connecting {
                let connected = ready!(Pin::new(connecting).poll(cx));
                self.connecting = None;
                let connected = connected.map_err(|error| Status::internal(error.to_string()));
                match connected.flatten() {
                    Ok(sender) => self.sender = Some(sender),
                    Err(status) => self.failure = Some(status),
                }
            }
            // Not an error of this: generated clients hide the code of those.
            if self.failure.is_some() {
                return Poll::Ready(Ok(()));
            }
            if let Some(sender) = &mut self.sender {
                if ready!(sender.poll_ready(cx)).is_ok() {
                    return Poll::Ready(Ok(()));
                }
                self.sender = None;
            }
            let shared = Arc::clone(&self.shared);
            let connecting = async move { shared.connection().await };
            self.connecting = Some(tokio::spawn(connecting));
        }
    }

    /// # Panics
    /// If it is called before `poll_ready` has said that it may be.
    fn call(&mut self, request: http::Request<Body>) -> DirectFuture {
        DirectFuture(match self.send(request) {
            Ok(call) => State::Sent(call),
            Err(status) => State::Failed(Some(status)),
        })
    }
}

/// The response to come of a [`DirectChannel`]. Dropped before, it cancels the call.
#[derive(Debug)]
pub struct DirectFuture(State);

#[derive(Debug)]
enum State {
    Sent(Call),
    Failed(Option<Status>),
}

#[derive(Debug)]
struct Call {
    response: ResponseFuture,
    /// The body, until it is sent or left to a task.
    outgoing: Option<Outgoing<Body>>,
    sending: Option<Sending>,
    deadline: Deadline,
}

impl Future for DirectFuture {
    type Output = Result<http::Response<DirectBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let call = match &mut self.0 {
            State::Sent(call) => call,
            State::Failed(status) => {
                let status = status.take().expect("not polled after it was ready");
                return Poll::Ready(Err(status));
            }
        };
        // A single message is sent at once; a stream goes on beside the response.
        if let Some(mut outgoing) = call.outgoing.take()
            && Pin::new(&mut outgoing).poll(cx).is_pending()
        {
            call.sending = Some(Sending::new(tokio::spawn(outgoing).abort_handle()));
        }
        if let Poll::Ready(response) = Pin::new(&mut call.response).poll(cx) {
            let sending = call.sending.take();
            let response = response.map_err(status)?;
            return Poll::Ready(Ok(response.map(|stream| DirectBody::new(stream, sending))));
        }
        Pin::new(&mut call.deadline).poll(cx).map(Err)
    }
}
