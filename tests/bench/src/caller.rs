//! Does a work, and counts.

mod calls;
mod sessions;
mod streams;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::histogram::Histogram;
use crate::model::Outcome;
use crate::settings::Times;
use crate::transport::Transport;
use crate::work::Work;

/// Where a work is done, and for how long.
pub(crate) struct Caller<'a> {
    pub(crate) transport: &'a dyn Transport,
    pub(crate) server: SocketAddr,
    pub(crate) times: Times,
    /// Told when the measured time begins and ends.
    pub(crate) announce: &'a dyn Fn(Phase),
}

/// A moment that somebody else may want to read clocks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The measured time begins.
    Begin,
    /// The measured time is over; calls under way are still waited for.
    End,
}

impl Caller<'_> {
    /// Does `work`.
    ///
    /// # Errors
    /// If a connection cannot be made, or ends in the middle of a transfer. Calls that fail are counted instead.
    pub(crate) async fn run(&self, work: Work) -> io::Result<Outcome> {
        match work {
            Work::Bulk => streams::bulk(self).await,
            Work::Echo(size) => streams::echo(self, size).await,
            Work::Unary(response) => calls::isolated(self, response).await,
            Work::Load(rate) => calls::open_loop(self, rate, false).await,
            Work::Mixed(rate) => calls::open_loop(self, rate, true).await,
            Work::Callers(count) => calls::closed_loop(self, count).await,
            Work::Connect => calls::connects(self).await,
            Work::Idle(count) => sessions::hold(self, count, None).await,
            Work::Active(count) => sessions::hold(self, count, Some(HALF_A_SECOND)).await,
            Work::Message(count) => sessions::hold(self, count, Some(SECOND)).await,
        }
    }

    /// Begins the measured time.
    fn begin(&self) -> Measured {
        (self.announce)(Phase::Begin);
        let begun = Instant::now();
        Measured {
            begun,
            until: begun + self.times.measured(),
            cpu: clock::own_cpu(),
        }
    }

    /// Ends the measured time.
    fn end(&self, measured: &Measured) -> Outcome {
        (self.announce)(Phase::End);
        Outcome {
            seconds: measured.begun.elapsed().as_secs_f64(),
            cpu: clock::own_cpu().saturating_sub(measured.cpu).as_secs_f64(),
            ..Outcome::default()
        }
    }
}

/// The time that counts.
struct Measured {
    begun: Instant,
    until: Instant,
    cpu: Duration,
}

/// What became of calls.
#[derive(Debug, Default)]
struct Tally {
    latencies: Histogram,
    calls: u64,
    failed: u64,
    unfinished: u64,
    /// Of the first that failed.
    error: Option<String>,
}

impl Tally {
    /// Counts a call that began at `begun` and ended now; `None` if nobody waited for its end any longer. Such a
    /// call counts as one that took as long as it was waited for.
    fn count(&mut self, begun: Instant, result: Option<io::Result<()>>) {
        match result {
            Some(Ok(())) => self.calls += 1,
            Some(Err(error)) => {
                self.failed += 1;
                self.error.get_or_insert_with(|| error.to_string());
                return;
            }
            None => self.unfinished += 1,
        }
        self.latencies.record(begun.elapsed());
    }

    fn merge(&mut self, other: Self) {
        self.latencies.merge(&other.latencies);
        self.calls += other.calls;
        self.failed += other.failed;
        self.unfinished += other.unfinished;
        if self.error.is_none() {
            self.error = other.error;
        }
    }

    fn into_outcome(self, base: Outcome) -> Outcome {
        Outcome {
            calls: self.calls,
            failed: self.failed,
            unfinished: self.unfinished,
            latencies: self.latencies,
            first_error: self.error,
            ..base
        }
    }
}

/// Numbers that scatter pauses; where they come from is of no importance.
struct Scatter(u64);

impl Scatter {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// How long a connection may take to be there, whatever the link does.
const CONNECT_PATIENCE: Duration = Duration::from_secs(30);

/// From a call of a connection to its next, where there are many.
const SECOND: Duration = Duration::from_secs(1);

/// The same for those with twice as many.
const HALF_A_SECOND: Duration = Duration::from_millis(500);

/// The result of `future`, unless it takes too long.
async fn within<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{what} took more than {limit:?}"),
        )),
    }
}
