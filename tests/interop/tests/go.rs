//! kcp-go against itself, which proves the harness.

use std::time::Duration;

use interop::go::{Cipher, Go, Mode, PeerOptions, Release};
use interop::reference::{Config, FecParams, NoDelay};

const MIB: usize = 1 << 20;

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

#[tokio::test]
async fn a_go_listener_echoes_a_mebibyte_to_a_go_dialler() {
    for (listener, dialler) in [
        (Release::Current, Release::Current),
        (Release::Current, Release::Old),
        (Release::Old, Release::Current),
    ] {
        let (Some(listener), Some(dialler)) = (Go::find(listener), Go::find(dialler)) else {
            return;
        };
        let options = PeerOptions {
            session: config(FecParams::new(10, 3)),
            cipher: Cipher::new("aes", "a passphrase"),
            ..PeerOptions::default()
        };
        let mut listener = listener.listen(&options).await;
        let options = PeerOptions {
            mode: Mode::Duplex {
                bytes: MIB,
                seed: 1,
                peer_seed: 1,
                chunk: 4096,
            },
            ..options
        };
        let mut dialler = dialler.dial(listener.addr(), &options).await;

        let received = dialler.received().await;
        assert!(received.intact);
        assert_eq!(received.bytes, MIB);
        assert_eq!(received, dialler.sent().await);
        let accepted = listener.accepted().await;
        assert_eq!(accepted.peer, dialler.addr());
        assert_eq!(accepted.conv, config(None).conv);

        assert!(listener.snmp().await.fec_parity_shards > 0);
        let end = dialler.quit().await;
        assert_eq!(end.sessions.len(), 1);
        assert_eq!(end.snmp.bytes_received, MIB as u64);
        assert_eq!(end.snmp.in_csum_errors, 0);
        listener.quit().await;
    }
}

#[tokio::test]
async fn go_peers_agree_on_every_cipher() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let ciphers = "null none aes aes-128 aes-192 aes-128-gcm 3des blowfish cast5 salsa20 sm4 tea twofish xor xtea";
    for name in ciphers.split(' ') {
        let options = PeerOptions {
            cipher: Cipher::new(name, "a passphrase"),
            ..PeerOptions::default()
        };
        let listener = go.listen(&options).await;
        let mode = Mode::Sparse {
            count: 3,
            chunk: 64,
            pause: Duration::ZERO,
        };
        let mut dialler = go
            .dial(listener.addr(), &PeerOptions { mode, ..options })
            .await;
        assert_eq!(dialler.replies().await.micros.len(), 3, "{name}");
    }
}

#[tokio::test]
async fn out_of_band_messages_of_a_go_dialler_come_back() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let options = PeerOptions {
        session: config(FecParams::new(3, 1)),
        mode: Mode::Oob {
            count: 20,
            chunk: 100,
        },
        ..PeerOptions::default()
    };
    let listener = go.listen(&options).await;
    let mut dialler = go.dial(listener.addr(), &options).await;
    assert_eq!(dialler.oob_returned().await, 20);
    assert!(dialler.quit().await.snmp.oob_packets >= 20);
}

#[tokio::test]
async fn a_go_peer_does_what_its_options_say() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let session = Config {
        conv: 0,
        mtu: 600,
        dup: 1,
        write_delay: true,
        ack_no_delay: true,
        ..config(None)
    };
    let listening = PeerOptions {
        session,
        mode: Mode::Source {
            bytes: MIB / 4,
            seed: 2,
            chunk: 1000,
        },
        rate_limit: 10 * MIB as u32,
        ..PeerOptions::default()
    };
    let mut listener = go.listen(&listening).await;
    let dialling = PeerOptions {
        mode: Mode::Sink {
            bytes: MIB / 4,
            seed: 2,
        },
        hello: true,
        ..listening
    };
    let mut dialler = go.dial(listener.addr(), &dialling).await;
    let received = dialler.received().await;
    assert!(received.intact);
    assert_eq!(received.sha256, listener.sent().await.sha256);
    assert_ne!(received.conv, 0);

    let snmp = listener.snmp().await;
    assert!(
        snmp.out_bytes > 2 * (MIB / 4) as u64,
        "everything is sent twice: {snmp:?}"
    );
    assert!(snmp.out_bytes <= snmp.out_pkts * 600, "{snmp:?}");
    assert_eq!(snmp.curr_estab, 1);
    // The listener would take a late packet for a new session.
    dialler.close_sessions().await;
    let end = dialler.quit().await;
    assert_eq!(end.snmp.curr_estab, 0);
    assert_eq!(end.sessions[0].conv, received.conv);
}
