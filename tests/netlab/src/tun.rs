//! Two network namespaces with a link between them, so that the kernel's own TCP and UDP, and any
//! program that uses them, cross the same link as everything else here.
//!
//! Each namespace holds a TUN device; a task moves IP packets from one to the other through a
//! [`Link`](crate::link::Link) in each direction. Lengths are those of IP packets. Needs Linux,
//! root, `/dev/net/tun`, and the `ip` program.

mod namespace;
mod worker;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::task::JoinHandle;
use tokio_tun::Tun;

use crate::duplex::Duplex;
use crate::link::{LinkConfig, LinkStats};
use namespace::Namespace;
use worker::Worker;

/// Two namespaces and the link between them.
///
/// Dropping it stops the link and removes the namespaces and devices. Processes that still run in
/// a namespace lose its name and the link, but are left alone.
#[derive(Debug)]
pub struct Lab {
    left: Namespace,
    right: Namespace,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

impl Lab {
    /// Sets up both namespaces. Blocks for some tens of milliseconds while it runs `ip`.
    ///
    /// `up` is the way from left to right. Names of namespaces contain the process id and are
    /// unique; the devices keep the MTU of Ethernet, 1500.
    ///
    /// # Errors
    ///
    /// If this is not root on a Linux with TUN devices and iproute2. What was already set up is
    /// removed again.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with I/O enabled.
    pub fn start(up: LinkConfig, down: LinkConfig, seed: u64) -> Result<Self, LabError> {
        let (left, left_device) = end(Side::Left)?;
        let (right, right_device) = end(Side::Right)?;
        let shared = Arc::new(Shared {
            path: Duplex::new(up, down, seed).map_err(LabError::Thread)?,
            device_errors: AtomicU64::new(0),
        });
        let worker = Worker::new(left_device, right_device, Arc::clone(&shared));
        Ok(Self {
            left,
            right,
            shared,
            task: tokio::spawn(worker.run()),
        })
    }

    /// A command that will run `program` in one of the namespaces.
    ///
    /// It stands for the program itself: its process id and exit status are the program's.
    pub fn command(&self, side: Side, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", self.namespace(side)])
            .arg(program);
        command
    }

    /// Runs `f` on a thread of its own in one of the namespaces, and waits for it.
    ///
    /// A socket belongs to the namespace it was made in, whoever uses it later: one process can
    /// so have sockets at both ends.
    ///
    /// # Errors
    ///
    /// If the namespace cannot be entered.
    pub fn within<R: Send>(&self, side: Side, f: impl FnOnce() -> R + Send) -> io::Result<R> {
        match side {
            Side::Left => self.left.run(f),
            Side::Right => self.right.run(f),
        }
    }

    /// Name of a namespace, as `ip netns` knows it.
    pub fn namespace(&self, side: Side) -> &str {
        match side {
            Side::Left => self.left.name(),
            Side::Right => self.right.name(),
        }
    }

    /// Changes the parameters of both links, as [`Link::set_config`](crate::link::Link::set_config).
    pub fn set_links(&self, up: LinkConfig, down: LinkConfig) {
        self.shared.path.set_links(up, down);
    }

    /// Starts or ends a blackout in both directions.
    pub fn blackout(&self, blackout: bool) {
        self.shared.path.set_blackout(blackout);
    }

    /// What happened so far.
    pub fn stats(&self) -> LabStats {
        let (up, down) = self.shared.path.stats();
        LabStats {
            up,
            down,
            device_errors: self.shared.device_errors.load(Ordering::Relaxed),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One end of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Where `up` begins.
    Left,
    /// Where `up` ends.
    Right,
}

impl Side {
    /// Address of the device at this end. The same in every lab: each has namespaces of its own.
    pub fn address(self) -> Ipv4Addr {
        match self {
            Self::Left => Ipv4Addr::new(10, 0, 0, 1),
            Self::Right => Ipv4Addr::new(10, 0, 0, 2),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// Counters of a lab.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LabStats {
    /// From left to right.
    pub up: LinkStats,
    /// From right to left.
    pub down: LinkStats,
    /// Packets that a device did not take, and failures to read one. Should be zero.
    pub device_errors: u64,
}

/// Why a lab could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The kernel has no TUN driver, or this container does not show it.
    #[error(
        "{TUN_PATH} does not exist: load the kernel module `tun`, or give the container the device"
    )]
    NoTun,
    /// The device was refused.
    #[error("cannot make a TUN device (are we root?): {0}")]
    Device(tokio_tun::Error),
    /// No thread could be made for the timer.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The `ip` program could not be run.
    #[error("cannot run `ip` (is iproute2 installed?): {0}")]
    NoIp(io::Error),
    /// The `ip` program failed.
    #[error("`ip {command}` failed: {message}")]
    Ip {
        /// Its arguments.
        command: String,
        /// What it said.
        message: String,
    },
}

/// What the handle and the task have in common.
#[derive(Debug)]
struct Shared {
    path: Duplex,
    device_errors: AtomicU64,
}

impl Shared {
    fn count_error(&self) {
        self.device_errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes a namespace and the device in it.
fn end(side: Side) -> Result<(Namespace, Tun), LabError> {
    if !Path::new(TUN_PATH).exists() {
        return Err(LabError::NoTun);
    }
    let namespace = Namespace::new(side.name())?;
    // The kernel fills in the number, and removes the device when we close it.
    let devices = Tun::builder()
        .name("netlab%d")
        .build()
        .map_err(LabError::Device)?;
    let device = devices.into_iter().next().expect("one queue is one device");
    namespace.adopt(device.name(), side.address())?;
    Ok((namespace, device))
}

/// Where TUN devices come from.
const TUN_PATH: &str = "/dev/net/tun";
