//! Answers calls out of a registry.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use kcp_transport::Listener;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::message::{Codec, Compression, Kind, Message};
use super::{ERROR_KEY, TIMEOUT_KEY};
use crate::registry::{Metadata, Registry};

/// Calls of one connection that are carried out at a time; further ones are not read until one has ended.
const CONCURRENT_CALLS: usize = 64;

/// Answers calls out of a registry. Clones share it.
#[derive(Clone)]
pub struct Server {
    registry: Arc<Registry>,
}

impl Server {
    /// Answers out of `registry`.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self { registry }
    }

    /// Serves every session of `listener`, until it ends.
    pub async fn serve(self, mut listener: Listener) {
        let mut connections = JoinSet::new();
        while let Ok((session, peer)) = listener.accept().await {
            let server = self.clone();
            connections.spawn(async move {
                let ended = server.serve_connection(session).await;
                println!("{peer} is gone: {ended:?}");
            });
            while connections.try_join_next().is_some() {}
        }
        connections.join_all().await;
    }

    /// Serves one connection, until the peer ends it and its last call is answered.
    ///
    /// # Errors
    /// Those of the connection, and `InvalidData` for what is no message of rpcx. Calls under way are dropped.
    pub async fn serve_connection(self, io: impl AsyncRead + AsyncWrite) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(io);
        let (answers, mut outgoing) = mpsc::channel::<Message>(CONCURRENT_CALLS);
        let answer_all = async move {
            let mut calls = JoinSet::new();
            while let Some(message) = Message::read(&mut reader).await? {
                if message.kind == Kind::Response {
                    continue;
                }
                if calls.len() == CONCURRENT_CALLS {
                    calls.join_next().await;
                }
                let (server, answers) = (self.clone(), answers.clone());
                calls.spawn(async move {
                    if let Some(answer) = server.answer(message).await {
                        // A connection that has failed takes no answers.
                        let _ = answers.send(answer).await;
                    }
                });
                while calls.try_join_next().is_some() {}
            }
            calls.join_all().await;
            Ok(())
        };
        let send_all = async move {
            while let Some(answer) = outgoing.recv().await {
                let bytes = answer.encode().or_else(|error| {
                    let text = error.to_string();
                    failure(answer, text).encode()
                });
                writer.write_all(&bytes?).await?;
            }
            writer.shutdown().await
        };
        tokio::try_join!(answer_all, send_all).map(drop)
    }

    /// The answer to a request; `None` if nobody waits for it.
    async fn answer(&self, request: Message) -> Option<Message> {
        if request.heartbeat {
            return Some(Message {
                kind: Kind::Response,
                ..request
            });
        }
        let result = match (request.codec, request.compression) {
            (Codec::Json, Compression::None) => self.call(&request).await,
            (codec, compression) => Err(format!(
                "only plain JSON is spoken here, not {codec:?} compressed by {compression:?}"
            )),
        };
        if request.one_way {
            return None;
        }
        Some(match result {
            Ok(payload) => Message {
                payload,
                ..response(request)
            },
            Err(text) => failure(request, text),
        })
    }

    async fn call(&self, request: &Message) -> Result<Vec<u8>, String> {
        let Message {
            service,
            method,
            metadata,
            payload,
            ..
        } = request;
        let called = self
            .registry
            .call(service, method, metadata.clone(), payload);
        let Some(limit) = patience(metadata) else {
            return called.await;
        };
        let ended = timeout(limit, called).await;
        ended.map_err(|_| format!("not done within {limit:?}"))?
    }
}

/// How long the caller waits.
fn patience(metadata: &Metadata) -> Option<Duration> {
    let millis = metadata.get(TIMEOUT_KEY)?.parse().ok()?;
    Some(Duration::from_millis(millis))
}

/// The frame of a response to `request`, without content.
fn response(request: Message) -> Message {
    Message {
        kind: Kind::Response,
        compression: Compression::None,
        metadata: Metadata::new(),
        payload: Vec::new(),
        ..request
    }
}

fn failure(request: Message, text: String) -> Message {
    Message {
        failed: true,
        metadata: Metadata::from([(ERROR_KEY.to_owned(), text)]),
        ..response(request)
    }
}
