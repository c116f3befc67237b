//! What must hold, as ratios of figures of one run.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::{Cell, Link, Run, Spread};
use crate::report::table::figure;
use crate::work::{SMALL, Work};

/// One line of the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// What is claimed.
    pub(crate) claim: String,
    /// What was measured.
    pub(crate) figures: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Pass,
    Fail,
    /// A claim that nobody has looked at does not hold.
    Missing,
}

impl Verdict {
    /// Whether it was measured and holds.
    pub(crate) fn passes(&self) -> bool {
        self.state == State::Pass
    }

    /// Whether the run has its figures.
    pub(crate) fn measured(&self) -> bool {
        self.state != State::Missing
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.state {
            State::Pass => "PASS",
            State::Fail | State::Missing => "FAIL",
        };
        write!(f, "{word}  {}: {}", self.claim, self.figures)
    }
}

/// All lines, in the order of importance.
pub(crate) fn judge(run: &Run) -> Vec<Verdict> {
    let mut verdicts: Vec<_> = CLAIMS.iter().map(|claim| claim.judge(run)).collect();
    let lossy =
        |cell: &Cell| Some(cell.link).filter(|link| link.loss().is_some_and(|loss| loss > 0));
    let links: BTreeSet<_> = run.cells.iter().filter_map(lossy).collect();
    for link in links {
        for (ours, theirs) in [("kcp-gcm", "kcpgo-gcm"), ("kcp-gcm-fec", "kcpgo-gcm-fec")] {
            let works = [
                Work::Bulk,
                Work::Unary(SMALL),
                Work::Unary(16 << 10),
                Work::Load(1_000),
            ];
            verdicts.extend(works.map(|work| no_worse(run, ours, theirs, work, link)));
        }
    }
    verdicts
}

/// A ratio of two transports that has a bound.
struct Claim {
    work: &'static str,
    link: Link,
    ours: &'static str,
    theirs: &'static str,
    what: Figure,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Figure {
    Rate,
    CallRate,
    CpuPerGb,
    Load,
    Memory,
}

#[derive(Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

impl Figure {
    fn of(self, cell: &Cell) -> Vec<f64> {
        match self {
            Self::Rate => cell.rates(),
            Self::CallRate => cell.call_rates(),
            Self::CpuPerGb => cell.cpu_per_gb(),
            Self::Load => cell.load(),
            Self::Memory => cell.memory(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Rate => "MB/s",
            Self::CallRate => "calls/s",
            Self::CpuPerGb => "CPU s/GB",
            Self::Load => "cores used",
            Self::Memory => "MB of memory",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {}", figure(*bound)),
            Self::AtMost(bound) => write!(f, "at most {}", figure(*bound)),
        }
    }
}

impl Bound {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bound) => ratio >= bound,
            Self::AtMost(bound) => ratio <= bound,
        }
    }
}

impl Claim {
    fn judge(&self, run: &Run) -> Verdict {
        let Self {
            work,
            link,
            ours,
            theirs,
            what,
            bound,
        } = self;
        let unit = what.name();
        let claim = format!("{work}, {link}: {unit} of {ours} {bound} times {theirs}");
        let cell = |name: &str| run.cell(name.parse().ok()?, work.parse().ok()?, *link);
        let (Some(ours), Some(theirs)) = (cell(ours), cell(theirs)) else {
            return missing(claim);
        };
        // Both had their turn in every round, one soon after the other; where one failed there is no ratio.
        let ratio = |round: usize| {
            let of = |cell: &Cell| what.of(&cell.round(round)).first().copied();
            Some(of(ours)? / of(theirs)?)
        };
        let ratios: Vec<_> = (0..ours.samples.len()).filter_map(ratio).collect();
        let (Some(ratio), Some(ours), Some(theirs)) = (
            Spread::of(&ratios),
            Spread::of(&what.of(ours)),
            Spread::of(&what.of(theirs)),
        ) else {
            return missing(claim);
        };
        let figures = format!(
            "{} [{}..{}] ({} : {})",
            figure(ratio.median),
            figure(ratio.min),
            figure(ratio.max),
            figure(ours.median),
            figure(theirs.median)
        );
        verdict(claim, figures, bound.holds(ratio.median))
    }
}

/// That one transport is as good as another in every figure of a work on a lossy link.
fn no_worse(run: &Run, ours: &str, theirs: &str, work: Work, link: Link) -> Verdict {
    let claim = format!("{work}, {link}: {ours} no worse than {theirs}");
    let cell = |name: &str| run.cell(name.parse().ok()?, work, link);
    let (Some(ours), Some(theirs)) = (cell(ours), cell(theirs)) else {
        return missing(claim);
    };
    if work.is_throughput() {
        let median = |cell: &Cell| Spread::of(&cell.rates()).map(|spread| spread.median);
        let (Some(ours), Some(theirs)) = (median(ours), median(theirs)) else {
            return missing(claim);
        };
        let figures = format!("{} : {} MB/s", figure(ours), figure(theirs));
        return verdict(claim, figures, ours >= theirs * (1.0 - 0.05));
    }
    let mut parts = Vec::new();
    let mut passes = ours.lost() <= theirs.lost();
    for (name, share, tolerance) in [
        ("p50", 0.5, 0.05),
        ("p99", 0.99, 0.1),
        ("p99.9", 0.999, 0.2),
    ] {
        let (Some(ours), Some(theirs)) = (ours.millis(share), theirs.millis(share)) else {
            return missing(claim);
        };
        let holds = ours <= theirs * (1.0 + tolerance);
        let mark = if holds { "" } else { " (worse)" };
        parts.push(format!(
            "{name} {} : {} ms{mark}",
            figure(ours),
            figure(theirs)
        ));
        passes &= holds;
    }
    parts.push(format!("{} : {} lost", ours.lost(), theirs.lost()));
    verdict(claim, parts.join(", "), passes)
}

fn verdict(claim: String, figures: String, passes: bool) -> Verdict {
    Verdict {
        claim,
        figures,
        state: if passes { State::Pass } else { State::Fail },
    }
}

fn missing(claim: String) -> Verdict {
    Verdict {
        claim,
        figures: "not measured".to_owned(),
        state: State::Missing,
    }
}

const fn claim(
    work: &'static str,
    link: Link,
    ours: &'static str,
    what: Figure,
    bound: Bound,
    theirs: &'static str,
) -> Claim {
    Claim {
        work,
        link,
        ours,
        theirs,
        what,
        bound,
    }
}

const CLAIMS: [Claim; 13] = {
    use Bound::{AtLeast, AtMost};
    use Figure::{CallRate, CpuPerGb, Load, Memory, Rate};
    use Link::{Loopback, OneCore};
    [
        claim(
            "bulk",
            Loopback,
            "kcp-aes-fec",
            Rate,
            AtLeast(6.0),
            "kcpgo-aes-fec",
        ),
        claim(
            "bulk",
            Loopback,
            "kcp-gcm",
            Rate,
            AtLeast(1.3),
            "quinn-cubic",
        ),
        claim(
            "bulk",
            Loopback,
            "kcp-aes-fec",
            CpuPerGb,
            AtMost(1.0 / 6.0),
            "kcpgo-aes-fec",
        ),
        claim(
            "bulk",
            Loopback,
            "kcp-gcm",
            CpuPerGb,
            AtMost(0.6),
            "quinn-cubic",
        ),
        claim(
            "bulk",
            OneCore,
            "kcp-gcm",
            Rate,
            AtLeast(1.5),
            "quinn-cubic",
        ),
        claim(
            "echo:4K",
            Loopback,
            "kcp-aes-fec",
            Rate,
            AtLeast(5.0),
            "kcpgo-aes-fec",
        ),
        claim(
            "echo:64K",
            Loopback,
            "kcp-aes-fec",
            Rate,
            AtLeast(5.0),
            "kcpgo-aes-fec",
        ),
        claim(
            "echo:1M",
            Loopback,
            "kcp-aes-fec",
            Rate,
            AtLeast(5.0),
            "kcpgo-aes-fec",
        ),
        claim(
            "callers:128",
            Loopback,
            "grpc-kcp-gcm",
            CallRate,
            AtLeast(0.8),
            "grpc-tcp-cubic",
        ),
        claim(
            "callers:128",
            Loopback,
            "grpc-kcpdirect-gcm",
            CallRate,
            AtLeast(1.3),
            "grpc-h3",
        ),
        claim(
            "active:10000",
            Loopback,
            "kcp-aes-fec",
            Load,
            AtMost(0.2),
            "kcpgo-aes-fec",
        ),
        claim(
            "message:10000",
            Loopback,
            "kcp-aes-fec",
            Load,
            AtMost(0.2),
            "kcpgo-aes-fec",
        ),
        claim(
            "active:10000",
            Loopback,
            "kcp-aes-fec",
            Memory,
            AtMost(0.25),
            "kcpgo-aes-fec",
        ),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::sample_run;

    #[test]
    fn a_ratio_is_that_of_the_rounds_and_has_to_reach_its_bound() {
        let run = sample_run();
        let verdicts = judge(&run);
        let bulk = &verdicts[0];
        assert!(bulk.claim.contains("at least 6.00 times kcpgo-aes-fec"));
        assert!(bulk.passes(), "{bulk}");
        assert!(bulk.figures.starts_with("8.00 [8.00..8.00]"), "{bulk}");
        let memory = verdicts
            .iter()
            .find(|verdict| verdict.claim.contains("MB of memory"))
            .unwrap();
        assert!(memory.passes(), "{memory}");

        let mut slower = run;
        let outcome = slower.cells[0].samples[1].outcome.as_mut().unwrap();
        outcome.bytes /= 10;
        let outcome = slower.cells[0].samples[2].outcome.as_mut().unwrap();
        outcome.bytes /= 10;
        assert!(!judge(&slower)[0].passes());
    }

    #[test]
    fn what_was_not_measured_does_not_pass() {
        let verdicts = judge(&Run::default());
        assert_eq!(verdicts.len(), CLAIMS.len());
        assert!(
            verdicts
                .iter()
                .all(|verdict| !verdict.passes() && !verdict.measured())
        );
    }

    #[test]
    fn on_a_lossy_link_every_figure_counts() {
        let mut run = sample_run();
        for cell in &mut run.cells {
            let name = cell.transport.to_string().replace("aes-fec", "gcm");
            cell.transport = name.parse().unwrap();
        }
        let line = |run: &Run, start: &str| {
            let verdicts = judge(run).into_iter();
            let mut matching = verdicts.filter(|verdict| verdict.claim.starts_with(start));
            matching.next().unwrap()
        };
        assert!(line(&run, "bulk, tun:5: kcp-gcm no").passes());
        assert!(line(&run, "unary, tun:5: kcp-gcm no").passes());
        // Nothing is claimed of a link that loses nothing.
        assert!(
            !judge(&run)
                .iter()
                .any(|verdict| verdict.claim.contains("tun:0"))
        );

        let unary = run
            .cells
            .iter_mut()
            .find(|cell| cell.link.loss() == Some(5) && cell.work == Work::Unary(SMALL));
        let outcome = unary.unwrap().samples[0].outcome.as_mut().unwrap();
        outcome.latencies.record(std::time::Duration::from_secs(9));
        let verdict = line(&run, "unary, tun:5: kcp-gcm no");
        assert!(
            !verdict.passes() && verdict.figures.contains("(worse)"),
            "{verdict}"
        );
    }
}
