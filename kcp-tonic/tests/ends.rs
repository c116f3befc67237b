//! Multiplexed or not, as both ends say; and what happens if they say different things.

#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::time::Duration;

use kcp_tonic::{DirectChannel, EndpointExt, IntoIncoming, KcpIo, ServerIo};
use kcp_transport::{Config, Connector, Listener};
use tonic::transport::{Channel, Endpoint, Server};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// A peer that is silent for 2 s is gone.
fn config() -> Config {
    Config::default()
        .keepalive(Duration::from_millis(500))
        .idle_timeout(Duration::from_secs(2))
}

/// Serves what `given` makes of a listener.
async fn serve<L, IO>(given: impl FnOnce(Listener) -> L) -> Endpoint
where
    L: IntoIncoming,
    kcp_tonic::Incoming<L::Incoming>:
        futures_core::Stream<Item = std::io::Result<ServerIo<IO>>> + Send + 'static,
    IO: KcpIo + Unpin + Send + 'static,
{
    let listener = Listener::bind("127.0.0.1:0", config()).await.unwrap();
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr())).unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    let incoming = kcp_tonic::incoming(given(listener));
    let server = Server::builder().add_service(health);
    tokio::spawn(server.serve_with_incoming(incoming));
    endpoint
}

async fn call(channel: Channel) -> Result<(), tonic::Status> {
    let mut client = HealthClient::new(channel);
    let answer = client.check(HealthCheckRequest::default());
    let answer = tokio::time::timeout(PATIENCE, answer).await;
    answer.expect("it hangs").map(drop)
}

#[tokio::test]
async fn settings_a_connector_and_a_pool_are_understood_by_a_listener() {
    let endpoint = serve(|listener| listener).await;
    call(endpoint.connect_kcp_lazy(config())).await.unwrap();
    call(endpoint.connect_kcp_lazy(Connector::new(config())))
        .await
        .unwrap();
    let pool = endpoint.connect_kcp_pool(config(), 2);
    let mut client = HealthClient::new(pool);
    client.check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn bare_ends_understand_each_other() {
    let endpoint = serve(Listener::bare).await;
    let connector = Connector::new(config()).bare();
    call(endpoint.connect_kcp_lazy(connector)).await.unwrap();
}

#[tokio::test]
async fn a_multiplexing_client_of_a_bare_server_gets_an_error() {
    let endpoint = serve(Listener::bare).await;
    let channel = endpoint.connect_kcp_lazy(config());
    call(channel).await.unwrap_err();
}

#[tokio::test]
async fn a_bare_client_of_a_multiplexing_server_gets_an_error() {
    let endpoint = serve(|listener| listener).await;
    let connector = Connector::new(config()).bare();
    call(endpoint.connect_kcp_lazy(connector))
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_direct_channel_says_what_is_wrong_with_its_target() {
    for (origin, what) in [
        ("/", "no host"),
        ("http://127.0.0.1", "no port"),
        ("127.0.0.1:1", "no scheme"),
        ("https://127.0.0.1:1", "TLS"),
    ] {
        let status = DirectChannel::new(config(), origin.parse().unwrap()).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        assert!(status.message().contains(what), "{}", status.message());
    }
}

#[tokio::test]
async fn a_direct_channel_that_cannot_connect_tries_again_with_the_next_call() {
    let probing = config().connect_probe(Duration::from_millis(100));
    let listener = Listener::bind("127.0.0.1:0", config()).await.unwrap();
    let address = listener.local_addr();
    drop(listener);
    let origin = format!("http://{address}").parse().unwrap();
    let connector = Connector::new(probing).bare();
    let mut client = HealthClient::new(DirectChannel::new(connector, origin).unwrap());
    let status = client
        .check(HealthCheckRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "{status:?}");
    let listener = Listener::bind(address, config()).await.unwrap();
    let (_, health) = tonic_health::server::health_reporter();
    tokio::spawn(kcp_tonic::serve_direct(listener.bare(), health));
    client.check(HealthCheckRequest::default()).await.unwrap();
}
