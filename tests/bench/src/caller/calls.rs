//! Works that make calls.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::streams::receive;
use super::{CONNECT_PATIENCE, Caller, Scatter, Tally, within};
use crate::client::Client;
use crate::model::Outcome;
use crate::work::SMALL;

/// A connection that has answered a first call.
pub(super) async fn connected(caller: &Caller<'_>) -> io::Result<Box<dyn Client>> {
    let connect = async {
        let client = caller.transport.connect(caller.server).await?;
        client.call(SMALL).await?;
        Ok(client)
    };
    within(CONNECT_PATIENCE, "connecting", connect).await
}

/// Calls with pauses in between, on several connections.
pub(super) async fn isolated(caller: &Caller<'_>, response: usize) -> io::Result<Outcome> {
    let clients = futures_util::future::try_join_all((0..LANES).map(|_| connected(caller))).await?;
    sleep(caller.times.before()).await;
    let measured = caller.begin();
    let (until, patience) = (measured.until, caller.times.patience());
    let pause = f64::from(caller.times.pause) / 1e3;
    let mut lanes = JoinSet::new();
    for (lane, client) in clients.into_iter().enumerate() {
        lanes.spawn(async move {
            let mut scatter = Scatter::new(lane as u64);
            let mut tally = Tally::default();
            loop {
                let begin = Instant::now() + Duration::from_secs_f64(2.0 * pause * scatter.unit());
                if begin >= until {
                    return tally;
                }
                sleep_until(begin).await;
                let begun = Instant::now();
                let result = timeout(patience, client.call(response)).await.ok();
                let lost = !matches!(result, Some(Ok(())));
                tally.count(begun, result);
                // A stream whose call is given up is out of step.
                if lost {
                    return tally;
                }
            }
        });
    }
    sleep_until(until).await;
    let outcome = caller.end(&measured);
    Ok(all(lanes).await.into_outcome(outcome))
}

/// Calls at a rate, answered or not; with `bulk`, beside a transfer on the same connection.
pub(super) async fn open_loop(caller: &Caller<'_>, rate: u32, bulk: bool) -> io::Result<Outcome> {
    let client: Arc<dyn Client> = connected(caller).await?.into();
    let mut download = match bulk {
        true => Some(within(CONNECT_PATIENCE, "asking", client.download()).await?),
        false => None,
    };
    let start = Instant::now() + caller.times.before();
    match &mut download {
        Some(download) => receive(&mut **download, start).await.map(|_| ())?,
        None => sleep_until(start).await,
    }
    let measured = caller.begin();
    let (begun, until) = (measured.begun, measured.until);
    let transfer = async {
        match &mut download {
            Some(download) => receive(&mut **download, until).await,
            None => {
                sleep_until(until).await;
                Ok(0)
            }
        }
    };
    let patience = caller.times.patience();
    let issue = async {
        let mut calls = JoinSet::new();
        let mut tally = Tally::default();
        let mut issued = 0_u64;
        let mut tick = tokio::time::interval(TICK);
        while Instant::now() < until {
            tick.tick().await;
            let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u64;
            // What is so late that it cannot be held any more counts as unfinished.
            while issued < due && calls.len() < MAX_UNDER_WAY {
                issued += 1;
                let client = Arc::clone(&client);
                calls.spawn(one_call(client, patience));
            }
            while let Some(Ok(done)) = calls.try_join_next() {
                tally.merge(done);
            }
        }
        (calls, tally)
    };
    let (bytes, (calls, mut tally)) = tokio::join!(transfer, issue);
    let outcome = caller.end(&measured);
    tally.merge(all(calls).await);
    let bytes = bytes?;
    Ok(tally.into_outcome(Outcome { bytes, ..outcome }))
}

async fn one_call(client: Arc<dyn Client>, patience: Duration) -> Tally {
    let mut tally = Tally::default();
    let begun = Instant::now();
    let result = timeout(patience, client.call(SMALL)).await.ok();
    tally.count(begun, result);
    tally
}

/// Callers that call again as soon as they are answered; only calls within the measured time count.
pub(super) async fn closed_loop(caller: &Caller<'_>, count: usize) -> io::Result<Outcome> {
    let client: Arc<dyn Client> = connected(caller).await?.into();
    let patience = caller.times.patience();
    let counting = Arc::new(AtomicBool::new(false));
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..count {
        let client = Arc::clone(&client);
        let (counting, over) = (Arc::clone(&counting), Arc::clone(&over));
        callers.spawn(async move {
            let mut tally = Tally::default();
            while !over.load(Ordering::Relaxed) {
                let counts = counting.load(Ordering::Relaxed);
                let begun = Instant::now();
                let result = timeout(patience, client.call(SMALL)).await.ok();
                let lost = !matches!(result, Some(Ok(())));
                if lost || counts && !over.load(Ordering::Relaxed) {
                    tally.count(begun, result);
                }
                if lost {
                    break;
                }
            }
            tally
        });
    }
    sleep(caller.times.before()).await;
    counting.store(true, Ordering::Relaxed);
    let measured = caller.begin();
    sleep_until(measured.until).await;
    over.store(true, Ordering::Relaxed);
    let outcome = caller.end(&measured);
    Ok(all(callers).await.into_outcome(outcome))
}

/// New connections one after the other, each with its first call.
pub(super) async fn connects(caller: &Caller<'_>) -> io::Result<Outcome> {
    connected(caller).await?;
    let patience = caller.times.patience();
    let measured = caller.begin();
    let mut tally = Tally::default();
    // So few that the kernel does not run out of ports, which it holds back for a minute.
    while Instant::now() < measured.until && tally.calls + tally.failed < MAX_CONNECTS {
        let begun = Instant::now();
        let result = timeout(patience, connected(caller)).await.ok();
        tally.count(begun, result.map(|result| result.map(drop)));
        sleep(TICK).await;
    }
    let outcome = caller.end(&measured);
    Ok(tally.into_outcome(outcome))
}

/// Waits for all of them.
pub(super) async fn all(mut tasks: JoinSet<Tally>) -> Tally {
    let mut tally = Tally::default();
    while let Some(done) = tasks.join_next().await {
        // A call that panicked has been reported on standard error, and is missing in the count.
        if let Ok(done) = done {
            tally.merge(done);
        }
    }
    tally
}

/// Connections of isolated calls: as many samples as so many hosts would give.
const LANES: usize = 16;

/// How exactly calls are issued.
const TICK: Duration = Duration::from_millis(1);

/// Most calls under way.
const MAX_UNDER_WAY: usize = 100_000;

/// Most connections that are made one after the other.
const MAX_CONNECTS: u64 = 2_000;
