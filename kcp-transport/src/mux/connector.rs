//! A tower service that gives streams, out of sessions it keeps.

use std::fmt;
use std::future::{Future, poll_fn};
use std::hash::Hash;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::backoff::{Backoff, Jitter};
use super::config::MuxConfig;
use super::error::MuxConnectError;
use super::pool::{Pool, Retry};
use super::session::{ConnectionInfo, MuxSession};
use super::stream::MuxStream;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Opens a stream to a target, over a session that it keeps for that target.
///
/// It wraps any service that connects: its response becomes the connection below a session. The
/// first call for a target connects; the calls of that time wait for the same attempt and get the
/// same session, or the same error. Later calls use the session as long as it lives. A session that
/// was lost, or that the peer wants to end, is replaced by the next call.
///
/// After a failure the next attempt waits as [`Backoff`] says, and so do its callers. An attempt is
/// given up when the last caller who waits for it leaves; limit the time with a timeout around this
/// service.
///
/// Clones share their sessions. Sessions end when the last clone and their last stream are gone;
/// targets without a session are forgotten.
///
/// ```
/// use kcp_transport::mux::MuxConfig;
/// use kcp_transport::{Config, Connector, Listener};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// use tokio_stream::StreamExt;
/// use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = Listener::bind("127.0.0.1:0", Config::default()).await?;
/// let address = listener.local_addr();
/// let mut incoming = listener.mux(MuxConfig::default());
/// tokio::spawn(async move {
///     while let Some(Ok(mut stream)) = incoming.next().await {
///         let peer = stream.connection_info().peer_addr;
///         stream.write_all(format!("{peer:?}").as_bytes()).await?;
///         stream.shutdown().await?;
///     }
///     std::io::Result::Ok(())
/// });
///
/// let connector = Connector::new(Config::default()).mux(MuxConfig::default());
/// let mut answers = Vec::new();
/// for _ in 0..2 {
///     let mut stream = connector.clone().oneshot(address).await?;
///     let mut answer = String::new();
///     stream.read_to_string(&mut answer).await?;
///     answers.push(answer);
/// }
/// assert_eq!(answers[0], answers[1], "both streams run over one session");
/// # Ok(())
/// # }
/// ```
pub struct MuxConnector<C: Service<T>, T> {
    connector: C,
    config: MuxConfig,
    describe: fn(&C::Response) -> ConnectionInfo,
    pin: Option<usize>,
    pool: Arc<Pool<T>>,
    retry: Arc<Retry>,
}

impl<C, T> MuxConnector<C, T>
where
    C: Service<T>,
    T: Hash + Eq + Clone,
{
    /// Multiplexes the connections of `connector`, one for each target.
    pub fn new(connector: C, config: MuxConfig) -> Self {
        Self::with_info(connector, config, |_| ConnectionInfo::default())
    }

    /// Like [`new`](Self::new); `describe` tells what streams shall know of their connection.
    pub fn with_info(
        connector: C,
        config: MuxConfig,
        describe: fn(&C::Response) -> ConnectionInfo,
    ) -> Self {
        Self {
            connector,
            config,
            describe,
            pin: None,
            pool: Arc::new(Pool::new(1)),
            retry: Arc::new(Retry::new(Backoff::default(), Jitter::random())),
        }
    }

    /// Keeps `k` sessions for each target, and uses them in turn; each is connected when its turn
    /// comes first.
    ///
    /// Default 1, also for 0. A lost packet holds up all streams of one session: with `k` sessions,
    /// about one in `k` of the streams. Clones made before keep sessions of their own.
    pub fn sessions_per_target(mut self, k: usize) -> Self {
        self.pool = Arc::new(Pool::new(k));
        self
    }

    /// Waits like this between attempts to connect.
    ///
    /// Default: from 100 ms to 5 s. A session that is lost sooner than the longest wait counts as
    /// a failed attempt.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.retry = Arc::new(Retry::new(backoff, Jitter::random()));
        self
    }

    /// Draws the random part of the waits from a seed; for tests that must repeat.
    ///
    /// Default: a seed from the operating system.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.retry = Arc::new(Retry::new(self.retry.backoff(), Jitter::new(seed)));
        self
    }

    /// Targets that have a session, are being connected to, or wait for the next attempt.
    pub fn targets(&self) -> usize {
        self.pool.len()
    }
}

impl<C, T> MuxConnector<C, T>
where
    C: Service<T> + Clone,
{
    /// A clone that always uses the session with this number, from 0 and counted round.
    ///
    /// For balancing: each member of the balanced set gets a session of its own.
    pub fn pin(&self, session: usize) -> Self {
        Self {
            pin: Some(session),
            ..self.clone()
        }
    }
}

impl<C, T> Clone for MuxConnector<C, T>
where
    C: Service<T> + Clone,
{
    fn clone(&self) -> Self {
        Self {
            connector: self.connector.clone(),
            config: self.config.clone(),
            describe: self.describe,
            pin: self.pin,
            pool: Arc::clone(&self.pool),
            retry: Arc::clone(&self.retry),
        }
    }
}

impl<C: Service<T>, T> fmt::Debug for MuxConnector<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxConnector")
            .field("config", &self.config)
            .field("pin", &self.pin)
            .finish_non_exhaustive()
    }
}

impl<C, T> MuxConnector<C, T>
where
    C: Service<T> + Clone + Send + 'static,
    C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    T: Hash + Eq + Clone + Send + 'static,
{
    async fn open(self, target: T) -> Result<MuxStream, MuxConnectError> {
        let sessions = self.pool.target(&target);
        let lane = sessions.lane(self.pin);
        let claim = lane.claim(&self.retry, || self.connect(&target));
        if let Ok(stream) = claim.outcome().await?.open().await {
            return Ok(stream);
        }
        // The session ended between the two: once more, with a new one.
        let claim = lane.claim(&self.retry, || self.connect(&target));
        Ok(claim.outcome().await?.open().await?)
    }

    /// Connects to `target`, as soon as the connector is ready to.
    fn connect(
        &self,
        target: &T,
    ) -> impl Future<Output = Result<MuxSession, MuxConnectError>> + Send + 'static + use<C, T>
    {
        let Self {
            mut connector,
            config,
            describe,
            ..
        } = self.clone();
        let target = target.clone();
        async move {
            poll_fn(|cx| connector.poll_ready(cx))
                .await
                .map_err(MuxConnectError::dial)?;
            let io = connector
                .call(target)
                .await
                .map_err(MuxConnectError::dial)?;
            let info = describe(&io);
            // Without its acceptor the session takes no streams of the peer.
            let (session, _) = MuxSession::client_with(io, config, info);
            Ok(session)
        }
    }
}

impl<C, T> Service<T> for MuxConnector<C, T>
where
    C: Service<T> + Clone + Send + 'static,
    C::Response: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    T: Hash + Eq + Clone + Send + 'static,
{
    type Response = MuxStream;
    type Error = MuxConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<MuxStream, MuxConnectError>> + Send>>;

    /// Always ready: whether the connector below is matters only to a call that connects.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: T) -> Self::Future {
        Box::pin(self.clone().open(target))
    }
}
