//! Messages beside the stream, both ways, while the stream goes on.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use interop::go::{Cipher as GoCipher, Go, Mode, PeerOptions, Release};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use interop::stream::Stream;
use kcp_transport::{Cipher, Config, Endpoint, Fec, KcpStream, Listener, UdpSocket};
use netlab::relay::Relay;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::cell::PATIENCE;
use crate::guard::while_moving;
use crate::record;
use crate::seed::seed;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Messages of a test. The first word of each is its number.
const MESSAGES: u32 = 50;

/// One that did not come back in this time is sent again: nobody else repairs them.
const AGAIN: Duration = Duration::from_millis(100);

const CIPHERS: [&str; 3] = ["aes-128-gcm", "salsa20", "null"];

const PATHS: [&str; 2] = ["delay=3ms", "delay=3ms loss=20%"];

fn config(cipher: &str) -> Config {
    let cipher = Cipher::kcptun(cipher, PASSPHRASE).expect("a cipher of kcptun");
    Config::fast3()
        .cipher(cipher)
        .fec(Fec::new(10, 3).expect("a code"))
}

fn peer_options(cipher: &str, chunk: usize) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: FecParams::new(10, 3),
            no_delay: NoDelay::FAST3,
            snd_wnd: 256,
            rcv_wnd: 256,
            ..GoConfig::default()
        },
        cipher: GoCipher::new(cipher, PASSPHRASE),
        mode: Mode::Oob {
            count: MESSAGES as usize,
            chunk,
        },
        hello: true,
        timeout: PATIENCE,
        ..PeerOptions::default()
    }
}

fn link(server: SocketAddr, path: &str) -> Relay {
    let link: netlab::link::LinkConfig = path.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed()).expect("started")
}

fn passed(role: &'static str) {
    record::passed(record::Row {
        peer: record::name(Release::Current),
        role,
        cipher: "aes-128-gcm, salsa20, null",
        code: "10/3",
        what: "messages beside the stream, of every length up to a packet, at 0 and 20 % loss",
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beside_the_stream_come_back_from_a_kcp_go_listener() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for cipher in CIPHERS {
        for path in PATHS {
            let peer = go.listen(&peer_options(cipher, 4)).await;
            let relay = link(peer.addr(), path);
            let config = config(cipher);
            let socket = UdpSocket::bind(LOOPBACK, &config, false).expect("bound");
            let endpoint = Endpoint::new(socket, Arc::new(config)).expect("bound");
            let mut stream = endpoint.connect(relay.local_addr()).await.expect("opened");
            // Only a session that the listener knows may have messages beside it.
            assert_eq!(echoed(&mut stream, b"before").await, b"before");
            let returned = AtomicU64::new(0);
            let ask = async {
                let limit = stream.max_oob().expect("there is a code");
                let mut content = Stream::new(seed());
                for number in 0..MESSAGES {
                    // Of every length, the longest first.
                    let len = (limit - number as usize * limit / MESSAGES as usize).max(4);
                    let mut message = content.bytes(len);
                    message[..4].copy_from_slice(&number.to_le_bytes());
                    ask(&stream, &message).await;
                    returned.fetch_add(1, Ordering::Relaxed);
                }
            };
            while_moving(|| returned.load(Ordering::Relaxed), ask).await;
            assert_eq!(echoed(&mut stream, b"behind").await, b"behind");
        }
    }
    passed("dials");
}

async fn echoed(stream: &mut KcpStream, message: &[u8]) -> Vec<u8> {
    let mut reply = vec![0; message.len()];
    stream.write_all(message).await.expect("it lives");
    stream.read_exact(&mut reply).await.expect("it lives");
    reply
}

/// Sends a message until it has come back as it was.
async fn ask(stream: &KcpStream, message: &[u8]) {
    loop {
        stream.send_oob(message).expect("it fits");
        let returned = async { while stream.recv_oob().await.expect("it lives") != message {} };
        if tokio::time::timeout(AGAIN, returned).await.is_ok() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beside_the_stream_of_a_kcp_go_dialler_are_returned() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    for cipher in CIPHERS {
        for (path, chunk) in PATHS.into_iter().zip([1_000, 200]) {
            let mut listener = Listener::bind(LOOPBACK, config(cipher))
                .await
                .expect("bound");
            let relay = link(listener.local_addr(), path);
            let mut peer = go
                .dial(relay.local_addr(), &peer_options(cipher, chunk))
                .await;
            let (mut stream, _) = listener.accept().await.expect("listening");
            let mut hello = [0];
            stream.read_exact(&mut hello).await.expect("it lives");
            let info = stream.info();
            let echo = async {
                loop {
                    let message = stream.recv_oob().await.expect("it lives");
                    stream.send_oob(&message).expect("as long as it was");
                }
            };
            let returned = async {
                tokio::select! {
                    count = peer.oob_returned() => count,
                    () = echo => unreachable!("it goes on"),
                }
            };
            let count = while_moving(|| info.stats().oob_received, returned).await;
            assert_eq!(count, MESSAGES as usize);
        }
    }
    passed("listens");
}
