//! The same programs over KCP. Never run: they are here to be compiled.

#![expect(dead_code)]

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use examples::hello::greeter_client::GreeterClient;
use examples::hello::greeter_server::{Greeter, GreeterServer};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kcp_hyper::AxumListener;
use kcp_tonic::EndpointExt;
use kcp_transport::{Config, Connector, Listener};
use tonic::transport::{Channel, Endpoint, Server};

async fn tonic_server(
    address: SocketAddr,
    config: Config,
    greeter: impl Greeter,
) -> Result<(), Box<dyn Error>> {
    Server::builder()
        .add_service(GreeterServer::new(greeter))
        .serve_with_incoming(kcp_tonic::incoming(Listener::bind(address, config).await?))
        .await?;
    Ok(())
}

async fn tonic_client(
    uri: &'static str,
    config: Config,
) -> Result<GreeterClient<Channel>, Box<dyn Error>> {
    let channel = Endpoint::from_static(uri)
        .connect_kcp(Connector::new(config))
        .await?;
    Ok(GreeterClient::new(channel))
}

async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("hello".to_owned()))
}

async fn hyper_server(address: SocketAddr, config: Config) -> Result<(), Box<dyn Error>> {
    let mut listener = Listener::bind(address, config).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let http = auto::Builder::new(TokioExecutor::new());
            http.serve_connection(TokioIo::new(stream), service_fn(hello))
                .await
        });
    }
}

async fn hyper_client(
    uri: hyper::Uri,
    config: Config,
) -> Result<Response<Incoming>, Box<dyn Error>> {
    let client: Client<_, String> = Client::builder(TokioExecutor::new())
        .build(kcp_hyper::Connector::new(Connector::new(config)));
    Ok(client.get(uri).await?)
}

async fn axum_server(
    address: SocketAddr,
    config: Config,
    app: Router,
) -> Result<(), Box<dyn Error>> {
    let listener = AxumListener::from(Listener::bind(address, config).await?);
    axum::serve(listener, app).await?;
    Ok(())
}
