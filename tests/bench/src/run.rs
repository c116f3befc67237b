//! Runs a plan: every transport of a case has its turn, round after round, so that what disturbs the machine
//! disturbs them all.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use crate::lab::{Bench, Task};
use crate::model::{Cell, Link, Machine, Run, VERSION};
use crate::plan::{self, Case, Preset};
use crate::report::table;

/// A plan with all that the command line says about it.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) preset: Preset,
    pub(crate) cases: Vec<Case>,
    pub(crate) rounds: u32,
    /// How long each sample is measured; what the preset says if not given.
    pub(crate) seconds: Option<f64>,
    pub(crate) threads: u16,
    pub(crate) seed: u64,
}

/// Runs it, prints a table after each case, and says on standard error how far it is.
///
/// # Errors
/// If this program does not know where it is itself. What fails of the plan is in the result.
pub(crate) async fn run(order: &Order, go: Option<PathBuf>) -> io::Result<Run> {
    let bench = Bench {
        program: std::env::current_exe()?,
        go,
    };
    let mut result = Run {
        version: VERSION,
        preset: order.preset.name().to_owned(),
        machine: machine(),
        ..Run::default()
    };
    let (cases, notes) = possible(&order.cases, bench.go.is_some());
    for note in &notes {
        eprintln!("SKIPPED: {note}");
    }
    result.notes = notes;
    let turns: usize = cases.iter().map(|case| case.transports.len()).sum();
    let mut progress = Progress::new(turns * order.rounds as usize);
    for case in &cases {
        let cell = |&transport| Cell {
            transport,
            work: case.work,
            link: case.link,
            samples: Vec::new(),
        };
        let mut cells: Vec<_> = case.transports.iter().map(cell).collect();
        let seconds = order.seconds.unwrap_or(order.preset.seconds(case.link));
        for round in 0..order.rounds {
            for cell in &mut cells {
                progress.show(cell, round);
                let task = Task {
                    transport: cell.transport,
                    work: case.work,
                    link: case.link,
                    settings: &plan::settings(case.link, cell.transport, order.threads),
                    times: &plan::times(case.link, seconds),
                    seed: order.seed.wrapping_add(round.into()),
                };
                cell.samples.push(bench.sample(&task).await);
            }
        }
        progress.clear();
        println!("{}", table::of_case(&cells));
        result.cells.extend(cells);
    }
    Ok(result)
}

/// The cases without what cannot be run here, and why not.
fn possible(cases: &[Case], go: bool) -> (Vec<Case>, Vec<String>) {
    let mut notes = Vec::new();
    let mut note = |text: &str| {
        if !notes.iter().any(|known| known == text) {
            notes.push(text.to_owned());
        }
    };
    let mut left = Vec::new();
    for case in cases {
        let mut case = case.clone();
        let relayed = matches!(case.link, Link::Emulated { tun: false, .. });
        case.transports.retain(|transport| {
            if transport.is_go() && !go {
                note("kcp-go, for want of Go");
            } else if transport.is_tcp() && relayed {
                note("TCP on the emulated link: a relay cannot carry it, --tun (as root) can");
            } else {
                return true;
            }
            false
        });
        if !case.transports.is_empty() {
            left.push(case);
        }
    }
    (left, notes)
}

fn machine() -> Machine {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let processor = model.and_then(|line| line.split_once(':'));
    let kernel = read("/proc/sys/kernel/osrelease");
    Machine {
        processor: processor.map_or_else(
            || std::env::consts::ARCH.to_owned(),
            |(_, name)| name.trim().to_owned(),
        ),
        processors: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: format!("{} {}", std::env::consts::OS, kernel.trim()),
    }
}

/// How far a run is, in one line of a terminal.
struct Progress {
    turn: usize,
    turns: usize,
    shown: bool,
}

impl Progress {
    fn new(turns: usize) -> Self {
        Self {
            turn: 0,
            turns,
            shown: io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, cell: &Cell, round: u32) {
        self.turn += 1;
        if self.shown {
            let Cell {
                transport,
                work,
                link,
                ..
            } = cell;
            let (turn, turns) = (self.turn, self.turns);
            eprint!(
                "\r\x1b[K{turn}/{turns}: {work}, {link}, {transport}, round {}",
                round + 1
            );
            // A line that is not seen does no harm.
            let _ = io::stderr().flush();
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_run_is_left_out_with_one_note_each() {
        let cases = Preset::Full.cases(false, &[1, 5]);
        let (left, notes) = possible(&cases, false);
        assert_eq!(notes.len(), 2, "{notes:?}");
        let transports = || left.iter().flat_map(|case| &case.transports);
        assert!(!transports().any(|transport| transport.is_go()));
        assert!(transports().any(|transport| transport.is_tcp()));
        let relayed = left.iter().filter(|case| case.link.loss().is_some());
        assert!(
            !relayed
                .flat_map(|case| &case.transports)
                .any(|transport| transport.is_tcp())
        );
        let (all, notes) = possible(&Preset::Full.cases(true, &[1]), true);
        assert_eq!(all, Preset::Full.cases(true, &[1]));
        assert!(notes.is_empty());
    }
}
