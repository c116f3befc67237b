//! What lies below the streams: a KCP session, compression unless it is off, and smux on top.

use core::future::Future;
use core::num::NonZeroU16;
use core::time::Duration;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use kcp_transport::{
    Cipher, Config, ConfigError, CongestionControl, Endpoint, Fec, KcpStream, Mtu, UdpSocket,
    Window,
};
use tokio::net::lookup_host;

use crate::config::{HostPorts, TunnelConfig};
use crate::qpp::{Pads, Qpp};
use crate::smux::{Session, Stream, Watch};
use crate::snappy::Snappy;

/// Opens KCP sessions with the server of a tunnel.
pub trait Dial: Send + Sync + 'static {
    /// Opens one, from an endpoint of its own: a kcp-go listener holds one session per address.
    fn dial(&self) -> impl Future<Output = io::Result<(Endpoint, KcpStream)>> + Send;
}

/// Opens KCP sessions over UDP.
#[derive(Debug)]
pub struct UdpDialer {
    remote: HostPorts,
    config: Arc<Config>,
}

impl UdpDialer {
    /// A dialer of `remote`, on a port of its range chosen anew for each session. `config`: see
    /// [`transport_config`].
    pub fn new(remote: HostPorts, config: Config) -> Self {
        Self {
            remote,
            config: Arc::new(config),
        }
    }
}

impl Dial for UdpDialer {
    async fn dial(&self) -> io::Result<(Endpoint, KcpStream)> {
        let port = fastrand::u16(self.remote.ports.clone());
        let host = match self.remote.host.as_str() {
            "" => "localhost",
            host => host,
        };
        let mut last_error =
            io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
        for peer in lookup_host((host, port)).await? {
            match self.dial_addr(peer).await {
                Ok(opened) => return Ok(opened),
                Err(error) => last_error = error,
            }
        }
        Err(last_error)
    }
}

impl UdpDialer {
    async fn dial_addr(&self, peer: SocketAddr) -> io::Result<(Endpoint, KcpStream)> {
        let local: SocketAddr = match peer {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local, &self.config, false)?;
        let endpoint = Endpoint::new(socket, Arc::clone(&self.config))?;
        let stream = endpoint.connect(peer).await.map_err(io::Error::other)?;
        Ok((endpoint, stream))
    }
}

/// The settings of KCP that a tunnel's settings mean.
///
/// Not in kcptun's: sessions of a client ask the server for a sign of life, and count as open once
/// it has given one.
///
/// # Errors
/// A setting that kcptun has and this transport cannot have.
pub fn transport_config(tunnel: &TunnelConfig) -> Result<Config, ConfigError> {
    let fec = tunnel
        .shards
        .map(|shards| Fec::new(shards.data.into(), shards.parity.into()))
        .transpose()?;
    let tuning = tunnel.tuning;
    let congestion = match tuning.congestion_control {
        true => CongestionControl::Reno,
        false => CongestionControl::Fixed,
    };
    let config = Config::fast()
        .cipher(Cipher::kcptun(tunnel.crypt.name(), tunnel.key.reveal())?)
        .fec(fec)
        .mtu(Mtu::new(tunnel.mtu.into())?)
        .send_window(Window::new(tunnel.send_window.into())?)
        .receive_window(Window::new(tunnel.receive_window.into())?)
        .nodelay(tuning.nodelay)
        .interval(tuning.interval)
        .resend(tuning.resend)
        .congestion(congestion)
        .ack_no_delay(tunnel.ack_no_delay)
        .socket_buffer(tunnel.socket_buffer as usize)
        .dscp(tunnel.dscp)
        .connect_probe(ANSWER_TIMEOUT);
    Ok(match tunnel.rate_limit {
        Some(limit) => config.max_bandwidth(limit),
        None => config,
    })
}

/// Starts smux over a KCP session, as the client or the server of the tunnel.
pub(crate) fn start(kcp: KcpStream, tunnel: &TunnelConfig, is_client: bool) -> Session {
    let config = tunnel.smux.clone();
    match (tunnel.compress, is_client) {
        (true, true) => Session::client(Snappy::new(kcp), config),
        (true, false) => Session::server(Snappy::new(kcp), config),
        (false, true) => Session::client(kcp, config),
        (false, false) => Session::server(kcp, config),
    }
}

/// What QPP needs, if it is on. Takes a while: once per process.
pub(crate) fn pads(tunnel: &TunnelConfig) -> Option<Arc<Pads>> {
    let make = |count: NonZeroU16| Arc::new(Pads::new(tunnel.key.reveal(), count));
    tunnel.qpp.map(make)
}

/// Puts QPP around a stream.
pub(crate) fn permute(stream: Stream, pads: &Arc<Pads>) -> Qpp<Stream> {
    Qpp::new(stream, Arc::clone(pads))
}

/// Closes sessions and waits, for a while, until they have sent what was written.
pub(crate) async fn close(sessions: Vec<Watch>) {
    sessions.iter().for_each(Watch::close);
    let closed = async {
        for session in &sessions {
            session.closed().await;
        }
    };
    // A peer that does not answer cannot be waited for.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, closed).await;
}

/// How long sessions have to send what was written to them when the program ends.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a server has to answer the first packet of a session. Lost packets are repeated
/// meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
