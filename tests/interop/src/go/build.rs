//! Finds Go and builds the program, once per process and one process at a time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Once, OnceLock};

use super::{GoPeer, PeerOptions};

/// Where the Go module is.
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

impl Release {
    const fn program(self) -> &'static str {
        match self {
            Self::Current => "kcppeer-5.6.72",
            Self::Old => "kcppeer-5.6.1",
        }
    }

    /// A Go module can hold only one release of another, so the old one has its own list of modules.
    const fn build_flags(self) -> &'static [&'static str] {
        match self {
            Self::Current => &[],
            Self::Old => &["-modfile=go-561.mod", "-tags=kcp561"],
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
        static CURRENT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        static OLD: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        let built = match release {
            Release::Current => &CURRENT,
            Release::Old => &OLD,
        };
        match built.get_or_init(|| build(release)) {
            Ok(program) => Some(Self { program }),
            Err(missing) => {
                skip(missing);
                None
            }
        }
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

/// Builds next to the running test, so that the result is in the target directory wherever that is. The error
/// says what is missing.
fn build(release: Release) -> Result<PathBuf, String> {
    let test = std::env::current_exe().expect("a test knows its own path");
    let dir = test.with_file_name("kcppeer");
    fs::create_dir_all(&dir).expect("the target directory is writable");
    let lock = File::create(dir.join("lock")).expect("the target directory is writable");
    lock.lock().expect("files can be locked");

    let program = dir.join(release.program());
    let mut command = Command::new("go");
    command
        .arg("build")
        .args(release.build_flags())
        .arg("-o")
        .arg(&program);
    let output = match command.arg(".").current_dir(SOURCE).output() {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err("go not found".into()),
        Err(error) => panic!("go does not start: {error}"),
    };
    if output.status.success() {
        return Ok(program);
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!has_modules(release), "the program does not build:\n{said}");
    let reason = said.lines().last().unwrap_or_default();
    Err(format!("go cannot fetch its modules ({reason})"))
}

fn has_modules(release: Release) -> bool {
    let flags = release
        .build_flags()
        .iter()
        .filter(|flag| flag.starts_with("-modfile"));
    let mut command = Command::new("go");
    command
        .args(["mod", "download"])
        .args(flags)
        .current_dir(SOURCE);
    command.output().is_ok_and(|output| output.status.success())
}

/// Past the capture of the test harness, for a test that does nothing should not look like one that passed.
fn skip(missing: &str) {
    static SAID: Once = Once::new();
    let required = std::env::var_os(REQUIRED).is_some_and(|value| value == "1");
    assert!(!required, "{missing}, and {REQUIRED}=1");
    SAID.call_once(|| {
        let line = format!("SKIPPED: {missing}: tests against kcp-go do nothing\n");
        // Who closed standard error does not want to hear it.
        let _ = io::stderr().write_all(line.as_bytes());
    });
}
