//! `stats`: a live view of a running tunnel.

use core::time::Duration;
use std::io::{self, IsTerminal as _};

use super::{Failure, block_on, print};
use crate::config::{ConfigError, Endpoint};
use crate::monitor::{fetch, render};

/// Shows the tunnel whose address is in the arguments.
pub(super) fn run(mut args: impl Iterator<Item = String>) -> Result<(), Failure> {
    let mut once = false;
    let mut interval = 1;
    let mut rows = 20;
    let mut address = None;
    while let Some(arg) = args.next() {
        let mut number = |name| {
            let value = args.next().ok_or(ConfigError::MissingValue(name))?;
            let number = value
                .parse()
                .ok()
                .filter(|number| (1..=86_400).contains(number));
            number.ok_or_else(|| Failure::Usage(format!("{name} must be from 1 to 86400")))
        };
        match arg.trim_start_matches('-') {
            "h" | "help" if arg.starts_with('-') => return print(HELP),
            "once" if arg.starts_with('-') => once = true,
            "interval" if arg.starts_with('-') => interval = number("interval")?,
            "rows" if arg.starts_with('-') => rows = number("rows")? as usize,
            _ if arg.starts_with('-') || address.is_some() => {
                return Err(ConfigError::UnexpectedArgument(arg).into());
            }
            _ => address = Some(arg),
        }
    }
    let Some(address) = address else {
        return Err(Failure::Usage(
            "stats needs the address that 'status' has".to_owned(),
        ));
    };
    let endpoint = Endpoint::parse(&address).map_err(|error| Failure::Usage(error.to_string()))?;
    block_on(async move {
        let clear = if io::stdout().is_terminal() {
            "\x1b[H\x1b[J"
        } else {
            ""
        };
        let mut before = None;
        loop {
            let now = fetch(&endpoint)
                .await
                .map_err(|error| format!("no answer from {endpoint}: {error}"))?;
            let screen = render(before.as_ref(), &now, rows);
            match print(&format!("{clear}{screen}")) {
                Ok(()) => {}
                Err(Failure::Usage(error) | Failure::Run(error)) => return Err(error),
            }
            if once {
                return Ok(());
            }
            before = Some(now);
            tokio::time::sleep(Duration::from_secs(interval)).await;
        }
    })
}

const HELP: &str = "\
Shows what a running tunnel does, anew every second: for each session the round-trip time, the share
of lost packets and of segments sent again, the packets that error correction has rebuilt, how much of
what is sent is useful, streams, and bytes per second.

Usage: kcp-tunnel stats [--once] [--interval SECONDS] [--rows COUNT] ADDRESS

ADDRESS is what the tunnel's flag 'status' has: a loopback address or the path of a unix socket.";
