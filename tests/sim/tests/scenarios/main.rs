//! What must hold, in simulated time. One module per concern; every run repeats from the seed that a failure prints.

mod admission;
mod anything;
mod kcp_go;
mod latency;
mod lifetimes;
mod live;
mod streams;
mod transfers;
mod unary;
mod windows;

use std::time::Duration;

use sim::LinkConfig;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The link that `text` describes.
fn link(text: &str) -> LinkConfig {
    text.parse().expect("a description of a link")
}
