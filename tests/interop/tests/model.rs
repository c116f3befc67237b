//! The model against kcp-go, which proves the model: a conversation in either role, and what each counts.
//!
//! These tests run in real time, for so does the peer. They wait for what happens, never for a while.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use interop::go::{Go, Mode, PeerOptions, Release};
use interop::reference::{Config, FecParams, Header, NoDelay, Session};
use interop::snmp::Snmp;
use interop::stream::Stream;
use tokio::net::UdpSocket;

/// Bytes of a stream.
const BYTES: usize = 256 << 10;

fn config(fec: Option<FecParams>) -> Config {
    Config {
        conv: 0x0102_0304,
        fec,
        no_delay: NoDelay::FAST3,
        snd_wnd: 256,
        rcv_wnd: 256,
        stream: true,
        ..Config::default()
    }
}

/// The model on a socket that loses some of what it sends and receives.
struct Endpoint {
    socket: UdpSocket,
    peer: SocketAddr,
    session: Session,
    start: Instant,
    random: Stream,
    loss_percent: u64,
}

impl Endpoint {
    fn new(socket: UdpSocket, peer: SocketAddr, config: Config, loss_percent: u64) -> Self {
        Self {
            socket,
            peer,
            session: Session::new(0, config),
            start: Instant::now(),
            random: Stream::new(3),
            loss_percent,
        }
    }

    fn now_ms(&self) -> u64 {
        self.start.elapsed().as_millis() as u64
    }

    fn is_lost(&mut self) -> bool {
        self.random.next_word() % 100 < self.loss_percent
    }

    /// Sends what is to be sent, and waits for a datagram or the timer.
    async fn turn(&mut self) {
        while let Some(packet) = self.session.poll_transmit() {
            if !self.is_lost() {
                let sent = self.socket.send_to(&packet, self.peer).await;
                sent.expect("the loopback interface takes datagrams");
            }
        }
        let timer = self.start + Duration::from_millis(self.session.poll_timeout());
        let mut buffer = [0; 2048];
        tokio::select! {
            received = self.socket.recv_from(&mut buffer) => {
                let (len, from) = received.expect("the loopback interface gives datagrams");
                if from == self.peer && !self.is_lost() {
                    self.session.handle_packet(self.now_ms(), &buffer[..len]);
                }
            }
            () = tokio::time::sleep_until(timer.into()) => {}
        }
        self.session.handle_timeout(self.now_ms());
    }

    /// Writes the stream of seed 1 to an echo until it has come back.
    async fn ask_echo(&mut self, bytes: usize) {
        let stream = Stream::new(1).bytes(bytes);
        let mut rest = stream.chunks(4096).peekable();
        let mut echoed = Vec::new();
        while echoed.len() < bytes {
            while let Some(chunk) = rest.peek() {
                if !self.session.write(self.now_ms(), chunk) {
                    break;
                }
                rest.next();
            }
            self.turn().await;
            while let Some(message) = self.session.read() {
                echoed.extend(message);
            }
        }
        assert!(echoed == stream, "what came back is what was written");
    }

    /// Returns every message, for ever.
    async fn echo(&mut self) {
        let mut waiting = None;
        loop {
            while let Some(message) = waiting.take().or_else(|| self.session.read()) {
                if !self.session.write(self.now_ms(), &message) {
                    waiting = Some(message);
                    break;
                }
            }
            self.turn().await;
        }
    }
}

async fn loopback() -> UdpSocket {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).await;
    socket.expect("the kernel has a free port")
}

/// With and without forward error correction, on a good path and on a bad one.
fn links() -> impl Iterator<Item = (Option<FecParams>, u64)> {
    [None, FecParams::new(10, 3)]
        .into_iter()
        .flat_map(|fec| [(fec, 0), (fec, 5)])
}

#[tokio::test]
async fn the_model_dials_a_go_listener() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for (fec, loss_percent) in links() {
        let options = PeerOptions {
            session: config(fec),
            ..PeerOptions::default()
        };
        let mut listener = go.listen(&options).await;
        let mut model = Endpoint::new(loopback().await, listener.addr(), config(fec), loss_percent);
        tokio::time::timeout(options.timeout, model.ask_echo(BYTES))
            .await
            .unwrap();

        assert_eq!(listener.accepted().await.conv, config(fec).conv);
        let theirs = listener.quit().await.snmp;
        let ours = model.session.snmp();
        for snmp in [&ours, &theirs] {
            assert_eq!(
                snmp.kcp_in_errors + snmp.in_errs + snmp.fec_errs,
                0,
                "{snmp:?}"
            );
            assert_eq!(snmp.fec_parity_shards > 0, fec.is_some(), "{snmp:?}");
            assert_eq!(snmp.bytes_received, BYTES as u64);
            if loss_percent > 0 {
                let repaired = if fec.is_some() {
                    snmp.fec_recovered
                } else {
                    snmp.retrans_segs
                };
                assert!(repaired > 0, "{snmp:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_go_dialler_dials_the_model() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for (fec, loss_percent) in links() {
        let options = PeerOptions {
            session: config(fec),
            mode: Mode::Duplex {
                bytes: BYTES,
                seed: 1,
                peer_seed: 1,
                chunk: 4096,
            },
            ..PeerOptions::default()
        };
        let socket = loopback().await;
        let mut dialler = go.dial(socket.local_addr().unwrap(), &options).await;
        let mut model = Endpoint::new(socket, dialler.addr(), config(fec), loss_percent);
        let received = tokio::select! {
            received = dialler.received() => received,
            () = model.echo() => unreachable!("an echo never ends"),
        };
        assert!(received.intact);
        let theirs = dialler.quit().await.snmp;
        let ours = model.session.snmp();
        for snmp in [&ours, &theirs] {
            assert_eq!(
                snmp.kcp_in_errors + snmp.in_errs + snmp.fec_errs,
                0,
                "{snmp:?}"
            );
            assert_eq!(snmp.fec_parity_shards > 0, fec.is_some(), "{snmp:?}");
        }
    }
}

#[tokio::test]
async fn the_model_learns_the_shape_of_a_go_peer_and_the_other_way_round() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let options = PeerOptions {
        session: config(FecParams::new(5, 2)),
        ..PeerOptions::default()
    };
    let listener = go.listen(&options).await;
    let config = config(FecParams::new(10, 3));
    let mut model = Endpoint::new(loopback().await, listener.addr(), config, 0);
    let exchange = async {
        model.ask_echo(BYTES / 2).await;
        model.loss_percent = 5;
        model.ask_echo(2 * BYTES).await;
    };
    tokio::time::timeout(options.timeout, exchange)
        .await
        .unwrap();
    assert!(model.session.snmp().fec_recovered > 0);
    assert!(listener.quit().await.snmp.fec_recovered > 0);
}

/// What a peer could send that is wrong, or right but unexpected, for the conversation of [`config`].
fn odd_packets() -> Vec<Vec<u8>> {
    let segment = |cmd: u8, sn: u32, len: u32, data: &[u8]| {
        let mut packet = Vec::new();
        let header = Header {
            conv: config(None).conv,
            cmd,
            frg: 0,
            wnd: 32,
            ts: 0,
            sn,
            una: 0,
            len,
        };
        header.write(&mut packet);
        packet.extend(data);
        packet
    };
    let coded = |seqid: u32, kind: u8, body: &[u8]| {
        let size = (body.len() + 2) as u8;
        [&seqid.to_le_bytes(), &[kind, 0, size, 0][..], body].concat()
    };
    let conv = config(None).conv.to_le_bytes();
    let push = segment(81, 0, 4, b"data");
    vec![
        vec![0; 5],
        vec![0; 11],
        vec![0; 12],
        vec![0; 24],
        push.clone(),
        push.clone(),
        segment(81, 256, 1, b"beyond the window, and followed by rubbish"),
        segment(81, 1, 100, b"cut"),
        segment(85, 1, 0, b""),
        [segment(82, 0, 0, b""), segment(81, 1, 9, b"cut")].concat(),
        coded(0, 0xf1, &push),
        coded(1, 0xf1, b"short"),
        coded(1, 0xf1, b"short"),
        coded(13, 0xf2, b"parity where data should be"),
        coded(u32::MAX, 0xf1, &push),
        coded(u32::MAX, 0xf3, &[&conv, &b"nobody listens"[..]].concat()),
        coded(u32::MAX, 0xf3, &conv),
        push,
    ]
}

/// The counters that do not depend on when something is sent.
fn of_arrivals(snmp: &Snmp) -> Snmp {
    Snmp {
        bytes_received: snmp.bytes_received,
        in_errs: snmp.in_errs,
        kcp_in_errors: snmp.kcp_in_errors,
        in_pkts: snmp.in_pkts,
        in_bytes: snmp.in_bytes,
        in_segs: snmp.in_segs,
        repeat_segs: snmp.repeat_segs,
        fec_full_shards: snmp.fec_full_shards,
        fec_parity_shards: snmp.fec_parity_shards,
        fec_errs: snmp.fec_errs,
        fec_recovered: snmp.fec_recovered,
        fec_shard_set: snmp.fec_shard_set,
        fec_shard_min: snmp.fec_shard_min,
        oob_packets: snmp.oob_packets,
        ..Snmp::default()
    }
}

#[tokio::test]
async fn the_model_counts_what_a_go_peer_counts() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for fec in [None, FecParams::new(10, 3)] {
        let socket = loopback().await;
        let options = PeerOptions {
            session: config(fec),
            ..PeerOptions::default()
        };
        let mut dialler = go.dial(socket.local_addr().unwrap(), &options).await;
        let mut model = Session::new(0, config(fec));
        let deadline = Instant::now() + Duration::from_secs(10);
        for packet in odd_packets() {
            model.handle_packet(0, &packet);
            while model.read().is_some() {}
            socket.send_to(&packet, dialler.addr()).await.unwrap();
            let ours = of_arrivals(&model.snmp());
            let mut theirs = of_arrivals(&dialler.snmp().await);
            while ours != theirs && Instant::now() < deadline {
                theirs = of_arrivals(&dialler.snmp().await);
            }
            assert_eq!(ours, theirs, "after {packet:02x?}");
        }
    }
}
