//! What a handle and its driver share: chunks each way, requests, and news, under one short lock per call.
//!
//! No lock is taken per packet, and none is held while bytes of more than a small message are copied.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::mailbox::Mailbox;
use super::threshold::Threshold;
use crate::config::Config;
use crate::error::SessionError;
use crate::proto::meters::Meters;
use crate::proto::{Change, Chunk, SessionKey};
use crate::stats::SessionStats;

/// Writes up to this length are copied under the lock, behind earlier small ones.
const SMALL_WRITE: usize = 2 * 1024;

/// Longest part of a write taken in one call.
const LARGE_WRITE: usize = 64 * 1024;

/// Out-of-band messages that wait for a reader; further ones are dropped.
const MAX_OOB: usize = 64;

/// Recycled chunks that wait for the writer.
const MAX_SPARE: usize = 2;

/// What a handle asks of its session.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requests {
    /// Someone accepted the session.
    pub(crate) accepted: bool,
    /// Send what waits for more.
    pub(crate) flush: bool,
    /// Tell when everything is acknowledged.
    pub(crate) drain: bool,
    /// Ask the peer for a sign of life.
    pub(crate) ask: bool,
    /// The last handle is gone: finish what was written.
    pub(crate) close: bool,
    /// End at once.
    pub(crate) abort: bool,
}

/// What a driver takes out of a pipe; kept by the driver and swapped, so that nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) chunks: VecDeque<Chunk>,
    pub(crate) emptied: Vec<Chunk>,
    pub(crate) changes: Vec<Change>,
    pub(crate) oob: Vec<Vec<u8>>,
    pub(crate) requests: Requests,
    pub(crate) consumed_bytes: usize,
    pub(crate) consumed_messages: u32,
}

/// What came of handing over received bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivered {
    /// A reader waited.
    pub(crate) woken: bool,
    /// Something of what came before was consumed, and the driver was not told yet.
    pub(crate) consumed: bool,
}

#[derive(Debug, Default)]
struct State {
    outbox: Outbox,
    outgoing_bytes: usize,
    spare: Vec<Chunk>,
    incoming: VecDeque<Chunk>,
    incoming_oob: VecDeque<Vec<u8>>,
    /// The driver has been asked to look.
    visit_asked: bool,
    /// The session may hold written data back.
    write_delay: bool,
    /// Writes keep their boundaries.
    separate_writes: bool,
    /// Consumption after which the driver is told, so that the window reopens in time.
    threshold: Threshold,
    drained: bool,
    answered: bool,
    ended: Option<SessionError>,
    reader: Option<Waker>,
    writer: Option<Waker>,
    oob_reader: Option<Waker>,
    watcher: Option<Waker>,
    /// What the session had counted when it ended.
    last_stats: Option<Box<SessionStats>>,
}

/// What never changes about a session.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: SessionKey,
    pub(crate) conv: u32,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    /// Chunks are messages.
    pub(crate) messages: bool,
    /// Bytes that may wait here for the driver.
    pub(crate) capacity: usize,
    /// Data bytes in a full segment.
    pub(crate) mss: usize,
    pub(crate) max_message: usize,
    pub(crate) max_oob: Option<usize>,
}

/// One end of it belongs to a driver, the other to a [`Handle`].
#[derive(Debug)]
pub(crate) struct Pipe {
    identity: Identity,
    meters: Meters,
    state: Mutex<State>,
    mailbox: Arc<Mailbox>,
    /// Handles that live.
    handles: AtomicUsize,
}

impl Pipe {
    /// `mailbox`: where its driver learns that there is something to look at.
    pub(crate) fn new(
        identity: Identity,
        meters: Meters,
        config: &Config,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            mailbox,
            handles: AtomicUsize::new(0),
            state: Mutex::new(State {
                write_delay: config.write_delay,
                separate_writes: config.messages || !config.stream_mode,
                threshold: Threshold::new(config.receive_window, identity.mss),
                ..State::default()
            }),
            identity,
            meters,
        }
    }

    /// Looks at what a visit will need.
    pub(crate) fn fetch(&self) {
        std::hint::black_box((self.identity.conv, self.state.is_poisoned()));
    }

    /// The driver takes what the handle left. `with_chunks`: the session has room for what was written.
    pub(crate) fn collect(&self, with_chunks: bool, out: &mut Outbox) {
        let mut state = self.lock();
        state.visit_asked = false;
        let outbox = &mut state.outbox;
        out.requests = std::mem::take(&mut outbox.requests);
        out.consumed_bytes = std::mem::take(&mut outbox.consumed_bytes);
        out.consumed_messages = std::mem::take(&mut outbox.consumed_messages);
        std::mem::swap(&mut out.emptied, &mut outbox.emptied);
        std::mem::swap(&mut out.changes, &mut outbox.changes);
        std::mem::swap(&mut out.oob, &mut outbox.oob);
        if with_chunks && !outbox.chunks.is_empty() {
            std::mem::swap(&mut out.chunks, &mut outbox.chunks);
            state.outgoing_bytes = 0;
            let writer = state.writer.take();
            drop(state);
            wake(writer);
        }
    }

    /// The driver hands over what was received, from `read` until it returns `None`.
    pub(crate) fn deliver(
        &self,
        mut read: impl FnMut() -> Option<Chunk>,
        mut read_oob: impl FnMut() -> Option<Vec<u8>>,
    ) -> Delivered {
        let mut state = self.lock();
        let before = state.incoming.len();
        while let Some(chunk) = read() {
            let state = &mut *state;
            // Small pieces join, so that a peer who sends single bytes does not make us hold a chunk for each.
            let room = state
                .incoming
                .back_mut()
                .filter(|last| last.room() >= chunk.len());
            match room.filter(|_| chunk.len() <= SMALL_WRITE && !self.identity.messages) {
                Some(last) => {
                    last.push(chunk.bytes());
                    state.outbox.emptied.push(chunk);
                }
                None => state.incoming.push_back(chunk),
            }
        }
        let reader = if state.incoming.len() > before {
            state.reader.take()
        } else {
            None
        };
        let before = state.incoming_oob.len();
        while let Some(message) = read_oob() {
            if state.incoming_oob.len() < MAX_OOB {
                state.incoming_oob.push_back(message);
            }
        }
        let got_oob = state.incoming_oob.len() > before;
        let oob_reader = if got_oob {
            state.oob_reader.take()
        } else {
            None
        };
        let outbox = &state.outbox;
        let delivered = Delivered {
            woken: reader.is_some() || oob_reader.is_some(),
            consumed: outbox.consumed_bytes > 0 || !outbox.emptied.is_empty(),
        };
        drop(state);
        wake(reader);
        wake(oob_reader);
        delivered
    }

    /// Whether the writer could use a recycled chunk.
    pub(crate) fn wants_spare(&self) -> bool {
        let state = self.lock();
        state.spare.len() < MAX_SPARE
    }

    /// The driver gives the writer recycled chunks.
    pub(crate) fn give_spare(&self, chunk: Chunk) {
        self.lock().spare.push(chunk);
    }

    pub(crate) fn set_drained(&self) {
        let mut state = self.lock();
        state.drained = true;
        let writer = state.writer.take();
        drop(state);
        wake(writer);
    }

    pub(crate) fn set_answered(&self) {
        let mut state = self.lock();
        state.answered = true;
        let watcher = state.watcher.take();
        drop(state);
        wake(watcher);
    }

    /// The session is over: everyone learns why.
    pub(crate) fn end(&self, error: SessionError, stats: Option<SessionStats>) {
        let mut state = self.lock();
        state.ended.get_or_insert(error);
        if let Some(stats) = stats {
            state.last_stats = Some(Box::new(stats));
        }
        // Nobody will send these any more.
        state.outbox = Outbox::default();
        state.spare.clear();
        let state = &mut *state;
        let wakers = [
            state.reader.take(),
            state.writer.take(),
            state.oob_reader.take(),
            state.watcher.take(),
        ];
        wakers.into_iter().for_each(wake);
    }

    /// The session's counters and gauges.
    pub(crate) fn stats(&self) -> SessionStats {
        let last = self.lock().last_stats.as_deref().copied();
        last.unwrap_or_else(|| self.meters.read())
    }

    /// Why the session ended, if it did.
    pub(crate) fn ended(&self) -> Option<SessionError> {
        self.lock().ended.clone()
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that runs under the lock can panic half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        none => *none = Some(cx.waker().clone()),
    }
}

/// A session as its driver hands it out: owned by exactly one stream.
#[derive(Debug)]
pub(crate) struct Opened(pub(crate) Handle);

/// The application's end of a pipe. Dropping the last one closes the session: what was written is still sent.
///
/// It counts itself where the rest lies: a count around it would lie apart, and be waited for on every way to the pipe.
#[derive(Debug)]
pub(crate) struct Handle {
    pipe: Arc<Pipe>,
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.pipe))
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.pipe.handles.fetch_sub(1, AcqRel) == 1 {
            self.request(|requests| requests.close = true);
        }
    }
}

impl Handle {
    pub(crate) fn new(pipe: Arc<Pipe>) -> Self {
        pipe.handles.fetch_add(1, Relaxed);
        Self { pipe }
    }

    /// Takes as much of `buffers` as one call may; `Ready(Ok(0))` only for nothing.
    pub(crate) fn poll_write(
        &self,
        cx: &Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<Result<usize, SessionError>> {
        let len = buffers.iter().map(|buffer| buffer.len()).sum::<usize>();
        let len = len.min(LARGE_WRITE);
        let mut state = self.pipe.lock();
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if len == 0 {
            return Poll::Ready(Ok(0));
        }
        if state.outgoing_bytes >= self.pipe.identity.capacity {
            register(&mut state.writer, cx);
            return Poll::Pending;
        }
        if len <= SMALL_WRITE {
            if !state.separate_writes
                && let Some(last) = state.outbox.chunks.back_mut()
                && last.room() >= len
            {
                gather(buffers, len, last);
                state.outgoing_bytes += len;
            } else {
                let mut chunk = self.pipe.mailbox.chunk(len);
                gather(buffers, len, &mut chunk);
                state.outgoing_bytes += len;
                state.outbox.chunks.push_back(chunk);
            }
        } else {
            let spare = state.spare.pop();
            drop(state);
            let mut chunk = spare.unwrap_or_else(|| Chunk::for_len(len));
            gather(buffers, len, &mut chunk);
            state = self.pipe.lock();
            if let Some(error) = &state.ended {
                return Poll::Ready(Err(error.clone()));
            }
            state.outgoing_bytes += len;
            state.outbox.chunks.push_back(chunk);
        }
        state.drained = false;
        self.ask_visit(state);
        Poll::Ready(Ok(len))
    }

    /// Sends a whole message, already checked.
    pub(crate) fn poll_write_message(
        &self,
        cx: &Context<'_>,
        message: &[u8],
    ) -> Poll<Result<(), SessionError>> {
        let mut state = self.pipe.lock();
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        if state.outgoing_bytes >= self.pipe.identity.capacity {
            register(&mut state.writer, cx);
            return Poll::Pending;
        }
        let mut chunk = self.pipe.mailbox.chunk(message.len());
        chunk.extend(message);
        state.outgoing_bytes += message.len();
        state.outbox.chunks.push_back(chunk);
        state.drained = false;
        self.ask_visit(state);
        Poll::Ready(Ok(()))
    }

    /// Takes the next chunk in exchange for an emptied one, of which `consumed` bytes were not reported yet.
    pub(crate) fn poll_read(
        &self,
        cx: &Context<'_>,
        emptied: Option<Chunk>,
        consumed: usize,
    ) -> Poll<Result<Chunk, SessionError>> {
        let mut state = self.pipe.lock();
        if let Some(chunk) = emptied {
            state.outbox.consumed_bytes += consumed;
            state.outbox.consumed_messages += 1;
            if state.ended.is_none() {
                state.outbox.emptied.extend(self.pipe.mailbox.keep(chunk));
            }
        }
        let result = match (state.incoming.pop_front(), &state.ended) {
            (Some(chunk), _) => Poll::Ready(Ok(chunk)),
            (None, Some(error)) => Poll::Ready(Err(error.clone())),
            (None, None) => {
                register(&mut state.reader, cx);
                Poll::Pending
            }
        };
        self.report(state);
        result
    }

    /// Reports bytes read before their chunk is empty.
    pub(crate) fn report_consumed(&self, bytes: usize) {
        let mut state = self.pipe.lock();
        state.outbox.consumed_bytes += bytes;
        self.report(state);
    }

    /// Waits until everything written is acknowledged.
    pub(crate) fn poll_drained(&self, cx: &Context<'_>) -> Poll<Result<(), SessionError>> {
        let mut state = self.pipe.lock();
        if state.drained {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        register(&mut state.writer, cx);
        if !state.outbox.requests.drain {
            state.outbox.requests.drain = true;
            self.ask_visit(state);
        }
        Poll::Pending
    }

    /// Waits for the peer's first sign of life.
    pub(crate) fn poll_answered(&self, cx: &Context<'_>) -> Poll<Result<(), SessionError>> {
        let mut state = self.pipe.lock();
        if state.answered {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = &state.ended {
            return Poll::Ready(Err(error.clone()));
        }
        register(&mut state.watcher, cx);
        Poll::Pending
    }

    /// Queues an out-of-band message, already checked.
    pub(crate) fn send_oob(&self, message: Vec<u8>) -> Result<(), SessionError> {
        let mut state = self.pipe.lock();
        if let Some(error) = &state.ended {
            return Err(error.clone());
        }
        state.outbox.oob.push(message);
        self.ask_visit(state);
        Ok(())
    }

    pub(crate) fn poll_oob(&self, cx: &Context<'_>) -> Poll<Result<Vec<u8>, SessionError>> {
        let mut state = self.pipe.lock();
        match (state.incoming_oob.pop_front(), &state.ended) {
            (Some(message), _) => Poll::Ready(Ok(message)),
            (None, Some(error)) => Poll::Ready(Err(error.clone())),
            (None, None) => {
                register(&mut state.oob_reader, cx);
                Poll::Pending
            }
        }
    }

    /// Asks something of the session.
    pub(crate) fn request(&self, ask: impl FnOnce(&mut Requests)) {
        let mut state = self.pipe.lock();
        if state.ended.is_none() {
            ask(&mut state.outbox.requests);
            self.ask_visit(state);
        }
    }

    /// Changes the live session.
    pub(crate) fn change(&self, change: Change) {
        let mut state = self.pipe.lock();
        if state.ended.is_none() {
            match change {
                Change::WriteDelay(enabled) => state.write_delay = enabled,
                Change::StreamMode(enabled) => {
                    state.separate_writes = !enabled || self.pipe.identity.messages;
                }
                Change::Windows(_, receive) => {
                    state.threshold = Threshold::new(receive, self.pipe.identity.mss);
                }
                Change::NoDelay(..)
                | Change::Mtu(_)
                | Change::AckNoDelay(_)
                | Change::Duplicates(_)
                | Change::MaxBandwidth(_)
                | Change::ParityLimit(_) => {}
            }
            state.outbox.changes.push(change);
            self.ask_visit(state);
        }
    }

    /// Ends the session for its handles at once, whatever the driver does.
    pub(crate) fn abort(&self) {
        self.request(|requests| requests.abort = true);
        let mut state = self.pipe.lock();
        state.ended.get_or_insert(SessionError::Closed);
        state.incoming.clear();
    }

    pub(crate) fn stats(&self) -> SessionStats {
        self.pipe.stats()
    }

    pub(crate) fn ended(&self) -> Option<SessionError> {
        self.pipe.ended()
    }

    pub(crate) fn pipe(&self) -> Arc<Pipe> {
        Arc::clone(&self.pipe)
    }

    /// Sends what a write delay holds back.
    pub(crate) fn flush(&self) {
        let mut state = self.pipe.lock();
        if state.write_delay && state.ended.is_none() {
            state.outbox.requests.flush = true;
            self.ask_visit(state);
        }
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.pipe.identity
    }

    /// Has the driver look once enough was consumed.
    fn report(&self, state: MutexGuard<'_, State>) {
        let by_bytes = state.outbox.consumed_bytes >= state.threshold.bytes;
        let by_messages = self.pipe.identity.messages
            && state.outbox.consumed_messages as usize >= state.threshold.messages;
        if by_bytes || by_messages {
            self.ask_visit(state);
        }
    }

    fn ask_visit(&self, mut state: MutexGuard<'_, State>) {
        if !state.visit_asked {
            state.visit_asked = true;
            drop(state);
            self.pipe.mailbox.visit(self.pipe.identity.key);
        }
    }
}

/// Copies the first `len` bytes of `buffers` to `chunk`, which has room for them.
fn gather(buffers: &[IoSlice<'_>], len: usize, chunk: &mut Chunk) {
    let mut left = len;
    for buffer in buffers {
        let part = &buffer[..buffer.len().min(left)];
        chunk.push(part);
        left -= part.len();
    }
}
