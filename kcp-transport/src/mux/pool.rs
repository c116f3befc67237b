//! The sessions that a connector keeps, by target.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::backoff::{Backoff, Jitter};
use super::error::MuxConnectError;
use super::session::MuxSession;
use crate::io::clock;

/// Targets that a pool holds before it looks for some to forget.
const FIRST_SWEEP: usize = 16;

/// What an attempt to connect came to; everyone who waits for it gets a clone.
type Outcome = Result<MuxSession, MuxConnectError>;

/// Every target that has a session, an attempt to connect, or a user.
#[derive(Debug)]
pub(super) struct Pool<T> {
    lanes: usize,
    targets: Mutex<Targets<T>>,
}

#[derive(Debug)]
struct Targets<T> {
    known: HashMap<T, Arc<Target>>,
    /// Size at which to sweep: twice what the last sweep left, so a sweep costs little per target.
    sweep_at: usize,
}

impl<T: Hash + Eq + Clone> Pool<T> {
    /// A pool of `lanes` sessions for each target, at least one.
    pub(super) fn new(lanes: usize) -> Self {
        let targets = Targets {
            known: HashMap::new(),
            sweep_at: FIRST_SWEEP,
        };
        Self {
            lanes: lanes.max(1),
            targets: Mutex::new(targets),
        }
    }

    /// The sessions of `target`. It is not forgotten while the caller holds them.
    pub(super) fn target(&self, target: &T) -> Arc<Target> {
        let mut targets = self.lock();
        if let Some(known) = targets.known.get(target) {
            return Arc::clone(known);
        }
        if targets.known.len() >= targets.sweep_at {
            targets.sweep();
        }
        let new = Arc::new(Target::new(self.lanes));
        targets.known.insert(target.clone(), Arc::clone(&new));
        new
    }

    /// How many targets are worth keeping; the others are forgotten.
    pub(super) fn len(&self) -> usize {
        let mut targets = self.lock();
        targets.sweep();
        targets.known.len()
    }

    fn lock(&self) -> MutexGuard<'_, Targets<T>> {
        self.targets
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl<T: Hash + Eq> Targets<T> {
    fn sweep(&mut self) {
        let now = clock::now();
        self.known
            .retain(|_, target| Arc::strong_count(target) > 1 || target.is_needed(now));
        self.sweep_at = (2 * self.known.len()).max(FIRST_SWEEP);
    }
}

/// The sessions to one target.
#[derive(Debug)]
pub(super) struct Target {
    lanes: Box<[Arc<Lane>]>,
    next: AtomicUsize,
}

impl Target {
    fn new(lanes: usize) -> Self {
        Self {
            lanes: (0..lanes).map(|_| Arc::default()).collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// The lane with this number, counted round; without a number, each in its turn.
    pub(super) fn lane(&self, pin: Option<usize>) -> &Arc<Lane> {
        let number = pin.unwrap_or_else(|| self.next.fetch_add(1, Ordering::Relaxed));
        &self.lanes[number % self.lanes.len()]
    }

    fn is_needed(&self, now: Instant) -> bool {
        self.lanes.iter().any(|lane| lane.is_needed(now))
    }
}

/// The place of one session, now and after it has been lost.
#[derive(Debug, Default)]
pub(super) struct Lane(Mutex<LaneState>);

#[derive(Debug, Default)]
struct LaneState {
    /// The session, and when it was established.
    session: Option<(MuxSession, Instant)>,
    dial: Weak<Dial>,
    /// Attempts in a row that failed, or whose sessions were lost soon after.
    failures: u32,
    /// When the next attempt may start.
    not_before: Option<Instant>,
}

impl Lane {
    /// The live session, or the attempt that everyone waits for, or a new attempt: `connect`.
    pub(super) fn claim<F>(
        self: &Arc<Self>,
        retry: &Arc<Retry>,
        connect: impl FnOnce() -> F,
    ) -> Claim
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let mut state = self.lock();
        if let Some(session) = state.live_session(retry) {
            return Claim::Session(session);
        }
        if let Some(dial) = state.dial.upgrade() {
            return Claim::Dial(dial);
        }
        let dial = Dial::start(
            Arc::clone(self),
            state.not_before,
            Arc::clone(retry),
            connect(),
        );
        state.dial = Arc::downgrade(&dial);
        Claim::Dial(dial)
    }

    /// Files what an attempt came to; the next caller does not wait for it any more.
    fn file(&self, outcome: &Outcome, retry: &Retry) {
        let mut state = self.lock();
        state.dial = Weak::new();
        match outcome {
            Ok(session) => state.session = Some((session.clone(), clock::now())),
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                state.not_before = Some(clock::now() + retry.delay(state.failures));
                debug!(%error, failures = state.failures, "cannot connect");
            }
        }
    }

    fn is_needed(&self, now: Instant) -> bool {
        let state = self.lock();
        let live = state
            .session
            .as_ref()
            .is_some_and(|(session, _)| !session.is_closed());
        live || state.dial.strong_count() > 0 || state.not_before.is_some_and(|at| now < at)
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.0
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl LaneState {
    /// The session, if streams can be opened on it. One that was lost soon after it was established
    /// counts as a failure: connecting over KCP succeeds even where nobody answers.
    fn live_session(&mut self, retry: &Retry) -> Option<MuxSession> {
        let (session, established) = self.session.take()?;
        if !session.is_closed() {
            self.session = Some((session.clone(), established));
            return Some(session);
        }
        if clock::now() - established < retry.backoff.max() {
            self.failures = self.failures.saturating_add(1);
            self.not_before = Some(established + retry.delay(self.failures));
        } else {
            self.failures = 0;
            self.not_before = None;
        }
        None
    }
}

/// A session, now or soon.
#[derive(Debug)]
pub(super) enum Claim {
    Session(MuxSession),
    Dial(Arc<Dial>),
}

impl Claim {
    pub(super) async fn outcome(self) -> Outcome {
        match self {
            Self::Session(session) => Ok(session),
            Self::Dial(dial) => dial.outcome().await,
        }
    }
}

/// An attempt to connect, given up when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Dial {
    outcome: watch::Receiver<Option<Outcome>>,
    task: AbortHandle,
}

impl Dial {
    fn start(
        lane: Arc<Lane>,
        not_before: Option<Instant>,
        retry: Arc<Retry>,
        connect: impl Future<Output = Outcome> + Send + 'static,
    ) -> Arc<Self> {
        let (tell, outcome) = watch::channel(None);
        let task = tokio::spawn(async move {
            if let Some(start) = not_before {
                sleep_until(start).await;
            }
            let outcome = connect.await;
            lane.file(&outcome, &retry);
            tell.send_replace(Some(outcome));
        });
        Arc::new(Self {
            outcome,
            task: task.abort_handle(),
        })
    }

    async fn outcome(&self) -> Outcome {
        let mut outcome = self.outcome.clone();
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().expect("waited for"),
            Err(_) => Err(MuxConnectError::dial("the connector panicked")),
        }
    }
}

impl Drop for Dial {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// When to try again.
#[derive(Debug)]
pub(super) struct Retry {
    backoff: Backoff,
    jitter: Mutex<Jitter>,
}

impl Retry {
    pub(super) fn new(backoff: Backoff, jitter: Jitter) -> Self {
        Self {
            backoff,
            jitter: Mutex::new(jitter),
        }
    }

    pub(super) fn backoff(&self) -> Backoff {
        self.backoff
    }

    fn delay(&self, failures: u32) -> Duration {
        let mut jitter = self
            .jitter
            .lock()
            .expect("nothing panics while it holds the lock");
        self.backoff.delay(failures, &mut jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_that_nobody_needs_do_not_pile_up() {
        let pool = Pool::new(1);
        let users: Vec<_> = (0..40).map(|target| pool.target(&target)).collect();
        for target in 100..1_000 {
            pool.target(&target);
            assert!(pool.lock().known.len() <= 80 + 1);
        }
        assert_eq!(pool.len(), 40);
        drop(users);
        assert_eq!(pool.len(), 0);
    }
}
