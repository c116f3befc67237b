//! The hyper server, and what its clients do.

use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::Connect;

use crate::report::Scene;

/// Bytes of every request and every response.
const BODY: usize = 4 * 1024;

/// Answers with the body of the request.
pub(crate) async fn echo(request: Request<Incoming>) -> Result<Response<Incoming>, Infallible> {
    Ok(Response::new(request.into_body()))
}

/// Has so many bodies echoed, so many at a time.
pub(crate) async fn post<C>(
    client: &Client<C, Full<Bytes>>,
    uri: &Uri,
    scene: &mut Scene,
    calls: usize,
    width: usize,
) where
    C: Connect + Clone + Send + Sync + 'static,
{
    let post_one = |n: usize| {
        let client = client.clone();
        let body = Bytes::from(vec![n as u8; BODY]);
        let request = Request::post(uri).body(Full::new(body.clone()));
        async move {
            let request = request.map_err(|error| error.to_string())?;
            let response = client
                .request(request)
                .await
                .map_err(|error| format!("{error:?}"))?;
            let echoed = response.into_body().collect().await;
            let echoed = echoed.map_err(|error| error.to_string())?.to_bytes();
            if echoed != body {
                return Err(format!("body {n} came back changed"));
            }
            Ok(echoed.len())
        }
    };
    scene.calls(calls, width, post_one).await;
}
