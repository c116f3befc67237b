//! Faults of peers, shown without us where that is possible, because our other tests make exceptions for them.

use std::time::Duration;

use examples::rpcx;
use interop::go::{Cipher, Go, Mode, PeerOptions, Release, RpcxPeer};
use interop::reference::{Config, FecParams, NoDelay};
use kcp_transport::Connector;
use netlab::link::LinkConfig;
use netlab::relay::Relay;

use crate::parity_first::ParityFirst;

/// A race has to be lost for a fault to show.
const ROUNDS: u64 = 10;

fn options(mode: Mode) -> PeerOptions {
    PeerOptions {
        session: Config {
            no_delay: NoDelay::FAST3,
            snd_wnd: 256,
            rcv_wnd: 256,
            ..Config::default()
        },
        mode,
        ..PeerOptions::default()
    }
}

/// The goroutine of a session that sends and the one that receives share one `sm4.Sm4Cipher`, which writes to scratch
/// memory of its own when it encrypts a block; CFB encrypts both ways. So either spoils packets of the other.
#[tokio::test]
async fn kcp_go_damages_its_own_packets_under_sm4() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for _ in 0..ROUNDS {
        let options = PeerOptions {
            cipher: Cipher::new("sm4", "a passphrase"),
            ..options(Mode::Echo)
        };
        let mut listener = go.listen(&options).await;
        let mode = Mode::Duplex {
            bytes: 2 << 20,
            seed: 1,
            peer_seed: 1,
            chunk: 4_096,
        };
        let options = PeerOptions { mode, ..options };
        let mut dialler = go.dial(listener.addr(), &options).await;
        assert!(dialler.received().await.intact);
        let damaged = dialler.snmp().await.in_csum_errors + listener.snmp().await.in_csum_errors;
        if damaged > 0 {
            return;
        }
    }
    panic!("the fault is gone: so should be what is made of it");
}

/// Until it has learned the shape of the peer's code, the old kcp-go rebuilds packets as its own shape says, and
/// believes the result: sums over equal conversation numbers are that number again, for the code is linear.
#[tokio::test]
async fn the_old_kcp_go_spoils_streams_of_a_peer_with_another_code() {
    let (Some(old), Some(current)) = (Go::find(Release::Old), Go::find(Release::Current)) else {
        return;
    };
    for round in 0..ROUNDS {
        let (bytes, seed) = (512 << 10, round);
        let mut listener = old.listen(&options(Mode::Sink { bytes, seed })).await;
        let link = LinkConfig::new().delay(Duration::from_millis(3));
        let relay = Relay::start(listener.addr(), link.clone(), link, round).expect("started");
        let mut options = options(Mode::Source {
            bytes,
            seed,
            chunk: 20_000,
        });
        options.session.fec = FecParams::new(10, 3);
        let _dialler = current.dial(relay.local_addr(), &options).await;
        if !listener.received().await.intact {
            return;
        }
    }
    panic!("the fault is gone: so should be what is made of it");
}

/// With no code of its own it presumes one of a data packet and a parity packet until a packet does not fit. Odd parity
/// fits: it is believed to be the packet that was lost, and its segment number is the sum of those it was made of.
#[tokio::test]
async fn kcp_go_without_a_code_takes_parity_that_comes_first_for_data() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let (bytes, seed) = (20_000, 1);
    let mut listener = go.listen(&options(Mode::Sink { bytes, seed })).await;
    let link = ParityFirst::start(listener.addr()).await;
    let mode = Mode::Source {
        bytes,
        seed,
        chunk: bytes,
    };
    let mut options = options(mode);
    options.session.fec = FecParams::new(10, 3);
    let _dialler = go.dial(link.addr(), &options).await;
    let received = listener.received().await;
    assert!(
        !received.intact,
        "the fault is gone: so should be what is made of it"
    );
    assert_eq!(listener.snmp().await.fec_recovered, 1);
}

/// With a code of its own it takes data packets and parity, and counts everything else as an error. A probe is a packet of
/// one window message.
#[tokio::test]
async fn the_kcp_go_of_rpcx_hears_only_what_has_a_place_in_a_code() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let (_peer, addr) = RpcxPeer::serve(program, Duration::from_secs(60)).await;
    for (protected, patience) in [(true, 30), (false, 1)] {
        let cipher = rpcx::cipher("aes", "rpcx-key", "rpcx-salt").expect("a cipher");
        let config = rpcx::config(cipher).expect("a code");
        let config = config
            .protect_control(protected)
            .connect_probe(Duration::from_secs(patience));
        let heard = Connector::new(config).connect_addr(addr).await.is_ok();
        assert_eq!(heard, protected);
    }
}
