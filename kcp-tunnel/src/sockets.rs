//! Where applications connect from and to: TCP and unix sockets.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream, lookup_host};

use crate::config::{Endpoint, HostPort};
use crate::relay::Connection;

/// A connection over either kind of socket.
#[derive(Debug)]
pub enum Socket {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a unix socket.
    Unix(UnixStream),
}

/// A listening socket of either kind.
#[derive(Debug)]
pub struct Acceptor {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// The file of a listening unix socket, removed when that ends.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Acceptor {
    /// Listens. A file that a unix socket has left behind is replaced, one that somebody listens on
    /// is not.
    ///
    /// # Errors
    /// The name cannot be resolved, or nothing can listen there.
    pub async fn bind(endpoint: &Endpoint) -> io::Result<Self> {
        let kind = match endpoint {
            Endpoint::Tcp(address) => {
                let addrs = local_addrs(&address.host, address.port).await?;
                Kind::Tcp(TcpListener::bind(&addrs[..]).await?)
            }
            Endpoint::Unix(path) => {
                let listener = bind_unix(path).await?;
                Kind::Unix(listener, SocketFile(path.clone()))
            }
        };
        Ok(Self { kind })
    }

    /// The next connection, and who made it as far as that can be told.
    ///
    /// # Errors
    /// What the system says. The socket goes on listening.
    pub async fn accept(&self) -> io::Result<(Socket, String)> {
        match &self.kind {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Socket::tcp(stream), peer.to_string()))
            }
            Kind::Unix(listener, file) => {
                let (stream, _) = listener.accept().await?;
                Ok((Socket::Unix(stream), file.0.display().to_string()))
            }
        }
    }

    /// Where it listens, with the port that the system chose.
    ///
    /// # Errors
    /// What the system says.
    pub fn local(&self) -> io::Result<Endpoint> {
        match &self.kind {
            Kind::Tcp(listener) => listener.local_addr().map(|addr| {
                Endpoint::Tcp(HostPort {
                    host: addr.ip().to_string(),
                    port: addr.port(),
                })
            }),
            Kind::Unix(_, file) => Ok(Endpoint::Unix(file.0.clone())),
        }
    }
}

impl Socket {
    /// Connects.
    ///
    /// # Errors
    /// The name cannot be resolved, or nobody listens there.
    pub async fn connect(endpoint: &Endpoint) -> io::Result<Self> {
        match endpoint {
            Endpoint::Tcp(HostPort { host, port }) => {
                let host = if host.is_empty() { "localhost" } else { host };
                TcpStream::connect((host, *port)).await.map(Self::tcp)
            }
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Self::Unix),
        }
    }

    fn tcp(stream: TcpStream) -> Self {
        // What is ready is sent: the tunnel gathers on its own.
        let _ = stream.set_nodelay(true);
        Self::Tcp(stream)
    }
}

impl Connection for Socket {
    fn abort(&mut self) {
        match self {
            Self::Tcp(stream) => {
                let _ = stream.set_zero_linger();
            }
            Self::Unix(_) => {}
        }
    }
}

/// The addresses that an address to listen on means: with a host its own, without every local one,
/// of both families if the system can.
pub(crate) async fn local_addrs(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.is_empty() {
        return Ok(vec![
            (Ipv6Addr::UNSPECIFIED, port).into(),
            (Ipv4Addr::UNSPECIFIED, port).into(),
        ]);
    }
    Ok(lookup_host((host, port)).await?.collect())
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let refused = UnixStream::connect(path)
                .await
                .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            if !refused {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        result => result,
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, data),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
