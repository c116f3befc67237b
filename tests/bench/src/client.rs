//! What the works need of a connection, and how a transport of byte streams gives it.
//!
//! On a stream, a request is [`SMALL`] bytes: its kind, and a number. The Go program speaks the same.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::{Mutex, OnceCell, mpsc, oneshot};

use crate::settings::CHUNK;
use crate::work::SMALL;

/// A connection as the works see it.
pub(crate) trait Client: Send + Sync {
    /// A request of [`SMALL`] bytes, and its response of so many.
    fn call(&self, response: usize) -> BoxFuture<'_, io::Result<()>>;

    /// Bytes from the server, without end.
    fn download(&self) -> BoxFuture<'_, io::Result<Box<dyn Download>>>;

    /// Messages of `size` bytes that come back.
    fn echo(&self, size: usize) -> BoxFuture<'_, io::Result<Box<dyn Echo>>>;
}

/// A bulk transfer under way.
pub(crate) trait Download: Send {
    /// How many bytes came.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;
}

/// Messages that come back.
pub(crate) trait Echo: Send {
    /// Sends one and waits until it is back.
    fn round(&mut self) -> BoxFuture<'_, io::Result<()>>;
}

/// Both directions of a stream.
pub(crate) struct Halves {
    pub(crate) reader: Box<dyn AsyncRead + Send + Unpin>,
    pub(crate) writer: Box<dyn AsyncWrite + Send + Unpin>,
}

impl Halves {
    pub(crate) fn new(
        reader: impl AsyncRead + Send + Unpin + 'static,
        writer: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Self {
        Self {
            reader: Box::new(reader),
            writer: Box::new(writer),
        }
    }

    /// Sends a request.
    async fn ask(&mut self, kind: Kind, number: usize) -> io::Result<()> {
        self.writer.write_all(&request(kind, number)).await?;
        self.writer.flush().await
    }
}

/// What opens streams to the server.
pub(crate) trait Dial: Send + Sync {
    /// A new stream.
    fn open(&self) -> BoxFuture<'_, io::Result<Halves>>;

    /// Whether streams are so cheap that every call has its own.
    fn stream_per_call(&self) -> bool;
}

/// A connection made of streams.
pub(crate) struct StreamClient<D> {
    dial: D,
    /// Where calls go that do not have streams of their own.
    pipeline: OnceCell<Pipeline>,
}

impl<D: Dial> StreamClient<D> {
    pub(crate) fn new(dial: D) -> Self {
        Self {
            dial,
            pipeline: OnceCell::new(),
        }
    }

    async fn pipeline(&self) -> io::Result<&Pipeline> {
        let start = async || Ok(Pipeline::start(self.dial.open().await?));
        self.pipeline.get_or_try_init(start).await
    }
}

impl<D: Dial> Client for StreamClient<D> {
    fn call(&self, response: usize) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            if self.dial.stream_per_call() {
                let mut stream = self.dial.open().await?;
                stream.ask(Kind::Call, response).await?;
                discard(&mut stream.reader, response).await
            } else {
                self.pipeline().await?.call(response).await
            }
        })
    }

    fn download(&self) -> BoxFuture<'_, io::Result<Box<dyn Download>>> {
        Box::pin(async move {
            let mut stream = self.dial.open().await?;
            stream.ask(Kind::Bulk, 0).await?;
            let download = StreamDownload {
                stream,
                buffer: vec![0; CHUNK].into(),
            };
            Ok(Box::new(download) as Box<dyn Download>)
        })
    }

    fn echo(&self, size: usize) -> BoxFuture<'_, io::Result<Box<dyn Echo>>> {
        Box::pin(async move {
            let mut stream = self.dial.open().await?;
            stream.ask(Kind::Echo, size).await?;
            let message = Arc::from(vec![0x5a; size]);
            Ok(Box::new(StreamEcho { stream, message }) as Box<dyn Echo>)
        })
    }
}

/// Calls on one stream, answered in order.
struct Pipeline {
    writer: Mutex<Requests>,
}

struct Requests {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    expected: mpsc::UnboundedSender<Expected>,
}

/// The next response: how long it is, and who waits for it.
struct Expected {
    response: usize,
    done: oneshot::Sender<io::Result<()>>,
}

impl Pipeline {
    fn start(stream: Halves) -> Self {
        let (expected, mut next) = mpsc::unbounded_channel::<Expected>();
        let mut reader = stream.reader;
        tokio::spawn(async move {
            while let Some(Expected { response, done }) = next.recv().await {
                let result = discard(&mut reader, response).await;
                let failed = result.is_err();
                // Who no longer waits has counted the call already.
                let _ = done.send(result);
                if failed {
                    break;
                }
            }
        });
        let requests = Requests {
            writer: stream.writer,
            expected,
        };
        Self {
            writer: Mutex::new(requests),
        }
    }

    async fn call(&self, response: usize) -> io::Result<()> {
        let (done, answered) = oneshot::channel();
        {
            let mut requests = self.writer.lock().await;
            let Requests { writer, expected } = &mut *requests;
            expected
                .send(Expected { response, done })
                .map_err(|_| io::ErrorKind::BrokenPipe)?;
            writer.write_all(&request(Kind::Call, response)).await?;
            writer.flush().await?;
        }
        answered.await.map_err(|_| io::ErrorKind::BrokenPipe)?
    }
}

struct StreamDownload {
    stream: Halves,
    buffer: Box<[u8]>,
}

impl Download for StreamDownload {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(Pin::new(&mut self.stream.reader).poll_read(cx, &mut buffer))?;
        match buffer.filled().len() {
            0 => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            len => Poll::Ready(Ok(len)),
        }
    }
}

struct StreamEcho {
    stream: Halves,
    message: Arc<[u8]>,
}

impl Echo for StreamEcho {
    fn round(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(async move {
            let Halves { reader, writer } = &mut self.stream;
            let send = async {
                writer.write_all(&self.message).await?;
                writer.flush().await
            };
            tokio::try_join!(send, discard(reader, self.message.len())).map(|_| ())
        })
    }
}

/// Reads so many bytes.
async fn discard(reader: &mut (dyn AsyncRead + Send + Unpin), len: usize) -> io::Result<()> {
    let mut buffer = vec![0; len.min(CHUNK)];
    let mut missing = len;
    while missing > 0 {
        let part = missing.min(buffer.len());
        match reader.read(&mut buffer[..part]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => missing -= read,
        }
    }
    Ok(())
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A response of so many bytes.
    Call,
    /// Bytes without end, until the client says anything more.
    Bulk,
    /// Everything that follows, back.
    Echo,
}

/// The bytes of a request.
pub(crate) fn request(kind: Kind, number: usize) -> [u8; SMALL] {
    let mut request = [0; SMALL];
    request[0] = match kind {
        Kind::Call => 1,
        Kind::Bulk => 2,
        Kind::Echo => 3,
    };
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    request[4..8].copy_from_slice(&number.to_le_bytes());
    request
}

/// What a request asks for; `None` if it is none.
pub(crate) fn parse_request(request: &[u8; SMALL]) -> Option<(Kind, usize)> {
    let kind = match request[0] {
        1 => Kind::Call,
        2 => Kind::Bulk,
        3 => Kind::Echo,
        _ => return None,
    };
    let number = u32::from_le_bytes([request[4], request[5], request[6], request[7]]);
    Some((kind, usize::try_from(number).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::serve_stream;

    struct InMemory;

    impl Dial for InMemory {
        fn open(&self) -> BoxFuture<'_, io::Result<Halves>> {
            let (ours, theirs) = tokio::io::duplex(1 << 16);
            let (reader, writer) = tokio::io::split(theirs);
            tokio::spawn(serve_stream(Halves::new(reader, writer)));
            let (reader, writer) = tokio::io::split(ours);
            Box::pin(async move { Ok(Halves::new(reader, writer)) })
        }

        fn stream_per_call(&self) -> bool {
            false
        }
    }

    #[test]
    fn requests_are_read_back() {
        for kind in [Kind::Call, Kind::Bulk, Kind::Echo] {
            assert_eq!(parse_request(&request(kind, 70_000)), Some((kind, 70_000)));
        }
        assert_eq!(parse_request(&[0; SMALL]), None);
    }

    #[tokio::test]
    async fn a_stream_serves_every_kind_of_request() {
        let client = StreamClient::new(InMemory);
        let calls = [SMALL, 100_000, 0].map(|response| client.call(response));
        for result in futures_util::future::join_all(calls).await {
            result.unwrap();
        }

        let mut echo = client.echo(200_000).await.unwrap();
        echo.round().await.unwrap();
        echo.round().await.unwrap();

        let mut download = client.download().await.unwrap();
        let mut total = 0;
        while total < 1 << 20 {
            total += std::future::poll_fn(|cx| download.poll_next(cx))
                .await
                .unwrap();
        }
    }
}
