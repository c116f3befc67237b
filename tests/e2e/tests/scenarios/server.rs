//! A gRPC server with the probe service, and its clients.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use e2e::generated::Packet;
use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::probe::Probe;
use e2e::{Dialer, World};
use kcp_tonic::{DirectChannel, EndpointExt, Incoming};
use kcp_transport::mux::MuxConfig;
use kcp_transport::{Bare, Endpoint as KcpEndpoint, Listener};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint, Server};
use tower_service::Service;

/// A server that runs, and multiplexes.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    /// Calls under way.
    pub(crate) active: watch::Receiver<usize>,
    pub(crate) socket: KcpEndpoint,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn start(world: &World) -> Self {
        Self::start_at(world, world.listen())
    }

    /// On a listener of this world.
    pub(crate) fn start_at(world: &World, listener: Listener) -> Self {
        if world.ends().direct_servers {
            Self::start_direct(listener)
        } else {
            Self::start_on(listener)
        }
    }

    fn start_direct(listener: Listener) -> Self {
        let (probe, active) = Probe::new();
        Self::start_serving(listener, active, |incoming, stop| {
            let streams = Bare(incoming.into_inner());
            kcp_tonic::serve_direct_with_shutdown(streams, ProbeServer::new(probe), stop)
        })
    }

    pub(crate) fn start_on(listener: Listener) -> Self {
        Self::start_with(listener, Server::builder(), Limits::default())
    }

    pub(crate) fn start_with(listener: Listener, mut server: Server, limits: Limits) -> Self {
        let (probe, active) = Probe::new();
        let router = server.add_service(limits.apply(ProbeServer::new(probe)));
        Self::start_serving(listener, active, |incoming, stop| async move {
            router
                .serve_with_incoming_shutdown(incoming, stop)
                .await
                .expect("the server goes on");
        })
    }

    /// Lets `serve` serve the streams until it is told to stop.
    pub(crate) fn start_serving<F>(
        listener: Listener,
        active: watch::Receiver<usize>,
        serve: impl FnOnce(Incoming<MuxIncoming>, Stop) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let addr = listener.local_addr();
        let socket = listener.endpoints()[0].clone();
        let incoming = Incoming::new(listener.mux(many_streams()));
        let (stop, stopped) = oneshot::channel();
        let stopped: Stop = Box::pin(async move {
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        });
        Self {
            addr,
            active,
            socket,
            stop,
            task: tokio::spawn(serve(incoming, stopped)),
        }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.addr)).expect("a URI")
    }

    /// A channel of a new client.
    pub(crate) fn channel(&self, world: &World) -> AnyChannel {
        if world.ends().direct_clients {
            AnyChannel::Direct(self.direct_channel(world.dialer()))
        } else {
            AnyChannel::Tonic(self.endpoint().connect_kcp_lazy(world.dialer().mux()))
        }
    }

    /// A channel that does without tonic's transport.
    pub(crate) fn direct_channel(&self, dialer: Dialer) -> DirectChannel {
        let origin = self.endpoint().uri().clone();
        DirectChannel::new(dialer.mux(), origin).expect("a URI with a port")
    }

    /// A new client.
    pub(crate) fn client(&self, world: &World) -> ProbeClient<AnyChannel> {
        ProbeClient::new(self.channel(world))
    }

    /// Waits until so many calls are under way.
    pub(crate) async fn has_active(&mut self, calls: usize) {
        let reached = self.active.wait_for(|active| *active == calls).await;
        reached.expect("the service lives");
    }

    /// The machine is gone from one moment to the next: nobody is told.
    pub(crate) fn vanish(self) -> SocketAddr {
        self.task.abort();
        self.socket.close();
        self.addr
    }

    /// Stops in good order; returns when that is done.
    pub(crate) async fn shut_down(self) {
        self.stop.send(()).expect("it runs");
        self.task.await.expect("it does not panic");
    }
}

/// A channel of either kind.
#[derive(Clone)]
pub(crate) enum AnyChannel {
    Tonic(Channel),
    Direct(DirectChannel),
}

impl Service<http::Request<Body>> for AnyChannel {
    type Response = http::Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match self {
            Self::Tonic(channel) => channel.poll_ready(cx).map_err(Into::into),
            Self::Direct(channel) => channel.poll_ready(cx).map_err(Into::into),
        }
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match self {
            Self::Tonic(channel) => {
                let response = channel.call(request);
                Box::pin(async move { Ok(response.await?) })
            }
            Self::Direct(channel) => {
                let response = channel.call(request);
                Box::pin(async move { Ok(response.await?.map(Body::new)) })
            }
        }
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a connection of the listener is to tonic.
pub(crate) type MuxIncoming =
    kcp_transport::mux::MuxIncoming<kcp_transport::Incoming, kcp_transport::KcpStream>;

/// Completes when the server shall stop.
pub(crate) type Stop = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the service takes and gives.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    pub(crate) message: Option<usize>,
    pub(crate) gzip: bool,
}

impl Limits {
    fn apply(self, mut service: ProbeServer<Probe>) -> ProbeServer<Probe> {
        if let Some(message) = self.message {
            service = service
                .max_decoding_message_size(message)
                .max_encoding_message_size(message);
        }
        if self.gzip {
            let gzip = tonic::codec::CompressionEncoding::Gzip;
            service = service.accept_compressed(gzip).send_compressed(gzip);
        }
        service
    }
}

/// Room for a thousand streams at once and some more.
pub(crate) fn many_streams() -> MuxConfig {
    MuxConfig::default()
        .max_outbound(1_100)
        .and_then(|config| config.max_inbound(1_100))
        .and_then(|config| config.accept_backlog(1_100))
        .expect("in range")
}

/// A packet of `length` bytes that differ from place to place.
pub(crate) fn packet(length: usize) -> Packet {
    let data: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
    Packet { data: data.into() }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
