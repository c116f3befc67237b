//! Works that move many bytes.

use std::future::poll_fn;
use std::io;
use std::pin::pin;

use tokio::time::{Instant, sleep_until};

use super::{CONNECT_PATIENCE, Caller, Tally, within};
use crate::client::Download;
use crate::model::Outcome;

/// Receives for the measured time.
pub(super) async fn bulk(caller: &Caller<'_>) -> io::Result<Outcome> {
    let client = within(
        CONNECT_PATIENCE,
        "connecting",
        caller.transport.connect(caller.server),
    )
    .await?;
    let mut download = within(CONNECT_PATIENCE, "asking", client.download()).await?;
    receive(&mut *download, Instant::now() + caller.times.before()).await?;
    let measured = caller.begin();
    let bytes = receive(&mut *download, measured.until).await?;
    let outcome = caller.end(&measured);
    Ok(Outcome { bytes, ..outcome })
}

/// Receives until then; returns how many bytes.
pub(super) async fn receive(download: &mut dyn Download, until: Instant) -> io::Result<u64> {
    let mut over = pin!(sleep_until(until));
    let mut bytes = 0;
    loop {
        tokio::select! {
            received = poll_fn(|cx| download.poll_next(cx)) => bytes += received? as u64,
            () = &mut over => return Ok(bytes),
        }
    }
}

/// Sends messages, each after the last is back, for the measured time.
pub(super) async fn echo(caller: &Caller<'_>, size: usize) -> io::Result<Outcome> {
    let client = within(
        CONNECT_PATIENCE,
        "connecting",
        caller.transport.connect(caller.server),
    )
    .await?;
    let mut echo = within(CONNECT_PATIENCE, "asking", client.echo(size)).await?;
    let patience = caller.times.patience();
    let warm = Instant::now() + caller.times.before();
    while Instant::now() < warm {
        within(patience, "an echo", echo.round()).await?;
    }
    let measured = caller.begin();
    let mut tally = Tally::default();
    while Instant::now() < measured.until {
        let begun = Instant::now();
        within(patience, "an echo", echo.round()).await?;
        tally.count(begun, Some(Ok(())));
    }
    let bytes = tally.calls * size as u64;
    let outcome = caller.end(&measured);
    Ok(tally.into_outcome(Outcome { bytes, ..outcome }))
}
