//! The command line.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::ends;
use crate::gate;
use crate::go;
use crate::model::{Link, Run, VERSION};
use crate::names::Transport;
use crate::plan::{Case, Preset};
use crate::report::{html, markdown};
use crate::run::{self, Order};
use crate::settings::seconds;
use crate::work::Work;

/// The same work over several transports, side by side in one run
///
/// Transports take turns, round after round. Each end is a process of its own, so that what it uses is known.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A look at everything in some minutes
    Quick(Options),
    /// Everything
    Full(Options),
    /// All works on the loopback interface
    Loopback(Options),
    /// Bulk and calls over an emulated link of 100 ms and 100 Mbit/s, by loss
    Lossy(Options),
    /// Measure what must hold, or take it from files, and fail if anything does not
    Gate {
        /// Results to judge instead of measuring
        #[arg(long, value_name = "JSON")]
        from: Vec<PathBuf>,
        #[command(flatten)]
        options: Options,
    },
    /// Show results that were measured before
    Report {
        /// Results; the first one's figures stand where several have them
        #[arg(required = true, value_name = "JSON")]
        files: Vec<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Run the server of one transport, until interrupted
    Serve(ends::Serve),
    /// Do one work against a server
    Call(ends::Call),
    /// Show the names of transports, works and links
    List,
}

/// What can be said about a preset.
#[derive(Debug, Args)]
struct Options {
    /// Transports, or beginnings of their names [default: the preset's]
    #[arg(long, value_delimiter = ',', value_name = "TRANSPORT")]
    only: Vec<String>,
    /// Works, over the transports that the preset has for works of this kind [default: the preset's]
    #[arg(long, value_delimiter = ',', value_name = "WORK")]
    work: Vec<Work>,
    /// Links [default: the preset's]
    #[arg(long, value_delimiter = ',', value_name = "LINK")]
    link: Vec<Link>,
    /// How long each sample is measured [default: 2 to 10, as the preset]
    #[arg(long, value_parser = seconds)]
    seconds: Option<f64>,
    /// How often each transport has its turn [default: 2 or 3]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Put the emulated link between network namespaces, so that TCP crosses it too (Linux, as root)
    #[arg(long)]
    tun: bool,
    /// Percent that the emulated link loses each way
    #[arg(long, value_delimiter = ',', default_value = "0,1,5,10,20", value_parser = clap::value_parser!(u8).range(0..=100))]
    loss: Vec<u8>,
    /// Threads of the Rust programs' runtimes
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// What the emulated link's decisions come from; one more for every further round
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show what would be run
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
}

/// Where results go, beside the terminal.
#[derive(Debug, Default, Args)]
struct Output {
    /// Write all that was measured
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write a page with tables and plots
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Put tables between the marks `<!-- bench NAME -->` and `<!-- end of NAME -->` of a file; the name is the
    /// preset's
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

type Done = Result<ExitCode, Box<dyn Error>>;

impl Cli {
    /// Does what was asked for.
    pub(crate) fn run(self) -> Done {
        match self.command {
            Command::Quick(options) => options.run(Preset::Quick),
            Command::Full(options) => options.run(Preset::Full),
            Command::Loopback(options) => options.run(Preset::Loopback),
            Command::Lossy(options) => options.run(Preset::Lossy),
            Command::Gate { from, options } => {
                let run = if from.is_empty() {
                    match options.measure(Preset::Gate)? {
                        Some(run) => run,
                        None => return Ok(ExitCode::SUCCESS),
                    }
                } else {
                    read(&from)?
                };
                options.output.write(&run)?;
                Ok(judged(&run))
            }
            Command::Report { files, output } => {
                let run = read(&files)?;
                print!("{}", markdown::render(&run));
                output.write(&run)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Serve(serve) => serve.run(),
            Command::Call(call) => call.run(),
            Command::List => {
                list();
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Options {
    fn run(&self, preset: Preset) -> Done {
        if let Some(run) = self.measure(preset)? {
            self.output.write(&run)?;
            for verdict in gate::judge(&run)
                .iter()
                .filter(|verdict| verdict.measured())
            {
                println!("{verdict}");
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// `None` if it was only to be shown.
    fn measure(&self, preset: Preset) -> Result<Option<Run>, Box<dyn Error>> {
        let order = self.order(preset)?;
        if self.dry_run {
            for case in &order.cases {
                let names: Vec<_> = case.transports.iter().map(Transport::to_string).collect();
                println!("{}, {}: {}", case.work, case.link, names.join(" "));
            }
            return Ok(None);
        }
        let mut transports = order.cases.iter().flat_map(|case| &case.transports);
        let go = transports
            .any(|transport| transport.is_go())
            .then(go::program)
            .flatten();
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            tokio::select! {
                run = run::run(&order, go) => Ok(Some(run?)),
                // Namespaces go with what is dropped here.
                result = interrupted() => Err(result.err().map_or("interrupted".into(), Into::into)),
            }
        })
    }

    fn order(&self, preset: Preset) -> Result<Order, String> {
        let mut cases = preset.cases(self.tun, &self.loss);
        if !self.link.is_empty() {
            cases = self.on_links(cases);
        }
        if !self.work.is_empty() {
            cases = self.with_works(cases);
        }
        for word in &self.only {
            if !Transport::all()
                .iter()
                .any(|transport| transport.matches(word))
            {
                return Err(format!("no transport `{word}`; `bench list` shows all"));
            }
        }
        if !self.only.is_empty() {
            for case in &mut cases {
                let wanted =
                    |transport: &Transport| self.only.iter().any(|word| transport.matches(word));
                // The preset's, or else those that were named.
                if !case.transports.iter().any(wanted) {
                    case.transports = Transport::all();
                }
                case.transports.retain(wanted);
            }
        }
        if cases.is_empty() {
            return Err("nothing of this preset is left".to_owned());
        }
        Ok(Order {
            preset,
            cases,
            rounds: self.rounds.unwrap_or(preset.rounds()),
            seconds: self.seconds,
            threads: self.threads,
            seed: self.seed,
        })
    }

    /// Every work of the cases on the links that were named, over the transports of its first case.
    fn on_links(&self, cases: Vec<Case>) -> Vec<Case> {
        let mut moved: Vec<Case> = Vec::new();
        for case in cases {
            for &link in &self.link {
                let known = moved
                    .iter_mut()
                    .find(|known| (known.work, known.link) == (case.work, link));
                match known {
                    Some(known) => {
                        for &transport in &case.transports {
                            if !known.transports.contains(&transport) {
                                known.transports.push(transport);
                            }
                        }
                    }
                    None => moved.push(Case {
                        link,
                        ..case.clone()
                    }),
                }
            }
        }
        moved
    }

    /// The cases of the works that were named; for a work that the preset does not have, those of all its transports.
    fn with_works(&self, cases: Vec<Case>) -> Vec<Case> {
        let mut chosen = Vec::new();
        for &work in &self.work {
            let same: Vec<_> = cases
                .iter()
                .filter(|case| case.work == work)
                .cloned()
                .collect();
            if !same.is_empty() {
                chosen.extend(same);
                continue;
            }
            for case in &cases {
                let link = case.link;
                if !chosen
                    .iter()
                    .any(|known: &Case| (known.work, known.link) == (work, link))
                {
                    let transports = case.transports.clone();
                    chosen.push(Case {
                        work,
                        link,
                        transports,
                    });
                }
            }
        }
        chosen
    }
}

impl Output {
    fn write(&self, run: &Run) -> Result<(), Box<dyn Error>> {
        if let Some(file) = &self.json {
            fs::write(file, serde_json::to_string(run)?)?;
        }
        if let Some(file) = &self.html {
            fs::write(file, html::render(run, &gate::judge(run)))?;
        }
        if let Some(file) = &self.markdown {
            let text = fs::read_to_string(file)?;
            let text = markdown::insert(&text, &run.preset, &markdown::render(run))?;
            fs::write(file, text)?;
        }
        Ok(())
    }
}

/// Returns when the user or the system wants us to end.
#[cfg(unix)]
async fn interrupted() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        result = tokio::signal::ctrl_c() => result,
        _ = terminate.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn interrupted() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

/// Results of files, in one.
fn read(files: &[PathBuf]) -> Result<Run, Box<dyn Error>> {
    let mut all: Option<Run> = None;
    for file in files {
        let named = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let text = fs::read_to_string(file).map_err(|error| named(&error))?;
        let run: Run = serde_json::from_str(&text).map_err(|error| named(&error))?;
        if run.version != VERSION {
            return Err(named(&format!("its form is of version {}", run.version)).into());
        }
        match &mut all {
            Some(all) => all.merge(run),
            None => all = Some(run),
        }
    }
    all.ok_or_else(|| "no results".into())
}

/// Prints every line of the gate.
fn judged(run: &Run) -> ExitCode {
    let verdicts = gate::judge(run);
    for verdict in &verdicts {
        println!("{verdict}");
    }
    if verdicts.iter().all(gate::Verdict::passes) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn list() {
    println!("transports:");
    for transport in Transport::all() {
        println!("  {transport}");
    }
    println!("works, with numbers of your choice:");
    for work in Work::SAMPLES {
        println!("  {work:<14}{}", work.title());
    }
    println!("links:");
    println!("  loopback      the loopback interface");
    println!("  one-core      the same, both ends on one processor");
    println!("  relay:5       100 ms, 100 Mbit/s, 5 % lost each way, by a relay of datagrams");
    println!("  tun:5         the same between network namespaces, for TCP too (Linux, as root)");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn order(line: &str) -> Result<Order, String> {
        let words = ["bench"].into_iter().chain(line.split_whitespace());
        match Cli::try_parse_from(words)
            .map_err(|error| error.to_string())?
            .command
        {
            Command::Quick(options) => options.order(Preset::Quick),
            Command::Loopback(options) => options.order(Preset::Loopback),
            Command::Lossy(options) => options.order(Preset::Lossy),
            Command::Full(_)
            | Command::Gate { .. }
            | Command::Report { .. }
            | Command::Serve(_)
            | Command::Call(_)
            | Command::List => panic!("not a preset: {line}"),
        }
    }

    fn names(case: &Case) -> Vec<String> {
        case.transports.iter().map(Transport::to_string).collect()
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_preset_can_be_narrowed() {
        let order = order("loopback --only kcp,quinn --work bulk,echo:2K --rounds 5 --seconds 0.5")
            .unwrap();
        assert_eq!((order.rounds, order.seconds), (5, Some(0.5)));
        let works: Vec<_> = order
            .cases
            .iter()
            .map(|case| case.work.to_string())
            .collect();
        assert!(works.contains(&"bulk".to_owned()) && works.contains(&"echo:2K".to_owned()));
        assert_eq!(
            names(&order.cases[0]),
            [
                "kcp-null",
                "kcp-aes-fec",
                "kcp-gcm",
                "kcp-gcm-fec",
                "quinn-cubic"
            ]
        );
    }

    #[test]
    fn works_can_be_taken_to_another_link() {
        let order =
            order("quick --work bulk --link relay:5,loopback --only kcp-gcm,kcpgo-gcm").unwrap();
        let links: Vec<_> = order
            .cases
            .iter()
            .map(|case| case.link.to_string())
            .collect();
        assert_eq!(links, ["relay:5", "loopback"]);
    }

    #[test]
    fn a_transport_that_the_preset_lacks_can_be_named() {
        let order = order("quick --work echo:64K --link loopback --only kcp-null").unwrap();
        assert_eq!(names(&order.cases[0]), ["kcp-null"]);
    }

    #[test]
    fn losses_are_those_of_the_link() {
        let order = order("lossy --tun --loss 0,3 --work bulk").unwrap();
        let links: Vec<_> = order
            .cases
            .iter()
            .map(|case| case.link.to_string())
            .collect();
        assert_eq!(links, ["tun:0", "tun:3"]);
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for line in [
            "loopback --only kpc",
            "loopback --work sink",
            "loopback --link moon",
            "loopback --seconds -1",
            "loopback --rounds 0",
            "lossy --loss 200",
        ] {
            assert!(order(line).is_err(), "{line}");
        }
    }

    #[test]
    fn both_ends_take_what_the_orchestrator_passes_on() {
        let settings = crate::plan::settings(Link::Loopback, Transport::TokioKcp, 2);
        let times = crate::plan::times(Link::Loopback, 1.5);
        let mut serve = vec!["bench".to_owned(), "serve".to_owned(), "kcp-gcm".to_owned()];
        serve.extend(settings.flags());
        serve.push("--until-eof".to_owned());
        Cli::try_parse_from(serve).unwrap();
        let mut call: Vec<String> = [
            "bench",
            "call",
            "grpc-h3",
            "--to=1.2.3.4:5",
            "--work=callers:7",
        ]
        .map(str::to_owned)
        .to_vec();
        call.extend(settings.flags().into_iter().chain(times.flags()));
        Cli::try_parse_from(call).unwrap();
    }
}
