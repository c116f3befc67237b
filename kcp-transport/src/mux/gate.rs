//! Back-pressure: how many bytes may wait in a session, and whose turn it is to add some.
//!
//! A stream enters before it writes; the driver lets bytes leave as the connection below takes
//! them. While the session is full, streams queue, and each enters once per turn with at most one
//! frame, so none starves. A place is never reserved for a stream that may not come back for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

/// The session as a room for `high` bytes.
#[derive(Debug)]
pub(super) struct Gate {
    high: usize,
    frame_size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    held: usize,
    closed: bool,
    /// Streams that wait, in the order they came. Never any while `held` is 0: who waits is woken
    /// by bytes that leave.
    queue: VecDeque<u32>,
    wakers: HashMap<u32, Waker>,
}

/// The session has ended.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct GateClosed;

impl Gate {
    pub(super) fn new(high: usize, frame_size: usize) -> Self {
        Self {
            high,
            frame_size,
            state: Mutex::default(),
        }
    }

    /// Enters with `bytes`, at most one frame, or queues.
    ///
    /// `queued` is the stream's own mark that it waits; it starts as `false`.
    pub(super) fn poll_enter(
        &self,
        cx: &mut Context<'_>,
        stream: u32,
        queued: &mut bool,
        bytes: usize,
    ) -> Poll<Result<(), GateClosed>> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(Err(GateClosed));
        }
        let was_woken = *queued && !state.wakers.contains_key(&stream);
        if state.held < self.high && (was_woken || state.queue.is_empty()) {
            *queued = false;
            state.held += bytes;
            return Poll::Ready(Ok(()));
        }
        *queued = true;
        if state.wakers.insert(stream, cx.waker().clone()).is_none() {
            state.queue.push_back(stream);
        }
        Poll::Pending
    }

    /// Lets `bytes` leave, and wakes as many streams as there is room for, at least one.
    pub(super) fn leave(&self, bytes: usize) {
        self.settle(0, bytes);
    }

    /// Counts what was `added` without asking and what has `left`, then wakes as [`leave`](Self::leave).
    pub(super) fn settle(&self, added: usize, left: usize) {
        let mut state = self.state();
        state.held = (state.held + added).saturating_sub(left);
        if state.held >= self.high || state.queue.is_empty() {
            return;
        }
        let turns = match state.held {
            0 => state.queue.len(),
            held => ((self.high - held) / self.frame_size).clamp(1, state.queue.len()),
        };
        let woken = state.call(turns);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Takes a stream that is gone off the queue.
    pub(super) fn forget(&self, stream: u32) {
        let mut state = self.state();
        if state.wakers.remove(&stream).is_some() {
            state.queue.retain(|&waiting| waiting != stream);
        }
    }

    /// Ends all waiting: the session is over.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let turns = state.queue.len();
        let woken = state.call(turns);
        drop(state);
        woken.into_iter().for_each(Waker::wake);
    }

    /// Bytes that wait.
    pub(super) fn held(&self) -> usize {
        self.state().held
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl State {
    /// Takes the first `turns` streams off the queue.
    fn call(&mut self, turns: usize) -> Vec<Waker> {
        let Self { queue, wakers, .. } = self;
        queue
            .drain(..turns)
            .filter_map(|stream| wakers.remove(&stream))
            .collect()
    }
}
