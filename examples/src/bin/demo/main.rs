//! gRPC and HTTP over a bad link, measured.
//!
//! ```sh
//! cargo run --release -p examples --bin demo
//! cargo run --release -p examples --bin demo -- --loss 10 --delay 50 --jitter 5 some.iso
//! ```

mod args;
mod file;
mod grpc;
mod http;
mod report;
mod traffic;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use hyper::service::service_fn;
use kcp_tonic::EndpointExt;
use kcp_transport::{Cipher, Config, Connector, Listener, Window};
use netlab::relay::Relay;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::transport::{Endpoint, Server};

use args::Args;
use file::Offer;
use report::{Report, Scene};
use traffic::Meter;

/// What makes no progress for this long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(report) => {
            println!("\n{report}");
            if report.is_flawless() {
                return ExitCode::SUCCESS;
            }
        }
        Err(error) => eprintln!("demo: {error}"),
    }
    ExitCode::FAILURE
}

async fn run(args: &Args) -> Result<Report, Box<dyn Error>> {
    let config = Config::fast3()
        .cipher(Cipher::kcptun("aes-128-gcm", "a long random passphrase")?)
        .fec(args.fec.0)
        .send_window(Window::new(4_096)?)
        .receive_window(Window::new(4_096)?);
    let offer = Offer::load(args)?;
    let mut meter = Meter::default();
    let (stop, stopped) = watch::channel(());
    let stop_signal = || {
        let mut stopped = stopped.clone();
        // Also ends if `stop` is gone, which means the same.
        async move { drop(stopped.changed().await) }
    };

    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    meter.watch_server(listener.endpoints());
    let grpc_link = bad_link(args, listener.local_addr())?;
    let grpc_server = tokio::spawn(
        Server::builder()
            .add_routes(grpc::services(offer.clone()))
            .serve_with_incoming_shutdown(kcp_tonic::incoming(listener), stop_signal()),
    );

    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    meter.watch_server(listener.endpoints());
    let http_link = bad_link(args, listener.local_addr())?;
    let http_server = tokio::spawn(kcp_hyper::serve_with_shutdown(
        listener.incoming(),
        service_fn(http::echo),
        stop_signal(),
        Duration::from_secs(5),
    ));

    let connector = meter.watch_client(Connector::new(config));
    let channel = Endpoint::from_shared(format!("http://{}", grpc_link.local_addr()))?
        .connect_kcp(connector.clone())
        .await?;
    let uri = format!("http://{}/echo", http_link.local_addr()).parse()?;
    let http1 = kcp_hyper::client(connector.clone());
    let http2 = kcp_hyper::http2_client(connector);

    println!(
        "{} % of the packets get lost, {} ms (±{}) one way, so a round trip takes {} ms.\n",
        args.loss,
        args.delay,
        args.jitter,
        2 * args.delay
    );
    let mut report = Report::new(meter);
    let (few, many) = (args.calls, 10 * args.calls);
    report
        .scene(
            Scene::of_calls("gRPC, one call at a time", few),
            async |scene| grpc::greet(&channel, scene, few, 1).await,
        )
        .await;
    report
        .scene(
            Scene::of_calls("gRPC, 64 calls at a time", many),
            async |scene| grpc::greet(&channel, scene, many, 64).await,
        )
        .await;
    report
        .scene(
            Scene::of_bytes("gRPC, download", offer.content.len()),
            async |scene| grpc::download(&channel, scene).await,
        )
        .await;
    report
        .scene(
            Scene::of_calls("HTTP/1, 8 requests at a time", few),
            async |scene| http::post(&http1, &uri, scene, few, 8).await,
        )
        .await;
    report
        .scene(
            Scene::of_calls("HTTP/2, 64 requests at a time", many),
            async |scene| http::post(&http2, &uri, scene, many, 64).await,
        )
        .await;

    drop((channel, http1, http2));
    stop.send(())?;
    timeout(PATIENCE, grpc_server).await???;
    let cut = timeout(PATIENCE, http_server).await??;
    if cut > 0 {
        report.fault(format!("{cut} HTTP connections did not end in time"));
    }
    for relay in [grpc_link, http_link] {
        report.link(relay.stats());
    }
    Ok(report)
}

fn bad_link(args: &Args, server: SocketAddr) -> Result<Relay, Box<dyn Error>> {
    let link = args.link()?;
    Ok(Relay::start(server, link.clone(), link, args.seed)?)
}
