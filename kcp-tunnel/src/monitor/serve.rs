//! Who asks a running tunnel, and how it answers.

use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Snapshot, prometheus_text};
use crate::config::Endpoint;
use crate::sockets::{Acceptor, Socket};
use crate::status::Tunnel;

/// Gives everybody who connects one [`Snapshot`], as a line of JSON. Never ends.
pub async fn serve_status<T: Tunnel>(tunnel: T, acceptor: Acceptor) {
    serve(acceptor, move |mut socket| {
        let tunnel = tunnel.clone();
        async move {
            let mut text = serde_json::to_vec(&Snapshot::from(&tunnel.status()))?;
            text.push(b'\n');
            socket.write_all(&text).await?;
            socket.shutdown().await
        }
    })
    .await;
}

/// Answers `GET /metrics` over HTTP in Prometheus' text form. Never ends.
pub async fn serve_metrics<T: Tunnel>(tunnel: T, acceptor: Acceptor) {
    serve(acceptor, move |mut socket| {
        let tunnel = tunnel.clone();
        async move {
            let request = request_line(&mut socket).await?;
            let (status, body) = match request.split(' ').collect::<Vec<_>>()[..] {
                ["GET", "/metrics" | "/", _] => {
                    let counters = tunnel.counters().await;
                    ("200 OK", prometheus_text(&tunnel.status(), &counters))
                }
                ["GET", ..] => ("404 Not Found", "the metrics are at /metrics\n".to_owned()),
                _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
                 Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            socket.write_all(answer.as_bytes()).await?;
            socket.shutdown().await
        }
    })
    .await;
}

/// Asks a tunnel that [serves](serve_status) its status at `endpoint`.
///
/// # Errors
/// Nobody answers, or what answers is something else.
pub async fn fetch(endpoint: &Endpoint) -> io::Result<Snapshot> {
    let asked = async {
        let mut text = Vec::new();
        let socket = Socket::connect(endpoint).await?;
        socket.take(MAX_SNAPSHOT).read_to_end(&mut text).await?;
        Ok(serde_json::from_slice(&text)?)
    };
    timeout(PATIENCE, asked)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Answers a bounded number at a time; who is slow is left alone after a while.
async fn serve<F: Future<Output = io::Result<()>> + Send + 'static>(
    acceptor: Acceptor,
    answer: impl Fn(Socket) -> F,
) {
    let places = Arc::new(Semaphore::new(MAX_ANSWERS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match acceptor.accept().await {
            Ok((socket, _)) => {
                let answering = timeout(PATIENCE, answer(socket));
                tokio::spawn(async move {
                    // Who has left does not need an answer.
                    let _ = answering.await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// The first line of a request, which is read to the end of its head.
async fn request_line(socket: &mut Socket) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = socket
            .take(MAX_HEAD - head.len() as u64)
            .read_buf(&mut head)
            .await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let line = head.split(|&byte| byte == b'\r').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

/// Longest head of a request, in bytes.
const MAX_HEAD: u64 = 8 << 10;

/// Longest snapshot that is read, in bytes: some ten thousand sessions.
const MAX_SNAPSHOT: u64 = 8 << 20;

/// Answers at the same time.
const MAX_ANSWERS: usize = 16;

/// How long one answer may take, asking included.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a failure to accept, which most likely means that there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
