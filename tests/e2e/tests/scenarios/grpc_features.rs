//! What tonic offers around the calls: health, reflection, interceptors, compression. All of it unmodified.

use e2e::World;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use kcp_tonic::EndpointExt;
use prost::Message as _;
use tonic::codec::CompressionEncoding::Gzip;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::{Code, Request, Status};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::server::{Limits, Running, packet};

/// A server of these services and the probe.
fn serve(world: &World, routes: Routes) -> Running {
    let (probe, active) = Probe::new();
    let router = Server::builder().add_routes(routes.add_service(ProbeServer::new(probe)));
    Running::start_serving(world.listen(), active, |incoming, stop| async move {
        router
            .serve_with_incoming_shutdown(incoming, stop)
            .await
            .unwrap();
    })
}

async fn a_health_watcher_hears_of_every_change(world: World) {
    let (reporter, service) = tonic_health::server::health_reporter();
    let server = serve(&world, Routes::new(service));
    let mut client = HealthClient::new(server.channel(&world));
    let request = HealthCheckRequest {
        service: "probe".to_owned(),
    };
    let unknown = client.check(request.clone()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    reporter
        .set_service_status("probe", ServingStatus::Serving)
        .await;
    let mut changes = client.watch(request).await.unwrap().into_inner();
    for status in [ServingStatus::NotServing, ServingStatus::Serving] {
        changes
            .message()
            .await
            .unwrap()
            .expect("how it stands first");
        reporter.set_service_status("probe", status).await;
    }
    let last = changes.message().await.unwrap().unwrap();
    assert_eq!(last.status, ServingStatus::Serving as i32);
}

async fn reflection_names_the_services_and_their_file(world: World) {
    let proto = concat!(env!("CARGO_MANIFEST_DIR"), "/proto");
    let descriptors = protox::compile(["probe.proto"], [proto]).unwrap();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(&descriptors.encode_to_vec())
        .build_v1()
        .unwrap();
    let server = serve(&world, Routes::new(reflection));
    let mut client = ServerReflectionClient::new(server.channel(&world));
    let ask = |question| ServerReflectionRequest {
        host: String::new(),
        message_request: Some(question),
    };
    let questions = [
        ask(MessageRequest::ListServices(String::new())),
        ask(MessageRequest::FileContainingSymbol(
            "probe.Probe".to_owned(),
        )),
    ];
    let questions = tokio_stream::iter(questions);
    let mut answers = client
        .server_reflection_info(questions)
        .await
        .unwrap()
        .into_inner();
    let services = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = services else {
        panic!("{services:?}");
    };
    assert!(
        services
            .service
            .iter()
            .any(|service| service.name == "probe.Probe")
    );
    let file = answers.message().await.unwrap().unwrap().message_response;
    assert!(
        matches!(file, Some(MessageResponse::FileDescriptorResponse(_))),
        "{file:?}"
    );
}

async fn interceptors_admit_and_refuse(world: World) {
    let guard = |request: Request<()>| match request.metadata().get("authorization") {
        Some(token) if token == "Bearer right" => Ok(request),
        Some(_) => Err(Status::permission_denied("wrong token")),
        None => Err(Status::unauthenticated("no token")),
    };
    let (probe, active) = Probe::new();
    let router = Server::builder().add_service(ProbeServer::with_interceptor(probe, guard));
    let server = Running::start_serving(world.listen(), active, |incoming, stop| async move {
        router
            .serve_with_incoming_shutdown(incoming, stop)
            .await
            .unwrap();
    });
    let channel = server.channel(&world);
    let with_token = |token: &'static str| {
        ProbeClient::with_interceptor(channel.clone(), move |mut request: Request<()>| {
            let token = token.parse().map_err(|_| Status::internal("no header"))?;
            request.metadata_mut().insert("authorization", token);
            Ok(request)
        })
    };
    let refused = ProbeClient::new(channel.clone())
        .echo(packet(1))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = with_token("Bearer wrong")
        .echo(packet(1))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    with_token("Bearer right").echo(packet(1)).await.unwrap();
}

async fn compressed_messages_take_less_of_the_wire(world: World) {
    let limits = Limits {
        gzip: true,
        ..Limits::default()
    };
    let server = Running::start_with(world.listen(), Server::builder(), limits);
    let mut sent = Vec::new();
    for gzip in [false, true] {
        let dialer = world.dialer();
        let channel = server.endpoint().connect_kcp_lazy(dialer.clone().mux());
        let mut client = ProbeClient::new(channel);
        if gzip {
            client = client.send_compressed(Gzip).accept_compressed(Gzip);
        }
        let echoed = client.echo(packet(500_000)).await.unwrap();
        assert_eq!(echoed.metadata().get("grpc-encoding").is_some(), gzip);
        assert!(echoed.into_inner() == packet(500_000));
        sent.push(dialer.bytes_written().await);
    }
    assert!(sent[0] > 500_000 && sent[1] < 50_000, "{sent:?}");
}

in_both_worlds! {
    a_health_watcher_hears_of_every_change,
    reflection_names_the_services_and_their_file,
    interceptors_admit_and_refuse,
    compressed_messages_take_less_of_the_wire,
}
