//! What a client learns when the server closes, and what happens if only one end multiplexes.
#![cfg(all(feature = "client", feature = "server"))]
#![allow(clippy::unwrap_used, reason = "all of this is a test")]

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use kcp_hyper::{IntoConnector, KcpConnectInfo, serve};
use kcp_transport::{Config, Connector, Listener};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tower_service::Service;

/// What takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// HTTP/1.0: the server closes after its answer.
const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

fn config() -> Config {
    Config::default()
        .keepalive(Duration::from_millis(500))
        .idle_timeout(Duration::from_secs(2))
}

async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
    Ok(Response::new("hello".to_owned()))
}

async fn listen() -> (Listener, SocketAddr) {
    let listener = Listener::bind("127.0.0.1:0", config()).await.unwrap();
    let addr = listener.local_addr();
    (listener, addr)
}

async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it hangs")
}

/// Sends a request and reads until the connection ends: what came, and how it ended.
async fn read_to_the_end<C>(connector: C, addr: SocketAddr) -> (String, std::io::Result<()>)
where
    C: IntoConnector,
    C::Connector:
        Service<SocketAddr, Response: AsyncRead + AsyncWrite + Unpin, Error: std::fmt::Debug>,
{
    let mut stream = connector.into_connector().call(addr).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    stream.flush().await.unwrap();
    let mut answer = Vec::new();
    let end = patiently(stream.read_to_end(&mut answer)).await;
    (String::from_utf8(answer).unwrap(), end.map(drop))
}

#[tokio::test]
async fn by_default_a_client_is_told_that_the_server_has_closed() {
    let (listener, addr) = listen().await;
    tokio::spawn(serve(listener, service_fn(hello)));
    let (answer, end) = read_to_the_end(config(), addr).await;
    assert!(answer.ends_with("hello"), "{answer}");
    end.expect("an end of stream");
    let (_, end) = read_to_the_end(Connector::new(config()), addr).await;
    end.expect("an end of stream");
}

#[tokio::test]
async fn over_a_bare_session_only_the_idle_timeout_tells() {
    let (listener, addr) = listen().await;
    tokio::spawn(serve(listener.bare(), service_fn(hello)));
    let (answer, end) = read_to_the_end(Connector::new(config()).bare(), addr).await;
    assert!(answer.ends_with("hello"), "{answer}");
    let error = end.expect_err("there is no end of stream");
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut, "{error}");
}

#[tokio::test]
async fn a_client_given_nothing_but_settings_opens_streams() {
    let (listener, addr) = listen().await;
    tokio::spawn(serve(listener, service_fn(hello)));
    let uri: hyper::Uri = format!("http://{addr}/").parse().unwrap();
    let http1 = kcp_hyper::client::<_, String>(config());
    let http2 = kcp_hyper::http2_client::<_, String>(config());
    for client in [http1, http2] {
        let response = patiently(client.get(uri.clone())).await.unwrap();
        let info = response.extensions().get::<KcpConnectInfo>().unwrap();
        assert!(info.stream_id().is_some());
    }
}

#[tokio::test]
async fn a_multiplexing_client_of_a_bare_server_gets_an_error() {
    let (listener, addr) = listen().await;
    tokio::spawn(serve(listener.bare(), service_fn(hello)));
    let uri: hyper::Uri = format!("http://{addr}/").parse().unwrap();
    let http1 = kcp_hyper::client::<_, String>(config());
    let http2 = kcp_hyper::http2_client::<_, String>(config());
    for client in [http1, http2] {
        patiently(client.get(uri.clone())).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_bare_client_of_a_multiplexing_server_gets_an_error() {
    let (listener, addr) = listen().await;
    tokio::spawn(serve(listener, service_fn(hello)));
    let uri: hyper::Uri = format!("http://{addr}/").parse().unwrap();
    let connector = Connector::new(config()).bare();
    let http1 = kcp_hyper::client::<_, String>(connector.clone());
    let http2 = kcp_hyper::http2_client::<_, String>(connector);
    for client in [http1, http2] {
        patiently(client.get(uri.clone())).await.unwrap_err();
    }
}
