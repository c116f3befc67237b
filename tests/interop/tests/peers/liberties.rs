//! What our sender does otherwise than kcp-go does no harm there: transmission numbers instead of times, some of a
//! group's parity instead of all, acknowledgements at once and again, copies.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use interop::go::{Cipher as GoCipher, Go, GoPeer, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use interop::snmp::Snmp;
use kcp_transport::{Cipher, Config, Connector, Fec, KcpStream, Listener, Redundancy};
use netlab::relay::Relay;
use tokio::io::AsyncWriteExt;

use crate::cell::{PATIENCE, ROLES, Role};
use crate::exchange;
use crate::guard::{moved, while_moving};
use crate::parity_first::ParityFirst;
use crate::record;
use crate::seed::seed;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Links that lose, reorder and repeat.
const PATHS: [&str; 3] = [
    "delay=5ms loss=5%",
    "delay=5ms loss=20%",
    "delay=5ms jitter=5ms jitter-order=mix loss=10% duplicate=5%",
];

/// Bytes in each direction.
const BYTES: usize = 1 << 20;

/// How often everything is done, each time with other losses.
const ROUNDS: u64 = 3;

/// Round trip of the sparse calls, in milliseconds.
const ROUND_TRIP: u32 = 100;

/// Sparse calls.
const CALLS: usize = 60;

/// A busy machine makes round trips longer than the link does, so one of these must go well. An estimate that our
/// acknowledgements spoil is seconds, every time.
const ATTEMPTS: u64 = 3;

/// Calls after which an estimate has forgotten how it began.
const SETTLED: usize = 5;

fn config() -> Config {
    let cipher = Cipher::kcptun("aes", PASSPHRASE).expect("a cipher of kcptun");
    Config::fast3()
        .cipher(cipher)
        .fec(Fec::new(10, 3).expect("a code"))
}

fn peer_options(mode: Mode) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: FecParams::new(10, 3),
            no_delay: NoDelay::FAST3,
            snd_wnd: 256,
            rcv_wnd: 256,
            stream: true,
            ..GoConfig::default()
        },
        cipher: GoCipher::new("aes", PASSPHRASE),
        mode,
        timeout: PATIENCE,
        ..PeerOptions::default()
    }
}

fn link(server: SocketAddr, path: &str, seed: u64) -> Relay {
    let link: netlab::link::LinkConfig = path.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed).expect("started")
}

/// Everything that we ever do otherwise, at once.
fn boldest() -> Config {
    config()
        .ack_no_delay(true)
        .duplicates(1)
        .redundancy(Redundancy::Tail(2))
}

/// What we do.
struct Liberty {
    config: fn() -> Config,
    /// Parity packets of a group that are sent, at most.
    parity: usize,
    /// Whether losses leave the peer something to rebuild.
    rebuilds: bool,
}

const LIBERTIES: [Liberty; 4] = [
    Liberty {
        config: boldest,
        parity: 3,
        rebuilds: false,
    },
    Liberty {
        config,
        parity: 3,
        rebuilds: true,
    },
    Liberty {
        config,
        parity: 1,
        rebuilds: true,
    },
    Liberty {
        config,
        parity: 0,
        rebuilds: false,
    },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_liberty_of_ours_harms_a_stream_or_the_repair_of_kcp_go() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        for (path, round) in PATHS.into_iter().zip(0..ROUNDS) {
            for Liberty {
                config,
                parity,
                rebuilds,
            } in LIBERTIES
            {
                let seed = seed().wrapping_mul(ROUNDS) + round;
                for role in ROLES {
                    let (stream, mut peer, _ends) = open(go, *role, config(), path, seed).await;
                    stream.set_parity_limit(parity);
                    while_moving(moved(stream.info()), converse(stream, &mut peer, seed)).await;
                    check(&peer.snmp().await, parity, rebuilds);
                }
            }
        }
        record::passed(record::Row {
            peer: record::name(release),
            role: "dials, listens",
            cipher: "aes",
            code: "10/3",
            what: "0, 1 or 3 of 3 parity packets of every group, copies, acks at once, at up to 20 % loss: its streams are whole and it goes on repairing",
        });
    }
}

/// A session with a peer that writes one stream and reads another, and what it needs to live.
async fn open(
    go: Go,
    role: Role,
    config: Config,
    path: &str,
    seed: u64,
) -> (KcpStream, GoPeer, (Relay, Option<Listener>)) {
    let options = peer_options(Mode::Duplex {
        bytes: BYTES,
        seed: 2 * seed,
        peer_seed: 2 * seed + 1,
        chunk: 4_096,
    });
    match role {
        Role::WeDial => {
            let peer = go.listen(&options).await;
            let relay = link(peer.addr(), path, seed);
            let stream = Connector::new(config)
                .connect_addr(relay.local_addr())
                .await;
            (stream.expect("opened"), peer, (relay, None))
        }
        Role::WeListen => {
            let mut listener = Listener::bind(LOOPBACK, config).await.expect("bound");
            let relay = link(listener.local_addr(), path, seed);
            let peer = go.dial(relay.local_addr(), &options).await;
            let (stream, _) = listener.accept().await.expect("listening");
            (stream, peer, (relay, Some(listener)))
        }
    }
}

/// Streams both ways.
async fn converse(stream: KcpStream, peer: &mut GoPeer, seed: u64) {
    let (mut reader, mut writer) = stream.into_split();
    let write = exchange::write(&mut writer, 2 * seed + 1, BYTES, 4_096);
    let read = exchange::read(&mut reader, 2 * seed, BYTES);
    tokio::try_join!(write, read).expect("it lives");
    let received = peer.received().await;
    assert!(received.intact, "what the peer read is not what we wrote");
    writer.shutdown().await.expect("everything is acknowledged");
}

fn check(snmp: &Snmp, parity: usize, rebuilds: bool) {
    assert_eq!(snmp.kcp_in_errors, 0, "{snmp:?}");
    assert_eq!(snmp.in_csum_errors, 0, "{snmp:?}");
    assert_eq!(snmp.in_errs, 0, "{snmp:?}");
    assert_eq!(snmp.fec_errs, 0, "{snmp:?}");
    assert_eq!(snmp.fec_parity_shards > 0, parity > 0, "{snmp:?}");
    assert!(!rebuilds || snmp.fec_recovered > 0, "{snmp:?}");
    if parity == 0 {
        assert_eq!(snmp.fec_recovered, 0, "{snmp:?}");
    }
}

/// Not one that kcp-go takes: without a code of its own it spoils the stream of its like (`known.rs`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kcp_go_without_a_code_keeps_our_stream_whole_whatever_comes_first() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for (data, parity) in [(10, 3), (3, 1), (20, 10), (2, 2), (1, 1)] {
        for role in ROLES {
            let code = Fec::new(data, parity).expect("a code");
            let config = Config::fast3().fec(code);
            let seed = seed();
            let mut options = peer_options(Mode::Sink { bytes: BYTES, seed });
            options.session.fec = None;
            options.cipher = GoCipher::new("null", "");
            options.hello = *role == Role::WeListen;
            let (stream, mut peer, _link) = match role {
                Role::WeDial => {
                    let peer = go.listen(&options).await;
                    let link = ParityFirst::start(peer.addr()).await;
                    let stream = Connector::new(config).connect_addr(link.addr()).await;
                    (stream.expect("opened"), peer, link)
                }
                Role::WeListen => {
                    let mut listener = Listener::bind(LOOPBACK, config).await.expect("bound");
                    let link = ParityFirst::start(listener.local_addr()).await;
                    let peer = go.dial(link.addr(), &options).await;
                    let (stream, _) = listener.accept().await.expect("listening");
                    (stream, peer, link)
                }
            };
            let sign = moved(stream.info());
            let (_reader, mut writer) = stream.into_split();
            let all = async {
                let write = exchange::write(&mut writer, seed, BYTES, 4_096);
                write.await.expect("it lives");
                peer.received().await
            };
            let received = while_moving(sign, all).await;
            let snmp = peer.snmp().await;
            assert!(received.intact, "{data}/{parity} {role}: {snmp:?}");
            assert_eq!(snmp.kcp_in_errors, 0, "{data}/{parity} {role}: {snmp:?}");
            assert_eq!(snmp.fec_errs, 0, "{data}/{parity} {role}: {snmp:?}");
            assert!(
                snmp.fec_parity_shards > 0,
                "{data}/{parity} {role}: {snmp:?}"
            );
        }
    }
    record::passed(record::Row {
        peer: record::name(Release::Current),
        role: "dials, listens",
        cipher: "null",
        code: "10/3, 3/1, 20/10, 2/2, 1/1, peer none",
        what: "parity overtakes the data that it is made of: a peer without a code keeps the stream whole, and learns ours",
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sparse_calls_of_kcp_go_do_not_spoil_its_round_trip() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let mut tried = Vec::new();
    for attempt in 0..ATTEMPTS {
        let rtos = rtos_of_a_dialler(go, attempt).await;
        assert_eq!(rtos.len(), CALLS);
        if are_near_the_round_trip(&rtos) {
            passed("listens");
            return;
        }
        tried.push(rtos);
    }
    panic!("{tried:?}");
}

async fn rtos_of_a_dialler(go: Go, attempt: u64) -> Vec<u32> {
    let mut listener = Listener::bind(LOOPBACK, config()).await.expect("bound");
    let relay = sparse_link(listener.local_addr(), attempt);
    let mode = Mode::Sparse {
        count: CALLS,
        chunk: 64,
        pause: Duration::from_millis(30),
    };
    let mut peer = go.dial(relay.local_addr(), &peer_options(mode)).await;
    let (stream, _) = listener.accept().await.expect("listening");
    let sign = moved(stream.info());
    let (mut reader, mut writer) = stream.into_split();
    let count = std::sync::atomic::AtomicU64::new(0);
    let all = async {
        tokio::select! {
            replies = peer.replies() => replies,
            error = exchange::echo(&mut reader, &mut writer, &count) => {
                panic!("it lives: {error:?}")
            }
        }
    };
    while_moving(sign, all).await.rtos
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sparse_calls_of_ours_do_not_spoil_the_round_trip_of_kcp_go() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let mut tried = Vec::new();
    for attempt in 0..ATTEMPTS {
        let rtos = rtos_of_a_listener(go, attempt).await;
        if are_near_the_round_trip(&rtos) {
            passed("dials");
            return;
        }
        tried.push(rtos);
    }
    panic!("{tried:?}");
}

async fn rtos_of_a_listener(go: Go, attempt: u64) -> Vec<u32> {
    let mut peer = go.listen(&peer_options(Mode::Echo)).await;
    let relay = sparse_link(peer.addr(), attempt);
    let stream = Connector::new(config())
        .connect_addr(relay.local_addr())
        .await;
    let stream = stream.expect("opened");
    let sign = moved(stream.info());
    let (mut reader, mut writer) = stream.into_split();
    let mut rtos = Vec::new();
    let all = async {
        for number in 0..CALLS as u64 {
            exchange::write(&mut writer, number, 64, 64)
                .await
                .expect("it lives");
            exchange::read(&mut reader, number, 64)
                .await
                .expect("it lives");
            rtos.push(peer.estimates().await[0].rto);
        }
    };
    while_moving(sign, all).await;
    rtos
}

/// The first sample alone makes three round trips of it, by the rule that every KCP has.
fn are_near_the_round_trip(rtos: &[u32]) -> bool {
    let highest = rtos.iter().max().copied();
    let settled = rtos[SETTLED..].iter().max().copied();
    highest < Some(4 * ROUND_TRIP) && settled < Some(3 * ROUND_TRIP)
}

fn sparse_link(server: SocketAddr, attempt: u64) -> Relay {
    link(
        server,
        &format!("delay={}ms loss=20%", ROUND_TRIP / 2),
        seed().wrapping_mul(ATTEMPTS) + attempt,
    )
}

fn passed(role: &'static str) {
    record::passed(record::Row {
        peer: record::name(Release::Current),
        role,
        cipher: "aes",
        code: "10/3",
        what: "sparse calls at 20 % loss: its resend timeout stays below 3 round trips",
    });
}
