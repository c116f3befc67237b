//! Peers that restart on the same port, theirs and ours. Nothing says farewell: a new conversation just begins.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use interop::go::{Cipher as GoCipher, Go, GoPeer, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use kcp_transport::{Cipher, Config, Endpoint, Fec, KcpStream, Listener, UdpSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cell::PATIENCE;
use crate::exchange;
use crate::guard::{moved, while_moving};
use crate::record;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Bytes in each direction: enough for many groups of a code, and for numbers that have moved on.
const BYTES: usize = 300_000;

const SEEDS: (u64, u64) = (1, 2);

fn config() -> Config {
    let cipher = Cipher::kcptun("aes-128", PASSPHRASE).expect("a cipher of kcptun");
    Config::fast3()
        .cipher(cipher)
        .fec(Fec::new(10, 3).expect("a code"))
}

/// A peer that writes one stream and reads the other.
fn peer_options(local: Option<SocketAddr>) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: FecParams::new(10, 3),
            no_delay: NoDelay::FAST3,
            snd_wnd: 256,
            rcv_wnd: 256,
            ..GoConfig::default()
        },
        cipher: GoCipher::new("aes-128", PASSPHRASE),
        mode: Mode::Duplex {
            bytes: BYTES,
            seed: SEEDS.1,
            peer_seed: SEEDS.0,
            chunk: 4_096,
        },
        local,
        timeout: PATIENCE,
        ..PeerOptions::default()
    }
}

/// Both streams arrive whole. The session lives on.
async fn converse(stream: &mut KcpStream, peer: &mut GoPeer) {
    let sign = moved(stream.info());
    let (mut reader, mut writer) = tokio::io::split(stream);
    let all = async {
        let write = exchange::write(&mut writer, SEEDS.0, BYTES, 4_096);
        let read = exchange::read(&mut reader, SEEDS.1, BYTES);
        tokio::try_join!(write, read).expect("it lives");
        assert!(peer.received().await.intact);
    };
    while_moving(sign, all).await;
}

fn endpoint(local: SocketAddr) -> Endpoint {
    let config = config();
    let socket = UdpSocket::bind(local, &config, false).expect("bound");
    Endpoint::new(socket, Arc::new(config)).expect("bound")
}

fn passed(release: Release, role: &'static str, what: &'static str) {
    record::passed(record::Row {
        peer: record::name(release),
        role,
        cipher: "aes-128",
        code: "10/3",
        what,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kcp_go_dialler_that_restarts_on_its_port_is_served_anew() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        for replaces in [false, true] {
            let config = config().replace_on_new_conv(replaces);
            let mut listener = Listener::bind(LOOPBACK, config).await.expect("bound");
            let addr = listener.local_addr();
            let mut first = go.dial(addr, &peer_options(None)).await;
            let (mut old, from) = listener.accept().await.expect("listening");
            converse(&mut old, &mut first).await;
            first.kill().await;

            let mut second = go.dial(addr, &peer_options(Some(from))).await;
            let (mut new, again) = listener.accept().await.expect("listening");
            assert_eq!(from, again);
            assert_ne!(old.conv(), new.conv());
            converse(&mut new, &mut second).await;
            assert_eq!(old.error().is_some(), replaces, "{:?}", old.error());
            let stats = listener.stats().await.expect("it lives");
            assert_eq!(stats.sessions.fec_errors, 0, "{stats:?}");
            assert_eq!(second.snmp().await.fec_errs, 0);
        }
        passed(release, "listens", "the peer restarts on its port");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kcp_go_listener_that_restarts_on_its_port_serves_new_sessions() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        let mut first = go.listen(&peer_options(None)).await;
        let addr = first.addr();
        let ours = endpoint(LOOPBACK);
        let mut old = ours.connect(addr).await.expect("opened");
        converse(&mut old, &mut first).await;
        first.kill().await;

        // Another client of it, and the same one with a new conversation from its port.
        let mut second = go.listen(&peer_options(Some(addr))).await;
        let mut other = endpoint(LOOPBACK).connect(addr).await.expect("opened");
        converse(&mut other, &mut second).await;
        old.abort();
        let mut new = ours.connect(addr).await.expect("opened");
        converse(&mut new, &mut second).await;
        assert_eq!(second.snmp().await.fec_errs, 0);
        passed(release, "dials", "the peer restarts on its port");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_dialler_that_restarts_on_its_port_is_served_anew_by_kcp_go() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        let mut peer = go.listen(&peer_options(None)).await;
        let first = endpoint(LOOPBACK);
        let local = first.local_addr();
        let mut old = first.connect(peer.addr()).await.expect("opened");
        converse(&mut old, &mut peer).await;
        let conv = old.conv();
        drop(old);
        first.close();
        drop(first);

        let second = loop {
            // The old socket closes when its task has ended.
            let config = config();
            if let Ok(socket) = UdpSocket::bind(local, &config, false) {
                break Endpoint::new(socket, Arc::new(config)).expect("bound");
            }
            tokio::task::yield_now().await;
        };
        let mut new = second.connect(peer.addr()).await.expect("opened");
        assert_ne!(new.conv(), conv);
        converse(&mut new, &mut peer).await;
        peer.accepted().await;
        let accepted = peer.accepted().await;
        assert_eq!((accepted.conv, accepted.peer), (new.conv(), local));
        passed(release, "dials", "ours restarts on its port");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_listener_that_restarts_on_its_port_takes_new_sessions_and_nothing_of_old_ones() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        let mut listener = Listener::bind(LOOPBACK, config()).await.expect("bound");
        let addr = listener.local_addr();
        // It never stops writing, so it still does when there is another listener.
        let endless = PeerOptions {
            mode: Mode::Source {
                bytes: 1 << 30,
                seed: 3,
                chunk: 4_096,
            },
            ..peer_options(None)
        };
        let _old_peer = go.dial(addr, &endless).await;
        let (mut old, old_addr) = listener.accept().await.expect("listening");
        let mut first = [0; 100_000];
        old.read_exact(&mut first).await.expect("it lives");
        listener.abort();
        drop((old, listener));

        let mut listener = loop {
            // The old socket closes when its task has ended.
            if let Ok(listener) = Listener::bind(addr, config()).await {
                break listener;
            }
            tokio::task::yield_now().await;
        };
        let mut peer = go.dial(addr, &peer_options(None)).await;
        let mut new = loop {
            let (stream, from) = listener.accept().await.expect("listening");
            if from != old_addr {
                break stream;
            }
            assert_eq!(stream.stats().bytes_received, 0, "the middle of a stream");
        };
        converse(&mut new, &mut peer).await;
        new.shutdown().await.expect("everything is acknowledged");
        passed(release, "listens", "ours restarts on its port");
    }
}
