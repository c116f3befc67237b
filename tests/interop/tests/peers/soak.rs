//! Hours in minutes: sessions of every kind with peers that come and go, over links that lose.
//!
//! `KCP_INTEROP_SOAK_MINUTES` says how long, by default 30. Every byte is checked, and that memory does not grow.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use interop::go::{Cipher as GoCipher, Go, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use interop::stream::Stream;
use kcp_transport::{Cipher, Config, Endpoint, Fec, Listener, UdpSocket};
use netlab::relay::Relay;
use tokio::task::JoinSet;

use crate::cell::{Cell, LEVELS};
use crate::exchange;
use crate::guard::{moved, while_moving};
use crate::seed::seed;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

const PATH: &str = "delay=5ms jitter=2ms jitter-order=mix loss=5% duplicate=1%";

/// Bytes in each direction of a conversation with a peer that restarts.
const BYTES: usize = 1 << 20;

/// After so many conversations a listener restarts.
const LIFE: u64 = 5;

/// A peer lives no longer than the whole.
const FOREVER: Duration = Duration::from_secs(24 * 3_600);

/// How much more memory this process may have at the end than after a fifth of the time, in MiB.
const GROWTH: u64 = 64;

/// What was done so far.
#[derive(Debug, Default)]
struct Figures {
    over: AtomicBool,
    conversations: AtomicU64,
    bytes: AtomicU64,
    restarts: AtomicU64,
}

impl Figures {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn done(&self, bytes: usize) {
        self.conversations.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[ignore = "30 minutes, or KCP_INTEROP_SOAK_MINUTES"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_with_peers_that_come_and_go_lose_no_byte_and_no_memory() {
    let (Some(current), Some(old)) = (Go::find(Release::Current), Go::find(Release::Old)) else {
        return;
    };
    let minutes = std::env::var("KCP_INTEROP_SOAK_MINUTES");
    let minutes = minutes.map_or(30, |text| {
        text.parse().expect("KCP_INTEROP_SOAK_MINUTES is a number")
    });
    let figures = Arc::new(Figures::default());
    let mut lanes = JoinSet::new();
    for lane in 0..3 {
        lanes.spawn(any_cells(lane, [current, old], Arc::clone(&figures)));
    }
    lanes.spawn(diallers_that_restart(current, Arc::clone(&figures)));
    lanes.spawn(listeners_that_restart(current, Arc::clone(&figures)));
    lanes.spawn(one_long_session(current, Arc::clone(&figures)));

    let begin = Instant::now();
    let mut early = None;
    for minute in 1..=minutes {
        let until = begin + Duration::from_secs(60 * minute);
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            // None ends before it is told to, unless something is wrong.
            ended = lanes.join_next() => panic!("{ended:?}, KCP_INTEROP_SEED={}", seed()),
        }
        let memory = resident_mib();
        if 5 * minute >= minutes {
            early.get_or_insert(memory);
        }
        let [conversations, bytes, restarts] =
            [&figures.conversations, &figures.bytes, &figures.restarts]
                .map(|figure| figure.load(Ordering::Relaxed));
        println!(
            "minute {minute}: {conversations} conversations, {} MiB checked, {restarts} restarts, {memory} MiB of memory",
            bytes >> 20
        );
    }
    figures.over.store(true, Ordering::Relaxed);
    while let Some(ended) = lanes.join_next().await {
        ended.expect("it ends well");
    }
    let (early, late) = (early.unwrap_or_default(), resident_mib());
    assert!(
        late < early + GROWTH,
        "memory grew from {early} to {late} MiB"
    );
}

/// Memory of this process, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() >> 10
}

/// One conversation after the other, of any kind, each with a new peer.
async fn any_cells(lane: u64, [current, old]: [Go; 2], figures: Arc<Figures>) {
    let mut random = Stream::new(seed().wrapping_mul(1_000) + lane);
    while !figures.is_over() {
        let draw = |count: &usize| (random.next_word() % *count as u64) as usize;
        let row: Vec<_> = LEVELS.iter().map(draw).collect();
        let cell = Cell::from_row(&row);
        let release = if random.next_word().is_multiple_of(4) {
            Release::Old
        } else {
            Release::Current
        };
        if !cell.is_possible(release) {
            continue;
        }
        let go = match release {
            Release::Current => current,
            Release::Old => old,
        };
        let seed = 2 * (random.next_word() >> 8);
        let talk = cell.clone();
        let talk = tokio::spawn(async move { talk.run(go, seed).await });
        assert!(talk.await.is_ok(), "{release:?} {seed} {cell:?}");
        figures.done(cell.bytes());
    }
}

fn config() -> Config {
    let cipher = Cipher::kcptun("aes-128-gcm", PASSPHRASE).expect("a cipher of kcptun");
    let code = Fec::new(10, 3).expect("a code");
    // What restarts says nothing, so only silence tells that it is gone.
    Config::fast3()
        .cipher(cipher)
        .fec(code)
        .idle_timeout(Duration::from_secs(30))
}

fn peer_options(local: Option<SocketAddr>, mode: Mode) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: FecParams::new(10, 3),
            no_delay: NoDelay::FAST3,
            snd_wnd: 512,
            rcv_wnd: 512,
            stream: true,
            ..GoConfig::default()
        },
        cipher: GoCipher::new("aes-128-gcm", PASSPHRASE),
        mode,
        local,
        timeout: FOREVER,
        ..PeerOptions::default()
    }
}

fn duplex(seed: u64) -> Mode {
    Mode::Duplex {
        bytes: BYTES,
        seed,
        peer_seed: seed,
        chunk: 8_192,
    }
}

fn link(server: SocketAddr) -> Relay {
    let link: netlab::link::LinkConfig = PATH.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed()).expect("started")
}

fn endpoint() -> Endpoint {
    let config = config();
    let socket = UdpSocket::bind(LOOPBACK, &config, false).expect("bound");
    Endpoint::new(socket, Arc::new(config)).expect("bound")
}

/// One listener of ours, and diallers that crash and come back on their port.
async fn diallers_that_restart(go: Go, figures: Arc<Figures>) {
    let mut listener = Listener::bind(LOOPBACK, config()).await.expect("bound");
    let relay = link(listener.local_addr());
    let mut local = None;
    for seed in seed().. {
        if figures.is_over() {
            return;
        }
        let mut peer = go
            .dial(relay.local_addr(), &peer_options(local, duplex(seed)))
            .await;
        local = Some(peer.addr());
        let (stream, _) = listener.accept().await.expect("listening");
        let sign = moved(stream.info());
        let (mut reader, mut writer) = stream.into_split();
        let count = AtomicU64::new(0);
        let all = async {
            tokio::select! {
                received = peer.received() => assert!(received.intact),
                ended = exchange::echo(&mut reader, &mut writer, &count) => panic!("it lives: {ended:?}"),
            }
        };
        while_moving(sign, all).await;
        figures.done(2 * BYTES);
        peer.kill().await;
        figures.restarts.fetch_add(1, Ordering::Relaxed);
    }
}

/// Listeners that crash and come back on their port, and one socket of ours.
async fn listeners_that_restart(go: Go, figures: Arc<Figures>) {
    let mut peer = go.listen(&peer_options(None, Mode::Echo)).await;
    let addr = peer.addr();
    let relay = link(addr);
    let ours = endpoint();
    for round in 1.. {
        if figures.is_over() {
            return;
        }
        let mut stream = ours.connect(relay.local_addr()).await.expect("opened");
        let sign = moved(stream.info());
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let all = async {
            let write = exchange::write(&mut writer, round, BYTES, 8_192);
            let read = exchange::read(&mut reader, round, BYTES);
            tokio::try_join!(write, read).expect("it lives");
        };
        while_moving(sign, all).await;
        figures.done(2 * BYTES);
        // A listener of kcp-go holds one session for each address.
        stream.abort();
        if round % LIFE == 0 {
            peer.kill().await;
            peer = go.listen(&peer_options(Some(addr), Mode::Echo)).await;
            figures.restarts.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A session that lives as long as all this.
async fn one_long_session(go: Go, figures: Arc<Figures>) {
    const PART: usize = 256 << 10;
    let peer = go.listen(&peer_options(None, Mode::Echo)).await;
    let relay = link(peer.addr());
    let stream = endpoint()
        .connect(relay.local_addr())
        .await
        .expect("opened");
    let info = stream.info();
    let (mut reader, mut writer) = stream.into_split();
    for seed in seed().. {
        if figures.is_over() {
            return;
        }
        let all = async {
            let write = exchange::write(&mut writer, seed, PART, 3_000);
            let read = exchange::read(&mut reader, seed, PART);
            tokio::try_join!(write, read).expect("it lives");
        };
        while_moving(moved(info.clone()), all).await;
        figures.bytes.fetch_add(2 * PART as u64, Ordering::Relaxed);
    }
}
