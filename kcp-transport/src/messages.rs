//! A session that carries messages instead of a stream of bytes.

use std::future::poll_fn;
use std::io;

use crate::error::{SendError, SessionError};
use crate::io::pipe::Handle;
use crate::proto::Chunk;
use crate::stream::KcpStream;

/// A session that carries messages: each is received whole and in order, as it was sent.
///
/// Both ends need [`Config::message_mode`](crate::Config::message_mode).
///
/// ```
/// # use kcp_transport::{Config, Connector, KcpMessages, Listener};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::default().message_mode(true);
/// let mut listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
/// let client = Connector::new(config).connect(listener.local_addr()).await?;
/// let mut client = KcpMessages::new(client)?;
/// client.send(b"one").await?;
/// client.send(b"two").await?;
///
/// let (server, _) = listener.accept().await?;
/// let mut server = KcpMessages::new(server)?;
/// assert_eq!(server.recv().await?, b"one");
/// assert_eq!(server.recv().await?, b"two");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct KcpMessages {
    stream: KcpStream,
    last: Option<Chunk>,
}

impl KcpMessages {
    /// Takes a session that nothing was read from or written to.
    ///
    /// # Errors
    /// `InvalidInput` if its configuration is not in message mode.
    pub fn new(stream: KcpStream) -> io::Result<Self> {
        if !stream.handle().identity().messages {
            let reason = "the session was not configured with message_mode(true)";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        Ok(Self { stream, last: None })
    }

    /// Sends a message; waits while too much is unsent.
    ///
    /// # Errors
    /// [`SendError`] if it is empty or longer than [`max_len`](Self::max_len), or if the session has ended.
    pub async fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        let limit = self.max_len();
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        if message.len() > limit {
            return Err(SendError::TooLong {
                len: message.len(),
                limit,
            });
        }
        let handle = self.handle();
        Ok(poll_fn(|cx| handle.poll_write_message(cx, message)).await?)
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// Why the session ended.
    pub async fn recv(&mut self) -> Result<Vec<u8>, SessionError> {
        let mut last = self.last.take();
        let handle = self.handle();
        let chunk = poll_fn(|cx| {
            let consumed = last.as_ref().map_or(0, Chunk::len);
            handle.poll_read(cx, last.take(), consumed)
        })
        .await?;
        let message = chunk.bytes().to_vec();
        self.last = Some(chunk);
        Ok(message)
    }

    /// Longest message, in bytes: 255 segments.
    pub fn max_len(&self) -> usize {
        self.handle().identity().max_message
    }

    /// The session, for its address, its statistics and its settings.
    pub fn stream(&self) -> &KcpStream {
        &self.stream
    }

    fn handle(&self) -> &Handle {
        self.stream.handle()
    }
}
