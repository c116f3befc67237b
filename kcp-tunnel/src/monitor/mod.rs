//! How a running tunnel is watched from outside: by people with `kcp-tunnel stats`, by Prometheus.
//!
//! Shows what [`status`](crate::status) tells, and counts nothing itself.

mod metrics;
mod serve;
mod snapshot;
mod view;

pub use metrics::prometheus_text;
pub use serve::{fetch, serve_metrics, serve_status};
pub use snapshot::{SessionSnapshot, Snapshot};
pub use view::render;
