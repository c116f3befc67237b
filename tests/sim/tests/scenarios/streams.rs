//! Whole listeners, connectors and streams, in tokio's paused time.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use kcp_transport::{
    Cipher, Config, Connector, Endpoint, KcpMessages, KcpStream, Listener, Mtu, SessionError,
    Window,
};
use sim::{Pattern, SimNetwork};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::{link, ms, secs};

fn addr(number: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, number], 4_000))
}

const SERVER: u8 = 1;

fn network(text: &str) -> SimNetwork {
    let network = SimNetwork::new(1);
    network.set_default_link(link(text));
    network
}

fn listen(network: &SimNetwork, config: &Config) -> Listener {
    Listener::from_socket(network.socket(addr(SERVER)), config.clone()).expect("it has an address")
}

async fn connect(network: &SimNetwork, client: u8, config: &Config) -> KcpStream {
    Connector::new(config.clone())
        .connect_over(network.socket(addr(client)), addr(SERVER))
        .await
        .expect("nothing is asked of the peer")
}

/// A connected pair: client and server.
async fn pair(text: &str, config: &Config) -> (SimNetwork, KcpStream, KcpStream, Listener) {
    let network = network(text);
    let mut listener = listen(&network, config);
    let mut client = connect(&network, 2, config).await;
    client.write_all(b"!").await.expect("it is open");
    let (mut server, _) = listener.accept().await.expect("it listens");
    assert_eq!(server.read_u8().await.expect("it is open"), b'!');
    (network, client, server, listener)
}

#[tokio::test(start_paused = true)]
async fn megabytes_cross_a_bad_link_both_ways() {
    let config = Config::fast3().cipher(Cipher::aes_128_gcm(&[5; 16]));
    let text = "delay=30ms loss=10% reorder=5% duplicate=1% corrupt=1% rate=100mbit";
    let (_network, client, server, _listener) = pair(text, &config).await;
    let (bytes, start) = (4 << 20, Instant::now());
    let [client, server] = [(client, 1, 2), (server, 2, 1)].map(|(stream, ours, theirs)| {
        tokio::spawn(async move {
            let (mut reader, mut writer) = stream.into_split();
            let write = tokio::spawn(async move {
                let mut pattern = Pattern::new(ours);
                for _ in 0..bytes / (64 << 10) {
                    writer.write_all(&pattern.bytes(64 << 10)).await?;
                }
                writer.shutdown().await
            });
            let mut pattern = Pattern::new(theirs);
            let mut buffer = vec![0; 10_000];
            let mut read = 0;
            while read < bytes {
                let len = reader.read(&mut buffer).await?;
                assert!(pattern.matches(&buffer[..len]), "wrong bytes before {read}");
                read += len;
            }
            write.await.expect("the writer does not panic")?;
            std::io::Result::Ok(reader)
        })
    });
    // Both readers live until both writers are done: dropping one closes its session.
    let (client, server) = (client.await, server.await);
    client.expect("no panic").expect("it stays open");
    server.expect("no panic").expect("it stays open");
    assert!(start.elapsed() < secs(20), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn an_echo_takes_one_round_trip() {
    let (_network, mut client, mut server, _listener) = pair("delay=50ms", &Config::fast3()).await;
    tokio::spawn(async move {
        let mut buffer = [0; 100];
        while let Ok(len) = server.read(&mut buffer).await {
            server.write_all(&buffer[..len]).await.expect("it is open");
        }
    });
    let start = Instant::now();
    client.write_all(b"ping").await.expect("it is open");
    let mut pong = [0; 4];
    client.read_exact(&mut pong).await.expect("it is open");
    assert_eq!(&pong, b"ping");
    assert!(start.elapsed() <= ms(102), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_replaced_session_ends_for_its_reader() {
    let config = Config::fast3().replace_on_new_conv(true);
    let network = network("delay=10ms");
    let mut listener = listen(&network, &config);
    let endpoint =
        Endpoint::new(network.socket(addr(2)), config.into()).expect("it has an address");
    let mut old = endpoint
        .connect(addr(SERVER))
        .await
        .expect("nothing is asked");
    old.write_all(b"old").await.expect("it is open");
    let (mut old_server, _) = listener.accept().await.expect("it listens");
    let mut buffer = [0; 10];
    assert_eq!(old_server.read(&mut buffer).await.expect("it is open"), 3);

    let mut new = endpoint
        .connect(addr(SERVER))
        .await
        .expect("nothing is asked");
    new.write_all(b"new").await.expect("it is open");
    let (mut new_server, _) = listener.accept().await.expect("it listens");
    assert_eq!(new_server.read(&mut buffer).await.expect("it is open"), 3);
    let error = timeout(secs(1), old_server.read(&mut buffer)).await;
    let error = error
        .expect("it ends at once")
        .expect_err("it was replaced");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(old_server.error(), Some(SessionError::Replaced));
}

#[tokio::test(start_paused = true)]
async fn a_dead_peer_ends_reads_and_writes_with_the_reason() {
    let config = Config::fast3().idle_timeout(secs(10));
    let (network, client, _server, _listener) = pair("delay=10ms", &config).await;
    let info = client.info();
    let (mut reader, mut writer) = client.into_split();
    network.set_blackout(true);
    let reading = tokio::spawn(async move { reader.read_u8().await });
    let writing = tokio::spawn(async move {
        loop {
            if let Err(error) = writer.write_all(&[0; 50_000]).await {
                return error;
            }
        }
    });
    let error = reading
        .await
        .expect("no panic")
        .expect_err("nothing arrives");
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(writing.await.expect("no panic").kind(), ErrorKind::TimedOut);
    assert_eq!(info.error(), Some(SessionError::PeerSilent(secs(10))));
}

#[tokio::test(start_paused = true)]
async fn small_messages_flow_for_ever() {
    for (size, window) in [
        (1, 1_024),
        (1, 32),
        (1, 1),
        (10, 4),
        (1_000, 3),
        (5_000, 1),
        (5_000, 1_024),
    ] {
        let window_size = Window::new(window).expect("in range");
        let config = Config::fast3()
            .message_mode(true)
            .send_window(window_size)
            .receive_window(window_size);
        let network = network("delay=10ms loss=5%");
        let mut listener = listen(&network, &config);
        let client = connect(&network, 2, &config).await;
        let mut client = KcpMessages::new(client).expect("the mode is set");
        let sending = tokio::spawn(async move {
            for number in 0..2_000_u32 {
                let mut message = vec![7; size];
                message[0] = number as u8;
                client.send(&message).await.expect("it is open");
            }
            client
        });
        let (server, _) = listener.accept().await.expect("it listens");
        let mut server = KcpMessages::new(server).expect("the mode is set");
        for number in 0..2_000_u32 {
            let message = timeout(secs(60), server.recv()).await;
            let message = message.unwrap_or_else(|_| {
                panic!("stuck at message {number} of {size} bytes, window {window}")
            });
            let message = message.expect("it is open");
            assert_eq!((message.len(), message[0]), (size, number as u8));
        }
        sending.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn the_smallest_windows_and_packets_carry_streams() {
    let sizes = [(1, 64), (1, 1_400), (3, 64), (65_535, 64), (65_535, 1_500)];
    for (window, mtu) in sizes {
        let window_size = Window::new(window).expect("in range");
        let config = Config::fast3()
            .cipher(Cipher::aes_128(&[5; 16]))
            .mtu(Mtu::new(mtu).expect("in range"))
            .send_window(window_size)
            .receive_window(window_size);
        let (_network, mut client, mut server, _listener) = pair("delay=1ms", &config).await;
        let writing = tokio::spawn(async move {
            let mut pattern = Pattern::new(1);
            client
                .write_all(&pattern.bytes(20_000))
                .await
                .expect("it is open");
            client.shutdown().await.expect("it is open");
            client
        });
        let mut pattern = Pattern::new(1);
        let mut buffer = [0; 7];
        let mut read = 0;
        while read < 20_000 {
            let len = timeout(secs(60), server.read(&mut buffer)).await;
            let len = len.unwrap_or_else(|_| panic!("window {window}, mtu {mtu}: stuck at {read}"));
            let len = len.expect("it is open");
            assert!(pattern.matches(&buffer[..len]));
            read += len;
        }
        writing.await.expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn many_clients_share_a_server() {
    let config = Config::fast3();
    let network = network("delay=20ms loss=5%");
    let mut listener = listen(&network, &config);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 2_000];
                while let Ok(len) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..len]).await.expect("it is open");
                }
            });
        }
    });
    let mut clients = Vec::new();
    for client in 2..50 {
        let mut stream = connect(&network, client, &config).await;
        clients.push(tokio::spawn(async move {
            let mut pattern = Pattern::new(client.into());
            let bytes = pattern.bytes(30_000);
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            let (written, read) = tokio::join!(writer.write_all(&bytes), async {
                let mut back = vec![0; bytes.len()];
                reader.read_exact(&mut back).await.map(|_| back)
            });
            written.expect("it is open");
            assert_eq!(read.expect("it is open"), bytes);
        }));
    }
    for client in clients {
        timeout(secs(30), client)
            .await
            .expect("in time")
            .expect("no panic");
    }
}

#[tokio::test(start_paused = true)]
async fn runs_repeat_exactly() {
    async fn run() -> (Duration, u64) {
        let (_network, mut client, mut server, _listener) =
            pair("delay=20ms loss=15% jitter=3ms", &Config::fast3()).await;
        let start = Instant::now();
        let writing = tokio::spawn(async move {
            client.write_all(&[3; 500_000]).await.expect("it is open");
            client.shutdown().await.expect("it is open");
            client
        });
        let mut bytes = vec![0; 500_000];
        server.read_exact(&mut bytes).await.expect("it is open");
        let client = writing.await.expect("no panic");
        (start.elapsed(), client.stats().packets_sent)
    }
    assert_eq!(run().await, run().await);
}
