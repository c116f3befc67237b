//! Tests of whole sessions, over memory and with a paused clock.

mod connector;
mod ends;
mod frames;
mod incoming;
mod lifetime;
mod limits;
mod opening;
mod pressure;
mod saturation;
mod silence;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use super::frame::{ACK, HEADER_LEN, Header, Kind};
use super::{MuxAcceptor, MuxConfig, MuxSession, MuxStream};

const KIB: usize = 1024;
const SECOND: Duration = Duration::from_secs(1);

/// What a test waits for comes within this time on the paused clock, or not at all.
const PATIENCE: Duration = Duration::from_secs(500);

async fn soon<F: Future>(wait: F) -> F::Output {
    timeout(PATIENCE, wait).await.expect("waits for ever")
}

/// A client and a server, over a connection that holds `size` bytes each way.
struct Pair {
    client: MuxSession,
    client_incoming: MuxAcceptor,
    server: MuxSession,
    server_incoming: MuxAcceptor,
}

impl Pair {
    fn new(size: usize, config: MuxConfig) -> Self {
        let (near, far) = duplex(size);
        let (client, client_incoming) = MuxSession::client(near, config.clone());
        let (server, server_incoming) = MuxSession::server(far, config);
        Self {
            client,
            client_incoming,
            server,
            server_incoming,
        }
    }

    fn with_defaults() -> Self {
        Self::new(64 * KIB, MuxConfig::default())
    }

    /// Both ends of one stream that the client opens.
    async fn stream(&mut self) -> (MuxStream, MuxStream) {
        let opened = self.client.open().await.unwrap();
        let accepted = soon(self.server_incoming.accept()).await.unwrap();
        (opened, accepted)
    }
}

/// A peer that speaks yamux frame by frame, as the test tells it to.
struct RawPeer {
    io: DuplexStream,
}

impl RawPeer {
    /// A raw server, and a session as its client.
    fn with_client(config: MuxConfig) -> (Self, MuxSession, MuxAcceptor) {
        let (near, far) = duplex(64 * KIB);
        let (client, incoming) = MuxSession::client(near, config);
        (Self { io: far }, client, incoming)
    }

    /// A raw client, and a session as its server.
    fn with_server(config: MuxConfig) -> (Self, MuxSession, MuxAcceptor) {
        let (near, far) = duplex(64 * KIB);
        let (server, incoming) = MuxSession::server(far, config);
        (Self { io: near }, server, incoming)
    }

    async fn send(&mut self, kind: Kind, flags: u16, stream: u32, length: u32) {
        let header = Header {
            kind,
            flags,
            stream,
            length,
        };
        self.io.write_all(&header.encode()).await.unwrap();
    }

    async fn send_data(&mut self, flags: u16, stream: u32, body: &[u8]) {
        self.send(Kind::Data, flags, stream, body.len() as u32)
            .await;
        self.io.write_all(body).await.unwrap();
    }

    /// The next frame; pings are answered and not reported.
    async fn recv(&mut self) -> (Header, Vec<u8>) {
        soon(async {
            loop {
                let mut header = [0; HEADER_LEN];
                self.io.read_exact(&mut header).await.unwrap();
                let header = Header::decode(&header).unwrap();
                let mut body = vec![0; header.body_len()];
                self.io.read_exact(&mut body).await.unwrap();
                if header.kind != Kind::Ping {
                    return (header, body);
                }
                if !header.has(ACK) {
                    let answer = Header {
                        flags: ACK,
                        ..header
                    };
                    // The session may have ended meanwhile; its last frames are to be read still.
                    let _ = self.io.write_all(&answer.encode()).await;
                }
            }
        })
        .await
    }

    /// The next frame, which has no body.
    async fn recv_header(&mut self) -> Header {
        let (header, body) = self.recv().await;
        assert_eq!(body, b"");
        header
    }
}

/// `len` bytes that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i % 251) as u8).collect()
}

/// Everything until the end of the stream, and the error if that is how it ends.
async fn read_all(stream: &mut MuxStream) -> (Vec<u8>, io::Result<()>) {
    let mut all = Vec::new();
    let end = soon(stream.read_to_end(&mut all)).await.map(drop);
    (all, end)
}

fn kind(result: io::Result<()>) -> io::ErrorKind {
    result.unwrap_err().kind()
}

/// What servers and clients ask of the types they are given.
#[test]
fn the_public_types_go_between_threads() {
    fn is_shared<T: Send + Sync + Unpin + 'static>() {}
    is_shared::<MuxStream>();
    is_shared::<MuxSession>();
    is_shared::<MuxAcceptor>();
}
