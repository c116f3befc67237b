//! When a silent end must speak, and when a silent peer is gone.
//!
//! Deadlines, not ticks: Go's library looks once per timeout and so needs one to two of them.

use core::time::Duration;
use std::time::Instant;

/// The two clocks of a session.
#[derive(Debug)]
pub(super) struct Liveness {
    interval: Duration,
    timeout: Duration,
    sent: Instant,
    heard: Instant,
    /// Whether this end reads what the peer sends. While it does not, silence proves nothing.
    listening: bool,
    nop_due: bool,
}

impl Liveness {
    pub(super) fn new(now: Instant, interval: Duration, timeout: Duration) -> Self {
        Self {
            interval,
            timeout,
            sent: now,
            heard: now,
            listening: true,
            nop_due: false,
        }
    }

    /// Bytes came from the peer.
    pub(super) fn handle_heard(&mut self, now: Instant) {
        self.heard = now;
    }

    /// A frame of any kind leaves: the peer takes it as a sign of life.
    pub(super) fn handle_sent(&mut self, now: Instant) {
        self.sent = now;
        self.nop_due = false;
    }

    /// This end stops or resumes reading. The peer gets a full timeout from when it resumes.
    pub(super) fn set_listening(&mut self, now: Instant, listening: bool) {
        if listening && !self.listening {
            self.heard = now;
        }
        self.listening = listening;
    }

    /// Time has passed. `Err` with the timeout if the peer was silent for too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), Duration> {
        self.nop_due |= now >= self.sent + self.interval;
        if self.listening && now >= self.heard + self.timeout {
            return Err(self.timeout);
        }
        Ok(())
    }

    /// When `handle_timeout` has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let speak = (!self.nop_due).then(|| self.sent + self.interval);
        let give_up = self.listening.then(|| self.heard + self.timeout);
        speak.into_iter().chain(give_up).min()
    }

    /// When bytes last came from the peer, or could have: the session's start, or the end of a pause.
    pub(super) const fn last_heard(&self) -> Instant {
        self.heard
    }

    /// Whether a NOP must be sent.
    pub(super) const fn nop_due(&self) -> bool {
        self.nop_due
    }
}
