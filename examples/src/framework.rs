//! Calls between two peers over one multiplexed session: every call is a stream of its own, and either end may call.
//!
//! A call is a JSON object that names service, method, metadata and arguments, its answer a JSON object that is `Ok` or
//! `Err`; the end of each side of the stream ends them. So calls need no numbers, answers come in any order, a caller who
//! leaves resets its stream, and nothing that was cut off is taken for an answer.

use std::io;
use std::sync::Arc;

use kcp_transport::mux::{MuxAcceptor, MuxConfig, MuxError, MuxSession, MuxStream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

use crate::registry::{Metadata, Registry};

/// Longest call or answer, in bytes. A peer may have a thousand calls under way.
const MAX_MESSAGE: u64 = 1024 * 1024;

/// The other end of a session. Clones share it; when the last is dropped the session ends, and its calls break off.
///
/// ```
/// use std::sync::Arc;
///
/// use examples::framework::Peer;
/// use examples::registry::{Metadata, Registry};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (near, far) = tokio::io::duplex(4096);
/// let arith = Registry::new().method("Arith", "mul", async |(a, b): (i64, i64), _| Ok(a * b));
/// let _client = Peer::server(far, Arc::new(arith));
/// let server = Peer::client(near, Arc::default());
/// let product: i64 = server.call("Arith", "mul", &Metadata::new(), &(6, 7)).await?;
/// assert_eq!(product, 42);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Peer {
    session: MuxSession,
    /// One task, which ends with the last clone.
    _answers: Arc<JoinSet<()>>,
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The peer says so.
    #[error("the peer says: {0}")]
    Refused(String),
    /// The session has ended.
    #[error(transparent)]
    Session(#[from] MuxError),
    /// The stream broke off, or the answer was too long. Whether the call was carried out is unknown.
    #[error("the call broke off")]
    Stream(#[from] io::Error),
    /// Arguments or result do not fit their types.
    #[error("not the JSON that was expected")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize, Deserialize)]
struct Call {
    service: String,
    method: String,
    metadata: Metadata,
    arguments: Box<RawValue>,
}

impl Peer {
    /// The peer at the other end of a connection that we made. Its calls are answered out of `registry`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn client<IO>(io: IO, registry: Arc<Registry>) -> Self
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start(MuxSession::client(io, MuxConfig::default()), registry)
    }

    /// The peer at the other end of a connection that we accepted. Its calls are answered out of `registry`.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn server<IO>(io: IO, registry: Arc<Registry>) -> Self
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::start(MuxSession::server(io, MuxConfig::default()), registry)
    }

    /// Calls a method and waits for its result. Dropping the future gives the call up.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call<R: DeserializeOwned>(
        &self,
        service: &str,
        method: &str,
        metadata: &Metadata,
        arguments: &(impl Serialize + ?Sized),
    ) -> Result<R, CallError> {
        let call = serde_json::to_vec(&Call {
            service: service.to_owned(),
            method: method.to_owned(),
            metadata: metadata.clone(),
            arguments: serde_json::value::to_raw_value(arguments)?,
        })?;
        let mut stream = self.session.open().await?;
        stream.write_all(&call).await?;
        stream.shutdown().await?;
        let answer = read_all(&mut stream).await?;
        serde_json::from_slice::<Result<R, String>>(&answer)?.map_err(CallError::Refused)
    }

    /// Waits until the session has ended: why it did.
    pub async fn closed(&self) -> MuxError {
        self.session.closed().await
    }

    fn start((session, calls): (MuxSession, MuxAcceptor), registry: Arc<Registry>) -> Self {
        let mut answers = JoinSet::new();
        answers.spawn(answer_all(calls, registry));
        Self {
            session,
            _answers: Arc::new(answers),
        }
    }
}

/// Answers calls, each in a task of its own, until the session ends.
async fn answer_all(mut calls: MuxAcceptor, registry: Arc<Registry>) {
    let mut answers = JoinSet::new();
    while let Ok(stream) = calls.accept().await {
        let registry = Arc::clone(&registry);
        // A stream that breaks off is the caller's business, who learns of it.
        answers.spawn(async move { answer(stream, &registry).await.is_ok() });
        while answers.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: MuxStream, registry: &Registry) -> io::Result<()> {
    let request = read_all(&mut stream).await?;
    let result = match serde_json::from_slice::<Call>(&request) {
        Ok(call) => {
            let arguments = call.arguments.get().as_bytes();
            registry
                .call(&call.service, &call.method, call.metadata, arguments)
                .await
        }
        Err(error) => Err(format!("not a call: {error}")),
    };
    let answer = match result {
        Ok(json) => [b"{\"Ok\":", &json[..], b"}"].concat(),
        Err(text) => serde_json::to_vec(&Err::<(), _>(text))?,
    };
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Reads to the end of the stream, unless it is too long.
async fn read_all(stream: &mut MuxStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(MAX_MESSAGE + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > MAX_MESSAGE {
        let reason = "longer than a call or an answer may be";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(name: &'static str) -> Arc<Registry> {
        let registry = Registry::new()
            .method("Peer", "name", move |(): (), _| async move { Ok(name) })
            .method("Peer", "length", async |text: String, _| Ok(text.len()))
            .method("Peer", "fail", async |(): (), _| {
                Err::<(), _>("no".to_owned())
            });
        Arc::new(registry)
    }

    fn peers() -> (Peer, Peer) {
        let (near, far) = tokio::io::duplex(4096);
        let client = Peer::server(far, registry("server"));
        (Peer::client(near, registry("client")), client)
    }

    async fn call<R: DeserializeOwned>(
        peer: &Peer,
        method: &str,
        arguments: impl Serialize,
    ) -> Result<R, CallError> {
        let no_metadata = Metadata::new();
        peer.call("Peer", method, &no_metadata, &arguments).await
    }

    async fn name(peer: &Peer) -> String {
        call(peer, "name", ()).await.unwrap()
    }

    #[tokio::test]
    async fn either_end_may_call_the_other() {
        let (server, client) = peers();
        assert_eq!(name(&server).await, "server");
        assert_eq!(name(&client).await, "client");
    }

    #[tokio::test]
    async fn many_calls_at_a_time_get_their_own_answers() {
        let (server, _client) = peers();
        let calls = (0..1_000).map(|len| {
            let server = server.clone();
            tokio::spawn(async move {
                let text = "x".repeat(len);
                let length: usize = call(&server, "length", &text).await.unwrap();
                assert_eq!(length, len);
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_fails_is_told_and_the_session_lives_on() {
        let (server, _client) = peers();
        let failed = call::<()>(&server, "fail", ()).await;
        assert_eq!(failed.unwrap_err().to_string(), "the peer says: no");
        let too_long = "x".repeat(MAX_MESSAGE as usize);
        let refused = call::<usize>(&server, "length", &too_long).await;
        assert!(matches!(refused, Err(CallError::Stream(_))));
        let mut nonsense = server.session.open().await.unwrap();
        nonsense.write_all(b"[").await.unwrap();
        nonsense.shutdown().await.unwrap();
        let answer = read_all(&mut nonsense).await.unwrap();
        assert!(answer.starts_with(br#"{"Err":"not a call"#));
        assert_eq!(name(&server).await, "server");
    }

    #[tokio::test]
    async fn a_caller_learns_that_the_peer_is_gone() {
        let (server, client) = peers();
        drop(client);
        let error = call::<()>(&server, "name", ()).await;
        assert!(matches!(
            error,
            Err(CallError::Session(_) | CallError::Stream(_))
        ));
    }
}
