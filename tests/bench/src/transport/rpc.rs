//! The service that calls of tonic go to, and its client: what generated code would be, for two methods.

use std::convert::Infallible;
use std::io;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream};
use http::uri::PathAndQuery;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::server::{NamedService, ServerStreamingService, UnaryService};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::client::{Client, Download, Echo};
use crate::settings::CHUNK;
use crate::work::SMALL;

/// What a caller sends.
#[derive(Clone, PartialEq, prost::Message)]
struct Ask {
    /// How long the response is to be.
    #[prost(uint32, tag = "1")]
    response: u32,
    #[prost(bytes = "bytes", tag = "2")]
    body: Bytes,
}

/// What comes back.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    body: Bytes,
}

/// Everything a server offers.
pub(super) fn routes() -> Routes {
    Routes::new(Service)
}

/// Answers calls, and streams without end.
#[derive(Clone, Copy)]
struct Service;

impl NamedService for Service {
    const NAME: &'static str = "bench.Bench";
}

impl tower_service::Service<http::Request<Body>> for Service {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(ProstCodec::default());
            Ok(match request.uri().path() {
                CALL => grpc.unary(Call, request).await,
                BULK => grpc.server_streaming(Bulk, request).await,
                _ => Status::new(Code::Unimplemented, "no such method").into_http(),
            })
        })
    }
}

/// The method of [`Client::call`].
struct Call;

impl UnaryService<Ask> for Call {
    type Response = Answer;
    type Future = std::future::Ready<Result<Response<Answer>, Status>>;

    fn call(&mut self, request: Request<Ask>) -> Self::Future {
        let len = (request.get_ref().response as usize).min(FILLER.len());
        let body = Bytes::from_static(&FILLER[..len]);
        std::future::ready(Ok(Response::new(Answer { body })))
    }
}

/// The method of [`Client::download`].
struct Bulk;

impl ServerStreamingService<Ask> for Bulk {
    type Response = Answer;
    type ResponseStream = Pin<Box<dyn Stream<Item = Result<Answer, Status>> + Send>>;
    type Future = std::future::Ready<Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, _: Request<Ask>) -> Self::Future {
        let body = Bytes::from_static(&FILLER[..CHUNK]);
        let answers: Self::ResponseStream = Box::pin(stream::repeat_with(move || {
            Ok(Answer { body: body.clone() })
        }));
        std::future::ready(Ok(Response::new(answers)))
    }
}

/// A channel of tonic as the works see it.
pub(super) struct RpcClient<C>(tonic::client::Grpc<C>);

impl<C> RpcClient<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
    C::Error: Into<tonic::codegen::StdError>,
{
    pub(super) fn new(channel: C, origin: http::Uri) -> Self {
        Self(tonic::client::Grpc::with_origin(channel, origin))
    }

    async fn unary(&self, request_len: usize, response: usize) -> io::Result<()> {
        let mut grpc = self.0.clone();
        ready_for_call(&mut grpc).await?;
        let ask = ask(request_len, response);
        let path = PathAndQuery::from_static(CALL);
        let answer: Response<Answer> = grpc
            .unary(
                Request::new(ask),
                path,
                ProstCodec::<Ask, Answer>::default(),
            )
            .await
            .map_err(io::Error::other)?;
        if answer.get_ref().body.len() == response {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}

async fn ready_for_call<C>(grpc: &mut tonic::client::Grpc<C>) -> io::Result<()>
where
    C: GrpcService<Body>,
    C::Error: Into<tonic::codegen::StdError>,
{
    let ready = grpc.ready().await;
    ready.map_err(|error| io::Error::other(error.into()))
}

impl<C> Client for RpcClient<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
    C::Error: Into<tonic::codegen::StdError>,
{
    fn call(&self, response: usize) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.unary(SMALL, response))
    }

    fn download(&self) -> BoxFuture<'_, io::Result<Box<dyn Download>>> {
        Box::pin(async move {
            let mut grpc = self.0.clone();
            ready_for_call(&mut grpc).await?;
            let path = PathAndQuery::from_static(BULK);
            let answers: Response<Streaming<Answer>> = grpc
                .server_streaming(
                    Request::new(ask(SMALL, 0)),
                    path,
                    ProstCodec::<Ask, Answer>::default(),
                )
                .await
                .map_err(io::Error::other)?;
            let answers = ManuallyDrop::new(answers.into_inner());
            Ok(Box::new(RpcDownload(answers)) as Box<dyn Download>)
        })
    }

    fn echo(&self, size: usize) -> BoxFuture<'_, io::Result<Box<dyn Echo>>> {
        let client = Self(self.0.clone());
        Box::pin(async move { Ok(Box::new(RpcEcho { client, size }) as Box<dyn Echo>) })
    }
}

/// Never given up: h3-quinn panics when the body of a response is dropped in the middle, and the process ends soon.
struct RpcDownload(ManuallyDrop<Streaming<Answer>>);

impl Download for RpcDownload {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let answer = ready!(Pin::new(&mut *self.0).poll_next(cx));
        Poll::Ready(match answer {
            Some(Ok(answer)) => Ok(answer.body.len()),
            Some(Err(status)) => Err(io::Error::other(status)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        })
    }
}

/// A call whose request is as long as its response.
struct RpcEcho<C> {
    client: RpcClient<C>,
    size: usize,
}

impl<C> Echo for RpcEcho<C>
where
    C: GrpcService<Body> + Clone + Send + Sync + 'static,
    C::Future: Send,
    C::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <C::ResponseBody as http_body::Body>::Error: Into<tonic::codegen::StdError> + Send,
    C::Error: Into<tonic::codegen::StdError>,
{
    fn round(&mut self) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(self.client.unary(self.size, self.size))
    }
}

fn ask(request_len: usize, response: usize) -> Ask {
    let len = request_len.min(FILLER.len());
    Ask {
        response: u32::try_from(response).unwrap_or(u32::MAX),
        body: Bytes::from_static(&FILLER[..len]),
    }
}

const CALL: &str = "/bench.Bench/Call";
const BULK: &str = "/bench.Bench/Bulk";

/// What bodies are made of. tonic takes messages of up to 4 MiB.
static FILLER: [u8; 3 << 20] = [0; 3 << 20];
