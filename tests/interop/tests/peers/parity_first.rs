//! The worst order in which packets can arrive: parity before the data that it is made of.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use interop::reference::FecKind;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// Whoever sends a burst is through with it when this long nothing more has come.
const PAUSE: Duration = Duration::from_millis(20);

/// Passes datagrams without cipher between a dialler and a server. Each burst of either waits until it is whole. Then
/// the first packet of all leaves, by which a listener knows the session, then parity with odd numbers, then the rest.
pub(crate) struct ParityFirst {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

impl ParityFirst {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let front = bind().await;
        let addr = front.local_addr().expect("bound");
        let back = bind().await;
        back.connect(server).await.expect("connected");
        Self {
            addr,
            task: tokio::spawn(pass(front, back)),
        }
    }

    /// What the dialler should dial.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for ParityFirst {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn bind() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    socket.expect("bound")
}

async fn pass(front: UdpSocket, back: UdpSocket) {
    let (mut there, mut here) = ([0; 2_048], [0; 2_048]);
    let (mut forth, mut backwards) = (Vec::new(), Vec::new());
    let mut dialler = None;
    loop {
        tokio::select! {
            Ok((len, addr)) = front.recv_from(&mut there) => {
                dialler = Some(addr);
                forth.push(there[..len].to_vec());
            }
            Ok(len) = back.recv(&mut here) => backwards.push(here[..len].to_vec()),
            () = tokio::time::sleep(PAUSE) => {
                // An error is that of a peer that has gone.
                for packet in in_worst_order(&mut forth) {
                    let _ = back.send(&packet).await;
                }
                for packet in in_worst_order(&mut backwards) {
                    let dialler = dialler.expect("it spoke first");
                    let _ = front.send_to(&packet, dialler).await;
                }
            }
        }
    }
}

fn in_worst_order(packets: &mut Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut packets = std::mem::take(packets);
    packets.sort_by_key(|packet| {
        let number = packet
            .first_chunk()
            .map_or(0, |&bytes| u32::from_le_bytes(bytes));
        match FecKind::of(packet) {
            Some(FecKind::Data) if number == 0 => 0,
            Some(FecKind::Parity) if !number.is_multiple_of(2) => 1,
            Some(FecKind::Data | FecKind::Parity | FecKind::Oob) | None => 2,
        }
    });
    packets
}
