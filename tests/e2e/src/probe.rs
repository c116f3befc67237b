//! The service that the tests call.

use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::watch;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use crate::generated::{self, Failure, Order, Packet, Total};

/// The service that the tests call, and a gauge of the calls in it that last.
#[derive(Clone, Debug)]
pub struct Probe {
    active: watch::Sender<usize>,
}

/// A call counts from the moment this is made until it is dropped.
#[derive(Debug)]
struct Active(watch::Sender<usize>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.send_modify(|active| *active -= 1);
    }
}

impl Probe {
    /// The service, and how many calls of `Count`, `Download`, `Chat` and `Hang` are under way in it.
    pub fn new() -> (Self, watch::Receiver<usize>) {
        let (active, gauge) = watch::channel(0);
        (Self { active }, gauge)
    }

    fn enter(&self) -> Active {
        self.active.send_modify(|active| *active += 1);
        Active(self.active.clone())
    }
}

/// Packets to come.
type Packets = Pin<Box<dyn Stream<Item = Result<Packet, Status>> + Send>>;

#[tonic::async_trait]
impl generated::probe_server::Probe for Probe {
    type DownloadStream = Packets;
    type ChatStream = Packets;

    async fn echo(&self, request: Request<Packet>) -> Result<Response<Packet>, Status> {
        let (metadata, _, packet) = request.into_parts();
        let mut response = Response::new(packet);
        for name in ["x-echo", "x-again"] {
            for value in metadata.get_all(name) {
                response.metadata_mut().append(name, value.clone());
            }
        }
        if let Some(value) = metadata.get_bin("x-echo-bin") {
            response
                .metadata_mut()
                .insert_bin("x-echo-bin", value.clone());
        }
        Ok(response)
    }

    async fn count(&self, request: Request<Streaming<Packet>>) -> Result<Response<Total>, Status> {
        let _active = self.enter();
        let mut packets = request.into_inner();
        let mut total = Total::default();
        while let Some(packet) = packets.message().await? {
            total.packets += 1;
            total.bytes += packet.data.len() as u64;
        }
        Ok(Response::new(total))
    }

    async fn download(&self, request: Request<Order>) -> Result<Response<Packets>, Status> {
        let active = self.enter();
        let Order { packets, length } = request.into_inner();
        let data = Bytes::from(vec![7; length as usize]);
        let packets = tokio_stream::iter(0..packets).map(move |_| {
            let _ = &active;
            Ok(Packet { data: data.clone() })
        });
        Ok(Response::new(Box::pin(packets)))
    }

    async fn chat(&self, request: Request<Streaming<Packet>>) -> Result<Response<Packets>, Status> {
        let active = self.enter();
        let packets = request.into_inner().map(move |packet| {
            let _ = &active;
            packet
        });
        Ok(Response::new(Box::pin(packets)))
    }

    async fn hang(&self, _: Request<Packet>) -> Result<Response<Packet>, Status> {
        let _active = self.enter();
        std::future::pending().await
    }

    async fn fail(&self, request: Request<Failure>) -> Result<Response<Packet>, Status> {
        let failure = request.into_inner();
        Err(Status::with_details(
            Code::from_i32(failure.code),
            failure.message,
            failure.details,
        ))
    }
}
