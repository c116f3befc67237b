//! HTTP over KCP with hyper: a service, and requests by HTTP/1 and by HTTP/2; then a shutdown that lets requests finish.
//!
//! `cargo run -p examples --bin http_hello`
//!
//! Multiplexed: every connection is a stream, which ends when HTTP says so. Over bare sessions it works the same, without
//! `mux` at both ends, but a connection that was closed shows by its silence alone.

use std::convert::Infallible;
use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use kcp_hyper::KcpConnectInfo;
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tokio::sync::oneshot;

/// Says who called, by which version, with what.
async fn hello(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let peer = request.extensions().get::<KcpConnectInfo>();
    let peer = peer.map(KcpConnectInfo::peer_addr);
    let version = request.version();
    let answer = match request.into_body().collect().await {
        Ok(body) => format!(
            "hello {peer:?}, {} bytes by {version:?}",
            body.to_bytes().len()
        ),
        Err(error) => format!("hello {peer:?}, your request broke off: {error}"),
    };
    Ok(Response::new(Full::from(answer)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let uri = format!("http://{}/hello", listener.local_addr());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(kcp_hyper::serve_with_shutdown(
        listener.mux(MuxConfig::default()),
        service_fn(hello),
        async { drop(stopped.await) },
        Duration::from_secs(10),
    ));

    let connector = Connector::new(config).mux(MuxConfig::default());
    let http1 = kcp_hyper::client(connector.clone());
    let http2 = kcp_hyper::http2_client(connector);
    for client in [http1, http2] {
        let body = Full::<Bytes>::from("what is to be said");
        let response = client.request(Request::post(&uri).body(body)?).await?;
        let status = response.status();
        let session = response.extensions().get::<KcpConnectInfo>().cloned();
        let text = response.into_body().collect().await?.to_bytes();
        println!("{status}: {}", String::from_utf8_lossy(&text));
        println!(
            "  round trip {:?}",
            session.and_then(|session| session.stats().rtt)
        );
    }

    drop(stop);
    println!("{} connections did not end in time", server.await?);
    Ok(())
}
