//! Handles of a session: open, accept, close.

use core::time::Duration;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::config::Config;
use super::driver::Driver;
use super::error::{OpenError, SessionError};
use super::proto::{Peer, Role};
use super::shared::{Shared, State};
use super::stream::Stream;

/// A session: opens and accepts streams over one transport.
///
/// Clones are handles of the same session. When the last one is dropped, streams of the peer are
/// refused and the open ones go on; when those are dropped, too, the session closes as by
/// [`close`](Self::close).
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<Handle>,
}

/// What all clones of a [`Session`] share, and whose end they notice.
#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Session {
    /// A session over `transport`, as the end whose streams have odd numbers: in kcptun, the one
    /// that connected. Runs as a task until the session is over.
    ///
    /// # Panics
    /// Outside a tokio runtime with timers.
    pub fn client<T>(transport: T, config: Config) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::start(Role::Client, transport, config)
    }

    /// A session over `transport`, as the other end. Runs as a task until the session is over.
    ///
    /// # Panics
    /// Outside a tokio runtime with timers.
    pub fn server<T>(transport: T, config: Config) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Self::start(Role::Server, transport, config)
    }

    fn start<T>(role: Role, transport: T, config: Config) -> Self
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared::new(role, config));
        tokio::spawn(Driver::new(transport, Arc::clone(&shared)).run());
        Self {
            handle: Arc::new(Handle { shared }),
        }
    }

    /// Opens a stream. The peer is told at once, but not asked: one that refuses finishes it.
    ///
    /// # Errors
    /// The session has ended, its stream numbers are used up, or too many streams exist.
    pub fn open(&self) -> Result<Stream, OpenError> {
        let id = self.shared().with(|state| {
            let id = state.session.open()?;
            state.add_stream(id);
            Ok::<_, OpenError>(id)
        })?;
        Ok(Stream::new(id, Arc::clone(self.shared())))
    }

    /// The next stream that the peer opens.
    ///
    /// Cancellation-safe: dropping the future loses no stream.
    ///
    /// # Errors
    /// The session has ended.
    pub async fn accept(&self) -> Result<Stream, SessionError> {
        let accepted = self.shared().wait_for(|state| {
            let id = state.session.accept().transpose()?;
            Some(id.inspect(|&id| state.add_stream(id)))
        });
        Ok(Stream::new(accepted.await?, Arc::clone(self.shared())))
    }

    /// Closes the session: its streams fail, what they had written is still sent, and then the
    /// transport is shut down. Takes at most the session's timeout, apart from the shutdown.
    ///
    /// Returns at once; [`closed`](Self::closed) waits.
    pub fn close(&self) {
        self.shared()
            .with(|state| state.session.close(super::shared::now()));
    }

    /// Waits until the session is over and its transport released. Says why it ended.
    pub async fn closed(&self) -> SessionError {
        self.shared().wait_for(State::over).await
    }

    /// Whether the session has ended: nothing can be opened or accepted any more.
    pub fn is_closed(&self) -> bool {
        self.shared().with(|state| state.session.end().is_some())
    }

    /// Streams that exist, including closed ones that have yet to send what was written.
    pub fn stream_count(&self) -> usize {
        self.shared().with(|state| state.session.stream_count())
    }

    /// A look at the session that does not keep it open.
    pub fn watch(&self) -> Watch {
        Watch {
            shared: Arc::clone(self.shared()),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }
}

/// A look at a [`Session`] that does not keep it open, and can close it.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

impl Watch {
    /// As [`Session::close`].
    pub fn close(&self) {
        self.shared
            .with(|state| state.session.close(super::shared::now()));
    }

    /// As [`Session::closed`].
    pub async fn closed(&self) -> SessionError {
        self.shared.wait_for(State::over).await
    }

    /// As [`Session::is_closed`].
    pub fn is_closed(&self) -> bool {
        self.shared.with(|state| state.session.end().is_some())
    }

    /// As [`Session::stream_count`].
    pub fn stream_count(&self) -> usize {
        self.shared.with(|state| state.session.stream_count())
    }

    /// How the peer ends streams.
    pub fn peer(&self) -> Peer {
        self.shared.with(|state| state.session.peer())
    }

    /// Waits until the peer says that it accepts no more streams, or the session has ended.
    pub async fn leaving(&self) {
        self.shared
            .wait_for(|state| {
                let over = state.session.is_peer_leaving() || state.session.end().is_some();
                over.then_some(())
            })
            .await;
    }

    /// Accepts no more streams, and tells the peer, if it is of our kind, to open its streams in
    /// another session. Those that exist go on.
    pub fn leave(&self) {
        self.shared
            .with(|state| state.session.leave(super::shared::now()));
    }

    /// How long the peer has been silent. Every byte counts, also of keepalives.
    pub fn silence(&self) -> Duration {
        self.shared.with(|state| {
            super::shared::now().saturating_duration_since(state.session.last_heard())
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(State::remove_acceptor);
    }
}
