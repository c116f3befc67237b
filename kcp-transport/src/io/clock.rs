//! The only clock reading: tokio's, so that tests can pause it.

use tokio::time::Instant;

use crate::proto::Time;

/// Now, as tokio sees it.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place where the clock is read"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Translates between the protocol's time and tokio's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    pub(crate) fn new() -> Self {
        Self { origin: now() }
    }

    /// The time that has passed since the origin.
    pub(crate) fn now(&self) -> Time {
        Time::ZERO + now().duration_since(self.origin)
    }

    /// When tokio's clock shows `time`.
    pub(crate) fn instant(&self, time: Time) -> Instant {
        self.origin + time.since(Time::ZERO)
    }
}
