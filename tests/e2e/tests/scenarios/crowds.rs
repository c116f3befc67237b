//! Many at once over one session, and slow ones among them.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use e2e::World;
use e2e::generated::Order;
use e2e::generated::probe_client::ProbeClient;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use kcp_tonic::EndpointExt;
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::http1::{full, serve};
use crate::server::{Limits, Running, many_streams, packet};

const THOUSAND: usize = 1_000;

async fn a_thousand_http_1_requests_run_at_once_over_one_session(world: World) {
    let listener = world.listen();
    let addr = listener.local_addr();
    // Nobody is answered before all are there.
    let everyone = Arc::new(Barrier::new(THOUSAND));
    let answer = move |request: Request<Incoming>| {
        let everyone = Arc::clone(&everyone);
        async move {
            everyone.wait().await;
            Ok::<_, Infallible>(Response::new(full(request.uri().path().to_owned())))
        }
    };
    let incoming = listener.mux(many_streams());
    tokio::spawn(kcp_hyper::serve(incoming, service_fn(answer)));
    let dialer = world.dialer();
    let client = kcp_hyper::client::<_, Empty<Bytes>>(dialer.clone().mux_with(many_streams()));
    let mut requests = JoinSet::new();
    for number in 0..THOUSAND {
        let client = client.clone();
        requests.spawn(async move {
            let uri: Uri = format!("http://{addr}/{number}").parse().unwrap();
            let response = client.get(uri).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("/{number}"));
        });
    }
    requests.join_all().await;
    assert_eq!(dialer.dials(), 1);
}

async fn a_thousand_grpc_streams_run_at_once_over_one_session(world: World) {
    let builder = Server::builder().max_concurrent_streams(1_100);
    let mut server = Running::start_with(world.listen(), builder, Limits::default());
    let dialer = world.dialer();
    let client = ProbeClient::new(server.endpoint().connect_kcp_lazy(dialer.clone().mux()));
    let mut chats = JoinSet::new();
    for _ in 0..THOUSAND {
        let mut client = client.clone();
        chats.spawn(async move {
            let (say, said) = mpsc::channel(1);
            say.send(packet(1)).await.unwrap();
            let heard = client.chat(ReceiverStream::new(said)).await.unwrap();
            (say, heard.into_inner())
        });
    }
    let mut chats = chats.join_all().await;
    server.has_active(THOUSAND).await;
    for (say, heard) in &mut chats {
        assert_eq!(heard.message().await.unwrap(), Some(packet(1)));
        say.send(packet(2)).await.unwrap();
    }
    for (_, heard) in &mut chats {
        assert_eq!(heard.message().await.unwrap(), Some(packet(2)));
    }
    drop(chats);
    server.has_active(0).await;
    assert_eq!(dialer.dials(), 1);
}

/// One response that nobody reads, and ten that are read, by the same client.
async fn read_beside_one_that_is_not<C>(
    client: Client<C, Empty<Bytes>>,
    server: std::net::SocketAddr,
) where
    C: hyper_util::client::legacy::connect::Connect + Clone + Send + Sync + 'static,
{
    let uri = |bytes: usize| {
        format!("http://{server}/large/{bytes}")
            .parse::<Uri>()
            .unwrap()
    };
    let unread = client.get(uri(20_000_000)).await.unwrap();
    let mut unread = unread.into_body();
    unread.frame().await.unwrap().unwrap();
    for _ in 0..10 {
        let response = client.get(uri(300_000)).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body == packet(300_000).data);
    }
    // And that one can still be read.
    for _ in 0..10 {
        unread.frame().await.unwrap().unwrap();
    }
}

async fn a_response_that_nobody_reads_holds_up_no_other_stream(world: World) {
    let server = serve(&world);
    let dialer = world.dialer();
    read_beside_one_that_is_not(kcp_hyper::client(dialer.clone().mux()), server).await;
    assert_eq!(dialer.dials(), 1);
}

async fn a_response_that_nobody_reads_holds_up_no_other_of_its_http_2_connection(world: World) {
    let server = serve(&world);
    let dialer = world.dialer();
    read_beside_one_that_is_not(kcp_hyper::http2_client(dialer.clone().mux()), server).await;
    assert_eq!(dialer.dials(), 1);
}

async fn a_download_that_nobody_reads_holds_up_no_call(world: World) {
    let server = Running::start(&world);
    let mut client = server.client(&world);
    let endless = Order {
        packets: u64::MAX,
        length: 10_000,
    };
    let unread = client.download(endless).await.unwrap();
    for length in 0..20 {
        client.echo(packet(length * 1_000)).await.unwrap();
    }
    let mut unread = unread.into_inner();
    for _ in 0..100 {
        assert!(unread.message().await.unwrap().is_some());
    }
}

in_both_worlds! {
    a_thousand_http_1_requests_run_at_once_over_one_session,
    a_thousand_grpc_streams_run_at_once_over_one_session,
    a_response_that_nobody_reads_holds_up_no_other_stream,
    a_response_that_nobody_reads_holds_up_no_other_of_its_http_2_connection,
    a_download_that_nobody_reads_holds_up_no_call,
}
