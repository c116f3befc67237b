//! Hundreds of sessions at a time.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use interop::go::{Cipher as GoCipher, Go, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use kcp_transport::{Cipher, Config, Connector, Fec, Listener};
use netlab::relay::Relay;
use tokio::task::JoinSet;

use crate::cell::PATIENCE;
use crate::exchange;
use crate::guard::while_moving;
use crate::record;
use crate::seed::seed;

const SESSIONS: usize = 500;

/// Bytes of each session, there and back.
const BYTES: usize = 20_000;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A listener of kcp-go lets 128 sessions wait to be accepted; the others must come again.
const PATH: &str = "delay=3ms loss=1%";

fn config() -> Config {
    let cipher = Cipher::kcptun("aes-128-gcm", PASSPHRASE).expect("a cipher of kcptun");
    Config::fast3()
        .cipher(cipher)
        .fec(Fec::new(10, 3).expect("a code"))
}

fn peer_options(mode: Mode, sessions: usize) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: FecParams::new(10, 3),
            no_delay: NoDelay::FAST3,
            snd_wnd: 128,
            rcv_wnd: 128,
            ..GoConfig::default()
        },
        cipher: GoCipher::new("aes-128-gcm", PASSPHRASE),
        sessions,
        mode,
        timeout: PATIENCE,
        ..PeerOptions::default()
    }
}

fn link(server: SocketAddr) -> Relay {
    let link: netlab::link::LinkConfig = PATH.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed()).expect("started")
}

fn passed(role: &'static str) {
    record::passed(record::Row {
        peer: record::name(Release::Current),
        role,
        cipher: "aes-128-gcm",
        code: "10/3",
        what: "500 sessions at a time, 20 kB there and back on each, at 1 % loss",
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_sessions_of_kcp_go_are_echoed_at_a_time() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let mut listener = Listener::bind(LOOPBACK, config()).await.expect("bound");
    let relay = link(listener.local_addr());
    let seed = seed();
    let mode = Mode::Duplex {
        bytes: BYTES,
        seed,
        peer_seed: seed,
        chunk: 2_000,
    };
    let mut peer = go
        .dial(relay.local_addr(), &peer_options(mode, SESSIONS))
        .await;
    let echoed = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&echoed);
    let endpoint = listener.endpoints()[0].clone();
    let accept = tokio::spawn(async move {
        let mut sessions = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            sessions.spawn(async move {
                let (mut reader, mut writer) = stream.into_split();
                exchange::echo(&mut reader, &mut writer, &count).await
            });
        }
    });
    let all = async {
        for _ in 0..SESSIONS {
            assert!(peer.received().await.intact);
        }
    };
    while_moving(|| echoed.load(Ordering::Relaxed), all).await;
    let stats = endpoint.stats().await.expect("it lives");
    assert_eq!(stats.passive_opens, SESSIONS as u64, "{stats:?}");
    assert_eq!(peer.snmp().await.bytes_received, (SESSIONS * BYTES) as u64);
    accept.abort();
    passed("listens");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_sessions_of_ours_are_echoed_by_kcp_go_at_a_time() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let mut peer = go.listen(&peer_options(Mode::Echo, 1)).await;
    let relay = link(peer.addr());
    let connector = Connector::new(config()).local_addr(LOOPBACK);
    let returned = Arc::new(AtomicU64::new(0));
    let mut sessions = JoinSet::new();
    for number in 0..SESSIONS as u64 {
        let connected = connector.connect_addr(relay.local_addr()).await;
        let (mut reader, mut writer) = connected.expect("opened").into_split();
        let returned = Arc::clone(&returned);
        sessions.spawn(async move {
            let seed = seed() + number;
            let write = exchange::write(&mut writer, seed, BYTES, 2_000);
            let read = exchange::read(&mut reader, seed, BYTES);
            tokio::try_join!(write, read).expect("it lives");
            returned.fetch_add(1, Ordering::Relaxed);
            // All live until the last is done.
            (reader, writer)
        });
    }
    let all = async {
        let mut done = Vec::new();
        while let Some(session) = sessions.join_next().await {
            done.push(session.expect("it went well"));
        }
        let snmp = peer.snmp().await;
        assert_eq!(snmp.curr_estab, SESSIONS as u64, "{snmp:?}");
        assert_eq!(snmp.bytes_sent, (SESSIONS * BYTES) as u64, "{snmp:?}");
    };
    while_moving(|| returned.load(Ordering::Relaxed), all).await;
    passed("dials");
}
