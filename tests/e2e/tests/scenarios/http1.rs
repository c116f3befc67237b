//! HTTP/1: connections that stay, requests in a row, bodies of unknown length, and upgrades.

use std::convert::Infallible;

use axum::extract::ConnectInfo;
use axum::routing::get;
use bytes::Bytes;
use e2e::World;
use futures_util::stream;
use http::header::{CONNECTION, UPGRADE};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kcp_hyper::{AxumListener, KcpConnectInfo};
use kcp_transport::mux::MuxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tower::ServiceExt;

use crate::server::{many_streams, ms, packet, secs};

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

pub(crate) fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never: Infallible| match never {})
        .boxed()
}

/// Serves HTTP of either version on multiplexed streams. Returns where.
///
/// - `/stream`: the number of the stream that the request came by, and the session's.
/// - `/wait/MS`: those milliseconds later, the path.
/// - `/large/BYTES`: so many bytes.
/// - `/echo`: the body, as it comes.
/// - `/upgrade`: what is sent once the protocol is switched.
pub(crate) fn serve(world: &World) -> std::net::SocketAddr {
    let listener = world.listen();
    let addr = listener.local_addr();
    tokio::spawn(kcp_hyper::serve(
        listener.mux(many_streams()),
        service_fn(answer),
    ));
    addr
}

async fn answer(mut request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let number = path
        .rsplit('/')
        .next()
        .and_then(|number| number.parse().ok());
    Ok(if path == "/stream" {
        let info: &KcpConnectInfo = request.extensions().get().expect("of every request");
        let stream = info.stream_id().expect("it is multiplexed");
        Response::new(full(format!("{stream} of {}", info.conv())))
    } else if path.starts_with("/wait") {
        sleep(ms(number.expect("milliseconds"))).await;
        Response::new(full(path))
    } else if path.starts_with("/large") {
        Response::new(full(packet(number.expect("bytes") as usize).data))
    } else if path == "/upgrade" {
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgraded.await.expect("switched"));
            let (mut reader, mut writer) = tokio::io::split(&mut io);
            tokio::io::copy(&mut reader, &mut writer)
                .await
                .expect("until the client has finished");
            writer.shutdown().await.expect("the client reads");
        });
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert(CONNECTION, "upgrade".parse().expect("a value"));
        response
            .headers_mut()
            .insert(UPGRADE, "echo".parse().expect("a value"));
        response
    } else {
        Response::new(request.into_body().boxed())
    })
}

/// A bare stream to a server.
async fn open(world: &World, server: std::net::SocketAddr) -> MuxStream {
    world.dialer().mux().oneshot(server).await.unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn a_connection_is_kept_for_the_next_request(world: World) {
    let server = serve(&world);
    let io = TokioIo::new(open(&world, server).await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let mut answers = Vec::new();
    for _ in 0..10 {
        sender.ready().await.unwrap();
        let request = Request::get("/stream").header("host", "here");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        answers.push(text(sender.send_request(request).await.unwrap()).await);
        sleep(secs(1) / 100).await;
    }
    assert!(answers[0].starts_with("1 of "), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

async fn concurrent_requests_share_a_session(world: World) {
    let server = serve(&world);
    let dialer = world.dialer();
    let client = kcp_hyper::client::<_, Empty<Bytes>>(dialer.clone().mux());
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let client = client.clone();
        requests.spawn(async move {
            let uri: Uri = format!("http://{server}/wait/100").parse().unwrap();
            let response = client.get(uri).await.unwrap();
            let info = response.extensions().get::<KcpConnectInfo>().unwrap();
            info.stream_id().unwrap()
        });
    }
    let mut streams = requests.join_all().await;
    streams.sort_unstable();
    streams.dedup();
    assert_eq!(streams.len(), 20, "HTTP/1 has one request at a time");
    assert_eq!(dialer.dials(), 1);
}

async fn requests_sent_in_a_row_are_answered_in_order(world: World) {
    let server = serve(&world);
    let mut io = open(&world, server).await;
    let requests: String = [30, 20, 10]
        .map(|wait| format!("GET /wait/{wait} HTTP/1.1\r\nhost: here\r\n\r\n"))
        .concat();
    io.write_all(requests.as_bytes()).await.unwrap();
    let mut answers = Vec::new();
    while !answers.ends_with(b"/wait/10") {
        assert!(io.read_buf(&mut answers).await.unwrap() > 0);
    }
    let answers = String::from_utf8(answers).unwrap();
    let places = [30, 20, 10].map(|wait| answers.find(&format!("/wait/{wait}")).unwrap());
    assert!(places.is_sorted(), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}

async fn a_body_of_unknown_length_goes_and_comes_in_chunks(world: World) {
    let server = serve(&world);
    let client = kcp_hyper::client(world.dialer().mux());
    let pieces = stream::iter((0..300).map(|n| Ok::<_, Infallible>(Frame::data(packet(n).data))));
    let request = Request::post(format!("http://{server}/echo")).body(StreamBody::new(pieces));
    let response = client.request(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["transfer-encoding"], "chunked");
    let echoed = response.into_body().collect().await.unwrap().to_bytes();
    let sent: Vec<u8> = (0..300).flat_map(|n| packet(n).data).collect();
    assert!(echoed == sent);
}

async fn an_upgraded_connection_carries_anything(world: World) {
    let server = serve(&world);
    let io = TokioIo::new(open(&world, server).await);
    let (mut sender, connection) = http1::handshake(io).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::get("/upgrade")
        .header("host", "here")
        .header(CONNECTION, "upgrade")
        .header(UPGRADE, "echo")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let (mut reader, mut writer) = tokio::io::split(io);
    let sent = packet(1_000_000).data;
    let expected = sent.clone();
    tokio::spawn(async move {
        writer.write_all(&sent).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut echoed = Vec::new();
    reader.read_to_end(&mut echoed).await.unwrap();
    assert!(echoed == expected);
}

async fn axum_serves_and_drains(world: World) {
    let listener = world.listen();
    let addr = listener.local_addr();
    let incoming = AxumListener::new(listener.mux(many_streams()), addr);
    let router = axum::Router::new()
        .route(
            "/peer",
            get(
                |ConnectInfo(peer): ConnectInfo<KcpConnectInfo>| async move {
                    peer.peer_addr().to_string()
                },
            ),
        )
        .route(
            "/slow",
            get(|| async {
                sleep(ms(300)).await;
                "done"
            }),
        );
    let service = router.into_make_service_with_connect_info::<KcpConnectInfo>();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = axum::serve(incoming, service).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(serving.into_future());
    let client = kcp_hyper::client::<_, Empty<Bytes>>(world.dialer().mux());
    let uri = |path: &str| format!("http://{addr}{path}").parse::<Uri>().unwrap();
    let response = client.get(uri("/peer")).await.unwrap();
    let local = response.extensions().get::<KcpConnectInfo>().cloned();
    let peer: std::net::SocketAddr = text(response).await.parse().unwrap();
    assert_eq!(peer.port(), local.unwrap().local_addr().port());
    let slow = tokio::spawn({
        let (client, uri) = (client.clone(), uri("/slow"));
        async move { text(client.get(uri).await.unwrap()).await }
    });
    sleep(ms(150)).await;
    stop.send(()).unwrap();
    assert_eq!(slow.await.unwrap(), "done");
    serving.await.unwrap().unwrap();
}

async fn a_shutdown_lets_requests_finish_and_cuts_those_that_do_not(world: World) {
    let listener = world.listen();
    let addr = listener.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(kcp_hyper::serve_with_shutdown(
        listener.mux(many_streams()),
        service_fn(answer),
        async {
            let _ = stopped.await;
        },
        ms(1_500),
    ));
    let client = kcp_hyper::client::<_, Empty<Bytes>>(world.dialer().mux());
    let get = |path: &str| {
        let uri = format!("http://{addr}{path}").parse().unwrap();
        tokio::spawn(client.get(uri))
    };
    let (quick, endless) = (get("/wait/300"), get("/wait/10000000"));
    // Both have to be there before.
    sleep(ms(200)).await;
    stop.send(()).unwrap();
    assert!(quick.await.unwrap().is_ok());
    assert_eq!(serving.await.unwrap(), 1);
    assert!(endless.await.unwrap().is_err());
}

in_both_worlds! {
    a_connection_is_kept_for_the_next_request,
    concurrent_requests_share_a_session,
    requests_sent_in_a_row_are_answered_in_order,
    a_body_of_unknown_length_goes_and_comes_in_chunks,
    an_upgraded_connection_carries_anything,
    axum_serves_and_drains,
    a_shutdown_lets_requests_finish_and_cuts_those_that_do_not,
}
