//! A framework for remote calls: services are registered by name, and calls name service and method.
//!
//! `cargo run -p examples --bin rpc_framework`
//!
//! Twice over KCP, with one registry. First over multiplexed sessions, where every call is a stream of its own and the
//! server calls its client back. Then by rpcx's protocol over a bare session, which the Go framework understands:
//! `rpcx_server` and `rpcx_client` talk to the real one.

use std::error::Error;
use std::sync::Arc;

use examples::framework::Peer;
use examples::registry::{Metadata, Registry};
use examples::rpcx;
use kcp_transport::{Cipher, Config, Connector, Listener};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Operands {
    a: i64,
    b: i64,
}

fn services() -> Registry {
    Registry::new()
        .method("Arith", "mul", async |Operands { a, b }, _| Ok(a * b))
        .method("Arith", "div", async |Operands { a, b }, _| {
            a.checked_div(b)
                .ok_or_else(|| "division by zero".to_owned())
        })
        .method("Session", "user", async |(): (), metadata: Metadata| {
            Ok(format!("you are {:?}", metadata.get("user")))
        })
}

/// Serves every session, and asks each peer for its name.
async fn serve(mut listener: Listener, registry: Arc<Registry>) {
    while let Ok((session, address)) = listener.accept().await {
        let client = Peer::server(session, Arc::clone(&registry));
        tokio::spawn(async move {
            let no_metadata = Metadata::new();
            let name = client
                .call::<String>("Client", "name", &no_metadata, &())
                .await;
            println!("server: {address} calls itself {name:?}");
            println!("server: {address} is gone: {}", client.closed().await);
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Arc::new(services());
    let metadata = Metadata::from([("user".to_owned(), "Alice".to_owned())]);
    let six_seven = Operands { a: 6, b: 7 };

    println!("over a multiplexed session");
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let address = listener.local_addr();
    tokio::spawn(serve(listener, Arc::clone(&registry)));
    let session = Connector::new(config).connect(address).await?;
    let ours = Registry::new().method("Client", "name", async |(): (), _| Ok("Alice's client"));
    let server = Peer::client(session, Arc::new(ours));
    let product: i64 = server.call("Arith", "mul", &metadata, &six_seven).await?;
    println!("client: 6 × 7 = {product}");
    let user: String = server.call("Session", "user", &metadata, &()).await?;
    println!("client: {user}");

    println!("by rpcx's protocol");
    let config = rpcx::config(rpcx::cipher("aes", "rpcx-key", "rpcx-salt")?)?;
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let address = listener.local_addr();
    tokio::spawn(rpcx::Server::new(registry).serve(listener));
    let server = rpcx::Client::new(Connector::new(config).connect(address).await?);
    let product: i64 = server.call("Arith", "mul", &metadata, &six_seven).await?;
    println!("client: 6 × 7 = {product}");
    let six_zero = Operands { a: 6, b: 0 };
    let failed = server
        .call::<_, i64>("Arith", "div", &metadata, &six_zero)
        .await;
    println!("client: 6 ÷ 0: {failed:?}");
    println!("client: a heartbeat took {:?}", server.heartbeat().await?);
    Ok(())
}
