//! Calls methods of a peer: many at a time over one connection.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::message::{Codec, Compression, Kind, Message, WireError};
use super::{ERROR_KEY, TIMEOUT_KEY};
use crate::registry::Metadata;

/// Messages that may wait for the connection; beyond it callers wait.
const QUEUE: usize = 64;

/// How long an answer may take, if nothing else is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Calls methods of a peer. Clones share the connection; it closes when the last is gone.
#[derive(Clone, Debug)]
pub struct Client {
    outgoing: mpsc::Sender<Vec<u8>>,
    waiting: Arc<Waiting>,
    timeout: Duration,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The server says so.
    #[error("the server says: {0}")]
    Refused(String),
    /// No answer came in time. Whether the call was carried out is unknown.
    #[error("no answer for {0:?}")]
    NoAnswer(Duration),
    /// The connection was lost. Whether the call was carried out is unknown.
    #[error("the connection was lost: {0}")]
    Lost(Arc<str>),
    /// Arguments or result do not fit their types.
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
    /// The arguments are too long.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The result is encoded in a way that is not spoken here.
    #[error("the answer is {0:?}, compressed by {1:?}")]
    Encoding(Codec, Compression),
}

/// Who waits for an answer.
#[derive(Debug, Default)]
struct Waiting {
    numbers: AtomicU64,
    callers: Mutex<Callers>,
}

#[derive(Debug, Default)]
struct Callers {
    by_number: HashMap<u64, oneshot::Sender<Message>>,
    /// Why nobody will be answered any more.
    lost: Option<Arc<str>>,
}

impl Client {
    /// A client on this connection. Starts two tasks.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new<IO>(io: IO) -> Self
    where
        IO: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (mut reader, mut writer) = tokio::io::split(io);
        let (outgoing, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE);
        let waiting = Arc::new(Waiting::default());
        let answers = Arc::clone(&waiting);
        let reading = tokio::spawn(async move {
            let cause = match answers.dispatch(&mut reader).await {
                Ok(()) => "closed by the peer".into(),
                Err(error) => error.to_string(),
            };
            answers.end(&cause);
        });
        let failed = Arc::clone(&waiting);
        tokio::spawn(async move {
            while let Some(bytes) = queue.recv().await {
                if let Err(error) = writer.write_all(&bytes).await {
                    failed.end(&error.to_string());
                    break;
                }
            }
            // A connection that has failed needs no farewell.
            let _ = writer.shutdown().await;
            reading.abort();
        });
        Self {
            outgoing,
            waiting,
            timeout: TIMEOUT,
        }
    }

    /// Waits so long for answers, default 30 s. The server is told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Calls a method and waits for its result.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<A, R>(
        &self,
        service: &str,
        method: &str,
        metadata: &Metadata,
        arguments: &A,
    ) -> Result<R, CallError>
    where
        A: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let mut request = self.request(service, method, metadata, arguments)?;
        let limit = self.timeout.as_millis().to_string();
        request.metadata.insert(TIMEOUT_KEY.to_owned(), limit);
        let response = self.ask(request).await?;
        if response.failed {
            let text = response.metadata.get(ERROR_KEY).cloned();
            return Err(CallError::Refused(text.unwrap_or_default()));
        }
        if (response.codec, response.compression) != (Codec::Json, Compression::None) {
            return Err(CallError::Encoding(response.codec, response.compression));
        }
        Ok(serde_json::from_slice(&response.payload)?)
    }

    /// Calls a method without waiting for anything but room to send.
    ///
    /// # Errors
    /// [`CallError`]; what becomes of the call is never known.
    pub async fn notify<A>(
        &self,
        service: &str,
        method: &str,
        metadata: &Metadata,
        arguments: &A,
    ) -> Result<(), CallError>
    where
        A: Serialize + ?Sized,
    {
        let mut request = self.request(service, method, metadata, arguments)?;
        request.one_way = true;
        self.send(&request).await
    }

    /// Asks the peer for a sign of life: how long it took.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn heartbeat(&self) -> Result<Duration, CallError> {
        let begun = Instant::now();
        let request = Message {
            heartbeat: true,
            codec: Codec::MessagePack,
            number: self.waiting.next_number(),
            payload: message_pack_zero(),
            ..Message::default()
        };
        self.ask(request).await?;
        Ok(begun.elapsed())
    }

    fn request(
        &self,
        service: &str,
        method: &str,
        metadata: &Metadata,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<Message, CallError> {
        Ok(Message {
            number: self.waiting.next_number(),
            service: service.to_owned(),
            method: method.to_owned(),
            metadata: metadata.clone(),
            payload: serde_json::to_vec(arguments)?,
            ..Message::default()
        })
    }

    async fn ask(&self, request: Message) -> Result<Message, CallError> {
        let (_place, answer) = self.waiting.enter(request.number)?;
        let answered = async {
            self.send(&request).await?;
            answer.await.map_err(|_| self.waiting.lost())
        };
        let answered = timeout(self.timeout, answered).await;
        answered.map_err(|_| CallError::NoAnswer(self.timeout))?
    }

    async fn send(&self, message: &Message) -> Result<(), CallError> {
        let sent = self.outgoing.send(message.encode()?).await;
        sent.map_err(|_| self.waiting.lost())
    }
}

impl Waiting {
    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Waits for the answer with this number until the place is dropped.
    fn enter(
        self: &Arc<Self>,
        number: u64,
    ) -> Result<(Place, oneshot::Receiver<Message>), CallError> {
        let (caller, answer) = oneshot::channel();
        let mut callers = self.callers();
        if let Some(cause) = &callers.lost {
            return Err(CallError::Lost(Arc::clone(cause)));
        }
        callers.by_number.insert(number, caller);
        let waiting = Arc::clone(self);
        Ok((Place { waiting, number }, answer))
    }

    /// Gives answers to those who wait for them, until the connection ends.
    async fn dispatch(&self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
        while let Some(message) = Message::read(reader).await? {
            // A request is a notice of the server; nobody has asked for those.
            if message.kind == Kind::Response
                && let Some(caller) = self.callers().by_number.remove(&message.number)
            {
                // Who has left meanwhile does not want it.
                let _ = caller.send(message);
            }
        }
        Ok(())
    }

    /// Nobody will be answered any more. Only the first cause counts.
    fn end(&self, cause: &str) {
        let mut callers = self.callers();
        callers.lost.get_or_insert_with(|| cause.into());
        callers.by_number.clear();
    }

    fn lost(&self) -> CallError {
        let cause = self.callers().lost.clone();
        CallError::Lost(cause.unwrap_or_else(|| "closed".into()))
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who wait.
struct Place {
    waiting: Arc<Waiting>,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.callers().by_number.remove(&self.number);
    }
}

/// What a heartbeat carries: a number of 64 bits, by rpcx the time, which the peer sends back without looking at it.
fn message_pack_zero() -> Vec<u8> {
    let mut payload = vec![0; 9];
    payload[0] = 0xd3;
    payload
}
