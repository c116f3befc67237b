//! Where log lines go and what they look like: kcptun's time, then the text.

use core::fmt;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::sync::Mutex;

use jiff::Zoned;
use tracing::{Level, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Logs to the end of the file, or to standard error. Whoever has set up a log before keeps it.
pub(super) fn start(path: Option<&Path>) -> io::Result<()> {
    let registry = tracing_subscriber::registry();
    let _ = match path {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            registry.with(layer(Mutex::new(file))).try_init()
        }
        None => registry.with(layer(io::stderr)).try_init(),
    };
    Ok(())
}

fn layer<S, W>(writer: W) -> impl tracing_subscriber::Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> tracing_subscriber::fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    // The transport warns of every unencrypted socket; the program has done so once.
    let filter = Targets::new()
        .with_default(Level::WARN)
        .with_target("kcp_tunnel", Level::INFO)
        .with_target("kcp_transport::endpoint", Level::ERROR);
    tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_timer(LocalTime)
        .with_target(false)
        .with_filter(filter)
}

/// The local time as Go's package `log` writes it.
struct LocalTime;

impl FormatTime for LocalTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{}", Zoned::now().strftime("%Y/%m/%d %H:%M:%S"))
    }
}
