//! Calls a method of an rpcx server over KCP, ours or a Go one, in JSON.
//!
//! `cargo run -p examples --bin rpcx_client -- 127.0.0.1:8972 Arith Mul '{"A":6,"B":7}'`
//!
//! Prints the result in JSON. Fails if the server says so, or does not answer.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Parser;
use examples::registry::Metadata;
use examples::rpcx::{self, Client};
use kcp_transport::Connector;
use serde_json::Value;

#[derive(Parser)]
struct Args {
    /// Address of the server
    address: SocketAddr,
    /// Name of the service
    service: String,
    /// Name of the method
    method: String,
    /// Arguments in JSON
    #[arg(value_parser = json)]
    arguments: Value,
    /// Metadata, as often as there is any
    #[arg(long, value_name = "KEY=VALUE")]
    meta: Vec<String>,
    /// Send a heartbeat first
    #[arg(long)]
    heartbeat: bool,
    /// Do not wait for the result
    #[arg(long)]
    one_way: bool,
    /// Calls to make, all at a time
    #[arg(long, default_value_t = 1)]
    calls: usize,
    /// Seconds to wait for an answer
    #[arg(long, default_value_t = 10)]
    timeout: u64,
    /// What encrypts packets, by kcptun's names
    #[arg(long, default_value = "aes")]
    cipher: String,
    /// What the key is derived from
    #[arg(long, default_value = "rpcx-key")]
    password: String,
    /// What it is salted with
    #[arg(long, default_value = "rpcx-salt")]
    salt: String,
}

fn json(text: &str) -> serde_json::Result<Value> {
    serde_json::from_str(text)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let pairs = args.meta.iter().map(|pair| pair.split_once('='));
    let pairs: Option<Metadata> = pairs
        .map(|pair| pair.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let metadata = pairs.ok_or("write metadata like key=value")?;
    let config = rpcx::config(rpcx::cipher(&args.cipher, &args.password, &args.salt)?)?;
    let session = Connector::new(config).connect(args.address).await?;
    let client = Client::new(session).timeout(Duration::from_secs(args.timeout));
    let (service, method) = (&args.service, &args.method);
    if args.heartbeat {
        eprintln!("a heartbeat took {:?}", client.heartbeat().await?);
    }
    if args.one_way {
        client
            .notify(service, method, &metadata, &args.arguments)
            .await?;
        // rpcx says nothing to this, so the heartbeat tells that it has arrived.
        client.heartbeat().await?;
        return Ok(());
    }
    let calls = (0..args.calls).map(|_| client.call(service, method, &metadata, &args.arguments));
    let results: Vec<Value> = futures_util::future::try_join_all(calls).await?;
    for result in results {
        println!("{result}");
    }
    Ok(())
}
