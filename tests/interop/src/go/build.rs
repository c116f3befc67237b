//! Finds Go and builds the programs, each once per process and one at a time.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::{GoPeer, PeerOptions};

/// Where the Go module is that most of them belong to.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/go");
/// Set to 1, it makes a missing Go a failure.
const REQUIRED: &str = "KCP_INTEROP_REQUIRED";

/// A release of kcp-go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// 5.6.72, the current one.
    Current,
    /// 5.6.1 of 2021, which is in Debian's kcptun. No AES-GCM, no rate limit, no out-of-band messages.
    Old,
}

/// What can be built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recipe {
    Peer(Release),
    Grpc,
    Rpcx,
    Kcptun,
}

impl Recipe {
    const ALL: [Self; 5] = [
        Self::Peer(Release::Current),
        Self::Peer(Release::Old),
        Self::Grpc,
        Self::Rpcx,
        Self::Kcptun,
    ];

    const fn program(self) -> &'static str {
        match self {
            Self::Peer(Release::Current) => "kcppeer-5.6.72",
            Self::Peer(Release::Old) => "kcppeer-5.6.1",
            Self::Grpc => "grpcpeer",
            Self::Rpcx => "rpcxpeer",
            Self::Kcptun => "kcptun2026",
        }
    }

    /// A Go module can hold only one release of another. So the old kcp-go has its own list of modules, and rpcx and the
    /// tunnel, whose modules ask for others, have modules of their own.
    const fn module(self) -> &'static str {
        match self {
            Self::Peer(_) | Self::Grpc => SOURCE,
            Self::Rpcx => concat!(env!("CARGO_MANIFEST_DIR"), "/go/rpcx"),
            Self::Kcptun => concat!(env!("CARGO_MANIFEST_DIR"), "/go-kcptun"),
        }
    }

    const fn build_flags(self) -> &'static [&'static str] {
        match self {
            Self::Peer(Release::Current) | Self::Grpc | Self::Kcptun => &[],
            Self::Peer(Release::Old) => &["-modfile=go-561.mod", "-tags=kcp561"],
            Self::Rpcx => &["-tags=kcp"],
        }
    }

    const fn package(self) -> &'static str {
        match self {
            Self::Peer(_) | Self::Rpcx | Self::Kcptun => ".",
            Self::Grpc => "./grpcpeer",
        }
    }

    /// The built program; `None` without Go, or if Go cannot fetch its modules.
    ///
    /// # Panics
    /// If it does not compile, and instead of `None` with `KCP_INTEROP_REQUIRED=1`.
    pub(super) fn find(self) -> Option<&'static Path> {
        static BUILT: [OnceLock<Result<PathBuf, String>>; Recipe::ALL.len()] =
            [const { OnceLock::new() }; Recipe::ALL.len()];
        let place = Self::ALL.iter().position(|&recipe| recipe == self);
        let built = &BUILT[place.expect("all are there")];
        match built.get_or_init(|| build(self)) {
            Ok(program) => Some(program),
            Err(missing) => {
                skip(missing, "tests against Go peers");
                None
            }
        }
    }
}

/// A built program, ready to be started.
#[derive(Clone, Copy, Debug)]
pub struct Go {
    program: &'static Path,
}

impl Go {
    /// The program with this release of kcp-go; `None` without Go, or if Go cannot fetch its modules.
    ///
    /// # Panics
    /// If the program does not compile, and instead of `None` with `KCP_INTEROP_REQUIRED=1`.
    pub fn find(release: Release) -> Option<Self> {
        let program = Recipe::Peer(release).find()?;
        Some(Self { program })
    }

    /// Where the program is, for those who start it themselves.
    pub fn program(self) -> &'static Path {
        self.program
    }

    /// Starts a listener, and waits until it listens.
    pub async fn listen(self, options: &PeerOptions) -> GoPeer {
        GoPeer::listen(self.program, options).await
    }

    /// Starts a dialler, and waits until it has its session; it sends when its mode does.
    pub async fn dial(self, addr: SocketAddr, options: &PeerOptions) -> GoPeer {
        GoPeer::dial(self.program, addr, options).await
    }
}

/// The program `kcptun2026`, a tunnel on the libraries of kcptun as they were in January 2026; `None` without Go, or if
/// Go cannot fetch its modules.
///
/// Its first argument is `client` or `server`, the others are kcptun's flags.
///
/// # Panics
/// If it does not compile, and instead of `None` with `KCP_INTEROP_REQUIRED=1`.
pub fn kcptun_of_2026() -> Option<&'static Path> {
    Recipe::Kcptun.find()
}

/// Builds next to the running test, so that the result is in the target directory wherever that is. The error
/// says what is missing.
fn build(recipe: Recipe) -> Result<PathBuf, String> {
    let test = std::env::current_exe().expect("a test knows its own path");
    let dir = test.with_file_name("kcppeer");
    fs::create_dir_all(&dir).expect("the target directory is writable");
    let lock = File::create(dir.join("lock")).expect("the target directory is writable");
    lock.lock().expect("files can be locked");

    let program = dir.join(recipe.program());
    let mut command = Command::new("go");
    command
        .arg("build")
        .args(recipe.build_flags())
        .arg("-o")
        .arg(&program);
    let output = match command
        .arg(recipe.package())
        .current_dir(recipe.module())
        .output()
    {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("go not found".into()),
        Err(error) => panic!("go does not start: {error}"),
    };
    if output.status.success() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!has_modules(recipe), "the program does not build:\n{said}");
    let reason = said.lines().last().unwrap_or_default();
    Err(format!("go cannot fetch its modules ({reason})"))
}

fn has_modules(recipe: Recipe) -> bool {
    let flags = recipe
        .build_flags()
        .iter()
        .filter(|flag| flag.starts_with("-modfile"));
    let mut command = Command::new("go");
    command
        .args(["mod", "download"])
        .args(flags)
        .current_dir(recipe.module());
    command.output().is_ok_and(|output| output.status.success())
}

/// Says once what is missing for `tests`.
///
/// # Panics
/// If `KCP_INTEROP_REQUIRED=1` asks for every peer.
pub fn skip(missing: &str, tests: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let required = std::env::var_os(REQUIRED).is_some_and(|value| value == "1");
    assert!(!required, "{missing}, and {REQUIRED}=1");
    let line = format!("SKIPPED: {missing}: {tests} do nothing\n");
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.insert(line.clone()) {
        // Past the capture of the test harness, for a test that does nothing should not look like one that passed.
        // Who closed standard error does not want to hear it.
        let _ = io::stderr().write_all(line.as_bytes());
    }
}
