//! Drives a machine over a socket, and writes down what happens.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::format::{Conversation, Happened, Hex};
use super::machine::Machine;

/// Most bytes of a write.
const WRITE: usize = 1_000;

/// A conversation that is going on.
pub(super) struct Recorder {
    /// Messages to send beside it.
    pub(super) oob: mpsc::Sender<Vec<u8>>,
    /// Those that came.
    pub(super) heard_oob: mpsc::UnboundedReceiver<Vec<u8>>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Conversation>,
}

impl Recorder {
    /// Opens a session with `peer`: its bytes, too. `plan` says how.
    pub(super) async fn dial(plan: Conversation, peer: SocketAddr) -> (Self, DuplexStream) {
        let socket = UdpSocket::bind(super::LOOPBACK).await.expect("bound");
        let machine = Machine::dial(plan.config(), peer, plan.conv);
        Self::start(plan, socket, machine)
    }

    /// Waits for a session: its bytes, and where.
    pub(super) async fn listen(plan: Conversation) -> (Self, DuplexStream, SocketAddr) {
        let socket = UdpSocket::bind(super::LOOPBACK).await.expect("bound");
        let addr = socket.local_addr().expect("bound");
        let machine = Machine::listen(plan.config());
        let (recorder, stream) = Self::start(plan, socket, machine);
        (recorder, stream, addr)
    }

    fn start(plan: Conversation, socket: UdpSocket, machine: Machine) -> (Self, DuplexStream) {
        let (stream, ours) = tokio::io::duplex(1 << 20);
        let (oob, oob_to_say) = mpsc::channel(8);
        let (hear_oob, heard_oob) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let driver = Driver {
            socket,
            machine,
            begin: Instant::now(),
            conversation: plan,
            told: 0,
            told_oob: 0,
        };
        let recorder = Self {
            oob,
            heard_oob,
            stop,
            task: tokio::spawn(driver.run(ours, oob_to_say, hear_oob, stopped)),
        };
        (recorder, stream)
    }

    /// What has happened.
    pub(super) async fn finish(self) -> Conversation {
        // It has ended already if the stream was dropped.
        let _ = self.stop.send(());
        self.task.await.expect("it went well")
    }
}

struct Driver {
    socket: UdpSocket,
    machine: Machine,
    begin: Instant,
    conversation: Conversation,
    /// How much of what was heard the stream has.
    told: usize,
    told_oob: usize,
}

impl Driver {
    async fn run(
        mut self,
        mut stream: DuplexStream,
        mut oob: mpsc::Receiver<Vec<u8>>,
        hear_oob: mpsc::UnboundedSender<Vec<u8>>,
        mut stopped: oneshot::Receiver<()>,
    ) -> Conversation {
        let mut datagram = vec![0; 2_048];
        let mut bytes = vec![0; WRITE];
        loop {
            let wait = self.machine.next().map_or(Duration::from_secs(1), |at| {
                Duration::from_micros(at.saturating_sub(self.now()))
            });
            let writable = self.machine.is_writable();
            let mut wrote = None;
            // A replay has no other clock: whatever the machine does, it does at the time that is written down.
            let at = tokio::select! {
                received = self.socket.recv_from(&mut datagram) => {
                    let (len, from) = received.expect("a datagram");
                    let at = self.now();
                    let datagram = &datagram[..len];
                    self.machine.got(at, from, datagram);
                    let datagram = Hex(datagram.to_vec());
                    self.conversation.events.push(Happened::Got { at, datagram });
                    at
                }
                len = stream.read(&mut bytes), if writable => {
                    let bytes = &bytes[..len.expect("a pipe can be read")];
                    let at = self.now();
                    // The end of the stream, which KCP does not know.
                    if bytes.is_empty() {
                        break;
                    }
                    self.machine.write(at, bytes);
                    wrote = Some(Hex(bytes.to_vec()));
                    at
                }
                Some(message) = oob.recv(), if writable => {
                    let at = self.now();
                    self.machine.write_oob(at, &message);
                    let message = Hex(message);
                    self.conversation.events.push(Happened::WroteOob { at, message });
                    at
                }
                () = tokio::time::sleep(wait) => {
                    let at = self.now();
                    self.conversation.events.push(Happened::Woke { at });
                    at
                }
                _ = &mut stopped => break,
            };
            let left = self.turn(at).await;
            if let Some(bytes) = wrote {
                let left = left.into_iter().map(Hex).collect();
                self.conversation
                    .events
                    .push(Happened::Wrote { at, bytes, left });
            }
            // Who has hung up does not want the rest.
            let _ = stream.write_all(&self.machine.heard[self.told..]).await;
            self.told = self.machine.heard.len();
            for message in &self.machine.heard_oob[self.told_oob..] {
                let _ = hear_oob.send(message.clone());
            }
            self.told_oob = self.machine.heard_oob.len();
        }
        self.conversation.conv = self.machine.conv();
        self.conversation.heard = Hex(self.machine.heard);
        let messages = self.machine.heard_oob.into_iter().map(Hex);
        self.conversation.heard_oob = messages.collect();
        self.conversation
    }

    fn now(&self) -> u64 {
        self.begin.elapsed().as_micros() as u64
    }

    async fn turn(&mut self, at: u64) -> Vec<Vec<u8>> {
        let leaving = self.machine.turn(at);
        for datagram in &leaving {
            let peer = self.machine.peer().expect("somebody to send to");
            let sent = self.socket.send_to(datagram, peer).await;
            sent.expect("sent");
        }
        leaving
    }
}
