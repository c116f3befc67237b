//! gRPC: the four kinds of calls, how they end, and what travels beside the messages.

use e2e::World;
use e2e::generated::{Failure, Order};
use kcp_tonic::KcpConnectInfo;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request};

use crate::server::{Limits, Running, packet, secs};

/// Longest message that tonic takes unless it is told otherwise.
const DEFAULT_LIMIT: usize = 4 << 20;

async fn a_unary_call_brings_back_what_was_sent(world: World) {
    let server = Running::start(&world);
    let mut client = server.client(&world);
    for length in [0, 1, 1_000, 300_000] {
        let echoed = client.echo(packet(length)).await.unwrap();
        assert!(echoed.into_inner() == packet(length));
    }
}

async fn a_client_stream_is_counted_to_its_end(world: World) {
    let server = Running::start(&world);
    let packets = tokio_stream::iter((0..200).map(packet));
    let total = server.client(&world).count(packets).await.unwrap();
    let total = total.into_inner();
    assert_eq!((total.packets, total.bytes), (200, 199 * 200 / 2));
}

async fn a_server_stream_arrives_whole(world: World) {
    let server = Running::start(&world);
    let order = Order {
        packets: 300,
        length: 10_000,
    };
    let mut packets = server
        .client(&world)
        .download(order)
        .await
        .unwrap()
        .into_inner();
    let mut bytes = 0;
    while let Some(packet) = packets.message().await.unwrap() {
        bytes += packet.data.len();
    }
    assert_eq!(bytes, 300 * 10_000);
    assert!(packets.trailers().await.unwrap().is_some());
}

async fn both_sides_of_a_chat_speak_when_they_like(world: World) {
    let server = Running::start(&world);
    let (say, said) = mpsc::channel(8);
    let mut heard = server
        .client(&world)
        .chat(ReceiverStream::new(said))
        .await
        .unwrap()
        .into_inner();
    for length in 0..50 {
        say.send(packet(length)).await.unwrap();
        assert_eq!(heard.message().await.unwrap(), Some(packet(length)));
    }
    for length in 0..5 {
        say.send(packet(length)).await.unwrap();
    }
    drop(say);
    for length in 0..5 {
        assert_eq!(heard.message().await.unwrap(), Some(packet(length)));
    }
    assert_eq!(heard.message().await.unwrap(), None);
}

async fn a_deadline_ends_the_call_at_both_ends(world: World) {
    let mut server = Running::start(&world);
    let mut client = server.client(&world);
    let mut request = Request::new(packet(1));
    request.set_timeout(secs(1));
    let status = client.hang(request).await.unwrap_err();
    assert!(
        matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled),
        "{status:?}"
    );
    server.has_active(0).await;
    client
        .echo(packet(1))
        .await
        .expect("the connection is still good");
}

async fn a_caller_who_leaves_cancels_the_call_at_the_server(world: World) {
    let mut server = Running::start(&world);
    let mut client = server.client(&world);
    let mut hanging = client.clone();
    let call = tokio::spawn(async move { hanging.hang(packet(1)).await });
    server.has_active(1).await;
    call.abort();
    server.has_active(0).await;
    client
        .echo(packet(1))
        .await
        .expect("the connection is still good");
}

async fn a_reader_who_leaves_ends_the_stream_at_the_server(world: World) {
    let mut server = Running::start(&world);
    let mut client = server.client(&world);
    let endless = Order {
        packets: u64::MAX,
        length: 10_000,
    };
    let mut packets = client.download(endless).await.unwrap().into_inner();
    packets.message().await.unwrap().expect("there is more");
    server.has_active(1).await;
    drop(packets);
    server.has_active(0).await;
    client
        .echo(packet(1))
        .await
        .expect("the connection is still good");
}

async fn an_error_arrives_with_its_code_message_and_details(world: World) {
    let server = Running::start(&world);
    let failure = Failure {
        code: Code::FailedPrecondition as i32,
        message: "not now: später".to_owned(),
        details: packet(100).data,
    };
    let status = server.client(&world).fail(failure).await.unwrap_err();
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), "not now: später");
    assert_eq!(status.details(), packet(100).data);
}

async fn metadata_travels_both_ways(world: World) {
    let server = Running::start(&world);
    let mut request = Request::new(packet(0));
    let metadata = request.metadata_mut();
    metadata.append("x-again", "one".parse().unwrap());
    metadata.append("x-again", "two".parse().unwrap());
    metadata.insert_bin("x-echo-bin", MetadataValue::from_bytes(&[0, 255, 10, 13]));
    metadata.insert("x-echo", "v".repeat(3_000).parse().unwrap());
    let response = server.client(&world).echo(request).await.unwrap();
    let metadata = response.metadata();
    let again: Vec<_> = metadata.get_all("x-again").iter().collect();
    assert_eq!(again, ["one", "two"]);
    let binary = metadata.get_bin("x-echo-bin").unwrap().to_bytes().unwrap();
    assert_eq!(&binary[..], [0, 255, 10, 13]);
    assert_eq!(metadata.get("x-echo").unwrap().len(), 3_000);
}

async fn a_message_over_the_limit_is_refused_by_name(world: World) {
    let server = Running::start(&world);
    let mut client = server.client(&world);
    let status = client.echo(packet(DEFAULT_LIMIT)).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(
        status.message().contains("4194304 bytes"),
        "{}",
        status.message()
    );
    client
        .echo(packet(1))
        .await
        .expect("the connection is still good");
}

async fn a_message_over_the_default_limit_passes_where_it_was_raised(world: World) {
    let limits = Limits {
        message: Some(16 << 20),
        ..Limits::default()
    };
    let builder = tonic::transport::Server::builder();
    let server = Running::start_with(world.listen(), builder, limits);
    let mut client = server
        .client(&world)
        .max_decoding_message_size(16 << 20)
        .max_encoding_message_size(16 << 20);
    let large = packet(2 * DEFAULT_LIMIT + 1);
    let echoed = client.echo(large.clone()).await.unwrap();
    assert!(echoed.into_inner() == large);
}

async fn a_service_knows_its_peer_and_the_session(world: World) {
    let (seen, mut sightings) = mpsc::unbounded_channel();
    let layer = tonic::service::InterceptorLayer::new(move |request: Request<()>| {
        let request = kcp_tonic::remote_addr(request)?;
        let info = request.extensions().get::<KcpConnectInfo>().cloned();
        seen.send((request.remote_addr(), info))
            .expect("the test waits for it");
        Ok(request)
    });
    let (probe, active) = e2e::probe::Probe::new();
    let service = e2e::generated::probe_server::ProbeServer::new(probe);
    let router = tonic::transport::Server::builder()
        .layer(layer)
        .add_service(service);
    let server = Running::start_serving(world.listen(), active, |incoming, stop| async move {
        router
            .serve_with_incoming_shutdown(incoming, stop)
            .await
            .unwrap();
    });
    let mut client = server.client(&world);
    let mut convs = Vec::new();
    for _ in 0..2 {
        client.echo(packet(1)).await.unwrap();
        let (remote_addr, info) = sightings.recv().await.unwrap();
        let info = info.expect("an extension of every request");
        assert_eq!(remote_addr, Some(info.peer_addr()));
        assert_eq!(info.local_addr(), server.addr);
        assert_eq!(info.stream_id(), Some(1));
        assert!(info.error().is_none());
        assert!(info.stats().bytes_received > 0);
        convs.push(info.conv());
    }
    assert_eq!(convs[0], convs[1]);
}

in_both_worlds! {
    a_unary_call_brings_back_what_was_sent,
    a_client_stream_is_counted_to_its_end,
    a_server_stream_arrives_whole,
    both_sides_of_a_chat_speak_when_they_like,
    a_deadline_ends_the_call_at_both_ends,
    a_caller_who_leaves_cancels_the_call_at_the_server,
    a_reader_who_leaves_ends_the_stream_at_the_server,
    an_error_arrives_with_its_code_message_and_details,
    metadata_travels_both_ways,
    a_message_over_the_limit_is_refused_by_name,
    a_message_over_the_default_limit_passes_where_it_was_raised,
    a_service_knows_its_peer_and_the_session,
}

with_direct_ends! {
    a_unary_call_brings_back_what_was_sent,
    a_client_stream_is_counted_to_its_end,
    a_server_stream_arrives_whole,
    both_sides_of_a_chat_speak_when_they_like,
    a_deadline_ends_the_call_at_both_ends,
    a_caller_who_leaves_cancels_the_call_at_the_server,
    a_reader_who_leaves_ends_the_stream_at_the_server,
    an_error_arrives_with_its_code_message_and_details,
    metadata_travels_both_ways,
    a_message_over_the_limit_is_refused_by_name,
    a_message_over_the_default_limit_passes_where_it_was_raised,
}

#[test]
fn a_chat_that_says_nothing_for_an_hour_goes_on() {
    World::simulated(|world| async move {
        let server = Running::start(&world);
        let (say, said) = mpsc::channel(1);
        let mut client = server.client(&world);
        let mut heard = client
            .chat(ReceiverStream::new(said))
            .await
            .unwrap()
            .into_inner();
        for length in 1..3 {
            say.send(packet(length)).await.unwrap();
            assert_eq!(heard.message().await.unwrap(), Some(packet(length)));
            let silence = timeout(secs(3_600), heard.message()).await;
            assert!(silence.is_err(), "{silence:?}");
        }
    });
}
