//! What reaches a driver from other tasks: which pipes to look at, and commands for the endpoint as a whole.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::oneshot;

use super::pipe::Opened;
use crate::error::SessionError;
use crate::proto::chunk::SMALL;
use crate::proto::{Chunk, SessionKey};
use crate::stats::EndpointStats;

/// Chunks that wait for small writes: about what many handles write between two turns of the driver.
const MAX_SPARE: usize = 64;

/// Something to do for the endpoint as a whole.
#[derive(Debug)]
pub(crate) enum Command {
    /// Open a session with this peer and conversation number; `None` lets the driver choose one.
    Connect(
        SocketAddr,
        Option<u32>,
        oneshot::Sender<Result<Opened, SessionError>>,
    ),
    /// Take no more sessions from peers.
    StopAccepting,
    /// End every session and the driver.
    Close,
    /// Tell the endpoint's counters.
    Stats(oneshot::Sender<EndpointStats>),
}

#[derive(Debug, Default)]
struct Contents {
    visits: Vec<SessionKey>,
    commands: Vec<Command>,
    /// Recycled chunks for small writes.
    spare: Vec<Chunk>,
    /// Set while the driver sleeps.
    waker: Option<Waker>,
    closed: bool,
}

/// Letters to one driver.
#[derive(Debug, Default)]
pub(crate) struct Mailbox(Mutex<Contents>);

impl Mailbox {
    /// Asks the driver to look at a session's pipe. The pipe sees to it that it is asked only once.
    pub(crate) fn visit(&self, key: SessionKey) {
        let mut contents = self.lock();
        if contents.closed {
            return;
        }
        contents.visits.push(key);
        let waker = contents.waker.take();
        drop(contents);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Gives the driver a command. Returns it if the driver is gone.
    pub(crate) fn command(&self, command: Command) -> Result<(), Command> {
        let mut contents = self.lock();
        if contents.closed {
            return Err(command);
        }
        contents.commands.push(command);
        let waker = contents.waker.take();
        drop(contents);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// An empty chunk fit for `len` bytes, a recycled one if it is a small one that waits.
    pub(crate) fn chunk(&self, len: usize) -> Chunk {
        let spare = match self.0.try_lock() {
            Ok(mut contents) if len <= SMALL => contents.spare.pop(),
            // Others are busy with it: to wait for a chunk takes longer than to make one.
            Ok(_) | Err(_) => None,
        };
        spare.unwrap_or_else(|| Chunk::for_len(len))
    }

    /// Keeps an emptied chunk for the next small write, or returns it. In its session's pipe it would lie, out of reach
    /// of others and of every cache, until the driver looks there again.
    pub(crate) fn keep(&self, mut chunk: Chunk) -> Option<Chunk> {
        if chunk.capacity() == SMALL
            && let Ok(mut contents) = self.0.try_lock()
            && contents.spare.len() < MAX_SPARE
            && !contents.closed
        {
            chunk.clear();
            contents.spare.push(chunk);
            return None;
        }
        Some(chunk)
    }

    /// Takes everything; both vectors must be empty. Leaves chunks for small writes, as long as `spare` has some. Returns
    /// whether there was anything.
    pub(crate) fn take(
        &self,
        visits: &mut Vec<SessionKey>,
        commands: &mut Vec<Command>,
        spare: impl FnMut() -> Option<Chunk>,
    ) -> bool {
        let mut contents = self.lock();
        let room = MAX_SPARE.saturating_sub(contents.spare.len());
        contents.spare.extend(std::iter::from_fn(spare).take(room));
        std::mem::swap(&mut contents.visits, visits);
        std::mem::swap(&mut contents.commands, commands);
        !visits.is_empty() || !commands.is_empty()
    }

    /// Asks to be woken by the next letter. Returns whether there is one already.
    pub(crate) fn sleep(&self, waker: &Waker) -> bool {
        let mut contents = self.lock();
        if !contents.visits.is_empty() || !contents.commands.is_empty() {
            return true;
        }
        match &mut contents.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        false
    }

    /// Whether the driver has ended.
    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// The driver ends: commands not taken are dropped, and later ones refused.
    pub(crate) fn close(&self) {
        let mut contents = self.lock();
        contents.closed = true;
        contents.visits.clear();
        contents.commands.clear();
        contents.spare = Vec::new();
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
