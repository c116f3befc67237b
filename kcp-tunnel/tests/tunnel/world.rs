//! A client and a server joined by a simulated network, in tokio's paused time. Applications and
//! targets are pipes in memory.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use kcp_transport::{Config, Endpoint, KcpStream, Listener};
use kcp_tunnel::client::Client;
use kcp_tunnel::config::{self, ClientConfig, Command, ServerConfig};
use kcp_tunnel::link::{Dial, transport_config};
use kcp_tunnel::relay::Connection;
use kcp_tunnel::server::{Connect, Server};
use kcp_tunnel::status::{SessionStatus, Tunnel as _};
use sim::{LinkConfig, Pattern, SimNetwork};
use tokio::io::{
    AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex,
};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Bytes that a pipe in memory takes ahead.
pub(crate) const PIPE: usize = 64 * 1024;

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn link(text: &str) -> LinkConfig {
    text.parse().unwrap()
}

/// A pipe that remembers whether it was aborted.
#[derive(Debug)]
pub(crate) struct Pipe {
    inner: DuplexStream,
    aborted: Arc<AtomicBool>,
}

/// The application's end of one.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) io: DuplexStream,
    aborted: Arc<AtomicBool>,
}

pub(crate) fn pipe() -> (App, Pipe) {
    let (io, inner) = duplex(PIPE);
    let aborted = Arc::new(AtomicBool::new(false));
    let app = App {
        io,
        aborted: Arc::clone(&aborted),
    };
    (app, Pipe { inner, aborted })
}

impl App {
    pub(crate) fn was_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Sends a line and waits until it comes out at the target.
    pub(crate) async fn reaches(&mut self, target: &mut Self) {
        self.io.write_all(b"hello\n").await.unwrap();
        let mut line = [0; 6];
        within(secs(60), target.io.read_exact(&mut line))
            .await
            .unwrap();
        assert_eq!(&line, b"hello\n");
    }

    /// Reads to the end.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        within(secs(600), self.io.read_to_end(&mut rest))
            .await
            .unwrap();
        rest
    }
}

impl Connection for Pipe {
    fn abort(&mut self) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Opens sessions from a new address each.
#[derive(Debug)]
pub(crate) struct SimDialer {
    network: SimNetwork,
    config: Arc<Config>,
    next_port: AtomicU16,
}

impl SimDialer {
    pub(crate) fn new(network: &SimNetwork, config: Config) -> Self {
        Self {
            network: network.clone(),
            config: Arc::new(config),
            next_port: AtomicU16::new(1_000),
        }
    }
}

impl Dial for SimDialer {
    async fn dial(&self) -> io::Result<(Endpoint, KcpStream)> {
        let port = self.next_port.fetch_add(1, Ordering::Relaxed);
        let socket = self.network.socket(([10, 0, 0, 2], port).into());
        let endpoint = Endpoint::new(socket, Arc::clone(&self.config))?;
        let stream = endpoint.connect(SERVER.parse().unwrap()).await?;
        Ok((endpoint, stream))
    }
}

/// Hands the other end of every connection to the test.
#[derive(Debug)]
pub(crate) struct Target(pub(crate) mpsc::UnboundedSender<App>);

impl Connect for Target {
    type Connection = Pipe;

    async fn connect(&self) -> io::Result<Pipe> {
        let (app, pipe) = pipe();
        self.0
            .send(app)
            .map_err(|_| io::ErrorKind::ConnectionRefused)?;
        Ok(pipe)
    }
}

/// A server that runs.
pub(crate) struct Running {
    pub(crate) server: Server<Target>,
    pub(crate) targets: mpsc::UnboundedReceiver<App>,
    endpoints: Vec<Endpoint>,
    serving: JoinHandle<io::Result<()>>,
}

impl Running {
    /// The next connection at the target.
    pub(crate) async fn target(&mut self) -> App {
        within(secs(120), self.targets.recv()).await.unwrap()
    }

    /// Ends it without a word, as if its process were killed.
    pub(crate) async fn kill(self) {
        self.serving.abort();
        let _ = self.serving.await;
        self.endpoints.iter().for_each(Endpoint::close);
        // The socket goes with the driver.
        tokio::time::sleep(ms(1)).await;
    }
}

/// A client, and a server that may come and go.
pub(crate) struct World {
    pub(crate) network: SimNetwork,
    pub(crate) client: Client<SimDialer>,
    server_flags: Vec<String>,
}

impl World {
    /// A client whose server does not run yet. Flags that the server does not have are the
    /// client's own.
    pub(crate) fn without_server(link_text: &str, flags: &[&str], client_flags: &[&str]) -> Self {
        let network = SimNetwork::new(1);
        network.set_default_link(link(link_text));
        let config = client_config(&[flags, client_flags].concat());
        let transport = transport_config(&config.tunnel).unwrap();
        let client = Client::new(config, SimDialer::new(&network, transport));
        Self {
            network,
            client,
            server_flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
        }
    }

    /// A client and its server.
    pub(crate) fn new(link: &str, flags: &[&str]) -> (Self, Running) {
        Self::with_client_flags(link, flags, &[])
    }

    pub(crate) fn with_client_flags(
        link: &str,
        flags: &[&str],
        client_flags: &[&str],
    ) -> (Self, Running) {
        let world = Self::without_server(link, flags, client_flags);
        let running = world.start_server();
        (world, running)
    }

    pub(crate) fn start_server(&self) -> Running {
        let flags: Vec<&str> = self.server_flags.iter().map(String::as_str).collect();
        let config = server_config(&flags);
        let transport = transport_config(&config.tunnel).unwrap();
        let socket = self.network.socket(SERVER.parse().unwrap());
        let listener = Listener::from_socket(socket, transport).unwrap();
        let (sender, targets) = mpsc::unbounded_channel();
        let server = Server::new(config, Target(sender));
        let endpoints = listener.endpoints().to_vec();
        let serving = tokio::spawn({
            let server = server.clone();
            async move { server.serve(listener).await }
        });
        Running {
            server,
            targets,
            endpoints,
            serving,
        }
    }

    /// An application connects to the client.
    pub(crate) fn connect(&self) -> App {
        let (app, pipe) = pipe();
        self.client.carry(pipe, "test".to_owned());
        app
    }

    pub(crate) fn sessions(&self) -> Vec<SessionStatus> {
        self.client.status().sessions
    }
}

pub(crate) fn client_config(flags: &[&str]) -> ClientConfig {
    let flags = flags.iter().map(|&flag| flag.to_owned());
    match config::client(flags, None, |_| unreachable!()).unwrap() {
        Command::Run { config, .. } => *config,
        Command::Help(_) | Command::Version => unreachable!(),
    }
}

pub(crate) fn server_config(flags: &[&str]) -> ServerConfig {
    let flags = flags.iter().map(|&flag| flag.to_owned());
    match config::server(flags, None, |_| unreachable!()).unwrap() {
        Command::Run { config, .. } => *config,
        Command::Help(_) | Command::Version => unreachable!(),
    }
}

/// Fails the test if `future` takes longer than `limit`.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> F::Output {
    match timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("not within {limit:?}"),
    }
}

/// Sends `len` bytes of a pattern and finishes.
pub(crate) async fn send<W: AsyncWrite + Unpin>(mut writer: W, number: u64, len: usize) -> W {
    let mut pattern = Pattern::new(number);
    let mut left = len;
    while left > 0 {
        let bytes = pattern.bytes(left.min(40_000));
        writer.write_all(&bytes).await.unwrap();
        left -= bytes.len();
    }
    writer.shutdown().await.unwrap();
    writer
}

/// Reads to the end and expects what [`send`] sent.
pub(crate) async fn expect<R: AsyncRead + Unpin>(mut reader: R, number: u64, len: usize) -> R {
    let mut pattern = Pattern::new(number);
    let mut buffer = vec![0; 40_000];
    let mut got = 0;
    loop {
        let count = reader.read(&mut buffer).await.unwrap();
        if count == 0 {
            break;
        }
        got += count;
        assert!(
            pattern.matches(&buffer[..count]),
            "wrong bytes before {got}"
        );
    }
    assert_eq!(got, len);
    reader
}

/// Sends `len` bytes in both directions between two ends and expects them there.
pub(crate) async fn exchange<A, B>(near: A, far: B, number: u64, len: usize)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let (near_reader, near_writer) = tokio::io::split(near);
    let (far_reader, far_writer) = tokio::io::split(far);
    tokio::join!(
        send(near_writer, 2 * number, len),
        send(far_writer, 2 * number + 1, len),
        expect(near_reader, 2 * number + 1, len),
        expect(far_reader, 2 * number, len),
    );
}

pub(crate) fn server_addr() -> SocketAddr {
    SERVER.parse().unwrap()
}

const SERVER: &str = "10.0.0.1:29900";
