//! Gets a URL over KCP, as curl would over TCP, and says how it went.
//!
//! `cargo run -p examples --bin http_client -- http://127.0.0.1:4000/` from a server with the same passphrase
//! (`--passphrase`); without a URL it starts one itself.

use std::convert::Infallible;
use std::error::Error;
use std::io::{Write, stdout};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use kcp_hyper::KcpConnectInfo;
use kcp_transport::{Cipher, Config, Connector, Listener};

#[derive(Parser)]
struct Args {
    /// What to get
    url: Option<Uri>,
    /// What the key is derived from, as kcptun does it
    #[arg(long, default_value = "use a long random passphrase")]
    passphrase: String,
    /// Speak HTTP/2
    #[arg(long)]
    http2: bool,
}

/// Serves a page, and tells its address.
async fn serve(config: Config) -> Result<Uri, Box<dyn Error>> {
    let listener = Listener::bind("127.0.0.1:0", config).await?;
    let uri = format!("http://{}/page", listener.local_addr()).parse()?;
    let page = async |request: Request<Incoming>| {
        let text = format!("This is {}.\n", request.uri().path());
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(text)))
    };
    tokio::spawn(kcp_hyper::serve(listener.incoming(), service_fn(page)));
    Ok(uri)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let config = Config::default()
        .cipher(Cipher::kcptun("aes-128-gcm", &args.passphrase)?)
        // Without it a server that is not there is waited for until the session has been silent for a minute.
        .connect_probe(Duration::from_secs(5));
    let url = match args.url {
        Some(url) => url,
        None => serve(config.clone()).await?,
    };
    let client = if args.http2 {
        kcp_hyper::http2_client::<_, Empty<Bytes>>(Connector::new(config))
    } else {
        kcp_hyper::client(Connector::new(config))
    };
    let response = client.get(url).await?;
    eprintln!("{:?} {}", response.version(), response.status());
    let session = response.extensions().get::<KcpConnectInfo>().cloned();
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            stdout().write_all(&data)?;
        }
    }
    stdout().flush()?;
    if let Some(stats) = session.map(|session| session.stats()) {
        eprintln!(
            "round trip {:?}, {} bytes received",
            stats.rtt, stats.bytes_received
        );
    }
    Ok(())
}
