//! What a run measured, as it is kept in a file.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::names::Transport;
use crate::work::Work;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Version of this form.
    pub(crate) version: u32,
    /// What was asked for.
    pub(crate) preset: String,
    /// Where it ran.
    pub(crate) machine: Machine,
    /// What was left out, and why.
    pub(crate) notes: Vec<String>,
    /// The results.
    pub(crate) cells: Vec<Cell>,
}

/// The machine of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) kernel: String,
}

/// One work over one transport on one link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Cell {
    pub(crate) transport: Transport,
    pub(crate) work: Work,
    pub(crate) link: Link,
    /// One for each round.
    pub(crate) samples: Vec<Sample>,
}

/// One round of a cell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// What the caller counted; nothing if it failed.
    pub(crate) outcome: Option<Outcome>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// What the server used.
    pub(crate) server: Usage,
    /// What the caller used.
    pub(crate) caller: Usage,
}

/// What a process used within the measured time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Seconds on the processor.
    pub(crate) cpu: f64,
    /// Bytes of memory at the end.
    pub(crate) memory: u64,
}

/// What a caller counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// How long the measured time was.
    pub(crate) seconds: f64,
    /// Seconds that the caller was on the processor, by its own account.
    pub(crate) cpu: f64,
    /// Bytes that arrived, of works that move bytes.
    pub(crate) bytes: u64,
    /// Calls that were answered.
    pub(crate) calls: u64,
    /// Calls that failed.
    pub(crate) failed: u64,
    /// Calls that nobody waited for any longer. They are among the latencies.
    pub(crate) unfinished: u64,
    /// From call to answer.
    pub(crate) latencies: Histogram,
    /// Why the first call failed that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first_error: Option<String>,
}

impl Cell {
    /// Megabytes a second, of each round that succeeded.
    pub(crate) fn rates(&self) -> Vec<f64> {
        self.each(|_, outcome| outcome.bytes as f64 / outcome.seconds / 1e6)
    }

    /// Calls a second.
    pub(crate) fn call_rates(&self) -> Vec<f64> {
        self.each(|_, outcome| outcome.calls as f64 / outcome.seconds)
    }

    /// Seconds on the processor, of both ends, per gigabyte.
    pub(crate) fn cpu_per_gb(&self) -> Vec<f64> {
        self.each(|sample, outcome| sample.cpu() / (outcome.bytes as f64 / 1e9))
    }

    /// Microseconds on the processor, of both ends, per call.
    pub(crate) fn cpu_per_call(&self) -> Vec<f64> {
        self.each(|sample, outcome| sample.cpu() / outcome.calls as f64 * 1e6)
    }

    /// Share of one processor that both ends took.
    pub(crate) fn load(&self) -> Vec<f64> {
        self.each(|sample, outcome| sample.cpu() / outcome.seconds)
    }

    /// Megabytes of memory, of both ends.
    pub(crate) fn memory(&self) -> Vec<f64> {
        self.each(|sample, _| (sample.server.memory + sample.caller.memory) as f64 / 1e6)
    }

    /// The latencies of all rounds.
    pub(crate) fn latencies(&self) -> Histogram {
        let mut all = Histogram::default();
        for sample in &self.samples {
            if let Some(outcome) = &sample.outcome {
                all.merge(&outcome.latencies);
            }
        }
        all
    }

    /// Milliseconds that this share of all calls does not exceed.
    pub(crate) fn millis(&self, share: f64) -> Option<f64> {
        let quantile = self.latencies().quantile(share)?;
        Some(quantile.as_secs_f64() * 1e3)
    }

    /// Calls that failed or were given up.
    pub(crate) fn lost(&self) -> u64 {
        let lost = |sample: &Sample| {
            let outcome = sample.outcome.as_ref();
            outcome.map_or(0, |outcome| outcome.failed + outcome.unfinished)
        };
        self.samples.iter().map(lost).sum()
    }

    /// Why a round failed, if one did.
    pub(crate) fn error(&self) -> Option<&str> {
        self.samples
            .iter()
            .find_map(|sample| sample.error.as_deref())
    }

    /// The cell of one round alone.
    pub(crate) fn round(&self, round: usize) -> Self {
        let samples = self.samples.get(round).cloned();
        Self {
            samples: samples.into_iter().collect(),
            ..*self
        }
    }

    fn each(&self, figure: impl Fn(&Sample, &Outcome) -> f64) -> Vec<f64> {
        let of = |sample: &Sample| Some(figure(sample, sample.outcome.as_ref()?));
        let figures = self.samples.iter().filter_map(of);
        figures.filter(|figure| figure.is_finite()).collect()
    }
}

impl Sample {
    fn cpu(&self) -> f64 {
        self.server.cpu + self.caller.cpu
    }
}

impl Run {
    /// The cell of these three, if it was measured.
    pub(crate) fn cell(&self, transport: Transport, work: Work, link: Link) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|cell| cell.transport == transport && cell.work == work && cell.link == link)
    }

    /// Adds what another run measured; of a cell that both have, this one's stays.
    pub(crate) fn merge(&mut self, other: Self) {
        for cell in other.cells {
            if self.cell(cell.transport, cell.work, cell.link).is_none() {
                self.cells.push(cell);
            }
        }
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        if !self.preset.split('+').any(|part| part == other.preset) {
            self.preset = format!("{}+{}", self.preset, other.preset);
        }
    }
}

/// What is between the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Link {
    /// The loopback interface.
    Loopback,
    /// The loopback interface, and both ends on one processor.
    OneCore,
    /// An emulated link that loses so many percent each way.
    Emulated {
        /// Percent lost.
        loss: u8,
        /// Whether it joins network namespaces: the kernel's TCP crosses it too, and lengths include IP headers.
        tun: bool,
    },
}

impl Link {
    /// Percent lost each way, if it is an emulated one.
    pub(crate) fn loss(self) -> Option<u8> {
        match self {
            Self::Loopback | Self::OneCore => None,
            Self::Emulated { loss, .. } => Some(loss),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Loopback => "loopback".to_owned(),
            Self::OneCore => "one-core".to_owned(),
            Self::Emulated { loss, tun: false } => format!("relay:{loss}"),
            Self::Emulated { loss, tun: true } => format!("tun:{loss}"),
        };
        f.pad(&name)
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let emulated = |loss: &str, tun| {
            let loss = loss.trim_end_matches('%').parse().ok()?;
            (loss <= 100).then_some(Self::Emulated { loss, tun })
        };
        let link = match text.split_once(':') {
            None if text == "loopback" => Some(Self::Loopback),
            None if text == "one-core" => Some(Self::OneCore),
            Some(("relay", loss)) => emulated(loss, false),
            Some(("tun", loss)) => emulated(loss, true),
            None | Some(_) => None,
        };
        link.ok_or_else(|| format!("no link `{text}`: loopback, one-core, relay:5 or tun:5"))
    }
}

impl TryFrom<String> for Link {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Link> for String {
    fn from(link: Link) -> Self {
        link.to_string()
    }
}

/// Least, median and greatest of figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without figures.
    pub(crate) fn of(figures: &[f64]) -> Option<Self> {
        let mut sorted = figures.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Some(Self { min, median, max })
    }
}

/// The version of the form that this program writes and reads.
pub(crate) const VERSION: u32 = 1;

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A run with three rounds of every kind of work over some transports.
    pub(crate) fn sample_run() -> Run {
        let mut run = Run {
            version: VERSION,
            preset: "test".to_owned(),
            machine: Machine {
                processor: "one & only <fast>".to_owned(),
                processors: 2,
                kernel: "1.0".to_owned(),
            },
            notes: vec!["tcp-bbr left out: no such module".to_owned()],
            cells: Vec::new(),
        };
        let links = ["loopback", "one-core", "tun:0", "tun:5"];
        for link in links.map(|link| link.parse().unwrap()) {
            for (work, at) in Work::SAMPLES.into_iter().zip(1..) {
                for (name, speed) in [("kcp-aes-fec", 8), ("kcpgo-aes-fec", 1), ("quinn-cubic", 4)]
                {
                    run.cells.push(Cell {
                        transport: name.parse().unwrap(),
                        work,
                        link,
                        samples: (1..=3).map(|round| sample(speed * round * at)).collect(),
                    });
                }
            }
        }
        run.cells[1].samples[0] = Sample {
            error: Some("refused".to_owned()),
            ..Sample::default()
        };
        run
    }

    fn sample(speed: u64) -> Sample {
        let mut latencies = Histogram::default();
        for call in 1..=100 {
            latencies.record(Duration::from_micros(100_000 * call / speed));
        }
        Sample {
            outcome: Some(Outcome {
                seconds: 2.0,
                cpu: 0.5,
                bytes: speed * 100_000_000,
                calls: 100,
                latencies,
                ..Outcome::default()
            }),
            error: None,
            server: Usage {
                cpu: 1.0,
                memory: 10_000_000 / speed,
            },
            caller: Usage {
                cpu: 0.5,
                memory: 20_000_000 / speed,
            },
        }
    }

    #[test]
    fn a_run_survives_its_file() {
        let run = sample_run();
        let text = serde_json::to_string(&run).unwrap();
        assert_eq!(serde_json::from_str::<Run>(&text).unwrap(), run);
    }

    #[test]
    fn figures_are_those_of_both_ends_and_of_rounds_that_succeeded() {
        let run = sample_run();
        let cell = &run.cells[0];
        assert_eq!(cell.rates(), [400.0, 800.0, 1_200.0]);
        assert_eq!(cell.cpu_per_gb(), [1.5 / 0.8, 1.5 / 1.6, 1.5 / 2.4]);
        assert_eq!(cell.load(), [0.75; 3]);
        assert_eq!(cell.call_rates(), [50.0; 3]);
        assert_eq!(cell.memory()[0], 3.75);
        assert_eq!(run.cells[1].rates().len(), 2);
        assert_eq!(run.cells[1].error(), Some("refused"));
    }

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((spread.min, spread.median, spread.max), (1.0, 2.5, 4.0));
        assert_eq!(Spread::of(&[7.0]).unwrap().median, 7.0);
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn links_are_read_back() {
        for text in ["loopback", "one-core", "relay:0", "tun:20"] {
            assert_eq!(text.parse::<Link>().unwrap().to_string(), text);
        }
        assert_eq!("tun:5%".parse(), "tun:5".parse::<Link>());
        for text in ["", "loop", "tun", "tun:101", "tun:x", "veth:5"] {
            assert!(text.parse::<Link>().is_err(), "{text}");
        }
    }

    #[test]
    fn merging_keeps_the_first_of_two_equal_cells() {
        let mut run = sample_run();
        let mut other = sample_run();
        let cells = run.cells.len();
        other.preset = "other".to_owned();
        other.cells[0].samples.clear();
        other.cells[1].link = "relay:9".parse().unwrap();
        run.merge(other);
        assert_eq!(run.cells.len(), cells + 1);
        assert_eq!(run.cells[0].samples.len(), 3);
        assert_eq!(run.preset, "test+other");
    }
}
