//! gRPC over KCP in its simplest form: a tonic server, and a tonic client.
//!
//! Both in one process: `cargo run -p examples --bin grpc_hello`
//! Apart: `… --bin grpc_hello -- serve 127.0.0.1:4000` and `… --bin grpc_hello -- call 127.0.0.1:4000`

use std::error::Error;
use std::time::Duration;

use examples::hello::greeter_client::GreeterClient;
use examples::hello::greeter_server::{Greeter, GreeterServer};
use examples::hello::{Greeting, Name};
use kcp_tonic::{EndpointExt, KcpConnectInfo};
use kcp_transport::{Cipher, Config, ConfigError, Connector, Listener};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status};

/// Both ends need the same cipher and key.
fn config() -> Result<Config, ConfigError> {
    let cipher = Cipher::kcptun("aes-128-gcm", "use a long random passphrase")?;
    Ok(Config::default()
        .cipher(cipher)
        // KCP has no handshake. With this, connecting fails if nobody answers.
        .connect_probe(Duration::from_secs(5)))
}

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        if let Some(peer) = request.extensions().get::<KcpConnectInfo>() {
            println!("server: {} calls", peer.peer_addr());
        }
        let text = format!("Hello, {}!", request.into_inner().name);
        Ok(Response::new(Greeting { text }))
    }
}

async fn serve(listener: Listener) -> Result<(), tonic::transport::Error> {
    println!("listening on {}", listener.local_addr());
    Server::builder()
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming(kcp_tonic::incoming(listener))
        .await
}

async fn call(address: &str) -> Result<(), Box<dyn Error>> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .connect_kcp(Connector::new(config()?))
        .await?;
    let mut client = GreeterClient::new(channel);
    for name in ["Alice", "Bob"] {
        let name = name.to_owned();
        let greeting = client.greet(Name { name }).await?.into_inner();
        println!("client: {}", greeting.text);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(Listener::bind(address, config()?).await?).await?,
        ["call", address] => call(address).await?,
        [] => {
            let listener = Listener::bind("127.0.0.1:0", config()?).await?;
            let address = listener.local_addr().to_string();
            tokio::spawn(serve(listener));
            call(&address).await?;
        }
        _ => return Err("usage: grpc_hello [serve ADDRESS | call ADDRESS]".into()),
    }
    Ok(())
}
