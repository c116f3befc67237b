//! The two ends as processes of their own: `bench serve` and `bench call`.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Args;
use tokio::runtime::{Builder, Runtime};

use crate::caller::{Caller, Phase};
use crate::events::Event;
use crate::go;
use crate::model::Outcome;
use crate::names::Transport;
use crate::settings::{Settings, Times};
use crate::transport::by_name;
use crate::work::Work;

/// `bench serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The transport
    transport: Transport,
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    child: Child,
}

/// `bench call`
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// The transport
    transport: Transport,
    /// The address of the server
    #[arg(long)]
    to: SocketAddr,
    /// What to do
    #[arg(long, default_value = "bulk")]
    work: Work,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    times: Times,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    child: Child,
}

/// What only the orchestrator says.
#[derive(Debug, Args)]
struct Child {
    /// End when standard input does
    #[arg(long, hide = true)]
    until_eof: bool,
    /// The Go program, already built
    #[arg(long, hide = true)]
    go_program: Option<PathBuf>,
}

impl Child {
    fn go(&self) -> Result<PathBuf, &'static str> {
        let given = self.go_program.clone();
        given.or_else(go::program).ok_or("kcp-go needs Go")
    }

    /// Returns when this process is no longer wanted.
    async fn unwanted(&self) -> io::Result<()> {
        if !self.until_eof {
            return tokio::signal::ctrl_c().await;
        }
        let (told, ended) = tokio::sync::oneshot::channel();
        // A thread that nobody waits for: a runtime would not end before its own read of standard input does.
        std::thread::spawn(move || {
            let ended = io::copy(&mut io::stdin(), &mut io::sink());
            // Who has finished first does not care.
            let _ = told.send(ended);
        });
        ended.await.map_err(io::Error::other)??;
        Ok(())
    }
}

impl Serve {
    /// Serves until interrupted.
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if let Transport::KcpGo(profile) = self.transport {
            let program = self.child.go()?;
            return become_this(go::serve(&program, profile, &self.settings, self.listen));
        }
        runtime(&self.settings)?.block_on(async {
            let transport = by_name(self.transport, &self.settings, true)?;
            let server = transport.serve(self.listen).await?;
            Event::Listening { addr: server.addr }.print();
            tokio::select! {
                result = server.run => result?,
                result = self.child.unwanted() => result?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }
}

impl Call {
    /// Does the work and prints what became of it.
    pub(crate) fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        if let Transport::KcpGo(profile) = self.transport {
            let program = self.child.go()?;
            let command = go::call(
                &program,
                profile,
                &self.settings,
                self.to,
                self.work,
                &self.times,
            );
            return become_this(command);
        }
        runtime(&self.settings)?.block_on(async {
            let outcome = tokio::select! {
                outcome = self.work() => outcome,
                result = self.child.unwanted() => return result.map(|()| ExitCode::FAILURE).map_err(Into::into),
            };
            Ok(self.report(outcome))
        })
    }

    async fn work(&self) -> io::Result<Outcome> {
        let many = self.work.is_sessions();
        let transport = by_name(self.transport, &self.settings, many)?;
        let json = self.json;
        let caller = Caller {
            transport: &*transport,
            server: self.to,
            times: self.times,
            announce: &|phase| {
                if json {
                    match phase {
                        Phase::Begin => Event::Begin.print(),
                        Phase::End => Event::End.print(),
                    }
                }
            },
        };
        let outcome = caller.run(self.work).await;
        if self.child.until_eof {
            // Who reads our clocks needs us a moment longer.
            tokio::time::sleep(LAST_LOOK).await;
        }
        outcome
    }

    fn report(&self, outcome: io::Result<Outcome>) -> ExitCode {
        match outcome {
            Ok(outcome) if self.json => {
                Event::Result(outcome).print();
                ExitCode::SUCCESS
            }
            Ok(outcome) => {
                println!("{} over {}: {}", self.work, self.transport, text(&outcome));
                ExitCode::SUCCESS
            }
            Err(error) if self.json => {
                let message = error.to_string();
                Event::Error { message }.print();
                ExitCode::FAILURE
            }
            Err(error) => {
                eprintln!("bench: {} over {}: {error}", self.work, self.transport);
                ExitCode::FAILURE
            }
        }
    }
}

/// An outcome in one line.
fn text(outcome: &Outcome) -> String {
    let mut parts = vec![format!("{:.1} s", outcome.seconds)];
    if outcome.bytes > 0 {
        let rate = outcome.bytes as f64 / outcome.seconds / 1e6;
        parts.push(format!("{rate:.1} MB/s"));
    }
    if outcome.calls > 0 {
        let rate = outcome.calls as f64 / outcome.seconds;
        parts.push(format!("{} calls ({rate:.0}/s)", outcome.calls));
    }
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
        if let Some(latency) = outcome.latencies.quantile(share) {
            parts.push(format!("{name} {:.3} ms", latency.as_secs_f64() * 1e3));
        }
    }
    if outcome.failed + outcome.unfinished > 0 {
        let (failed, unfinished) = (outcome.failed, outcome.unfinished);
        parts.push(format!("{failed} failed, {unfinished} given up"));
    }
    parts.push(format!("{:.2} s of processor here", outcome.cpu));
    parts.join(", ")
}

fn runtime(settings: &Settings) -> io::Result<Runtime> {
    match settings.threads {
        1 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread()
            .worker_threads(threads.into())
            .enable_all()
            .build(),
    }
}

/// Turns this process into another program, so that its number stays what it was.
#[cfg(unix)]
fn become_this(mut command: Command) -> Result<ExitCode, Box<dyn Error>> {
    use std::os::unix::process::CommandExt;
    Err(command.exec().into())
}

#[cfg(not(unix))]
fn become_this(mut command: Command) -> Result<ExitCode, Box<dyn Error>> {
    let code = command.status()?.code();
    let code = code.and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// How long a caller stays after its work, for those who read its clocks and memory.
const LAST_LOOK: std::time::Duration = std::time::Duration::from_millis(50);
