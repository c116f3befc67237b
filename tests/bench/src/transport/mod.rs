//! The transports behind one small trait.

mod grpc;
mod h3;
mod kcp;
mod quic;
mod rpc;
mod tcp;
mod tokio_kcp;

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use crate::client::Client;
use crate::names::{Carrier, Transport as Name};
use crate::settings::{SOCKET_BUFFER, Settings};

/// One way to connect a caller with a server.
pub(crate) trait Transport: Send + Sync {
    /// Starts a server; it runs as long as the future it comes with is polled.
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>>;

    /// A connection to a server.
    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>>;
}

/// A server that listens.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) addr: SocketAddr,
    /// Serves, and returns when it cannot go on.
    pub(crate) run: BoxFuture<'static, io::Result<()>>,
}

impl Server {
    fn new(addr: SocketAddr, run: impl Future<Output = io::Result<()>> + Send + 'static) -> Self {
        Self {
            addr,
            run: Box::pin(run),
        }
    }
}

/// The transport of this name. `many` says that its connections may share a socket, for they are thousands.
///
/// # Errors
/// For those of kcp-go, which are a program of their own.
pub(crate) fn by_name(
    name: Name,
    settings: &Settings,
    many: bool,
) -> io::Result<Box<dyn Transport>> {
    Ok(match name {
        Name::Kcp(profile) => Box::new(kcp::Kcp::new(profile, settings, many)),
        Name::TokioKcp => Box::new(tokio_kcp::TokioKcp::new(settings)),
        Name::Quinn(congestion) => Box::new(quic::Quinn::new(congestion)?),
        Name::Tcp(congestion) => Box::new(tcp::Tcp::new(congestion)),
        Name::Grpc(Carrier::H3) => Box::new(h3::H3::new()?),
        Name::Grpc(Carrier::Tcp(congestion)) => {
            Box::new(grpc::Grpc::new(grpc::Below::Tcp(tcp::Tcp::new(congestion))))
        }
        Name::Grpc(Carrier::Kcp(profile)) => {
            let kcp = kcp::config(profile, settings);
            Box::new(grpc::Grpc::new(grpc::Below::Kcp(kcp)))
        }
        Name::Grpc(Carrier::KcpDirect(profile)) => {
            let kcp = kcp::config(profile, settings);
            Box::new(grpc::Grpc::new(grpc::Below::KcpDirect(kcp)))
        }
        Name::Grpc(Carrier::KcpMux(profile)) => {
            let kcp = kcp::config(profile, settings);
            Box::new(grpc::Grpc::new(grpc::Below::KcpMux(kcp)))
        }
        Name::KcpGo(_) => return Err(io::Error::other("kcp-go is a program of its own")),
    })
}

/// A UDP socket with large buffers, or what the kernel gives of them.
fn udp(local: SocketAddr) -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::for_address(local), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_nonblocking(true)?;
    socket.bind(&local.into())?;
    Ok(socket.into())
}

/// The same for tokio.
fn tokio_udp(local: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::from_std(udp(local)?)
}

/// Any port of the address family of `peer`: of the loopback interface if that is where the peer is.
fn local_for(peer: SocketAddr) -> SocketAddr {
    use std::net::{Ipv4Addr, Ipv6Addr};
    match peer {
        SocketAddr::V4(peer) if peer.ip().is_loopback() => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(peer) if peer.ip().is_loopback() => (Ipv6Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::work::SMALL;

    /// Guards against hanging; nothing is measured.
    const GUARD: Duration = Duration::from_secs(60);

    async fn works(name: Name) {
        let settings = Settings {
            window: 256,
            bandwidth: 0,
            ack_no_delay: false,
            threads: 1,
        };
        let transport = by_name(name, &settings, false).unwrap();
        let server = transport.serve(([127, 0, 0, 1], 0).into()).await.unwrap();
        let running = tokio::spawn(server.run);
        let client = transport.connect(server.addr).await.unwrap();
        client.call(SMALL).await.unwrap();
        client.call(16 << 10).await.unwrap();
        client.echo(4 << 10).await.unwrap().round().await.unwrap();
        let mut download = client.download().await.unwrap();
        let mut total = 0;
        while total < 100_000 {
            total += std::future::poll_fn(|cx| download.poll_next(cx))
                .await
                .unwrap();
        }
        running.abort();
    }

    #[tokio::test]
    async fn every_transport_in_rust_calls_echoes_and_downloads() {
        for name in Name::all() {
            // Not every kernel has every congestion control.
            if name.is_go() || name.is_tcp() && name.to_string().ends_with("bbr") {
                continue;
            }
            tokio::time::timeout(GUARD, works(name))
                .await
                .unwrap_or_else(|_| panic!("{name} hangs"));
        }
    }
}
