//! Two links, one each way, between a task that moves packets and a handle that controls them.

use std::io;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::alarm::Alarm;
use crate::link::{Link, LinkConfig, LinkStats};

/// Both directions of a path. The mover takes the lock once per turn, not once per packet.
#[derive(Debug)]
pub(crate) struct Duplex {
    links: Mutex<Links>,
    origin: Instant,
    alarm: Alarm,
}

#[derive(Debug)]
pub(crate) struct Links {
    pub(crate) up: Link,
    pub(crate) down: Link,
}

impl Duplex {
    /// The directions draw from different random streams of one seed.
    pub(crate) fn new(up: LinkConfig, down: LinkConfig, seed: u64) -> io::Result<Self> {
        Ok(Self {
            links: Mutex::new(Links {
                up: Link::new(up, seed),
                down: Link::new(down, !seed),
            }),
            origin: Instant::now(),
            alarm: Alarm::new()?,
        })
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
        self.alarm.ring();
    }

    /// Returns when a packet is due, somebody called `wake`, or for no reason.
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
        // A time that no clock will reach is no time.
        if let Some(at) = due.and_then(|due| self.origin.checked_add(on_the_grid(due))) {
            self.alarm.set(at);
        }
        self.alarm.rung().await;
    }
}

/// The next multiple of `GRID`, so that packets due shortly after each other leave together.
fn on_the_grid(due: Duration) -> Duration {
    let steps = due.as_nanos().div_ceil(GRID.as_nanos());
    u32::try_from(steps).map_or(due, |steps| GRID * steps)
}

/// How late a packet may be: at most so often do we wake up for packets that are due. Short against
/// any path worth emulating; long against the cost of waking up, some 20 µs.
const GRID: Duration = Duration::from_micros(250);
