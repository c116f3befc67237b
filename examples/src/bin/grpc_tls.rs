//! gRPC with TLS over KCP: tonic's own TLS, which wraps whatever the connector gives.
//!
//! `cargo run -p examples --bin grpc_tls`
//!
//! KCP's ciphers know neither who the peer is nor whether a packet is a repetition; TLS does. Keep AES-GCM below it: it
//! keeps strangers from opening sessions.

use std::error::Error;

use examples::hello::greeter_client::GreeterClient;
use examples::hello::greeter_server::{Greeter, GreeterServer};
use examples::hello::{Greeting, Name};
use kcp_tonic::{EndpointExt, KcpConnectInfo};
use kcp_transport::{Cipher, Config, Connector, Listener};
use tonic::transport::server::TlsConnectInfo;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        // Below TLS it is wrapped once more.
        let info = request.extensions().get::<TlsConnectInfo<KcpConnectInfo>>();
        let peer = info.map(|info| info.get_ref().peer_addr());
        let text = format!("Hello, {} from {peer:?}!", request.into_inner().name);
        Ok(Response::new(Greeting { text }))
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // In earnest these come from files. The name is what clients ask for, not where the server is.
    let made = rcgen::generate_simple_self_signed(["greeter.example".to_owned()])?;
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());

    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let address = listener.local_addr();
    let identity = Identity::from_pem(&certificate, key);
    let server = Server::builder()
        .tls_config(ServerTlsConfig::new().identity(identity))?
        .add_service(GreeterServer::new(Polite))
        .serve_with_incoming(kcp_tonic::incoming(listener));
    tokio::spawn(server);

    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(certificate))
        .domain_name("greeter.example");
    let channel = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .connect_kcp(Connector::new(config.clone()))
        .await?;
    let name = || Name {
        name: "Alice".to_owned(),
    };
    let greeting = GreeterClient::new(channel).greet(name()).await?;
    println!("{}", greeting.into_inner().text);

    // Someone who trusts others is not served, though the packets are encrypted by the same key.
    let stranger = rcgen::generate_simple_self_signed(["greeter.example".to_owned()])?;
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(stranger.cert.pem()))
        .domain_name("greeter.example");
    let channel = Endpoint::from_shared(format!("https://{address}"))?
        .tls_config(tls)?
        .connect_kcp_lazy(Connector::new(config));
    let refused = GreeterClient::new(channel).greet(name()).await;
    println!(
        "with another certificate: {}",
        refused.expect_err("nobody vouches for it")
    );
    Ok(())
}
