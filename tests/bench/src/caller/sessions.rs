//! Works whose cost is that of many connections.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::calls::connected;
use super::{CONNECT_PATIENCE, Caller, Scatter, Tally, within};
use crate::client::{Client, Echo};
use crate::model::Outcome;
use crate::work::SMALL;

/// Holds so many connections; each makes a call every `period`, if there is one.
pub(super) async fn hold(
    caller: &Caller<'_>,
    count: usize,
    period: Option<Duration>,
) -> io::Result<Outcome> {
    let connections: Vec<_> = stream::iter(0..count)
        .map(|_| Connection::open(caller, period.is_some()))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let start = Instant::now() + caller.times.before().max(SETTLE);
    let until = start + caller.times.measured();
    let patience = caller.times.patience();
    let mut held = Vec::new();
    let mut tasks = JoinSet::new();
    // One for all: what each call counts lies in the caches, and is not part of what a connection costs.
    let tally = Arc::new(Mutex::new(Tally::default()));
    let mut scatter = Scatter::new(1);
    for connection in connections {
        let Connection { client, echo } = connection;
        let (Some(mut echo), Some(period)) = (echo, period) else {
            held.push(client);
            continue;
        };
        let mut next = Instant::now() + period.mul_f64(scatter.unit());
        let tally = Arc::clone(&tally);
        tasks.spawn(async move {
            while next < until {
                sleep_until(next).await;
                let begun = Instant::now();
                let result = timeout(patience, echo.round()).await.ok();
                let lost = !matches!(result, Some(Ok(())));
                if begun >= start || lost {
                    lock(&tally).count(begun, result);
                }
                if lost {
                    break;
                }
                next += period;
            }
            // The connection stays until its time is over.
            sleep_until(until + GRACE).await;
            drop(client);
        });
    }
    sleep_until(start).await;
    let measured = caller.begin();
    sleep_until(until).await;
    let outcome = caller.end(&measured);
    // A call that panicked has been reported on standard error, and is missing in the count.
    while tasks.join_next().await.is_some() {}
    drop(held);
    let tally = std::mem::take(&mut *lock(&tally));
    Ok(tally.into_outcome(outcome))
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Connection {
    client: Box<dyn Client>,
    /// Its one stream, if it is active: what calls go through otherwise is made for many at a time.
    echo: Option<Box<dyn Echo>>,
}

impl Connection {
    async fn open(caller: &Caller<'_>, active: bool) -> io::Result<Self> {
        if !active {
            let client = connected(caller).await?;
            return Ok(Self { client, echo: None });
        }
        let connect = async {
            let client = caller.transport.connect(caller.server).await?;
            let mut echo = client.echo(SMALL).await?;
            echo.round().await?;
            Ok(Self {
                client,
                echo: Some(echo),
            })
        };
        within(CONNECT_PATIENCE, "connecting", connect).await
    }
}

/// Connections that are being made at a time.
const AT_ONCE: usize = 64;

/// How long connections are left alone before they are measured, at least: buffers are given back by then.
const SETTLE: Duration = Duration::from_secs(2);

/// How long connections stay after the end, while others look at the memory they take.
const GRACE: Duration = Duration::from_millis(200);
