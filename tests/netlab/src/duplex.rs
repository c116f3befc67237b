//! Two links, one each way, between a task that moves packets and a handle that controls them.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::link::{Link, LinkConfig, LinkStats};

/// Both directions of a path. The mover takes the lock once per turn, not once per packet.
#[derive(Debug)]
pub(crate) struct Duplex {
    links: Mutex<Links>,
    origin: Instant,
    changed: Notify,
}

#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) up: Link,
    pub(crate) down: Link,
}

impl Duplex {
    /// The directions draw from different random streams of one seed.
    pub(crate) fn new(up: LinkConfig, down: LinkConfig, seed: u64) -> Self {
        Self {
            links: Mutex::new(Links {
                up: Link::new(up, seed),
                down: Link::new(down, !seed),
            }),
            origin: Instant::now(),
            changed: Notify::new(),
        }
    }

    pub(crate) fn set_links(&self, up: LinkConfig, down: LinkConfig) {
        let now = self.now();
        let mut links = self.lock();
        links.up.set_config(now, up);
        links.down.set_config(now, down);
        drop(links);
        self.wake();
    }

    pub(crate) fn set_blackout(&self, blackout: bool) {
        let now = self.now();
        let mut links = self.lock();
        links.up.set_blackout(now, blackout);
        links.down.set_blackout(now, blackout);
    }

    /// The counters of both directions, up first.
    pub(crate) fn stats(&self) -> (LinkStats, LinkStats) {
        let links = self.lock();
        (*links.up.stats(), *links.down.stats())
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().expect("a link does not panic")
    }

    /// The time as the links count it.
    pub(crate) fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// Makes `wait` return.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Returns when a packet is due, or somebody called `wake`.
    pub(crate) async fn wait(&self) {
        let due = {
            let links = self.lock();
            links
                .up
                .next_delivery()
                .into_iter()
                .chain(links.down.next_delivery())
                .min()
        };
        let changed = self.changed.notified();
        // A time that no clock will reach is no time.
        match due.and_then(|due| self.origin.checked_add(due)) {
            Some(due) => {
                // Either way the caller looks at everything again.
                let _ = tokio::time::timeout_at(due, changed).await;
            }
            None => changed.await,
        }
    }
}
