//! axum over KCP: routes, JSON, and the session below each request.
//!
//! `cargo run -p examples --bin http_axum`

use std::error::Error;

use axum::extract::{ConnectInfo, Path};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use kcp_hyper::{AxumListener, KcpConnectInfo};
use kcp_transport::{Cipher, Config, Connector, Listener};
use serde_json::{Value, json};

async fn hello(Path(name): Path<String>) -> String {
    format!("Hello, {name}!")
}

async fn sum(Json(numbers): Json<Vec<i64>>) -> Json<Value> {
    Json(json!({ "sum": numbers.iter().fold(0_i64, |sum, n| sum.saturating_add(*n)) }))
}

/// What is known of the caller's session.
async fn session(ConnectInfo(peer): ConnectInfo<KcpConnectInfo>) -> Json<Value> {
    let stats = peer.stats();
    Json(json!({
        "peer": peer.peer_addr().to_string(),
        "round trip in ms": stats.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        "loss rate": stats.loss_rate,
    }))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let server = format!("http://{}", listener.local_addr());
    let app = Router::new()
        .route("/hello/{name}", get(hello))
        .route("/sum", post(sum))
        .route("/session", get(session))
        .into_make_service_with_connect_info::<KcpConnectInfo>();
    tokio::spawn(async move { axum::serve(AxumListener::from(listener), app).await });

    let client = kcp_hyper::client(Connector::new(config));
    let numbers = Request::post(format!("{server}/sum"))
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from("[1, 2, 3]"))?;
    let get = |path| Request::get(format!("{server}{path}")).body(Full::<Bytes>::default());
    for request in [get("/hello/Alice")?, numbers, get("/session")?] {
        let uri = request.uri().clone();
        let response = client.request(request).await?;
        let status = response.status();
        let text = response.into_body().collect().await?.to_bytes();
        println!(
            "{} {status}: {}",
            uri.path(),
            String::from_utf8_lossy(&text)
        );
    }
    Ok(())
}
