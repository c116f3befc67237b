//! A named network namespace, made and removed with `ip`.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::panic::resume_unwind;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};

use super::LabError;

/// A network namespace; removed when dropped.
#[derive(Debug)]
pub(super) struct Namespace {
    name: String,
}

impl Namespace {
    /// An empty namespace with its loopback interface up. `label` ends its name.
    pub(super) fn new(label: &str) -> Result<Self, LabError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("netlab-{}-{number}-{label}", process::id());
        ip(&["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// Moves a device of our own namespace into this one, gives it an address and brings it up.
    pub(super) fn adopt(&self, device: &str, address: Ipv4Addr) -> Result<(), LabError> {
        ip(&["link", "set", device, "netns", &self.name])?;
        self.ip(&[
            "address",
            "add",
            &format!("{address}/{PREFIX}"),
            "dev",
            device,
        ])?;
        // Otherwise the kernel talks IPv6 to itself, and drop masks count those packets.
        self.ip(&["link", "set", device, "addrgenmode", "none"])?;
        self.ip(&["link", "set", device, "up"])
    }

    /// Runs `f` in this namespace, on a thread that is gone afterwards.
    pub(super) fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> io::Result<R> {
        let namespace = File::open(Path::new(NAMES).join(&self.name))?;
        let inside = || {
            setns(&namespace, CloneFlags::CLONE_NEWNET)?;
            Ok(f())
        };
        thread::scope(|scope| scope.spawn(inside).join())
            .unwrap_or_else(|panic| resume_unwind(panic))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` on the interfaces of this namespace.
    fn ip(&self, args: &[&str]) -> Result<(), LabError> {
        ip(&[&["-netns", &self.name], args].concat())
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to tell.
        let _ = ip(&["netns", "delete", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<(), LabError> {
    let output = Command::new("ip")
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(LabError::NoIp)?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LabError::Ip {
        command: args.join(" "),
        message,
    })
}

/// Length of the network that both ends of a link are in.
const PREFIX: u8 = 24;

/// Where `ip netns` keeps a file for each namespace. Source: ip-netns(8).
const NAMES: &str = "/run/netns";
