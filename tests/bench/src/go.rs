//! kcp-go's ends, which are the Go program of `tests/interop`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use interop::go::{Go, Release};

use crate::names::Profile;
use crate::settings::{SOCKET_BUFFER, Settings, Times};
use crate::work::Work;

/// The program, built if it has to be; `None` without Go.
pub(crate) fn program() -> Option<PathBuf> {
    Go::find(Release::Current).map(|go| go.program().to_owned())
}

/// A server.
pub(crate) fn serve(
    program: &Path,
    profile: Profile,
    settings: &Settings,
    listen: SocketAddr,
) -> Command {
    let mut command = end(program, profile, settings);
    command.args(["-role=listen", &format!("-addr={listen}")]);
    command
}

/// A caller.
pub(crate) fn call(
    program: &Path,
    profile: Profile,
    settings: &Settings,
    server: SocketAddr,
    work: Work,
    times: &Times,
) -> Command {
    let (name, number) = match work {
        Work::Bulk => ("bulk", 0),
        Work::Echo(size) => ("echo", size),
        Work::Unary(response) => ("unary", response),
        Work::Load(rate) => ("load", rate as usize),
        Work::Callers(count) => ("callers", count),
        Work::Mixed(rate) => ("mixed", rate as usize),
        Work::Connect => ("connect", 0),
        Work::Idle(count) => ("idle", count),
        Work::Active(count) => ("active", count),
        Work::Message(count) => ("message", count),
    };
    let mut command = end(program, profile, settings);
    command
        .args(["-role=dial", &format!("-addr={server}")])
        .arg(format!("-work={name}"))
        .arg(format!("-number={number}"))
        .arg(format!("-seconds={}", times.seconds))
        .arg(format!("-warmup={}", times.warmup))
        .arg(format!("-drain={}", times.drain))
        .arg(format!("-pause={}ms", times.pause));
    command
}

/// The settings of our own sessions: kcptun's `fast3`, writes sent at once.
fn end(program: &Path, profile: Profile, settings: &Settings) -> Command {
    let (data, parity) = profile.fec().unwrap_or((0, 0));
    let mut command = Command::new(program);
    command
        .args(["-mode=bench", "-timeout=2h", "-key=benchmark"])
        .arg(format!("-crypt={}", profile.cipher()))
        .arg(format!("-ds={data}"))
        .arg(format!("-ps={parity}"))
        .arg(format!("-sndwnd={}", settings.window))
        .arg(format!("-rcvwnd={}", settings.window))
        .args([
            "-nodelay=1",
            "-interval=10",
            "-resend=2",
            "-nc=1",
            "-stream",
        ])
        .arg(format!("-acknodelay={}", settings.ack_no_delay))
        .arg(format!("-ratelimit={}", settings.bandwidth))
        .arg(format!("-buffer={SOCKET_BUFFER}"));
    command
}
