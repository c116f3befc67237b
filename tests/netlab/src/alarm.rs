//! Wakes a task at a given time, to a fraction of a millisecond.
//!
//! The timer of the runtime rounds up to whole milliseconds, twice: once in its wheel, once on the
//! way to the kernel. That is a tenth of a short path, and turns a steady stream into bursts. The
//! kernel wakes a sleeping thread on time, so a thread sleeps here.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Instant;

use tokio::sync::Notify;

/// An alarm for one task. Its thread ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Alarm(Arc<Sleeper>);

impl Alarm {
    pub(crate) fn new() -> io::Result<Self> {
        let sleeper = Arc::new(Sleeper {
            plan: Mutex::new(Plan::Sleep),
            changed: Condvar::new(),
            rung: Notify::new(),
        });
        let thread = Arc::clone(&sleeper);
        thread::Builder::new()
            .name("netlab-alarm".to_owned())
            .spawn(move || thread.run())?;
        Ok(Self(sleeper))
    }

    /// Makes `rung` return at `at`, and not at the time set before.
    pub(crate) fn set(&self, at: Instant) {
        let mut plan = self.0.plan();
        // If it sleeps shorter anyway, it will find the later time by itself.
        let too_long = match *plan {
            Plan::Sleep => true,
            Plan::RingAt(before) => at < before,
            Plan::End => false,
        };
        *plan = Plan::RingAt(at);
        drop(plan);
        if too_long {
            self.0.changed.notify_one();
        }
    }

    /// Returns when the alarm rings, or `ring` is called; at once if that was since the last time.
    pub(crate) async fn rung(&self) {
        self.0.rung.notified().await;
    }

    /// Rings now.
    pub(crate) fn ring(&self) {
        self.0.rung.notify_one();
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        *self.0.plan() = Plan::End;
        self.0.changed.notify_one();
    }
}

/// What the alarm and its thread have in common.
#[derive(Debug)]
struct Sleeper {
    plan: Mutex<Plan>,
    changed: Condvar,
    rung: Notify,
}

#[derive(Clone, Copy, Debug)]
enum Plan {
    Sleep,
    RingAt(Instant),
    End,
}

impl Sleeper {
    fn run(&self) {
        let mut plan = self.plan();
        loop {
            plan = match *plan {
                Plan::End => return,
                Plan::Sleep => self.changed.wait(plan).expect(NOT_POISONED),
                Plan::RingAt(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        *plan = Plan::Sleep;
                        self.rung.notify_one();
                        plan
                    } else {
                        self.changed.wait_timeout(plan, left).expect(NOT_POISONED).0
                    }
                }
            };
        }
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().expect(NOT_POISONED)
    }
}

const NOT_POISONED: &str = "nobody panics while holding the plan";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// Time after which something that should happen at once has failed to happen.
    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn an_alarm_rings_when_set_and_not_before() {
        let alarm = Alarm::new().unwrap();
        let at = Instant::now() + Duration::from_millis(3);
        alarm.set(at);
        timeout(PATIENCE, alarm.rung()).await.unwrap();
        assert!(Instant::now() >= at);
    }

    #[tokio::test]
    async fn the_time_set_last_counts_be_it_sooner_or_later() {
        let alarm = Alarm::new().unwrap();
        let start = Instant::now();
        alarm.set(start + 2 * PATIENCE);
        alarm.set(start + Duration::from_millis(1));
        alarm.set(start + Duration::from_millis(5));
        timeout(PATIENCE, alarm.rung()).await.unwrap();
        assert!(start.elapsed() >= Duration::from_millis(5));
    }

    #[tokio::test]
    async fn its_thread_ends_with_it() {
        let alarm = Alarm::new().unwrap();
        alarm.set(Instant::now() + 2 * PATIENCE);
        let sleeper = Arc::downgrade(&alarm.0);
        drop(alarm);
        let ended = timeout(PATIENCE, async {
            while sleeper.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        });
        ended.await.unwrap();
    }
}
