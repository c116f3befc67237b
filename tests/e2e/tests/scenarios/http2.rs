//! HTTP/2 with prior knowledge: one connection for everything.

use bytes::Bytes;
use e2e::World;
use http::{Request, Uri, Version};
use http_body_util::{BodyExt, Empty};
use kcp_hyper::KcpConnectInfo;
use tokio::task::JoinSet;

use crate::http1::{full, serve};
use crate::server::packet;

async fn concurrent_requests_share_a_connection(world: World) {
    let server = serve(&world);
    let dialer = world.dialer();
    let client = kcp_hyper::http2_client::<_, Empty<Bytes>>(dialer.clone().mux());
    let mut requests = JoinSet::new();
    for _ in 0..150 {
        let client = client.clone();
        requests.spawn(async move {
            let uri: Uri = format!("http://{server}/wait/100").parse().unwrap();
            let response = client.get(uri).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_2);
            let info = response.extensions().get::<KcpConnectInfo>().unwrap();
            info.stream_id().unwrap()
        });
    }
    let streams = requests.join_all().await;
    assert!(streams.iter().all(|stream| *stream == 1), "{streams:?}");
    assert_eq!(dialer.dials(), 1);
}

async fn large_bodies_go_both_ways_at_once(world: World) {
    let server = serve(&world);
    let client = kcp_hyper::http2_client(world.dialer().mux());
    let mut requests = JoinSet::new();
    for number in 0..5 {
        let client = client.clone();
        requests.spawn(async move {
            let sent = packet(400_000 + number).data;
            let request = Request::post(format!("http://{server}/echo")).body(full(sent.clone()));
            let response = client.request(request.unwrap()).await.unwrap();
            let echoed = response.into_body().collect().await.unwrap().to_bytes();
            assert!(echoed == sent);
        });
    }
    requests.join_all().await;
}

async fn without_multiplexing_a_session_is_the_connection(world: World) {
    let listener = world.listen();
    let addr = listener.local_addr();
    let hello = |_| async { Ok::<_, std::convert::Infallible>(http::Response::new(full("hello"))) };
    let service = hyper::service::service_fn(hello);
    tokio::spawn(kcp_hyper::serve(listener.incoming(), service));
    let dialer = world.dialer();
    let client = kcp_hyper::http2_client::<_, Empty<Bytes>>(dialer.clone());
    for _ in 0..3 {
        let uri = format!("http://{addr}/").parse().unwrap();
        let response = client.get(uri).await.unwrap();
        let info = response.extensions().get::<KcpConnectInfo>().unwrap();
        assert_eq!((info.stream_id(), info.peer_addr()), (None, addr));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "hello");
    }
    assert_eq!(dialer.dials(), 1);
}

in_both_worlds! {
    concurrent_requests_share_a_connection,
    large_bodies_go_both_ways_at_once,
    without_multiplexing_a_session_is_the_connection,
}
