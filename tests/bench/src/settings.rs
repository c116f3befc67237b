//! What both ends of a transport are told beside its name.

use std::time::Duration;

use clap::Args;

/// What an application would set for the link it knows. Transports that have no such setting do without.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Settings {
    /// KCP: send and receive window in segments
    #[arg(long, default_value_t = 1_024, value_name = "SEGMENTS", value_parser = clap::value_parser!(u16).range(1..=32_767))]
    pub(crate) window: u16,
    /// KCP, ours and kcp-go's: most bytes a second that a session sends; 0 for no limit
    #[arg(long, default_value_t = 0, value_name = "BYTES")]
    pub(crate) bandwidth: u32,
    /// KCP, ours and kcp-go's: acknowledge every datagram at once
    #[arg(long)]
    pub(crate) ack_no_delay: bool,
    /// Threads of the Rust programs' runtimes
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) threads: u16,
}

impl Settings {
    /// As arguments of `bench serve` and `bench call`.
    pub(crate) fn flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--window={}", self.window),
            format!("--bandwidth={}", self.bandwidth),
            format!("--threads={}", self.threads),
        ];
        if self.ack_no_delay {
            flags.push("--ack-no-delay".to_owned());
        }
        flags
    }
}

/// How long a caller takes for its parts.
#[derive(Clone, Copy, Debug, PartialEq, Args)]
pub(crate) struct Times {
    /// How long the work is measured
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    pub(crate) seconds: f64,
    /// How long it runs before that
    #[arg(long, default_value_t = 0.5, value_parser = seconds)]
    pub(crate) warmup: f64,
    /// How long calls under way at the end are waited for
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub(crate) drain: f64,
    /// Mean pause between isolated calls, in milliseconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(0..=60_000))]
    pub(crate) pause: u32,
}

impl Times {
    /// As arguments of `bench call`.
    pub(crate) fn flags(&self) -> Vec<String> {
        vec![
            format!("--seconds={}", self.seconds),
            format!("--warmup={}", self.warmup),
            format!("--drain={}", self.drain),
            format!("--pause={}", self.pause),
        ]
    }

    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    pub(crate) fn before(&self) -> Duration {
        Duration::from_secs_f64(self.warmup)
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.drain)
    }
}

/// Parses a time in seconds that a run can last.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("`{text}` is no number"))?;
    if (0.0..=3_600.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is not from 0 to 3600"))
    }
}

/// What the ends that open UDP sockets themselves ask the kernel for, in bytes.
pub(crate) const SOCKET_BUFFER: usize = 16 << 20;

/// Bytes of a write in bulk.
pub(crate) const CHUNK: usize = 64 << 10;
