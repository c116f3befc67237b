//! What the handles of a session and its driver share: the protocol's state under one short lock.
//!
//! Nothing waits while it holds the lock, and nobody is woken under it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;

use tokio::sync::Notify;

use super::config::Config;
use super::error::SessionError;
use super::proto::{Event, Role, Session, StreamId};

/// The shared state of a session.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Something to accept, or the end: what tasks without a waker of their own wait for.
    changed: Notify,
}

/// What lies under the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) session: Session,
    /// Who waits on which stream. A stream without an entry has no handle.
    streams: BTreeMap<StreamId, Waiting>,
    /// How many handles keep the session open: its streams', and one for all of its own.
    handles: usize,
    pub(super) driver: DriverState,
    end_announced: bool,
}

/// The tasks that wait on one stream.
#[derive(Debug, Default)]
struct Waiting {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The driver as the handles see it: whether it must be woken, and how.
#[derive(Debug, Default)]
pub(super) struct DriverState {
    pub(super) waker: Option<Waker>,
    /// It found nothing to send.
    pub(super) send_idle: bool,
    /// It does not read, for want of receive budget.
    receive_paused: bool,
    /// It is gone, and the transport with it.
    pub(super) gone: bool,
}

/// A direction of a stream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Direction {
    Read,
    Write,
}

impl Shared {
    /// A new session with one handle.
    pub(super) fn new(role: Role, config: Config) -> Self {
        let state = State {
            session: Session::new(role, config, now()),
            streams: BTreeMap::new(),
            handles: 1,
            driver: DriverState::default(),
            end_announced: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Notify::new(),
        }
    }

    /// The only way to the state: whatever `f` did, those it concerns are woken afterwards.
    pub(super) fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut wakers = Vec::new();
        let (result, changed) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let result = f(&mut state);
            let changed = state.collect(&mut wakers);
            (result, changed)
        };
        wakers.into_iter().for_each(Waker::wake);
        if changed {
            self.changed.notify_waiters();
        }
        result
    }

    /// The driver is gone, and the transport with it: no handle waits any longer.
    pub(super) fn driver_gone(&self) {
        self.with(|state| {
            state.session.fail(SessionError::Closed);
            state.driver.gone = true;
        });
        self.changed.notify_waiters();
    }

    /// Waits until `f` gives something. `f` runs again after every change.
    pub(super) async fn wait_for<R>(&self, mut f: impl FnMut(&mut State) -> Option<R>) -> R {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(result) = self.with(&mut f) {
                return result;
            }
            changed.await;
        }
    }
}

impl State {
    /// Counts in a handle for `stream`.
    pub(super) fn add_stream(&mut self, stream: StreamId) {
        self.streams.insert(stream, Waiting::default());
        self.handles += 1;
    }

    /// The handle of `stream` is gone: the application has given it up.
    pub(super) fn remove_stream(&mut self, stream: StreamId) {
        self.session.close_stream(now(), stream);
        self.streams.remove(&stream);
        self.release();
    }

    /// The last of the session's own handles is gone: nobody can accept any more.
    pub(super) fn remove_acceptor(&mut self) {
        self.session.stop_accepting(now());
        self.release();
    }

    /// Why the session ended, once its transport is released.
    pub(super) fn over(&mut self) -> Option<SessionError> {
        self.session.end().filter(|_| self.driver.gone).cloned()
    }

    /// Has the task of `cx` woken when `stream` can go on in `direction`.
    pub(super) fn register(&mut self, stream: StreamId, direction: Direction, cx: &Context<'_>) {
        if let Some(waiting) = self.streams.get_mut(&stream) {
            register(waiting.slot(direction), cx);
        }
    }

    /// Whether the session takes input. If not, the driver is woken when it does.
    pub(super) fn listen(&mut self) -> bool {
        self.driver.receive_paused = !self.session.wants_input();
        !self.driver.receive_paused
    }

    fn take_waker(&mut self, stream: StreamId, direction: Direction) -> Option<Waker> {
        self.streams.get_mut(&stream)?.slot(direction).take()
    }

    fn release(&mut self) {
        self.handles -= 1;
        if self.handles == 0 {
            self.session.close(now());
        }
    }

    /// Moves the wakers of all that can go on to `out`. Whether those without a waker can, too.
    fn collect(&mut self, out: &mut Vec<Waker>) -> bool {
        let mut changed = false;
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Incoming | Event::Leaving => changed = true,
                Event::Readable(id) => out.extend(self.take_waker(id, Direction::Read)),
                Event::Writable(id) => out.extend(self.take_waker(id, Direction::Write)),
            }
        }
        let ended = self.session.end().is_some() && !self.end_announced;
        if ended {
            self.end_announced = true;
            changed = true;
            let waiting = self.streams.values_mut();
            out.extend(
                waiting
                    .flat_map(|Waiting { reader, writer }| [reader.take(), writer.take()])
                    .flatten(),
            );
        }
        let send = self.driver.send_idle && self.session.wants_transmit();
        let receive = self.driver.receive_paused && self.session.wants_input();
        if send || receive || ended {
            out.extend(self.driver.waker.take());
        }
        changed
    }
}

impl Waiting {
    const fn slot(&mut self, direction: Direction) -> &mut Option<Waker> {
        match direction {
            Direction::Read => &mut self.reader,
            Direction::Write => &mut self.writer,
        }
    }
}

/// Puts the task of `cx` into `slot`.
pub(super) fn register(slot: &mut Option<Waker>, cx: &Context<'_>) {
    match slot {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *slot = Some(cx.waker().clone()),
    }
}

/// The time. Follows tokio's clock, so tests can stop it.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
