//! The three kinds of gRPC streams over KCP: from the server, from the client, and both ways; then a shutdown that lets
//! calls finish.
//!
//! `cargo run -p examples --bin grpc_streaming`

use std::error::Error;

use examples::hello::crowd_client::CrowdClient;
use examples::hello::crowd_server::{Crowd, CrowdServer};
use examples::hello::{Greeting, Name};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use kcp_tonic::EndpointExt;
use kcp_transport::{Cipher, Config, Connector, Listener};
use tokio::sync::oneshot;
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

struct Polite;

type Greetings = BoxStream<'static, Result<Greeting, Status>>;

#[tonic::async_trait]
impl Crowd for Polite {
    type GreetInAllLanguagesStream = Greetings;
    type GreetEachStream = Greetings;

    async fn greet_in_all_languages(
        &self,
        request: Request<Name>,
    ) -> Result<Response<Greetings>, Status> {
        let name = request.into_inner().name;
        let hellos = stream::iter(["Hello", "Bonjour", "Grüezi", "こんにちは"]);
        let greetings = hellos.map(move |hello| Ok(greeting(hello, &name)));
        Ok(Response::new(greetings.boxed()))
    }

    async fn greet_together(
        &self,
        request: Request<Streaming<Name>>,
    ) -> Result<Response<Greeting>, Status> {
        let names = request.into_inner().map_ok(|name| name.name);
        let names: Vec<_> = names.try_collect().await?;
        Ok(Response::new(greeting("Hello", &names.join(" and "))))
    }

    async fn greet_each(
        &self,
        request: Request<Streaming<Name>>,
    ) -> Result<Response<Greetings>, Status> {
        let names = request.into_inner();
        let greetings = names.map_ok(|name| greeting("Hello", &name.name));
        Ok(Response::new(greetings.boxed()))
    }
}

fn greeting(hello: &str, name: &str) -> Greeting {
    let text = format!("{hello}, {name}!");
    Greeting { text }
}

fn name(name: &str) -> Name {
    Name { name: name.into() }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::default().cipher(Cipher::kcptun("aes-128-gcm", "a long passphrase")?);
    let listener = Listener::bind("127.0.0.1:0", config.clone()).await?;
    let endpoint = Endpoint::from_shared(format!("http://{}", listener.local_addr()))?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = Server::builder().add_service(CrowdServer::new(Polite));
    let server = tokio::spawn(
        server.serve_with_incoming_shutdown(kcp_tonic::incoming(listener), async {
            drop(stopped.await)
        }),
    );

    let mut client = CrowdClient::new(endpoint.connect_kcp(Connector::new(config)).await?);
    let mut greetings = client
        .greet_in_all_languages(name("Alice"))
        .await?
        .into_inner();
    while let Some(greeting) = greetings.message().await? {
        println!("{}", greeting.text);
    }
    let crowd = ["Alice", "Bob", "Carol"];
    let together = client.greet_together(stream::iter(crowd.map(name))).await?;
    println!("{}", together.into_inner().text);
    let each = client.greet_each(stream::iter(crowd.map(name))).await?;
    // The server is told to stop while answers are still to come. They come, and then it stops.
    drop((stop, client));
    let greetings: Vec<_> = each.into_inner().try_collect().await?;
    println!("{} more, one by one", greetings.len());
    Ok(server.await??)
}
