//! A server that rpcx's Go clients can call over KCP, in JSON: `Arith.Mul` and `Arith.Div` of `{"A":6,"B":7}`.
//!
//! `cargo run -p examples --bin rpcx_server -- 127.0.0.1:8972` (port 0: any), and then `rpcx_client` with the address
//! that it prints, or a Go client: `client.NewPeer2PeerDiscovery("kcp@127.0.0.1:8972", "")` with `SerializeType: JSON`.

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Parser;
use examples::registry::Registry;
use examples::rpcx::{self, Server};
use kcp_transport::Listener;
use serde::{Deserialize, Serialize};

#[derive(Parser)]
struct Args {
    /// Address to listen on
    address: SocketAddr,
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

/// As rpcx's own examples have it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Operands {
    a: i64,
    b: i64,
}

/// As rpcx's own examples have it.
#[derive(Serialize, Deserialize)]
struct Reply {
    #[serde(rename = "C")]
    result: i64,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let registry = Registry::new()
        .method("Arith", "Mul", async |Operands { a, b }, _| {
            let result = a.checked_mul(b).ok_or("the result is too large")?;
            Ok(Reply { result })
        })
        .method("Arith", "Div", async |Operands { a, b }, _| {
            let result = a.checked_div(b).ok_or("division by zero")?;
            Ok(Reply { result })
        });
    let config = rpcx::config(rpcx::cipher(&args.cipher, &args.password, &args.salt)?)?;
    let listener = Listener::bind(args.address, config).await?;
    println!("listening on {}", listener.local_addr());
    Server::new(Arc::new(registry)).serve(listener).await;
    Ok(())
}
