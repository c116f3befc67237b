//! Messages of many fragments, which kcp-go's sessions never send, with the state machine of `kcp`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use interop::stream::Stream;
use kcp::Kcp;
use kcp_transport::{Config, Endpoint, KcpMessages, Listener, UdpSocket, Window};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{LOOPBACK, PATHS, WINDOW, check, link, passed};
use crate::guard::while_moving;
use crate::seed::seed;

const PEER: &str = "kcp 0.6.0";

/// Bytes of a segment without a cipher and a code.
const SEGMENT: usize = 1_400 - 24;

/// Lengths of messages: around a segment, and up to the 127 fragments that the original sends at most.
const LENGTHS: [usize; 8] = [
    1,
    SEGMENT - 1,
    SEGMENT,
    SEGMENT + 1,
    3 * SEGMENT,
    20_000,
    126 * SEGMENT + 1,
    127 * SEGMENT,
];

/// How often each length is sent.
const ROUNDS: u64 = 3;

fn our_config() -> Config {
    let window = Window::new(WINDOW.into()).expect("in range");
    Config::fast3()
        .send_window(window)
        .receive_window(window)
        .message_mode(true)
}

/// What is sent, one after the other.
fn messages(seed: u64) -> Vec<Vec<u8>> {
    let mut content = Stream::new(seed);
    (0..ROUNDS)
        .flat_map(|_| LENGTHS)
        .map(|length| content.bytes(length))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_many_fragments_go_to_and_fro_when_we_dial() {
    for (number, path) in (0..).zip(PATHS) {
        let seed = seed().wrapping_mul(1_000) + number;
        let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.expect("bound");
        let relay = link(socket.local_addr().expect("bound"), path, seed);
        let theirs = Peer::start(socket, None, 0);
        let config = our_config();
        let socket = UdpSocket::bind(LOOPBACK, &config, false).expect("bound");
        let endpoint = Endpoint::new(socket, Arc::new(config)).expect("bound");
        let ours = endpoint.connect(relay.local_addr()).await.expect("opened");
        let mut ours = KcpMessages::new(ours).expect("in message mode");
        ours.send(b"!").await.expect("it lives");
        converse(ours, theirs, seed, true).await;
        check(&endpoint.stats().await.expect("it lives"));
    }
    passed(
        PEER,
        "dials",
        "messages of 1 to 127 fragments both ways at 0, 5 and 20 % loss",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_many_fragments_go_to_and_fro_when_we_listen() {
    for (number, path) in (0..).zip(PATHS) {
        let seed = seed().wrapping_mul(1_000) + 500 + number;
        let mut listener = Listener::bind(LOOPBACK, our_config()).await.expect("bound");
        let relay = link(listener.local_addr(), path, seed);
        let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.expect("bound");
        let theirs = Peer::start(socket, Some(relay.local_addr()), 0x0102_0304);
        theirs.say.send(b"!".to_vec()).await.expect("it lives");
        let (ours, _) = listener.accept().await.expect("listening");
        let ours = KcpMessages::new(ours).expect("in message mode");
        converse(ours, theirs, seed, false).await;
        check(&listener.stats().await.expect("it lives"));
    }
    passed(
        PEER,
        "listens",
        "messages of 1 to 127 fragments both ways at 0, 5 and 20 % loss",
    );
}

/// Both send their messages and check those of the other; first comes the one that opened the session.
async fn converse(mut ours: KcpMessages, mut theirs: Peer, seed: u64, we_dial: bool) {
    let (mine, yours) = (messages(2 * seed), messages(2 * seed + 1));
    let count = AtomicU64::new(0);
    let moved = Arc::clone(&theirs.packets);
    let all = async {
        let hello = if we_dial {
            theirs.heard.recv().await.expect("it lives")
        } else {
            ours.recv().await.expect("it lives")
        };
        assert_eq!(hello, b"!");
        // Ours sends and receives in turn; the peer has a queue for each direction.
        for (mine, yours) in mine.iter().zip(&yours) {
            theirs.say.send(yours.clone()).await.expect("it lives");
            ours.send(mine).await.expect("it lives");
            assert!(theirs.heard.recv().await.expect("it lives") == *mine);
            assert!(ours.recv().await.expect("it lives") == *yours);
            count.fetch_add(1, Ordering::Relaxed);
        }
        ours.stream().drain().await.expect("all is acknowledged");
    };
    let sign = || {
        (
            count.load(Ordering::Relaxed),
            moved.load(Ordering::Relaxed) / 256,
        )
    };
    while_moving(sign, all).await;
}

/// The other end, driven by a task.
struct Peer {
    say: mpsc::Sender<Vec<u8>>,
    heard: mpsc::Receiver<Vec<u8>>,
    /// Packets that it got.
    packets: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Peer {
    /// Who has nobody to dial answers the first who comes, in that one's conversation.
    fn start(socket: tokio::net::UdpSocket, dial: Option<SocketAddr>, conv: u32) -> Self {
        let (say, to_say) = mpsc::channel(8);
        let (hear, heard) = mpsc::channel(8);
        let packets = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&packets);
        Self {
            say,
            heard,
            packets,
            task: tokio::spawn(drive(socket, dial, conv, to_say, hear, count)),
        }
    }
}

/// Packets on their way out.
#[derive(Clone, Debug, Default)]
struct Outbox(Arc<Mutex<Vec<Vec<u8>>>>);

impl Outbox {
    fn take(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Outbox {
    fn write(&mut self, packet: &[u8]) -> io::Result<usize> {
        let mut packets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        packets.push(packet.to_vec());
        Ok(packet.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn machine(conv: u32, outbox: &Outbox) -> Kcp<Outbox> {
    let mut kcp = Kcp::new(conv, outbox.clone());
    kcp.set_nodelay(true, 10, 2, true);
    kcp.set_wndsize(WINDOW, WINDOW);
    kcp
}

async fn drive(
    socket: tokio::net::UdpSocket,
    dial: Option<SocketAddr>,
    conv: u32,
    mut to_say: mpsc::Receiver<Vec<u8>>,
    hear: mpsc::Sender<Vec<u8>>,
    count: Arc<AtomicU64>,
) {
    let begin = Instant::now();
    let now = || begin.elapsed().as_millis() as u32;
    let outbox = Outbox::default();
    let mut peer = dial;
    let mut kcp = machine(conv, &outbox);
    let mut packet = vec![0; 1_500];
    let mut message = vec![0; 128 * SEGMENT];
    if peer.is_none() {
        let (len, from) = socket.recv_from(&mut packet).await.expect("a packet");
        kcp = machine(kcp::get_conv(&packet[..len]), &outbox);
        kcp.input(&packet[..len]).expect("well-formed");
        peer = Some(from);
    }
    let peer = peer.expect("set above");
    loop {
        kcp.update(now()).expect("it goes on");
        while let Ok(len) = kcp.recv(&mut message) {
            if hear.send(message[..len].to_vec()).await.is_err() {
                return;
            }
        }
        for packet in outbox.take() {
            socket.send_to(&packet, peer).await.expect("sent");
        }
        let room = kcp.wait_snd() < WINDOW.into();
        let wait = Duration::from_millis(kcp.check(now()).into());
        tokio::select! {
            received = socket.recv_from(&mut packet) => {
                let (len, _) = received.expect("a packet");
                kcp.input(&packet[..len]).expect("well-formed");
                count.fetch_add(1, Ordering::Relaxed);
            }
            said = to_say.recv(), if room => {
                let Some(said) = said else { return };
                kcp.send(&said).expect("it fits");
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}
