//! The public API over real sockets on loopback.

use std::future::poll_fn;
use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_core::Stream as _;
use kcp_transport::mux::MuxConfig;
use kcp_transport::{
    Cipher, Config, ConnectError, Connector, Endpoint, Fec, KcpMessages, KcpStream, Listener,
    SendError, SessionError, UdpSocket,
};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tower_service::Service;

const V4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const V6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0);

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// A listener that sends everything back, and its address.
async fn echo_listener(addr: SocketAddr, config: Config) -> SocketAddr {
    let mut listener = Listener::bind(addr, config)
        .await
        .expect("loopback can be bound");
    let bound = listener.local_addr();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream));
        }
    });
    bound
}

async fn echo(stream: KcpStream) {
    let (mut reader, mut writer) = stream.into_split();
    let _ = tokio::io::copy(&mut reader, &mut writer).await;
}

/// A client and the listener's end of its session.
async fn pair(config: Config) -> (KcpStream, KcpStream, Listener) {
    let mut listener = Listener::bind(V4, config.clone()).await.expect("bound");
    let connector = Connector::new(config);
    let mut client = connector
        .connect(listener.local_addr())
        .await
        .expect("opened");
    client.write_all(b"x").await.expect("open");
    let (mut server, _) = listener.accept().await.expect("listening");
    server.read_exact(&mut [0]).await.expect("written");
    (client, server, listener)
}

async fn round_trip(stream: &mut KcpStream, data: &[u8]) {
    let mut back = vec![0; data.len()];
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (read, written) = tokio::join!(reader.read_exact(&mut back), writer.write_all(data));
    written.expect("the session lives");
    read.expect("the session lives");
    assert!(back == data, "{} bytes came back altered", data.len());
}

#[tokio::test]
async fn every_cipher_carries_bytes_both_ways() {
    for name in Cipher::KCPTUN_NAMES {
        let cipher = Cipher::kcptun(name, "secret").expect("a listed name");
        let config = Config::default().cipher(cipher);
        let addr = echo_listener(V4, config.clone()).await;
        let mut stream = Connector::new(config)
            .connect(addr)
            .await
            .expect("nothing is awaited");
        round_trip(&mut stream, &pattern(100_000)).await;
    }
}

#[tokio::test]
async fn ipv6_and_dual_stack_listeners_take_sessions() {
    let config = Config::default();
    let addr = echo_listener(V6, config.clone()).await;
    let mut stream = Connector::new(config.clone())
        .connect(addr)
        .await
        .expect("bound");
    round_trip(&mut stream, &pattern(10_000)).await;

    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    let addr = echo_listener(any, config.clone()).await;
    let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, addr.port()));
    let mut stream = Connector::new(config).connect(v4).await.expect("bound");
    round_trip(&mut stream, &pattern(10_000)).await;
}

#[tokio::test]
async fn a_wrong_key_is_silence() {
    let config = |key| Config::default().cipher(Cipher::aes_128_gcm(&[key; 16]));
    let addr = echo_listener(V4, config(1)).await;
    let probe = config(2).connect_probe(Duration::from_millis(200));
    let error = Connector::new(probe)
        .connect(addr)
        .await
        .expect_err("nobody can answer");
    assert!(matches!(error, ConnectError::NoAnswer(_)), "{error}");
    let probe = config(1).connect_probe(Duration::from_secs(5));
    Connector::new(probe)
        .connect(addr)
        .await
        .expect("the right key is answered");
}

#[tokio::test]
async fn names_are_resolved_and_unresolvable_ones_refused() {
    let addr = echo_listener(V4, Config::default()).await;
    let config = Config::default().connect_probe(Duration::from_secs(5));
    let connector = Connector::new(config);
    let mut stream = connector
        .connect(("127.0.0.1", addr.port()))
        .await
        .expect("an address");
    assert_eq!(stream.peer_addr(), addr);
    round_trip(&mut stream, b"hello").await;
    connector.connect("no port").await.expect_err("no address");
}

#[tokio::test]
async fn it_is_a_tower_service() {
    let addr = echo_listener(V4, Config::default()).await;
    let mut service = Connector::new(Config::default());
    poll_fn(|cx| service.poll_ready(cx))
        .await
        .expect("always ready");
    let mut stream = service.call(addr).await.expect("opened");
    round_trip(&mut stream, b"hello").await;
}

#[tokio::test]
async fn several_sessions_share_a_socket_where_the_peer_is_ours() {
    let config = Config::default().fec(Fec::new(3, 1).expect("valid"));
    let addr = echo_listener(V4, config.clone()).await;
    let connector = Connector::new(config).shared_socket();
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(connector.connect(addr).await.expect("opened"));
    }
    let local = streams[0].local_addr();
    assert!(streams.iter().all(|stream| stream.local_addr() == local));
    let tasks: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(index, mut stream)| {
            tokio::spawn(async move { round_trip(&mut stream, &pattern(30_000 + index)).await })
        })
        .collect();
    for task in tasks {
        task.await.expect("every session has its own bytes");
    }
}

#[tokio::test]
async fn shards_share_an_address() {
    let config = Config::default();
    let mut listener = Listener::bind_shards(V4, 3, config.clone())
        .await
        .expect("bound");
    assert_eq!(listener.endpoints().len(), 3);
    let addr = listener.local_addr();
    let connector = Connector::new(config);
    for _ in 0..12 {
        let mut client = connector.connect(addr).await.expect("opened");
        client.write_all(b"x").await.expect("open");
        let (accepted, _) = listener.accept().await.expect("listening");
        tokio::spawn(echo(accepted));
        client.read_exact(&mut [0]).await.expect("echoed");
    }
    assert_eq!(listener.stats().await.expect("driven").passive_opens, 12);
}

#[tokio::test]
async fn vectored_writes_leave_as_one() {
    let addr = echo_listener(V4, Config::default()).await;
    let mut stream = Connector::new(Config::default())
        .connect(addr)
        .await
        .expect("opened");
    let parts = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
    assert!(stream.is_write_vectored());
    assert_eq!(stream.write_vectored(&parts).await.expect("open"), 5);
    let mut back = [0; 5];
    stream.read_exact(&mut back).await.expect("echoed");
    assert_eq!(&back, b"abcde");
}

#[tokio::test]
async fn shutdown_waits_for_the_peer_and_reading_goes_on() {
    let addr = echo_listener(V4, Config::default()).await;
    let mut stream = Connector::new(Config::default())
        .connect(addr)
        .await
        .expect("opened");
    let data = pattern(500_000);
    stream.write_all(&data).await.expect("open");
    stream.shutdown().await.expect("all is acknowledged");
    assert_eq!(stream.stats().in_flight, 0);
    stream.write_all(b"more").await.expect_err("shut down");
    let mut back = vec![0; data.len()];
    stream.read_exact(&mut back).await.expect("echoed");
    assert!(back == data);
}

#[tokio::test]
async fn a_dropped_stream_still_sends_what_was_written() {
    let mut listener = Listener::bind(V4, Config::default()).await.expect("bound");
    let addr = listener.local_addr();
    let data = pattern(300_000);
    let mut client = Connector::new(Config::default())
        .connect(addr)
        .await
        .expect("opened");
    client.write_all(&data).await.expect("open");
    drop(client);
    let (mut stream, _) = listener.accept().await.expect("listening");
    let mut received = vec![0; data.len()];
    stream
        .read_exact(&mut received)
        .await
        .expect("all was sent");
    assert!(received == data);
}

#[tokio::test]
async fn closing_a_listener_leaves_its_sessions_alone() {
    let (mut client, mut server, mut listener) = pair(Config::default()).await;
    listener.close();
    listener.accept().await.expect_err("closed");
    drop(listener);
    server
        .write_all(b"still here")
        .await
        .expect("the session lives");
    let mut back = [0; 10];
    client
        .read_exact(&mut back)
        .await
        .expect("the session lives");
    assert_eq!(&back, b"still here");
}

#[tokio::test]
async fn aborting_a_listener_ends_its_sessions_for_readers_and_writers() {
    let (_client, mut server, mut listener) = pair(Config::default()).await;
    listener.abort();
    let error = server.read_u8().await.expect_err("aborted");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    let error = server.write_all(b"x").await.expect_err("aborted");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    assert_eq!(server.error(), Some(SessionError::EndpointClosed));
}

#[tokio::test]
async fn an_aborted_stream_is_gone_at_once() {
    let (client, _server, _listener) = pair(Config::default()).await;
    let info = client.info();
    client.abort();
    assert_eq!(info.error(), Some(SessionError::Closed));
}

#[tokio::test]
async fn messages_beside_the_stream_arrive() {
    let config = Config::default().fec(Fec::new(10, 3).expect("valid"));
    let (client, server, listener) = pair(config).await;
    let limit = client.max_oob().expect("FEC is on");
    client.send_oob(b"").expect("may be empty");
    client.send_oob(&pattern(limit)).expect("fits");
    let error = client.send_oob(&pattern(limit + 1)).expect_err("too long");
    assert_eq!(
        error,
        SendError::TooLong {
            len: limit + 1,
            limit
        }
    );
    assert_eq!(server.recv_oob().await.expect("alive"), b"");
    assert_eq!(server.recv_oob().await.expect("alive"), pattern(limit));
    server.send_oob(b"back").expect("fits");
    assert_eq!(client.recv_oob().await.expect("alive"), b"back");

    let addr = listener.local_addr();
    let plain = Connector::new(Config::default())
        .connect(addr)
        .await
        .expect("opened");
    assert_eq!(plain.send_oob(b"x"), Err(SendError::NeedsFec));
}

#[tokio::test]
async fn messages_keep_their_boundaries_whatever_their_length() {
    let config = Config::default().message_mode(true);
    let mut listener = Listener::bind(V4, config.clone()).await.expect("bound");
    let client = Connector::new(config)
        .connect(listener.local_addr())
        .await
        .expect("opened");
    let mut client = KcpMessages::new(client).expect("message mode");
    let max = client.max_len();
    let lens = [1, 1_376, 1_377, 10_000, max, 1, 2];
    let sending = tokio::spawn(async move {
        for len in lens {
            client.send(&pattern(len)).await.expect("within the limit");
        }
        assert_eq!(client.send(b"").await, Err(SendError::Empty));
        let error = client.send(&pattern(max + 1)).await.expect_err("too long");
        assert_eq!(
            error,
            SendError::TooLong {
                len: max + 1,
                limit: max
            }
        );
        client
    });
    let (server, _) = listener.accept().await.expect("listening");
    let mut server = KcpMessages::new(server).expect("message mode");
    for len in lens {
        assert!(server.recv().await.expect("alive") == pattern(len), "{len}");
    }
    sending.await.expect("all sent");

    let stream = Connector::new(Config::default())
        .connect(listener.local_addr())
        .await;
    KcpMessages::new(stream.expect("nothing is awaited")).expect_err("not in message mode");
}

#[tokio::test]
async fn marked_packets_leave_in_runs_too() {
    let config = Config::default().dscp(46);
    let addr = echo_listener(V4, config.clone()).await;
    let socket = UdpSocket::bind(V4, &config, false).expect("bound");
    let endpoint = Endpoint::new(socket, Arc::new(config)).expect("bound");
    let mut stream = endpoint.connect(addr).await.expect("opened");
    round_trip(&mut stream, &pattern(400_000)).await;
    let stats = endpoint.stats().await.expect("driven");
    assert_eq!((stats.active_opens, stats.current_sessions), (1, 1));
}

#[tokio::test]
async fn statistics_tell_what_happened() {
    let addr = echo_listener(V4, Config::default()).await;
    let mut stream = Connector::new(Config::default())
        .connect(addr)
        .await
        .expect("opened");
    round_trip(&mut stream, &pattern(100_000)).await;
    let stats = stream.stats();
    assert_eq!((stats.bytes_sent, stats.bytes_received), (100_000, 100_000));
    assert!(stats.rtt.is_some() && stats.packets_sent >= 73);
    assert!(stats.useful_ratio() > 0.9, "{}", stats.useful_ratio());
}

#[tokio::test]
async fn streams_share_a_session_and_know_it() {
    let config = Config::default();
    let listener = Listener::bind(V4, config.clone()).await.expect("bound");
    let addr = listener.local_addr();
    let mut incoming = listener.mux(MuxConfig::default());
    tokio::spawn(async move {
        while let Some(Ok(stream)) = poll_fn(|cx| Pin::new(&mut incoming).poll_next(cx)).await {
            let (mut reader, mut writer) = tokio::io::split(stream);
            tokio::spawn(async move {
                tokio::io::copy(&mut reader, &mut writer)
                    .await
                    .expect("echoed");
                writer.shutdown().await.expect("half-closed");
            });
        }
    });
    let mut connector = Connector::new(config).mux(MuxConfig::default());
    let mut convs = Vec::new();
    for len in [1, 100_000] {
        poll_fn(|cx| connector.poll_ready(cx)).await.expect("ready");
        let mut stream = connector.call(addr).await.expect("opened");
        let session = stream
            .connection_info()
            .session
            .clone()
            .expect("a KCP session");
        let data = pattern(len);
        let mut back = Vec::new();
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let write = async {
            writer.write_all(&data).await.expect("open");
            writer.shutdown().await.expect("half-closed");
        };
        let (_, read) = tokio::join!(write, reader.read_to_end(&mut back));
        read.expect("ended by the peer");
        assert!(back == data);
        assert!(session.stats().bytes_received >= len as u64);
        convs.push(session.conv());
    }
    assert_eq!(convs[0], convs[1]);
}

#[tokio::test]
async fn unread_messages_beside_the_stream_are_bounded() {
    let config = Config::default().fec(Fec::new(10, 3).expect("valid"));
    let (mut client, mut server, _listener) = pair(config).await;
    for round in 0..20 {
        for _ in 0..16 {
            client.send_oob(&[round]).expect("fits");
        }
        // What follows in the stream was sent behind them.
        client.write_all(&[round]).await.expect("open");
        server.read_exact(&mut [0]).await.expect("written");
    }
    let mut waiting = 0;
    while let Ok(message) = tokio::time::timeout(Duration::ZERO, server.recv_oob()).await {
        message.expect("alive");
        waiting += 1;
    }
    assert_eq!(waiting, 64);
}
