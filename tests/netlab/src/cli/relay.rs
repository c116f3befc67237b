//! `netlab relay`

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use netlab::relay::{Relay, RelayStats};

use super::links::Links;
use super::{direction, interrupted, report};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address for clients to send to; port 0 is any free one
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// What the random decisions come from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    links: Links,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let Self {
            listen,
            to,
            seed,
            links: Links { up, down },
        } = self;
        let server = tokio::net::lookup_host(&to)
            .await?
            .find(|server| server.is_ipv4() == listen.is_ipv4())
            .ok_or_else(|| format!("{to} has no address of the family of {listen}"))?;
        println!("up: {up}; down: {down}; seed {seed}");
        let relay = Relay::listen(listen, server, up, down, seed)?;
        println!("{} → {server}", relay.local_addr());
        tokio::select! {
            () = report(|| relay.stats(), print) => {}
            result = interrupted() => result?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print(before: &RelayStats, after: &RelayStats) {
    let up = direction("up", &before.up, &after.up);
    let down = direction("down", &before.down, &after.down);
    println!(
        "{up}; {down}; {} clients, {} errors",
        after.clients, after.socket_errors
    );
}
