//! Several channels as one: each call goes where the fewest are under way.

use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use kcp_transport::mux::MuxConnector;
use pin_project::pin_project;
use tonic::body::Body;
use tonic::transport::channel::ResponseFuture;
use tonic::transport::{Channel, Error};
use tower_service::Service;

/// Several channels to one server as one: each call goes where the fewest are under way.
///
/// A lost packet holds up every call of its session until it is sent again; with `k` sessions about one in `k` of them. A
/// long download does not stand in the way of short calls either. Of equally busy channels the first is taken, so that few
/// calls use few sessions, and error correction has more to work with in each.
///
/// Goes into generated clients like a `Channel`, and clones share everything. A call is under way until the response has
/// been read to its end, or dropped.
///
/// ```
/// # use kcp_transport::Listener;
/// # use tonic::transport::{Endpoint, Server};
/// use kcp_tonic::EndpointExt;
/// use kcp_transport::{Config, Connector};
/// use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// # let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
/// # let (_, health) = tonic_health::server::health_reporter();
/// # let server = Server::builder().add_service(health);
/// # tokio::spawn(server.serve_with_incoming(kcp_tonic::incoming(listener)));
/// let pool = endpoint.connect_kcp_pool(Connector::new(Config::default()), 3);
/// let mut client = HealthClient::new(pool.clone());
/// let watched = client.watch(HealthCheckRequest::default()).await?;
/// client.check(HealthCheckRequest::default()).await?; // over another session
/// let under_way: Vec<_> = pool.under_way().collect();
/// assert_eq!(under_way[0], 1, "the stream keeps its session busy");
/// drop(watched);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ChannelPool {
    members: Arc<[Member]>,
    /// The channel for the next call, and its place in the count; to be asked whether it is ready.
    next: Option<(Channel, Place)>,
}

#[derive(Debug)]
struct Member {
    channel: Channel,
    under_way: Arc<AtomicUsize>,
}

impl ChannelPool {
    /// A pool of these channels, which should have sessions of their own.
    ///
    /// # Panics
    /// If there are none.
    pub fn new(channels: impl IntoIterator<Item = Channel>) -> Self {
        let members: Arc<[_]> = channels
            .into_iter()
            .map(|channel| Member {
                channel,
                under_way: Arc::default(),
            })
            .collect();
        assert!(!members.is_empty(), "a pool needs a channel");
        Self {
            members,
            next: None,
        }
    }

    /// Calls under way, by channel.
    pub fn under_way(&self) -> impl Iterator<Item = usize> {
        self.members.iter().map(Member::load)
    }

    fn pick(&self) -> (Channel, Place) {
        let idlest = self.members.iter().min_by_key(|member| member.load());
        let member = idlest.expect("`new` takes at least one channel");
        (member.channel.clone(), Place::take(&member.under_way))
    }
}

impl Member {
    fn load(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

impl Clone for ChannelPool {
    fn clone(&self) -> Self {
        Self {
            members: Arc::clone(&self.members),
            next: None,
        }
    }
}

impl Service<http::Request<Body>> for ChannelPool {
    type Response = http::Response<PoolBody>;
    type Error = Error;
    type Future = PoolFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if self.next.is_none() {
            self.next = Some(self.pick());
        }
        let (channel, _) = self.next.as_mut().expect("picked above");
        let ready = ready!(channel.poll_ready(cx));
        if ready.is_err() {
            self.next = None;
        }
        Poll::Ready(ready)
    }

    /// # Panics
    /// If it is called before `poll_ready` has said that it may be.
    fn call(&mut self, request: http::Request<Body>) -> PoolFuture {
        let (mut channel, place) = self.next.take().expect("`poll_ready` comes before `call`");
        PoolFuture {
            response: channel.call(request),
            place: Some(place),
        }
    }
}

/// One call in the count of its channel, until it is dropped.
#[derive(Debug)]
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(under_way: &Arc<AtomicUsize>) -> Self {
        under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(under_way))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The response to come of a [`ChannelPool`].
#[pin_project]
#[derive(Debug)]
pub struct PoolFuture {
    #[pin]
    response: ResponseFuture,
    place: Option<Place>,
}

impl Future for PoolFuture {
    type Output = Result<http::Response<PoolBody>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.response.poll(cx))?;
        let place = this.place.take();
        Poll::Ready(Ok(response.map(|body| PoolBody { body, place })))
    }
}

/// The body of a response of a [`ChannelPool`].
#[pin_project]
#[derive(Debug)]
pub struct PoolBody {
    #[pin]
    body: Body,
    place: Option<Place>,
}

impl http_body::Body for PoolBody {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        if frame.is_none() {
            *this.place = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connectors that give each channel of a [`ChannelPool`] a session of its own.
pub trait Sessions: Sized {
    /// So many connectors, whose connections run over different sessions.
    fn sessions(self, k: usize) -> Vec<Self>;
}

impl Sessions for kcp_transport::Connector {
    /// Clones: every connection is a session.
    fn sessions(self, k: usize) -> Vec<Self> {
        vec![self; k]
    }
}

impl<C, T> Sessions for MuxConnector<C, T>
where
    C: Service<T> + Clone,
    T: Hash + Eq + Clone,
{
    /// Each uses a session of its own, of `k` to each target. Sessions that it had before are not among them.
    fn sessions(self, k: usize) -> Vec<Self> {
        let shared = self.sessions_per_target(k);
        (0..k).map(|session| shared.pin(session)).collect()
    }
}
