//! The service `interop.Bytes`, whose messages are bytes and nothing else: the same as in `go/grpcpeer/service.go`.

use std::convert::Infallible;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

pub(super) const ECHO: PathAndQuery = PathAndQuery::from_static("/interop.Bytes/Echo");
pub(super) const REFUSE: PathAndQuery = PathAndQuery::from_static("/interop.Bytes/Refuse");
pub(super) const REPEAT: PathAndQuery = PathAndQuery::from_static("/interop.Bytes/Repeat");
pub(super) const JOIN: PathAndQuery = PathAndQuery::from_static("/interop.Bytes/Join");
pub(super) const CONVERSE: PathAndQuery = PathAndQuery::from_static("/interop.Bytes/Converse");

/// Metadata that `Echo` returns as it came.
pub(super) const TRACE: &str = "x-trace";

/// Answers calls, and counts them.
#[derive(Clone, Debug, Default)]
pub(crate) struct BytesService {
    pub(super) calls: Arc<AtomicU64>,
}

impl Service<http::Request<Body>> for BytesService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let mut grpc = Grpc::new(Raw);
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            Ok(if path == ECHO {
                grpc.unary(Method(echo), request).await
            } else if path == REFUSE {
                grpc.unary(Method(refuse), request).await
            } else if path == REPEAT {
                grpc.server_streaming(Method(repeat), request).await
            } else if path == JOIN {
                grpc.client_streaming(Method(join), request).await
            } else if path == CONVERSE {
                grpc.streaming(Method(converse), request).await
            } else {
                Status::unimplemented(path).into_http()
            })
        })
    }
}

/// A function as a tower service.
struct Method<F>(F);

impl<F, M, R, Done> Service<Request<M>> for Method<F>
where
    F: Fn(Request<M>) -> Done,
    Done: Future<Output = Result<Response<R>, Status>>,
{
    type Response = Response<R>;
    type Error = Status;
    type Future = Done;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<M>) -> Done {
        self.0(request)
    }
}

fn echo(request: Request<Bytes>) -> impl Future<Output = Result<Response<Bytes>, Status>> {
    let trace = request.metadata().get(TRACE).cloned();
    let mut response = Response::new(request.into_inner());
    if let Some(trace) = trace {
        response.metadata_mut().insert(TRACE, trace);
    }
    ready(Ok(response))
}

fn refuse(request: Request<Bytes>) -> impl Future<Output = Result<Response<Bytes>, Status>> {
    ready(Err(Status::failed_precondition(refusal(request.get_ref()))))
}

pub(super) fn refusal(request: &[u8]) -> String {
    format!("{} bytes refused", request.len())
}

fn repeat(
    request: Request<Bytes>,
) -> impl Future<Output = Result<Response<impl Stream<Item = Result<Bytes, Status>>>, Status>> {
    let request = request.into_inner();
    let replies = (0..repetitions(&request)).map(move |number| Ok(repetition(&request, number)));
    ready(Ok(Response::new(tokio_stream::iter(replies))))
}

pub(super) fn repetitions(request: &[u8]) -> u32 {
    request.first().map_or(0, |first| u32::from(first % 8))
}

pub(super) fn repetition(request: &[u8], number: u32) -> Bytes {
    [&number.to_le_bytes(), request].concat().into()
}

async fn join(request: Request<Streaming<Bytes>>) -> Result<Response<Bytes>, Status> {
    let mut requests = request.into_inner();
    let mut joined = BytesMut::new();
    while let Some(request) = requests.message().await? {
        joined.put(request);
    }
    Ok(Response::new(joined.freeze()))
}

fn converse(
    request: Request<Streaming<Bytes>>,
) -> impl Future<Output = Result<Response<impl Stream<Item = Result<Bytes, Status>>>, Status>> {
    // What comes goes back, the client's end as ours.
    ready(Ok(Response::new(request.into_inner().map(|reply| reply))))
}

/// Leaves messages as they are, which needs no generated code.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}
