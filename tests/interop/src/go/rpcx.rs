//! rpcx with the kcp-go that it brings along.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::build::Recipe;
use super::peer::Listening;
use super::process::Process;

/// How an rpcx client encodes what calls carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RpcxCodec {
    /// JSON.
    Json,
    /// Protocol buffers.
    Protobuf,
    /// MessagePack.
    MessagePack,
}

impl RpcxCodec {
    const fn flag(self) -> &'static str {
        match self {
            Self::Json => "-codec=json",
            Self::Protobuf => "-codec=protobuf",
            Self::MessagePack => "-codec=msgpack",
        }
    }
}

/// A running server or client of rpcx, whose packets are encrypted by AES-256 with the key of rpcx's own examples.
/// Dropping it kills it.
#[derive(Debug)]
pub struct RpcxPeer(Process);

impl RpcxPeer {
    /// The program; `None` as [`Go::find`](super::Go::find).
    pub fn find() -> Option<&'static Path> {
        Recipe::Rpcx.find()
    }

    /// Starts a server of `Arith`: where it listens.
    pub async fn serve(program: &Path, timeout: Duration) -> (Self, SocketAddr) {
        let arguments = ["-role=serve".into()];
        let mut process = Process::start(program, &arguments, timeout);
        let Listening { addr } = process.event("listening").await;
        (Self(process), addr)
    }

    /// Starts a client, which makes so many calls of each kind, and checks what comes back.
    pub fn call(
        program: &Path,
        server: SocketAddr,
        codec: RpcxCodec,
        calls: usize,
        timeout: Duration,
    ) -> Self {
        Self::start(program, server, codec, calls, timeout, &[])
    }

    /// As [`call`](Self::call), but without the heartbeat that it sends over a connection of its own.
    pub fn call_over_one_connection(
        program: &Path,
        server: SocketAddr,
        codec: RpcxCodec,
        calls: usize,
        timeout: Duration,
    ) -> Self {
        Self::start(program, server, codec, calls, timeout, &["-one"])
    }

    fn start(
        program: &Path,
        server: SocketAddr,
        codec: RpcxCodec,
        calls: usize,
        timeout: Duration,
        more: &[&str],
    ) -> Self {
        let mut arguments = vec![
            "-role=call".to_owned(),
            format!("-addr={server}"),
            codec.flag().into(),
            format!("-calls={calls}"),
        ];
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        Self(Process::start(program, &arguments, timeout))
    }

    /// A client's calls went as they should.
    pub async fn called(&mut self) {
        #[derive(Deserialize)]
        struct Called {
            #[serde(rename = "event")]
            _event: IgnoredAny,
        }
        let Called { .. } = self.0.event("called").await;
    }
}
