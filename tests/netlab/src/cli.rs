//! The command line: what can be asked for, and how it ends.

mod links;
mod relay;
#[cfg(target_os = "linux")]
mod tun;

use std::error::Error;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use netlab::link::LinkStats;

/// What a bad network does to packets, from a seed
///
/// `up` is the way from client to server, or from left to right; `down` is the way back.
/// Parameters hold for both, unless one direction has its own: `--up-rate 10mbit`, or several at
/// once: `--up "rate=10mbit loss=5%"`.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put a link between UDP clients and a server
    Relay(relay::Args),
    /// Put a link between two network namespaces (as root)
    #[cfg(target_os = "linux")]
    Tun(tun::Args),
}

impl Cli {
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        match self.command {
            Command::Relay(args) => args.run().await,
            #[cfg(target_os = "linux")]
            Command::Tun(args) => args.run().await,
        }
    }
}

/// Prints counters once a second while they change; never returns.
async fn report<S: PartialEq>(mut stats: impl FnMut() -> S, mut print: impl FnMut(&S, &S)) {
    let mut tick = tokio::time::interval(REPORT_EVERY);
    tick.tick().await;
    let mut before = stats();
    loop {
        tick.tick().await;
        let after = stats();
        if after != before {
            print(&before, &after);
        }
        before = after;
    }
}

/// One direction in a report: rates of the last interval, counters from the start.
fn direction(name: &str, before: &LinkStats, after: &LinkStats) -> String {
    let mbit =
        |before: u64, after: u64| (after - before) as f64 * 8.0 / REPORT_EVERY.as_secs_f64() / 1e6;
    format!(
        "{name} {:.2} → {:.2} Mbit/s, {after}",
        mbit(before.sent_bytes, after.sent_bytes),
        mbit(before.delivered_bytes, after.delivered_bytes),
    )
}

/// Returns when the user or the system wants us to end.
#[cfg(unix)]
async fn interrupted() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

/// Returns when the user wants us to end.
#[cfg(not(unix))]
async fn interrupted() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

const REPORT_EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
