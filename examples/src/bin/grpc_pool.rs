//! Many concurrent calls over a pool of sessions: a lost packet then holds up only the calls of its own session.
//!
//! `cargo run -p examples --bin grpc_pool`

use std::collections::BTreeMap;
use std::error::Error;

use examples::hello::greeter_client::GreeterClient;
use examples::hello::greeter_server::{Greeter, GreeterServer};
use examples::hello::{Greeting, Name};
use futures_util::future::try_join_all;
use kcp_tonic::EndpointExt;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tonic::service::InterceptorLayer;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

/// Sessions of the pool: more hide loss better, and take more of the path from others.
const SESSIONS: usize = 4;

/// Tells callers where they call from: each session has an address of its own.
struct Observant;

#[tonic::async_trait]
impl Greeter for Observant {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        let peer = request
            .remote_addr()
            .ok_or_else(|| Status::internal("no address"))?;
        let text = peer.to_string();
        Ok(Response::new(Greeting { text }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
    let server = Server::builder()
        // `Request::remote_addr` knows TCP only, unless it is told.
        .layer(InterceptorLayer::new(kcp_tonic::remote_addr))
        .add_service(GreeterServer::new(Observant))
        .serve_with_incoming(kcp_tonic::incoming(listener));
    tokio::spawn(server);

    // Goes into generated clients as a channel does. Clones share the sessions.
    let pool = endpoint.connect_kcp_pool(Connector::new(config), SESSIONS);
    let calls = (0..100).map(|n| {
        let mut client = GreeterClient::new(pool.clone());
        let name = format!("caller {n}");
        async move { client.greet(Name { name }).await }
    });
    let mut calls_from = BTreeMap::<String, usize>::new();
    for greeting in try_join_all(calls).await? {
        *calls_from.entry(greeting.into_inner().text).or_default() += 1;
    }
    for (address, calls) in &calls_from {
        println!("{calls} calls came from {address}");
    }
    if calls_from.len() != SESSIONS {
        return Err(format!("{} sessions were used", calls_from.len()).into());
    }
    Ok(())
}
