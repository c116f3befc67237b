//! When to ping the peer, and when to give it up. Reads no clock: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::config::KeepAlive;
use super::wire::OWN_PING;

/// Keep-alive of one session.
#[derive(Debug)]
pub(super) struct Pulse {
    settings: KeepAlive,
    last_received: Instant,
    next_ping: Instant,
    /// The ping that waits for its answer.
    under_way: Option<(u32, Instant)>,
    pings: u32,
}

impl Pulse {
    pub(super) fn new(settings: KeepAlive, now: Instant) -> Self {
        let next_ping = now + settings.interval;
        Self {
            settings,
            last_received: now,
            next_ping,
            under_way: None,
            pings: 0,
        }
    }

    /// Something was received, whatever it was.
    pub(super) fn handle_received(&mut self, now: Instant) {
        self.last_received = now;
    }

    /// A ping was answered: the round-trip time, if it was the one under way.
    pub(super) fn handle_pong(&mut self, now: Instant, value: u32) -> Option<Duration> {
        let (_, sent) = self.under_way.take_if(|(expected, _)| *expected == value)?;
        Some(now - sent)
    }

    /// The ping to send now, if one is due. None follows one that is under way: behind many bytes an answer may take
    /// longer than the interval, and would never be the latest.
    pub(super) fn poll_ping(&mut self, now: Instant) -> Option<u32> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.settings.interval;
        if self.under_way.is_some() {
            return None;
        }
        let value = self.pings | OWN_PING;
        self.pings = self.pings.wrapping_add(1);
        self.under_way = Some((value, now));
        Some(value)
    }

    /// How long the peer has been silent, if that is too long.
    pub(super) fn silence(&self, now: Instant) -> Option<Duration> {
        let timeout = self.settings.timeout;
        (now >= self.last_received + timeout).then_some(timeout)
    }

    /// When to look again.
    pub(super) fn poll_timeout(&self) -> Instant {
        self.next_ping
            .min(self.last_received + self.settings.timeout)
    }
}
