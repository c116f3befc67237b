//! Bodies that are cut short: whatever tells their end, the client notices.

use std::net::SocketAddr;

use bytes::Bytes;
use e2e::World;
use http_body_util::{BodyExt, Empty};
use kcp_transport::mux::{KeepAlive, MuxConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_stream::StreamExt;

use crate::server::{ms, secs};

/// What a server does after its answer.
#[derive(Clone, Copy)]
enum End {
    /// Shuts the stream down, as one does who has said everything.
    Finished,
    /// Drops the stream, as a handler that panics does.
    Dropped,
    /// Is gone with all its sessions.
    Vanished,
}

const CLOSE_DELIMITED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhalf of it";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\nhalf of it\r\n";
const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\nhalf of it";

/// Asks a server that answers so and then ends so: what the client gets of the body.
async fn ask(world: &World, answer: &'static str, end: End) -> Result<Bytes, hyper::Error> {
    let listener = world.listen();
    let addr = listener.local_addr();
    let socket = listener.endpoints()[0].clone();
    let mut incoming = listener.mux(MuxConfig::default());
    tokio::spawn(async move {
        let mut stream = incoming.next().await.unwrap().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut request).await.unwrap() > 0);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        match end {
            End::Finished => stream.shutdown().await.unwrap(),
            End::Dropped => drop(stream),
            End::Vanished => {
                // Not before the answer has arrived.
                tokio::time::sleep(ms(500)).await;
                socket.close();
            }
        }
        // The listener stays.
        let _ = incoming.next().await;
    });
    get(world, addr).await
}

async fn get(world: &World, server: SocketAddr) -> Result<Bytes, hyper::Error> {
    let keep_alive = KeepAlive::new(ms(300), secs(3)).unwrap();
    let config = MuxConfig::default().keep_alive(Some(keep_alive));
    let client = kcp_hyper::client::<_, Empty<Bytes>>(world.dialer().mux_with(config));
    let uri = format!("http://{server}/").parse().unwrap();
    let response = client.get(uri).await.expect("the head arrives whole");
    Ok(response.into_body().collect().await?.to_bytes())
}

async fn the_end_of_the_stream_may_end_the_body(world: World) {
    let body = ask(&world, CLOSE_DELIMITED, End::Finished).await.unwrap();
    assert_eq!(body, "half of it");
}

async fn a_body_that_ends_with_its_stream_is_known_to_be_cut(world: World) {
    assert!(ask(&world, CLOSE_DELIMITED, End::Dropped).await.is_err());
    assert!(ask(&world, CLOSE_DELIMITED, End::Vanished).await.is_err());
}

async fn a_body_in_chunks_is_known_to_be_cut(world: World) {
    for end in [End::Finished, End::Dropped, End::Vanished] {
        assert!(ask(&world, CHUNKED, end).await.is_err());
    }
}

async fn a_body_of_known_length_is_known_to_be_cut(world: World) {
    for end in [End::Finished, End::Dropped, End::Vanished] {
        assert!(ask(&world, SIZED, end).await.is_err());
    }
}

in_both_worlds! {
    the_end_of_the_stream_may_end_the_body,
    a_body_that_ends_with_its_stream_is_known_to_be_cut,
    a_body_in_chunks_is_known_to_be_cut,
    a_body_of_known_length_is_known_to_be_cut,
}
