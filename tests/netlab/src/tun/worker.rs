//! The task that moves IP packets between two TUN devices.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio_tun::Tun;

use super::Shared;
use crate::link::Link;

pub(super) struct Worker {
    left: Tun,
    right: Tun,
    shared: Arc<Shared>,
}

impl Worker {
    pub(super) fn new(left: Tun, right: Tun, shared: Arc<Shared>) -> Self {
        Self {
            left,
            right,
            shared,
        }
    }

    /// Runs until a device fails, which it does when somebody takes it away.
    pub(super) async fn run(self) {
        if self.turns().await.is_err() {
            self.shared.count_error();
        }
    }

    async fn turns(&self) -> io::Result<()> {
        let path = &self.shared.path;
        let mut from_left = vec![0; LONGEST];
        let mut from_right = vec![0; LONGEST];
        loop {
            let (mut up, mut down) = (None, None);
            tokio::select! {
                len = self.left.recv(&mut from_left) => up = Some(len?),
                len = self.right.recv(&mut from_right) => down = Some(len?),
                () = path.wait() => {}
            }
            let now = path.now();
            let mut links = path.lock();
            receive(now, up, &self.left, &mut links.up, &mut from_left)?;
            receive(now, down, &self.right, &mut links.down, &mut from_right)?;
            self.deliver(now, &mut links.up, &self.right);
            self.deliver(now, &mut links.down, &self.left);
        }
    }

    fn deliver(&self, now: Duration, link: &mut Link, device: &Tun) {
        while let Some(packet) = link.poll(now) {
            if device.try_send(packet).is_err() {
                // Such as a packet whose IP version was corrupted.
                self.shared.count_error();
            }
        }
    }
}

/// Sends the packet of length `first` in `buffer`, if any, and then what else the device has.
fn receive(
    now: Duration,
    first: Option<usize>,
    device: &Tun,
    link: &mut Link,
    buffer: &mut [u8],
) -> io::Result<()> {
    if let Some(len) = first {
        link.send(now, &buffer[..len]);
    }
    for _ in 0..RECEIVE_BUDGET {
        match device.try_recv(buffer) {
            Ok(len) => link.send(now, &buffer[..len]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Packets read per device and turn: one busy side does not keep the other from being heard.
const RECEIVE_BUDGET: usize = 64;

/// Longest IP packet.
const LONGEST: usize = 1 << 16;
