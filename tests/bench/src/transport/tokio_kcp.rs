//! The crate `tokio_kcp`, at the settings that are fastest for it.

use std::io;
use std::net::SocketAddr;

use futures_util::future::BoxFuture;
use tokio_kcp::{KcpConfig, KcpListener, KcpNoDelayConfig, KcpStream};

use super::{Server, Transport, local_for, tokio_udp};
use crate::client::{Client, Dial, Halves, StreamClient};
use crate::server::serve_stream;
use crate::settings::Settings;

/// A session for every stream.
pub(super) struct TokioKcp {
    config: KcpConfig,
}

impl TokioKcp {
    pub(super) fn new(settings: &Settings) -> Self {
        let window = settings.window;
        let config = KcpConfig {
            nodelay: KcpNoDelayConfig::fastest(),
            wnd_size: (window, window),
            flush_write: true,
            flush_acks_input: settings.ack_no_delay,
            stream: true,
            ..KcpConfig::default()
        };
        Self { config }
    }
}

impl Transport for TokioKcp {
    fn serve(&self, listen: SocketAddr) -> BoxFuture<'_, io::Result<Server>> {
        Box::pin(async move {
            let socket = tokio_udp(listen)?;
            let mut listener = KcpListener::from_socket(self.config, socket)
                .await
                .map_err(io::Error::other)?;
            Ok(Server::new(listener.local_addr()?, async move {
                loop {
                    let (stream, _) = listener.accept().await.map_err(io::Error::other)?;
                    tokio::spawn(serve_stream(halves(stream)));
                }
            }))
        })
    }

    fn connect(&self, server: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Client>>> {
        let dial = TokioKcpDial {
            config: self.config,
            server,
        };
        Box::pin(async move { Ok(Box::new(StreamClient::new(dial)) as Box<dyn Client>) })
    }
}

struct TokioKcpDial {
    config: KcpConfig,
    server: SocketAddr,
}

impl Dial for TokioKcpDial {
    fn open(&self) -> BoxFuture<'_, io::Result<Halves>> {
        Box::pin(async move {
            let socket = tokio_udp(local_for(self.server))?;
            let stream = KcpStream::connect_with_socket(&self.config, socket, self.server).await;
            stream.map(halves).map_err(io::Error::other)
        })
    }

    fn stream_per_call(&self) -> bool {
        false
    }
}

fn halves(stream: KcpStream) -> Halves {
    let (reader, writer) = tokio::io::split(stream);
    Halves::new(reader, writer)
}
