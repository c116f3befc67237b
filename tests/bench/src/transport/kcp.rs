//! Our sessions.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use kcp_transport::{Cipher, Config, Connector, Fec, Listener, Window};

use super::{Server, Transport};
use crate::client::{Client, Dial, Halves, StreamClient};
use crate::names::Profile;
use crate::server::serve_stream;
use crate::settings::{SOCKET_BUFFER, Settings};

/// A session for every stream.
pub(super) struct Kcp {
    config: Config,
    connector: Connector,
}

impl Kcp {
    pub(super) fn new(profile: Profile, settings: &Settings, many: bool) -> Self {
        let config = config(profile, settings);
        let connector = Connector::new(config.clone());
        Self {
            config,
            connector: if many {
                connector.shared_socket()
            } else {
                connector
            },
        }
    }
}

/// kcptun's `fast3`, as the Go program is set up.
pub(super) fn config(profile: Profile, settings: &Settings) -> Config {
    let window = Window::new(settings.window.into()).expect("the command line checks it");
    let fec = profile.fec().map(|(data, parity)| Fec::new(data, parity));
    let bandwidth = match settings.bandwidth {
        0 => u64::MAX,
        limit => limit.into(),
    };
    Config::fast3()
        .cipher(Cipher::kcptun(profile.cipher(), PASSPHRASE).expect("a listed cipher"))
        .fec(fec.transpose().expect("10/3 is allowed"))
        .send_window(window)
        .receive_window(window)
        .ack_no_delay(settings.ack_no_delay)
        .max_bandwidth(bandwidth)
        .socket_buffer(SOCKET_BUFFER)
        .accept_backlog(65_536)
}

impl Transport for Kcp {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let mut listener = Listener::bind(listen, self.config.clone()).await?;
            Ok(Server::new(listener.local_addr(), async move {
                loop {
                    let (stream, _) = listener.accept().await?;
                    let (reader, writer) = stream.into_split();
                    tokio::spawn(serve_stream(Halves::new(reader, writer)));
                }
            }))
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        let dial = KcpDial {
            connector: self.connector.clone(),
            server,
        };
        Box::pin(async move { Ok(Box::new(StreamClient::new(dial)) as Box<dyn Client>) })
    }
}

struct KcpDial {
    connector: Connector,
    server: SocketAddr,
}

impl Dial for KcpDial {
    fn open(&self) -> BoxFuture<'_, io::Result<Halves>> {
        Box::pin(async move {
            let stream = self.connector.connect_addr(self.server).await;
            let (reader, writer) = stream.map_err(io::Error::other)?.into_split();
            Ok(Halves::new(reader, writer))
        })
    }

    fn stream_per_call(&self) -> bool {
        false
    }
}

/// Both ends make their key of it.
const PASSPHRASE: &str = "benchmark";
