//! The kernel's TCP.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{Server, Transport};
use crate::client::{Client, Dial, Halves, StreamClient};
use crate::names::Congestion;
use crate::server::serve_stream;

/// A connection for every stream, with `TCP_NODELAY`.
#[derive(Clone, Copy)]
pub(super) struct Tcp {
    congestion: Congestion,
}

impl Tcp {
    pub(super) fn new(congestion: Congestion) -> Self {
        Self { congestion }
    }

    fn socket(self, peer: SocketAddr) -> io::Result<TcpSocket> {
        let socket = match peer {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.set_nodelay(true)?;
        self.set_congestion(&socket)?;
        Ok(socket)
    }

    #[cfg(any(target_os = "linux", target_os = "freebsd"))]
    fn set_congestion(self, socket: &TcpSocket) -> io::Result<()> {
        let name = self.congestion.name();
        SockRef::from(socket)
            .set_tcp_congestion(name.as_bytes())
            .map_err(|error| {
                io::Error::new(
                    error.kind(),
                    format!("TCP with {name} is not to be had: {error}"),
                )
            })
    }

    #[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
    fn set_congestion(self, _: &TcpSocket) -> io::Result<()> {
        match self.congestion {
            Congestion::Cubic => Ok(()),
            Congestion::Bbr => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Connections that are accepted have the congestion control of their listener.
    pub(super) fn listen(self, listen: SocketAddr) -> io::Result<TcpListener> {
        let socket = self.socket(listen)?;
        socket.set_reuseaddr(true)?;
        socket.bind(listen)?;
        socket.listen(1_024)
    }

    pub(super) async fn dial(self, server: SocketAddr) -> io::Result<TcpStream> {
        self.socket(server)?.connect(server).await
    }
}

impl Transport for Tcp {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let listener = self.listen(listen)?;
            Ok(Server::new(listener.local_addr()?, async move {
                loop {
                    let (stream, _) = listener.accept().await?;
                    stream.set_nodelay(true)?;
                    tokio::spawn(serve_stream(halves(stream)));
                }
            }))
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        let dial = TcpDial { tcp: *self, server };
        Box::pin(async move { Ok(Box::new(StreamClient::new(dial)) as Box<dyn Client>) })
    }
}

struct TcpDial {
    tcp: Tcp,
    server: SocketAddr,
}

impl Dial for TcpDial {
    fn open(&self) -> BoxFuture<'_, io::Result<Halves>> {
        Box::pin(async move { self.tcp.dial(self.server).await.map(halves) })
    }

    fn stream_per_call(&self) -> bool {
        false
    }
}

fn halves(stream: TcpStream) -> Halves {
    let (reader, writer) = stream.into_split();
    Halves::new(reader, writer)
}
