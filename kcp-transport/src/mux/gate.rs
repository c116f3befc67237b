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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// A stream that wants to write frames of 10 bytes.
    struct Writer {
        id: u32,
        queued: bool,
        wakes: Arc<Wakes>,
    }

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    impl Writer {
        fn many<const N: usize>() -> [Self; N] {
            std::array::from_fn(|i| Self {
                id: i as u32,
                queued: false,
                wakes: Arc::default(),
            })
        }

        fn enters(&mut self, gate: &Gate) -> bool {
            let waker = Waker::from(Arc::clone(&self.wakes));
            let mut cx = Context::from_waker(&waker);
            gate.poll_enter(&mut cx, self.id, &mut self.queued, 10) == Poll::Ready(Ok(()))
        }

        fn was_woken(&self) -> bool {
            self.wakes.0.swap(0, Ordering::Relaxed) > 0
        }
    }

    #[test]
    fn it_holds_one_frame_more_than_the_mark_at_most() {
        let gate = Gate::new(25, 10);
        let mut writers = Writer::many::<10>();
        assert_eq!(
            writers
                .iter_mut()
                .filter_map(|w| w.enters(&gate).then_some(()))
                .count(),
            3
        );
        assert_eq!(gate.held(), 30);
    }

    #[test]
    fn those_who_wait_take_turns_and_nobody_passes_them() {
        let gate = Gate::new(20, 10);
        let [mut a, mut b, mut c] = Writer::many();
        assert!(a.enters(&gate) && a.enters(&gate));
        assert!(!a.enters(&gate) && !b.enters(&gate));
        gate.leave(10);
        assert!(a.was_woken() && !b.was_woken());
        assert!(!c.enters(&gate), "b is before c");
        assert!(a.enters(&gate));
        assert!(!a.enters(&gate), "one frame a turn");
        gate.leave(10);
        assert!(b.was_woken() && !c.was_woken() && !a.was_woken());
        assert!(b.enters(&gate));
        gate.leave(10);
        assert!(c.was_woken() && !a.was_woken());
        assert!(c.enters(&gate));
        gate.leave(10);
        assert!(a.was_woken() && a.enters(&gate));
    }

    #[test]
    fn streams_that_do_not_use_their_turn_keep_nobody_out() {
        let gate = Gate::new(20, 10);
        let [mut idle, mut gone, mut eager] = Writer::many();
        assert!(idle.enters(&gate) && idle.enters(&gate));
        assert!(!idle.enters(&gate) && !gone.enters(&gate) && !eager.enters(&gate));
        gate.forget(gone.id);
        gate.leave(10);
        assert!(idle.was_woken() && !eager.was_woken());
        gate.leave(10);
        assert!(eager.was_woken() && !gone.was_woken());
        assert!(eager.enters(&gate));
    }

    #[test]
    fn an_empty_session_has_woken_everyone() {
        let gate = Gate::new(20, 10);
        let mut writers = Writer::many::<10>();
        let inside = writers
            .iter_mut()
            .map(|w| w.enters(&gate))
            .filter(|enters| *enters)
            .count();
        assert_eq!(inside, 2);
        gate.leave(20);
        assert!(writers[2..].iter().all(Writer::was_woken));
    }

    #[test]
    fn closing_wakes_everyone_and_lets_nobody_in() {
        let gate = Gate::new(5, 10);
        let [mut a, mut b] = Writer::many();
        assert!(a.enters(&gate) && !b.enters(&gate));
        gate.close();
        assert!(b.was_woken());
        let mut cx = Context::from_waker(Waker::noop());
        assert_eq!(
            gate.poll_enter(&mut cx, 7, &mut false, 10),
            Poll::Ready(Err(GateClosed))
        );
    }
}
