//! Conversations with real peers as vectors, so that a machine without Go still checks the bytes.
//!
//! Those with peers that are there are held, recorded and replayed by every run; `KCP_INTEROP_RECORD=1` writes them to
//! `vectors/conversations`, from where `replay.rs` takes them.

mod format;
mod machine;
mod recorder;
mod replay;
mod served;

use kcp_transport::Bare;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::{io, path::Path};

use interop::go::{
    Cipher as GoCipher, Go, GrpcOptions, GrpcPeer, Mode, PeerOptions, Release, RpcxPeer,
};
use interop::reference::{Config as GoConfig, FecParams, NoDelay};
use kcp_tonic::EndpointExt;
use kcp_transport::mux::{MuxConfig, MuxSession};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig};
use tonic::transport::Endpoint;
use tower_service::Service;

use self::format::{Conversation, Hex};
use self::recorder::Recorder;
use crate::cell::{CIPHERS, CODES, Codes, PATIENCE};
use crate::exchange;
use crate::grpc::call_all;
use crate::record;
use crate::rpcx;

const PASSPHRASE: &str = "a passphrase";

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// Bytes in each direction, where a test says nothing else: at the MTU below enough for a group of ten and its parity.
const BYTES: usize = 2_000;

/// Longest datagram, in bytes. Small, for so are the files then.
const MTU: usize = 200;

const SEEDS: (u64, u64) = (1, 2);

fn plan(peer: &str, we_dial: bool, cipher: &str, (code, peer_code): Codes) -> Conversation {
    Conversation {
        peer: peer.to_owned(),
        we_dial,
        cipher: cipher.to_owned(),
        passphrase: PASSPHRASE.to_owned(),
        rpcx_key: None,
        code,
        peer_code,
        mtu: MTU,
        conv: if we_dial { 0x0102_0304 } else { 0 },
        events: Vec::new(),
        heard: Hex::default(),
        heard_oob: Vec::new(),
    }
}

fn shards(code: Option<(usize, usize)>) -> Option<FecParams> {
    code.and_then(|(data, parity)| FecParams::new(data, parity))
}

/// Whatever was recorded must be understood again; and is kept, if it is asked for.
fn keep(name: &str, conversation: &Conversation) {
    replay::check(name, conversation);
    if std::env::var_os("KCP_INTEROP_RECORD").is_some_and(|value| value == "1") {
        format::write(name, conversation);
    }
}

#[tokio::test]
async fn conversations_with_kcp_go_in_every_cipher_can_be_held_again() {
    for release in [Release::Current, Release::Old] {
        let Some(go) = Go::find(release) else {
            return;
        };
        let peer = record::name(release);
        for (number, &cipher) in CIPHERS.iter().enumerate() {
            let few = [0, 5, 10].contains(&number);
            if release == Release::Old && (!few || cipher == "aes-128-gcm") {
                continue;
            }
            let we_dial = number % 2 == 0;
            // The old one spoils the stream of a peer with another code.
            let code = if release == Release::Old {
                1
            } else {
                [1, 2, 4, 1, 6][number % 5]
            };
            let (_, codes) = CODES[code];
            let conversation = converse(go, plan(peer, we_dial, cipher, codes)).await;
            let role = if we_dial { "dialled" } else { "dials" };
            keep(
                &format!("{peer} {cipher} {role}").replace(' ', "-"),
                &conversation,
            );
        }
    }
}

fn peer_options(plan: &Conversation, mode: Mode) -> PeerOptions {
    PeerOptions {
        session: GoConfig {
            fec: shards(plan.peer_code),
            mtu: plan.mtu,
            no_delay: NoDelay::FAST3,
            snd_wnd: 256,
            rcv_wnd: 256,
            stream: true,
            ..GoConfig::default()
        },
        cipher: GoCipher::new(&plan.cipher, PASSPHRASE),
        mode,
        timeout: PATIENCE,
        ..PeerOptions::default()
    }
}

/// Streams both ways.
async fn converse(go: Go, plan: Conversation) -> Conversation {
    let mode = Mode::Duplex {
        bytes: BYTES,
        seed: SEEDS.1,
        peer_seed: SEEDS.0,
        chunk: 500,
    };
    let options = peer_options(&plan, mode);
    let (recorder, stream, mut peer) = if plan.we_dial {
        let peer = go.listen(&options).await;
        let (recorder, stream) = Recorder::dial(plan, peer.addr()).await;
        (recorder, stream, peer)
    } else {
        let (recorder, stream, addr) = Recorder::listen(plan).await;
        (recorder, stream, go.dial(addr, &options).await)
    };
    let (mut reader, mut writer) = tokio::io::split(stream);
    let all = async {
        let write = exchange::write(&mut writer, SEEDS.0, BYTES, 500);
        let read = exchange::read(&mut reader, SEEDS.1, BYTES);
        tokio::try_join!(write, read).expect("it lives");
        assert!(peer.received().await.intact);
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
    recorder.finish().await
}

#[tokio::test]
async fn a_conversation_with_messages_beside_the_stream_can_be_held_again() {
    let Some(go) = Go::find(Release::Current) else {
        return;
    };
    let code = Some((3, 1));
    let plan = plan(
        record::name(Release::Current),
        true,
        "aes-128-gcm",
        (code, code),
    );
    let mode = Mode::Oob { count: 0, chunk: 4 };
    let peer = go.listen(&peer_options(&plan, mode)).await;
    let (mut recorder, mut stream) = Recorder::dial(plan, peer.addr()).await;
    let all = async {
        let mut hello = *b"hello";
        stream.write_all(&hello).await.expect("it lives");
        stream.read_exact(&mut hello).await.expect("it lives");
        for message in ["one", "two", "three"] {
            recorder.oob.send(message.into()).await.expect("it lives");
            let returned = recorder.heard_oob.recv().await;
            assert_eq!(returned.as_deref(), Some(message.as_bytes()));
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
    keep("kcp-go-5.6.72-oob-dialled", &recorder.finish().await);
}

#[tokio::test]
async fn a_conversation_with_tokio_kcp_can_be_held_again() {
    let config = KcpConfig {
        mtu: MTU,
        nodelay: KcpNoDelayConfig::fastest(),
        flush_write: true,
        flush_acks_input: true,
        ..KcpConfig::default()
    };
    let mut listener = KcpListener::bind(config, LOOPBACK).await.expect("bound");
    let addr = listener.local_addr().expect("bound");
    let plan = plan("tokio_kcp 0.9.8", true, "null", (None, None));
    let (recorder, stream) = Recorder::dial(plan, addr).await;
    let (mut reader, mut writer) = tokio::io::split(stream);
    let count = AtomicU64::new(0);
    let echo = async {
        let (stream, _) = listener.accept().await.expect("listening");
        let (mut reader, mut writer) = tokio::io::split(stream);
        exchange::echo(&mut reader, &mut writer, &count).await
    };
    let talk = async {
        let write = exchange::write(&mut writer, SEEDS.0, BYTES, 500);
        let read = exchange::read(&mut reader, SEEDS.0, BYTES);
        tokio::try_join!(write, read)
    };
    let all = async {
        tokio::select! {
            done = talk => drop(done.expect("it lives")),
            ended = echo => panic!("it lives: {ended:?}"),
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
    keep("tokio_kcp-dialled", &recorder.finish().await);
}

#[tokio::test]
async fn conversations_with_grpc_go_can_be_held_again() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    for mux in [true, false] {
        let conversation = call_grpc(program, mux).await;
        let below = if mux { "yamux" } else { "kcp" };
        keep(&format!("grpc-go-over-{below}-called"), &conversation);
    }
}

async fn call_grpc(program: &Path, mux: bool) -> Conversation {
    let code = Some((10, 3));
    let plan = plan("grpc-go 1.85.0", true, "aes-128-gcm", (code, code));
    let (_peer, addr) = GrpcPeer::serve(program, &grpc_options(code, mux)).await;
    let (recorder, stream) = Recorder::dial(plan, addr).await;
    let endpoint = Endpoint::from_static("http://127.0.0.1:1");
    let calls = async {
        let (channel, _session) = if mux {
            let (session, _) = MuxSession::client(stream, MuxConfig::go_peer());
            let stream = session.open().await.expect("opened");
            (
                endpoint.connect_kcp(Bare(Once::new(stream))).await,
                Some(session),
            )
        } else {
            (endpoint.connect_kcp(Bare(Once::new(stream))).await, None)
        };
        // One of every kind, one after the other.
        call_all(channel.expect("connected"), 5, 1, 0, Arc::default()).await;
    };
    tokio::time::timeout(PATIENCE, calls)
        .await
        .expect("in time");
    recorder.finish().await
}

/// What grpc-go is told. As a client it makes a call of every kind, one after the other.
fn grpc_options(code: Option<(usize, usize)>, mux: bool) -> GrpcOptions {
    GrpcOptions {
        cipher: GoCipher::new("aes-128-gcm", PASSPHRASE),
        fec: shards(code),
        mux,
        calls: 5,
        workers: 1,
        seed: 0,
        timeout: PATIENCE,
    }
}

/// Connects to the only connection there is.
struct Once<IO>(Arc<Mutex<Option<IO>>>);

impl<IO> Once<IO> {
    fn new(connection: IO) -> Self {
        Self(Arc::new(Mutex::new(Some(connection))))
    }
}

impl<IO> Clone for Once<IO> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<IO: Send + 'static> Service<SocketAddr> for Once<IO> {
    type Response = IO;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<IO>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: SocketAddr) -> Self::Future {
        let connection = self.0.lock().expect("nobody panics inside").take();
        let taken = || io::Error::from(io::ErrorKind::NotConnected);
        Box::pin(std::future::ready(connection.ok_or_else(taken)))
    }
}

#[tokio::test]
async fn a_conversation_with_rpcx_can_be_held_again() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let code = Some((10, 3));
    let mut plan = plan("rpcx 1.8.31", true, "aes", (code, code));
    plan.rpcx_key = Some(("rpcx-key".to_owned(), "rpcx-salt".to_owned()));
    let (_peer, addr) = RpcxPeer::serve(program, PATIENCE).await;
    let (recorder, stream) = Recorder::dial(plan, addr).await;
    tokio::time::timeout(PATIENCE, rpcx::call_some(stream))
        .await
        .expect("in time");
    keep("rpcx-called", &recorder.finish().await);
}
