//! One sample: both ends as child processes, the link between them, and what they used.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::time::Duration;

use netlab::link::LinkConfig;
use netlab::relay::Relay;
#[cfg(target_os = "linux")]
use netlab::tun::{Lab, Side};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::clock;
use crate::events::Event;
use crate::model::{Link, Outcome, Sample, Usage};
use crate::names::Transport;
use crate::settings::{Settings, Times};
use crate::work::Work;

/// What all samples have in common.
#[derive(Debug)]
pub(crate) struct Bench {
    /// This program.
    pub(crate) program: PathBuf,
    /// The Go program, if there is Go.
    pub(crate) go: Option<PathBuf>,
}

/// What is sampled.
#[derive(Debug)]
pub(crate) struct Task<'a> {
    pub(crate) transport: Transport,
    pub(crate) work: Work,
    pub(crate) link: Link,
    pub(crate) settings: &'a Settings,
    pub(crate) times: &'a Times,
    /// What the link's decisions come from: the same for all transports of a round.
    pub(crate) seed: u64,
}

/// Why there is no sample.
type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Bench {
    /// Runs both ends once.
    pub(crate) async fn sample(&self, task: &Task<'_>) -> Sample {
        match self.try_sample(task).await {
            Ok((outcome, server, caller)) => Sample {
                outcome: Some(outcome),
                error: None,
                server,
                caller,
            },
            Err(error) => Sample {
                error: Some(error.to_string()),
                ..Sample::default()
            },
        }
    }

    async fn try_sample(&self, task: &Task<'_>) -> Result<(Outcome, Usage, Usage), Failure> {
        let way = Way::open(&self.program, task)?;
        let mut server = End::start(way.server(self.serve(task, way.listen())), task.link)?;
        let listening = server.next(START_PATIENCE).await?;
        let Event::Listening { addr } = listening else {
            return Err(format!("the server said {listening:?}").into());
        };
        // Has to stay until the caller is done.
        let relay = way.relay(addr, task)?;
        let to = relay.as_ref().map_or(addr, Relay::local_addr);
        let mut caller = End::start(way.caller(self.call(task, to)), task.link)?;

        caller.until(&Event::Begin, task.patience()).await?;
        let before = (server.cpu(), caller.cpu());
        caller.until(&Event::End, task.patience()).await?;
        let used = (server.usage(before.0), caller.usage(before.1));
        let result = caller.next(task.patience()).await?;
        let Event::Result(outcome) = result else {
            return Err(format!("the caller said {result:?}").into());
        };
        caller.stop().await;
        server.stop().await;
        Ok((outcome, used.0, used.1))
    }

    fn serve(&self, task: &Task<'_>, listen: SocketAddr) -> Vec<String> {
        let words = ["serve".to_owned(), task.transport.to_string()];
        let listen = format!("--listen={listen}");
        let flags = task.settings.flags();
        [&words[..], &[listen], &flags, &self.common()].concat()
    }

    fn call(&self, task: &Task<'_>, to: SocketAddr) -> Vec<String> {
        let words = ["call".to_owned(), task.transport.to_string()];
        let target = [
            format!("--to={to}"),
            format!("--work={}", task.work),
            "--json".to_owned(),
        ];
        let (times, settings) = (task.times.flags(), task.settings.flags());
        [&words[..], &target, &times, &settings, &self.common()].concat()
    }

    /// Arguments of both ends; the first word is the program.
    fn common(&self) -> Vec<String> {
        let mut words = vec!["--until-eof".to_owned()];
        if let Some(go) = &self.go {
            words.push(format!("--go-program={}", go.display()));
        }
        words
    }
}

impl Task<'_> {
    /// How long a caller may take from one of its events to the next.
    fn patience(&self) -> Duration {
        let times = self.times;
        times.before() + times.measured() + times.patience() + SLACK
    }

    /// Both directions of the emulated link.
    fn link_config(&self) -> Result<LinkConfig, Failure> {
        let loss = self.link.loss().unwrap_or(0);
        Ok(format!("{LINK} loss={loss}%").parse()?)
    }
}

/// What is between the ends.
struct Way {
    program: PathBuf,
    emulated: bool,
    #[cfg(target_os = "linux")]
    lab: Option<Lab>,
}

impl Way {
    fn open(program: &Path, task: &Task<'_>) -> Result<Self, Failure> {
        let program = program.to_owned();
        let (emulated, tun) = match task.link {
            Link::Loopback | Link::OneCore => (false, false),
            Link::Emulated { tun, .. } => (true, tun),
        };
        #[cfg(target_os = "linux")]
        let lab = match tun {
            true => Some(Lab::start(
                task.link_config()?,
                task.link_config()?,
                task.seed,
            )?),
            false => None,
        };
        #[cfg(not(target_os = "linux"))]
        if tun {
            return Err("network namespaces are to be had on Linux only".into());
        }
        Ok(Self {
            program,
            emulated,
            #[cfg(target_os = "linux")]
            lab,
        })
    }

    /// Where the server listens.
    fn listen(&self) -> SocketAddr {
        #[cfg(target_os = "linux")]
        if self.lab.is_some() {
            return (Side::Right.address(), 0).into();
        }
        (Ipv4Addr::LOCALHOST, 0).into()
    }

    fn server(&self, words: Vec<String>) -> StdCommand {
        #[cfg(target_os = "linux")]
        if let Some(lab) = &self.lab {
            let mut command = lab.command(Side::Right, &self.program);
            command.args(words);
            return command;
        }
        let mut command = StdCommand::new(&self.program);
        command.args(words);
        command
    }

    fn caller(&self, words: Vec<String>) -> StdCommand {
        #[cfg(target_os = "linux")]
        if let Some(lab) = &self.lab {
            let mut command = lab.command(Side::Left, &self.program);
            command.args(words);
            return command;
        }
        let mut command = StdCommand::new(&self.program);
        command.args(words);
        command
    }

    /// A relay to the server, if the link is one.
    fn relay(&self, server: SocketAddr, task: &Task<'_>) -> Result<Option<Relay>, Failure> {
        #[cfg(target_os = "linux")]
        if self.lab.is_some() {
            return Ok(None);
        }
        if !self.emulated {
            return Ok(None);
        }
        let (up, down) = (task.link_config()?, task.link_config()?);
        Ok(Some(Relay::start(server, up, down, task.seed)?))
    }
}

/// A child process. Dropping it ends it.
struct End {
    child: Child,
    pid: u32,
    /// It ends when this does, even if nobody tells it to.
    _alive: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl End {
    fn start(command: StdCommand, link: Link) -> Result<Self, Failure> {
        let mut command = Command::from(command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = match link {
            Link::OneCore => on_one_core(&mut command)?,
            Link::Loopback | Link::Emulated { .. } => command.spawn()?,
        };
        let stdin = child.stdin.take().ok_or("no standard input")?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        Ok(Self {
            pid: child.id().ok_or("it ended at once")?,
            child,
            _alive: stdin,
            lines: BufReader::new(stdout).lines(),
        })
    }

    /// What it says next.
    async fn next(&mut self, patience: Duration) -> Result<Event, Failure> {
        let line = timeout(patience, self.lines.next_line()).await;
        let line = line.map_err(|_| format!("silent for {patience:?}"))??;
        let line = line.ok_or("it ended without a word")?;
        match serde_json::from_str(&line) {
            Ok(Event::Error { message }) => Err(message.into()),
            Ok(event) => Ok(event),
            Err(error) => Err(format!("`{line}` is no event: {error}").into()),
        }
    }

    /// Waits for this event, which has to be the next.
    async fn until(&mut self, event: &Event, patience: Duration) -> Result<(), Failure> {
        let next = self.next(patience).await?;
        if next == *event {
            Ok(())
        } else {
            Err(format!("{next:?} instead of {event:?}").into())
        }
    }

    fn cpu(&self) -> Duration {
        clock::cpu_of(self.pid).unwrap_or_default()
    }

    fn usage(&self, before: Duration) -> Usage {
        Usage {
            cpu: self.cpu().saturating_sub(before).as_secs_f64(),
            memory: clock::memory_of(self.pid).unwrap_or(0),
        }
    }

    async fn stop(mut self) {
        // It has ended already, or ends now; nobody needs to know which.
        let _ = self.child.kill().await;
    }
}

/// Starts a process that keeps to the first processor, with all its threads.
#[cfg(target_os = "linux")]
fn on_one_core(command: &mut Command) -> Result<Child, Failure> {
    use nix::sched::{CpuSet, sched_setaffinity};
    use nix::unistd::Pid;
    let runtime = tokio::runtime::Handle::current();
    let spawn = || -> Result<Child, Failure> {
        // A child is bound to where the thread is that starts it; this thread is gone afterwards.
        let mut set = CpuSet::new();
        set.set(0)?;
        sched_setaffinity(Pid::from_raw(0), &set)?;
        let _inside = runtime.enter();
        Ok(command.spawn()?)
    };
    std::thread::scope(|scope| scope.spawn(spawn).join())
        .unwrap_or_else(|_| Err("the thread that starts it panicked".into()))
}

#[cfg(not(target_os = "linux"))]
fn on_one_core(_: &mut Command) -> Result<Child, Failure> {
    Err("processes can be bound to a processor on Linux only".into())
}

/// The emulated link, each way: 100 ms round trip, and a queue of what that holds.
pub(crate) const LINK: &str = "delay=50ms rate=100mbit queue=1250kB";

/// Most bytes a second that an application would send on that link, for headers need some of it.
pub(crate) const LINK_BANDWIDTH: u32 = 12_000_000;

/// How long a server may take to listen.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// What connecting and many connections may take beside the work itself.
const SLACK: Duration = Duration::from_secs(120);
