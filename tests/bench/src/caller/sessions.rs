//! Works whose cost is that of many connections.

use std::io;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::calls::{all, connected};
use super::{Caller, Scatter, Tally};
use crate::model::Outcome;
use crate::work::SMALL;

/// Holds so many connections; if `active`, each makes a call twice a second.
pub(super) async fn hold(caller: &Caller<'_>, count: usize, active: bool) -> io::Result<Outcome> {
    let clients: Vec<_> = stream::iter(0..count)
        .map(|_| connected(caller))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let start = Instant::now() + caller.times.before().max(SETTLE);
    let until = start + caller.times.measured();
    let patience = caller.times.patience();
    let mut held = Vec::new();
    let mut tasks = JoinSet::new();
    let mut scatter = Scatter::new(1);
    for client in clients {
        if !active {
            held.push(client);
            continue;
        }
        let mut next = Instant::now() + PERIOD.mul_f64(scatter.unit());
        tasks.spawn(async move {
            let mut tally = Tally::default();
            while next < until {
                sleep_until(next).await;
                let begun = Instant::now();
                let result = timeout(patience, client.call(SMALL)).await.ok();
                let lost = !matches!(result, Some(Ok(())));
                if begun >= start || lost {
                    tally.count(begun, result);
                }
                if lost {
                    break;
                }
                next += PERIOD;
            }
            // The connection stays until its time is over.
            sleep_until(until + GRACE).await;
            tally
        });
    }
    sleep_until(start).await;
    let measured = caller.begin();
    sleep_until(until).await;
    let outcome = caller.end(&measured);
    let outcome = all(tasks).await.into_outcome(outcome);
    drop(held);
    Ok(outcome)
}

/// Connections that are being made at a time.
const AT_ONCE: usize = 64;

/// How long connections are left alone before they are measured, at least: buffers are given back by then.
const SETTLE: Duration = Duration::from_secs(2);

/// From a call of a connection to its next.
const PERIOD: Duration = Duration::from_millis(500);

/// How long connections stay after the end, while others look at the memory they take.
const GRACE: Duration = Duration::from_millis(200);
