//! The streams of all connections that a listener accepts.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project::pin_project;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::config::MuxConfig;
use super::ledger::Mode;
use super::session::{ConnectionInfo, MuxSession};
use super::stream::MuxStream;

/// Connections taken up in a row before a stream gets its turn.
const ACCEPT_BUDGET: usize = 16;

/// Makes a session of every connection, and yields the streams that their peers open.
///
/// An error of the listener is passed on and ends nothing. What happens to a session is the business
/// of its own streams. Ends when the listener has ended and every session after it.
///
/// At most [`MuxConfig::accept_backlog`] streams wait, of all sessions together; one more is reset.
///
/// Dropping it stops accepting connections and streams. The streams it has yielded keep their
/// sessions; sessions without any are closed.
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
/// let connector = Connector::new(Config::default()).mux(MuxConfig::default());
/// let mut client = connector.oneshot(listener.local_addr()).await?;
/// client.write_all(b"hello").await?;
/// client.shutdown().await?;
///
/// let mut incoming = listener.mux(MuxConfig::default());
/// let mut stream = incoming.next().await.expect("the listener lives")?;
/// let mut greeting = String::new();
/// stream.read_to_string(&mut greeting).await?;
/// assert_eq!(greeting, "hello");
/// # Ok(())
/// # }
/// ```
#[pin_project]
pub struct MuxIncoming<S, IO> {
    #[pin]
    connections: S,
    config: MuxConfig,
    describe: fn(&IO) -> ConnectionInfo,
    /// For new sessions; `None` once the listener has ended.
    arrivals: Option<mpsc::Sender<MuxStream>>,
    queue: mpsc::Receiver<MuxStream>,
}

impl<S, IO> MuxIncoming<S, IO>
where
    S: Stream<Item = io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// Multiplexes the connections of a listener.
    pub fn new(connections: S, config: MuxConfig) -> Self {
        Self::with_info(connections, config, |_| ConnectionInfo::default())
    }

    /// Like [`new`](Self::new); `describe` tells what streams shall know of their connection.
    pub fn with_info(
        connections: S,
        config: MuxConfig,
        describe: fn(&IO) -> ConnectionInfo,
    ) -> Self {
        let (arrivals, queue) = mpsc::channel(config.accept_backlog);
        Self {
            connections,
            config,
            describe,
            arrivals: Some(arrivals),
            queue,
        }
    }
}

impl<S, IO> Stream for MuxIncoming<S, IO>
where
    S: Stream<Item = io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Item = io::Result<MuxStream>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut this = self.project();
        let mut budget = ACCEPT_BUDGET;
        while let Some(arrivals) = this.arrivals.as_ref() {
            if budget == 0 {
                cx.waker().wake_by_ref();
                break;
            }
            budget -= 1;
            match this.connections.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(io))) => {
                    let info = (this.describe)(&io);
                    let config = this.config.clone();
                    // Kept alive by the queue at first, then by its streams.
                    MuxSession::start(io, Mode::Server, config, info, arrivals.clone());
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => *this.arrivals = None,
                Poll::Pending => break,
            }
        }
        this.queue.poll_recv(cx).map(|stream| stream.map(Ok))
    }
}

impl<S, IO> fmt::Debug for MuxIncoming<S, IO> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MuxIncoming")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
