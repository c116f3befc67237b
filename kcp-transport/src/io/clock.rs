//! The only reading of the clock.

use tokio::time::Instant;

/// The present, as tokio's timers see it: in a test with a paused clock, the paused time.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place the rule points to"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
