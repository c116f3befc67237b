//! Our client: the same calls as `go/grpcpeer/calls.go` makes, each of which checks all that it gets.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use interop::stream::Stream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::client::GrpcService;
use tonic::codegen::StdError;
use tonic::{Code, Request, Status};

use super::service::{
    CONVERSE, ECHO, JOIN, REFUSE, REPEAT, Raw, TRACE, refusal, repetition, repetitions,
};

/// Lengths of the requests, in turn: from nothing to several packets.
const LENGTHS: [usize; 7] = [64, 0, 1_000, 300, 5_000, 17, 1_400];

/// Bytes of a message of a stream.
const PART: usize = 500;

/// What generated clients ask of a channel. Implemented for all that fit.
pub(crate) trait Channel:
    GrpcService<
        Body,
        ResponseBody: http_body::Body<Data = Bytes, Error: Into<StdError> + Send> + Send + 'static,
        Future: Send,
        Error: Into<StdError>,
    > + Clone
    + Send
    + 'static
{
}

impl<C> Channel for C where
    C: GrpcService<
            Body,
            ResponseBody: http_body::Body<Data = Bytes, Error: Into<StdError> + Send>
                              + Send
                              + 'static,
            Future: Send,
            Error: Into<StdError>,
        > + Clone
        + Send
        + 'static
{
}

/// Makes `calls` of every kind in turn, `workers` of them at a time. `done` counts those that are over.
pub(crate) async fn call_all<C: Channel>(
    channel: C,
    calls: u64,
    workers: u64,
    seed: u64,
    done: Arc<AtomicU64>,
) {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..workers {
        let (next, done) = (Arc::clone(&next), Arc::clone(&done));
        let mut client = Grpc::new(channel.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= calls {
                    return;
                }
                let length = LENGTHS[(number % LENGTHS.len() as u64) as usize];
                let request = Bytes::from(Stream::new(seed.wrapping_add(number)).bytes(length));
                let result = call(&mut client, number, request).await;
                result.unwrap_or_else(|status| panic!("call {number}: {status}"));
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.expect("every call is answered as it should be");
    }
}

async fn call<C: Channel>(client: &mut Grpc<C>, number: u64, request: Bytes) -> Result<(), Status> {
    let not_ready = |error: C::Error| Status::from_error(error.into());
    client.ready().await.map_err(not_ready)?;
    match number % 5 {
        0 => echo(client, request).await,
        1 => repeat(client, request).await,
        2 => join(client, request).await,
        3 => converse(client, request).await,
        _ => refuse(client, request).await,
    }
}

async fn echo<C: Channel>(client: &mut Grpc<C>, message: Bytes) -> Result<(), Status> {
    let mark = message.len().into();
    let mut request = Request::new(message.clone());
    request.metadata_mut().insert(TRACE, mark);
    let response = client.unary(request, ECHO, Raw).await?;
    let trace = response.metadata().get(TRACE);
    assert_eq!(
        trace.and_then(|trace| trace.to_str().ok()),
        Some(&*message.len().to_string())
    );
    assert_eq!(response.into_inner(), message);
    Ok(())
}

async fn refuse<C: Channel>(client: &mut Grpc<C>, message: Bytes) -> Result<(), Status> {
    let refused = client
        .unary(Request::new(message.clone()), REFUSE, Raw)
        .await;
    let status = refused.expect_err("it always refuses");
    assert_eq!(status.code(), Code::FailedPrecondition);
    assert_eq!(status.message(), refusal(&message));
    Ok(())
}

async fn repeat<C: Channel>(client: &mut Grpc<C>, message: Bytes) -> Result<(), Status> {
    let request = Request::new(message.clone());
    let mut replies = client
        .server_streaming(request, REPEAT, Raw)
        .await?
        .into_inner();
    for number in 0..repetitions(&message) {
        let reply = replies.message().await?;
        assert_eq!(reply, Some(repetition(&message, number)));
    }
    assert_eq!(replies.message().await?, None::<Bytes>);
    Ok(())
}

async fn join<C: Channel>(client: &mut Grpc<C>, message: Bytes) -> Result<(), Status> {
    let request = Request::new(tokio_stream::iter(parts(&message)));
    let joined = client.client_streaming(request, JOIN, Raw).await?;
    assert_eq!(joined.into_inner(), message);
    Ok(())
}

async fn converse<C: Channel>(client: &mut Grpc<C>, message: Bytes) -> Result<(), Status> {
    let parts = parts(&message);
    // One message at a time: each only after the reply to the last.
    let turn = Arc::new(Semaphore::new(1));
    let turns = Arc::clone(&turn);
    let said = tokio_stream::iter(parts.clone()).then(move |part| {
        let turns = Arc::clone(&turns);
        async move {
            turns.acquire().await.expect("never closed").forget();
            part
        }
    });
    let mut replies = client
        .streaming(Request::new(said), CONVERSE, Raw)
        .await?
        .into_inner();
    for part in parts {
        assert_eq!(replies.message().await?, Some(part));
        turn.add_permits(1);
    }
    assert_eq!(replies.message().await?, None::<Bytes>);
    Ok(())
}

fn parts(message: &Bytes) -> Vec<Bytes> {
    message.chunks(PART).map(Bytes::copy_from_slice).collect()
}
