//! Conversations in which the peer of a framework calls, and ours answers.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use examples::registry::Registry;
use examples::rpcx::Server as RpcxServer;
use futures_util::stream;
use interop::go::RpcxCodec;
use tokio_stream::StreamExt;
use tonic::transport::Server;

use super::*;
use crate::grpc::BytesService;

#[tokio::test]
async fn conversations_with_a_client_of_grpc_go_can_be_held_again() {
    let Some(program) = GrpcPeer::find() else {
        return;
    };
    for mux in [true, false] {
        let code = Some((10, 3));
        let plan = plan("grpc-go 1.85.0", false, "aes-128-gcm", (code, code));
        let (recorder, stream, addr) = Recorder::listen(plan).await;
        let server = tokio::spawn(async move {
            let server = Server::builder();
            let service = BytesService::default();
            if mux {
                let (session, acceptor) = MuxSession::server(stream, MuxConfig::go_peer());
                let streams = stream::unfold(acceptor, async |mut acceptor| {
                    let stream = acceptor.accept().await.ok()?;
                    Some((io::Result::Ok(stream), acceptor))
                });
                let incoming = kcp_tonic::Incoming::new(Box::pin(streams));
                server
                    .serve_with_incoming(service, incoming)
                    .await
                    .expect("it serves");
                session.close().await;
            } else {
                let connection = tokio_stream::once(io::Result::Ok(stream));
                let incoming = connection.chain(stream::pending());
                server
                    .serve_with_incoming(service, incoming)
                    .await
                    .expect("it serves");
            }
        });
        let mut peer = GrpcPeer::call(program, addr, &grpc_options(code, mux));
        let called = tokio::time::timeout(PATIENCE, peer.called()).await;
        assert_eq!(called.expect("in time").len(), 5);
        let conversation = recorder.finish().await;
        server.abort();
        let below = if mux { "yamux" } else { "kcp" };
        keep(&format!("grpc-go-over-{below}-calls"), &conversation);
    }
}

#[tokio::test]
async fn a_conversation_with_a_client_of_rpcx_can_be_held_again() {
    let Some(program) = RpcxPeer::find() else {
        return;
    };
    let code = Some((10, 3));
    let mut plan = plan("rpcx 1.8.31", false, "aes", (code, code));
    plan.rpcx_key = Some(("rpcx-key".to_owned(), "rpcx-salt".to_owned()));
    let (recorder, stream, addr) = Recorder::listen(plan).await;
    let registry = Registry::new();
    let registry = rpcx::arith(registry, Arc::default(), Arc::default());
    let server = tokio::spawn(RpcxServer::new(Arc::new(registry)).serve_connection(stream));
    let mut peer = RpcxPeer::call_over_one_connection(program, addr, RpcxCodec::Json, 3, PATIENCE);
    let called = tokio::time::timeout(PATIENCE, peer.called()).await;
    called.expect("in time");
    let conversation = recorder.finish().await;
    server.abort();
    keep("rpcx-calls", &conversation);
}

#[tokio::test]
async fn a_conversation_with_a_dialler_of_tokio_kcp_can_be_held_again() {
    let config = KcpConfig {
        mtu: MTU,
        nodelay: KcpNoDelayConfig::fastest(),
        flush_write: true,
        flush_acks_input: true,
        ..KcpConfig::default()
    };
    let plan = plan("tokio_kcp 0.9.8", false, "null", (None, None));
    let (recorder, stream, addr) = Recorder::listen(plan).await;
    let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.expect("bound");
    let theirs = tokio_kcp::KcpStream::connect_with_socket(&config, socket, addr).await;
    let (mut reader, mut writer) = tokio::io::split(theirs.expect("opened"));
    let (mut our_reader, mut our_writer) = tokio::io::split(stream);
    let count = AtomicU64::new(0);
    let talk = async {
        let write = exchange::write(&mut writer, SEEDS.0, BYTES, 500);
        let read = exchange::read(&mut reader, SEEDS.0, BYTES);
        tokio::try_join!(write, read)
    };
    let all = async {
        tokio::select! {
            done = talk => drop(done.expect("it lives")),
            ended = exchange::echo(&mut our_reader, &mut our_writer, &count) => panic!("it lives: {ended:?}"),
        }
    };
    tokio::time::timeout(PATIENCE, all).await.expect("in time");
    keep("tokio_kcp-dials", &recorder.finish().await);
}
