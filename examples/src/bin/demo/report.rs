//! What was measured, and the table of it.

use std::fmt;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use netlab::relay::RelayStats;
use tokio::time::timeout;

use crate::PATIENCE;
use crate::traffic::{Meter, Traffic};

/// All that was measured.
pub(crate) struct Report {
    meter: Meter,
    rows: Vec<Row>,
    faults: Vec<String>,
    /// Packets that the links took, and how many of them they lost.
    link: (u64, u64),
}

impl Report {
    /// An empty one.
    pub(crate) fn new(meter: Meter) -> Self {
        Self {
            meter,
            rows: Vec::new(),
            faults: Vec::new(),
            link: (0, 0),
        }
    }

    /// Plays `scene` and keeps what it measured.
    pub(crate) async fn scene(&mut self, mut scene: Scene, play: impl AsyncFnOnce(&mut Scene)) {
        let before = self.meter.read().await;
        play(&mut scene).await;
        let traffic = self.meter.read().await - before;
        scene.bar.finish();
        let faults = scene.faults.iter();
        self.faults
            .extend(faults.map(|fault| format!("{}: {fault}", scene.name)));
        self.rows.push(Row::new(scene, traffic));
    }

    /// Something was lost or wrong.
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// A link has done this.
    pub(crate) fn link(&mut self, stats: RelayStats) {
        for link in [stats.up, stats.down] {
            self.link.0 += link.sent;
            self.link.1 += link.lost();
        }
    }

    /// Whether nothing was lost and nothing was wrong.
    pub(crate) fn is_flawless(&self) -> bool {
        self.faults.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [
            "p50 ms", "p99 ms", "max ms", "Mbit/s", "packets", "resent", "copies", "rebuilt",
            "useful",
        ];
        write!(f, "{:30}", "")?;
        for unit in units {
            write!(f, " {unit:>8}")?;
        }
        writeln!(f)?;
        for row in &self.rows {
            writeln!(f, "{row}")?;
        }
        let (sent, lost) = self.link;
        writeln!(
            f,
            "\nresent: after a loss. copies: before any loss was known. rebuilt: by error correction, without a resend.\n\
             useful: what the application wrote, of all bytes sent. A download's latency is that of its first bytes.\n\
             Of {sent} packets the links lost {lost}."
        )?;
        for fault in &self.faults {
            writeln!(f, "FAULT: {fault}")?;
        }
        if self.is_flawless() {
            writeln!(f, "Nothing was lost, nothing was wrong.")?;
        }
        Ok(())
    }
}

/// One kind of traffic, while it runs: counts calls, takes their times, moves a bar.
pub(crate) struct Scene {
    name: &'static str,
    bar: ProgressBar,
    begun: Instant,
    latencies: Vec<Duration>,
    bytes: u64,
    faults: Vec<String>,
}

impl Scene {
    /// A scene of so many calls.
    pub(crate) fn of_calls(name: &'static str, calls: usize) -> Self {
        Self::new(name, calls as u64, "{msg:32} {wide_bar} {pos}/{len}")
    }

    /// A scene of so many bytes.
    pub(crate) fn of_bytes(name: &'static str, bytes: usize) -> Self {
        Self::new(
            name,
            bytes as u64,
            "{msg:32} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
        )
    }

    fn new(name: &'static str, len: u64, template: &'static str) -> Self {
        let style = ProgressStyle::with_template(template).expect("the templates are ours");
        let bar = ProgressBar::new(len).with_style(style).with_message(name);
        Self {
            name,
            bar,
            begun: Instant::now(),
            latencies: Vec::new(),
            bytes: 0,
            faults: Vec::new(),
        }
    }

    /// Makes `calls` calls, `width` at a time. Each gives the useful bytes it received, or what went wrong.
    pub(crate) async fn calls<F>(&mut self, calls: usize, width: usize, call: impl Fn(usize) -> F)
    where
        F: Future<Output = Result<usize, String>>,
    {
        let timed = |n| {
            let call = call(n);
            async move {
                let begun = Instant::now();
                (call.await, begun.elapsed())
            }
        };
        let mut ended = stream::iter(0..calls).map(timed).buffer_unordered(width);
        loop {
            let next = timeout(PATIENCE, ended.next()).await;
            let Ok(next) = next else {
                return self.fault(format_args!("no answer came for {PATIENCE:?}"));
            };
            let Some((outcome, latency)) = next else {
                return;
            };
            self.bar.inc(1);
            self.latencies.push(latency);
            match outcome {
                Ok(bytes) => self.bytes += bytes as u64,
                Err(fault) => self.faults.push(fault),
            }
        }
    }

    /// So many useful bytes were received.
    pub(crate) fn received(&mut self, bytes: usize) {
        self.bar.inc(bytes as u64);
        self.bytes += bytes as u64;
    }

    /// The first bytes of an answer took so long.
    pub(crate) fn began_after(&mut self, latency: Duration) {
        self.latencies.push(latency);
    }

    /// Something was lost or wrong.
    pub(crate) fn fault(&mut self, fault: impl fmt::Display) {
        self.faults.push(fault.to_string());
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    /// Ascending.
    latencies: Vec<Duration>,
    /// Useful bytes received per second.
    goodput: f64,
    traffic: Traffic,
}

impl Row {
    fn new(scene: Scene, traffic: Traffic) -> Self {
        let goodput = scene.bytes as f64 / scene.begun.elapsed().as_secs_f64();
        let mut latencies = scene.latencies;
        latencies.sort_unstable();
        Self {
            name: scene.name,
            latencies,
            goodput,
            traffic,
        }
    }

    /// In milliseconds. By nearest rank.
    fn latency(&self, quantile: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * quantile).ceil() as usize;
        let latency = self.latencies.get(rank.saturating_sub(1));
        latency.map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e3)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:30}", self.name)?;
        for quantile in [0.5, 0.99, 1.0] {
            write!(f, " {:8.1}", self.latency(quantile))?;
        }
        let sent = &self.traffic;
        write!(f, " {:8.1}", self.goodput * 8e-6)?;
        for count in [sent.packets, sent.resent, sent.copies, sent.rebuilt] {
            write!(f, " {count:8}")?;
        }
        let useful = sent.useful_bytes as f64 / sent.wire_bytes as f64;
        write!(f, " {:7.0}%", 100.0 * useful)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn played(wrong: Option<usize>) -> Report {
        let mut report = Report::new(Meter::default());
        let scene = Scene::of_calls("calls", 10);
        let call = |n| async move {
            if wrong == Some(n) {
                return Err("a wrong answer".to_owned());
            }
            Ok(1)
        };
        let play = async |scene: &mut Scene| scene.calls(10, 4, call).await;
        report.scene(scene, play).await;
        report
    }

    #[tokio::test]
    async fn one_wrong_answer_spoils_the_report() {
        assert!(played(None).await.is_flawless());
        let spoilt = played(Some(7)).await;
        assert!(!spoilt.is_flawless());
        assert!(spoilt.to_string().contains("FAULT: calls: a wrong answer"));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_never_comes_spoils_the_report() {
        let mut scene = Scene::of_calls("calls", 1);
        scene.calls(1, 1, |_| std::future::pending()).await;
        assert_eq!(scene.faults, ["no answer came for 60s"]);
    }
}
