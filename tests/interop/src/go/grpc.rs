//! grpc-go over kcp-go, with or without hashicorp/yamux between them.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::build::Recipe;
use super::options::Cipher;
use super::peer::Listening;
use super::process::Process;
use crate::reference::FecParams;
use crate::snmp::Snmp;

/// What a grpc-go peer is told. Its sessions are those of kcptun's `fast3`, with windows of 1,024 segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcOptions {
    /// Its cipher.
    pub cipher: Cipher,
    /// Its code.
    pub fec: Option<FecParams>,
    /// Whether yamux runs between gRPC and KCP.
    pub mux: bool,
    /// A client: how many calls.
    pub calls: usize,
    /// A client: how many of them at a time.
    pub workers: usize,
    /// A client: seed of its requests.
    pub seed: u64,
    /// After this it gives up, and so does who waits for it.
    pub timeout: Duration,
}

impl GrpcOptions {
    fn flags(&self) -> Vec<String> {
        let (data, parity) = self.fec.map_or((0, 0), |fec| (fec.data, fec.parity));
        vec![
            format!("-crypt={}", self.cipher.name),
            format!("-key={}", self.cipher.passphrase),
            format!("-ds={data}"),
            format!("-ps={parity}"),
            format!("-mux={}", self.mux),
            format!("-calls={}", self.calls),
            format!("-workers={}", self.workers),
            format!("-seed={}", self.seed),
        ]
    }
}

/// A running server or client of grpc-go. Dropping it kills it.
#[derive(Debug)]
pub struct GrpcPeer(Process);

impl GrpcPeer {
    /// The program; `None` as [`Go::find`](super::Go::find).
    pub fn find() -> Option<&'static Path> {
        Recipe::Grpc.find()
    }

    /// Starts a server of `interop.Bytes`: where it listens.
    pub async fn serve(program: &Path, options: &GrpcOptions) -> (Self, SocketAddr) {
        let mut arguments = options.flags();
        arguments.push("-role=serve".into());
        let mut process = Process::start(program, &arguments, options.timeout);
        let Listening { addr } = process.event("listening").await;
        (Self(process), addr)
    }

    /// Starts a client, which begins to call at once.
    pub fn call(program: &Path, server: SocketAddr, options: &GrpcOptions) -> Self {
        let mut arguments = options.flags();
        arguments.extend(["-role=call".into(), format!("-addr={server}")]);
        Self(Process::start(program, &arguments, options.timeout))
    }

    /// A client's calls were all answered as they should be: microseconds of each, the shortest first.
    pub async fn called(&mut self) -> Vec<u64> {
        #[derive(Deserialize)]
        struct Called {
            micros: Vec<u64>,
        }
        let Called { micros } = self.0.event("called").await;
        micros
    }

    /// Asks what its kcp-go counted so far.
    pub async fn snmp(&mut self) -> Snmp {
        #[derive(Deserialize)]
        struct Counters {
            counters: Snmp,
        }
        self.0.command("snmp").await;
        let Counters { counters } = self.0.event("snmp").await;
        counters
    }
}
