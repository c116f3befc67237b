//! `netlab tun`

use std::error::Error;
use std::future::pending;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;

use netlab::tun::{Lab, LabStats, Side};
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::links::Links;
use super::{direction, interrupted, report};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What the random decisions come from
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[command(flatten)]
    links: Links,
    /// What to run on the left, then `::`, then what to run on the right
    ///
    /// The right one starts first, and is ended when the left one ends. Without any command both
    /// namespaces stay until interrupted.
    #[arg(last = true, value_name = "COMMAND")]
    commands: Vec<String>,
}

impl Args {
    pub(super) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let Self {
            seed,
            links: Links { up, down },
            commands,
        } = self;
        // Standard output belongs to the commands.
        eprintln!("up: {up}; down: {down}; seed {seed}");
        let lab = Lab::start(up, down, seed)?;
        let (left, right) = split(&commands);
        let mut right = Running::start(&lab, Side::Right, right)?;
        let mut left = Running::start(&lab, Side::Left, left)?;
        if commands.is_empty() {
            invite(&lab);
        }
        let code = tokio::select! {
            status = left.or(&mut right).finished() => exit_code(status?),
            result = interrupted() => result.map(|()| ExitCode::SUCCESS)?,
            () = report(|| lab.stats(), print) => ExitCode::SUCCESS,
        };
        left.stop().await?;
        right.stop().await?;
        let stats = lab.stats();
        eprintln!(
            "up {}; down {}; {} errors",
            stats.up, stats.down, stats.device_errors
        );
        Ok(code)
    }
}

/// A command inside a namespace, if there is one. It leads a process group of its own, so that
/// what a shell started can be ended with it.
struct Running(Option<Child>);

impl Running {
    fn start(lab: &Lab, side: Side, words: &[String]) -> io::Result<Self> {
        let Some((program, args)) = words.split_first() else {
            return Ok(Self(None));
        };
        let mut command = lab.command(side, program);
        command.args(args).process_group(0);
        if side == Side::Right {
            // Two readers of one input would tear it apart.
            command.stdin(Stdio::null());
        }
        Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .map(|child| Self(Some(child)))
    }

    /// This one, or `other` if there is no such command.
    fn or<'a>(&'a mut self, other: &'a mut Self) -> &'a mut Self {
        if self.0.is_some() { self } else { other }
    }

    /// Waits for its end; for ever if there is no such command.
    async fn finished(&mut self) -> io::Result<ExitStatus> {
        match &mut self.0 {
            Some(child) => child.wait().await,
            None => pending().await,
        }
    }

    /// Ends it, if it has not ended: politely first.
    async fn stop(&mut self) -> io::Result<()> {
        let Some(child) = &mut self.0 else {
            return Ok(());
        };
        for signal in [Signal::SIGTERM, Signal::SIGKILL] {
            // Until its end has been waited for, its number cannot name anybody else.
            let Some(leader) = child.id().and_then(|id| i32::try_from(id).ok()) else {
                break;
            };
            match killpg(Pid::from_raw(leader), signal) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(error.into()),
            }
            if let Ok(ended) = timeout(GRACE, child.wait()).await {
                ended?;
            }
        }
        Ok(())
    }
}

/// The words before and after `::`.
fn split(words: &[String]) -> (&[String], &[String]) {
    match words.iter().position(|word| word == "::") {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[]),
    }
}

/// Says how to use the namespaces by hand.
fn invite(lab: &Lab) {
    for side in [Side::Left, Side::Right] {
        eprintln!(
            "{}: ip netns exec {} bash",
            side.address(),
            lab.namespace(side)
        );
    }
    eprintln!("Interrupt to remove both.");
}

fn print(before: &LabStats, after: &LabStats) {
    let up = direction("up", &before.up, &after.up);
    let down = direction("down", &before.down, &after.down);
    eprintln!("{up}; {down}; {} errors", after.device_errors);
}

/// As a shell reports it: the code of the program, or 128 and the signal that ended it.
fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(128 + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok())
        .map_or(ExitCode::FAILURE, ExitCode::from)
}

/// How long a command may take to end when asked to.
const GRACE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_colons_part_left_from_right() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            split(&words("ls -l :: cat a")),
            (&*words("ls -l"), &*words("cat a"))
        );
        assert_eq!(split(&words("ls -l")), (&*words("ls -l"), &[][..]));
        let line = words(":: cat");
        assert_eq!(split(&line), (&[][..], &line[1..]));
    }
}
