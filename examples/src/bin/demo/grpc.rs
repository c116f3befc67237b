//! The tonic server, and what its client does.

use std::pin::Pin;
use std::time::Instant;

use bytes::Bytes;
use examples::files::files_client::FilesClient;
use examples::files::files_server::{Files, FilesServer};
use examples::files::piece::Content;
use examples::files::{Description, DownloadRequest, Piece};
use examples::hello::greeter_client::GreeterClient;
use examples::hello::greeter_server::{Greeter, GreeterServer};
use examples::hello::{Greeting, Name};
use futures_util::stream::{self, Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::time::timeout;
use tonic::service::Routes;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use crate::PATIENCE;
use crate::file::Offer;
use crate::report::Scene;

/// Bytes of one message of the download.
const PIECE: usize = 64 * 1024;

/// The services of the server.
pub(crate) fn services(offer: Offer) -> Routes {
    Routes::new(GreeterServer::new(Polite)).add_service(FilesServer::new(offer))
}

/// Greets so often, so many at a time.
pub(crate) async fn greet(channel: &Channel, scene: &mut Scene, calls: usize, width: usize) {
    let greet_one = |n: usize| {
        let mut client = GreeterClient::new(channel.clone());
        async move {
            let name = Name {
                name: format!("caller {n}"),
            };
            let response = client
                .greet(name)
                .await
                .map_err(|status| status.to_string())?;
            let text = response.into_inner().text;
            if text != format!("Hello, caller {n}!") {
                return Err(format!("caller {n} was told {text:?}"));
            }
            Ok(text.len())
        }
    };
    scene.calls(calls, width, greet_one).await;
}

/// Downloads the file and compares its hash.
pub(crate) async fn download(channel: &Channel, scene: &mut Scene) {
    if let Err(status) = try_download(channel, scene).await {
        scene.fault(status);
    }
}

async fn try_download(channel: &Channel, scene: &mut Scene) -> Result<(), Status> {
    let begun = Instant::now();
    let mut client = FilesClient::new(channel.clone());
    let mut pieces = client.download(DownloadRequest {}).await?.into_inner();
    let Some(Content::Description(promised)) = next_piece(&mut pieces).await? else {
        return Err(Status::data_loss("no description came"));
    };
    scene.began_after(begun.elapsed());

    let mut hash = Sha256::new();
    let mut length = 0;
    while let Some(Content::Data(data)) = next_piece(&mut pieces).await? {
        hash.update(&data);
        length += data.len() as u64;
        scene.received(data.len());
    }
    if length != promised.length {
        return Err(Status::data_loss(format!(
            "{length} bytes came instead of {}",
            promised.length
        )));
    }
    if hash.finalize()[..] != promised.sha256[..] {
        return Err(Status::data_loss("the SHA-256 is another"));
    }
    Ok(())
}

async fn next_piece(pieces: &mut Streaming<Piece>) -> Result<Option<Content>, Status> {
    let silent = |_| Status::deadline_exceeded(format!("nothing came for {PATIENCE:?}"));
    let piece = timeout(PATIENCE, pieces.message()).await.map_err(silent)?;
    Ok(piece?.and_then(|piece| piece.content))
}

struct Polite;

#[tonic::async_trait]
impl Greeter for Polite {
    async fn greet(&self, request: Request<Name>) -> Result<Response<Greeting>, Status> {
        let text = format!("Hello, {}!", request.into_inner().name);
        Ok(Response::new(Greeting { text }))
    }
}

#[tonic::async_trait]
impl Files for Offer {
    type DownloadStream = Pin<Box<dyn Stream<Item = Result<Piece, Status>> + Send>>;

    async fn download(
        &self,
        _: Request<DownloadRequest>,
    ) -> Result<Response<Self::DownloadStream>, Status> {
        let description = Content::Description(Description {
            length: self.content.len() as u64,
            sha256: self.sha256.clone(),
        });
        let mut rest = self.content.clone();
        let data = std::iter::from_fn(move || {
            let piece: Bytes = rest.split_to(PIECE.min(rest.len()));
            (!piece.is_empty()).then_some(Content::Data(piece))
        });
        let pieces = std::iter::once(description).chain(data).map(|content| {
            Ok(Piece {
                content: Some(content),
            })
        });
        Ok(Response::new(stream::iter(pieces).boxed()))
    }
}
