//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use kcp_transport::Fec;
use netlab::link::{Jitter, LinkConfig, Loss, Probability};

/// gRPC and HTTP over a bad link: a tonic server, a hyper server and their clients in one process, and between them a UDP
/// relay that loses and delays packets. Ends with a table; fails if a single byte was lost or wrong.
#[derive(Parser)]
#[command(name = "demo")]
pub(crate) struct Args {
    /// File to download; without it a random one is made
    pub(crate) file: Option<PathBuf>,

    /// Size of the random file, in MiB
    #[arg(long, default_value_t = 64)]
    pub(crate) size: u64,

    /// Packets lost, in percent, each way
    #[arg(long, default_value_t = 5.0, value_name = "PERCENT")]
    pub(crate) loss: f64,

    /// Delay in milliseconds, each way
    #[arg(long, default_value_t = 25, value_name = "MS")]
    pub(crate) delay: u64,

    /// Variation of the delay in milliseconds, each way; packets overtake each other
    #[arg(long, default_value_t = 0, value_name = "MS")]
    pub(crate) jitter: u64,

    /// Data and parity packets of a group of the error correction, or `off`
    #[arg(long, default_value = "10/3", value_parser = fec, value_name = "D/P")]
    pub(crate) fec: OptionalFec,

    /// Calls one after the other; ten times as many are made concurrently
    #[arg(long, default_value_t = 100)]
    pub(crate) calls: usize,

    /// Do without multiplexing: every connection is a session
    #[arg(long)]
    pub(crate) no_mux: bool,

    /// Seed of the link's dice
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Error correction, or none.
#[derive(Clone, Copy)]
pub(crate) struct OptionalFec(pub(crate) Option<Fec>);

impl Args {
    /// What the link does, each way.
    pub(crate) fn link(&self) -> Result<LinkConfig, netlab::link::ConfigError> {
        Ok(LinkConfig::new()
            .loss(Loss::Independent(Probability::percent(self.loss)?))
            .delay(Duration::from_millis(self.delay))
            .jitter(Jitter::uniform(Duration::from_millis(self.jitter)).reordering()))
    }
}

fn fec(text: &str) -> Result<OptionalFec, String> {
    if text == "off" {
        return Ok(OptionalFec(None));
    }
    let (data, parity) = text.split_once('/').ok_or("write it like 10/3, or off")?;
    let [data, parity] = [data, parity].map(str::parse);
    let fec = Fec::new(data.map_err(text_of)?, parity.map_err(text_of)?).map_err(text_of)?;
    Ok(OptionalFec(Some(fec)))
}

fn text_of(error: impl ToString) -> String {
    error.to_string()
}
