//! A WebSocket over KCP: an HTTP/1 upgrade, served by axum, and a client of tungstenite.
//!
//! `cargo run -p examples --bin websocket`

use std::error::Error;

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use futures_util::{SinkExt, StreamExt};
use kcp_hyper::AxumListener;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite;

async fn upgrade(request: WebSocketUpgrade) -> Response {
    request.on_upgrade(shout_back)
}

/// Says everything again, louder, until the peer closes.
async fn shout_back(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(text) = message {
            let louder = text.to_uppercase();
            if socket.send(Message::Text(louder.into())).await.is_err() {
                return;
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let address = listener.local_addr();
    let app = Router::new().route("/shout", any(upgrade));
    tokio::spawn(async move { axum::serve(AxumListener::from(listener), app).await });

    // Any stream will do for tungstenite: here a whole session.
    let session = Connector::new(config).connect(address).await?;
    let (mut socket, response) = client_async(format!("ws://{address}/shout"), session).await?;
    println!("the server answers {}", response.status());
    for text in ["hello", "is anyone there?"] {
        socket.send(tungstenite::Message::text(text)).await?;
        let answer = socket.next().await.ok_or("the server has closed")??;
        println!("{text} -> {answer}");
    }
    // WebSockets say goodbye. That is the end: a bare session would show nothing more than a minute of silence.
    socket.close(None).await?;
    let goodbye = socket.next().await.ok_or("the server has closed")??;
    println!("goodbye: {goodbye:?}");
    Ok(())
}
