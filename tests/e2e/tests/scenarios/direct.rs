//! What is particular to clients and servers that do without tonic's transport. What they have in common with it is in
//! other modules, by `with_direct_ends`.

use e2e::generated::probe_client::ProbeClient;
use e2e::generated::probe_server::ProbeServer;
use e2e::generated::{Order, Packet};
use e2e::probe::Probe;
use e2e::{Dialer, Ends, World};
use kcp_tonic::{DirectChannel, KcpConnectInfo, serve_direct};
use kcp_transport::{Bare, Endpoint};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tonic::service::interceptor::InterceptedService;
use tonic::{Code, Request, Status, Streaming};

use crate::server::{Running, packet, secs};

/// Calls of a connection that a server lets run at a time.
const MAX_CALLS: usize = 1_024;

const ENDLESS: Order = Order {
    packets: u64::MAX,
    length: 10_000,
};

const BOTH: Ends = Ends {
    direct_clients: true,
    direct_servers: true,
};

/// A server whose connections are sessions, so that nothing but HTTP/2 looks after them, and a client.
struct Pair {
    client: ProbeClient<DirectChannel>,
    dialer: Dialer,
    active: watch::Receiver<usize>,
    socket: Endpoint,
    serving: JoinHandle<()>,
}

impl Pair {
    fn new(world: &World) -> Self {
        let (listener, (probe, active)) = (world.listen(), Probe::new());
        let origin = format!("http://{}", listener.local_addr());
        let socket = listener.endpoints()[0].clone();
        let serving = tokio::spawn(serve_direct(listener.bare(), ProbeServer::new(probe)));
        let dialer = world.dialer();
        let channel = DirectChannel::new(Bare(dialer.clone()), origin.parse().unwrap()).unwrap();
        Self {
            client: ProbeClient::new(channel),
            dialer,
            active,
            socket,
            serving,
        }
    }

    /// Has a download begun and a call waiting.
    async fn keep_busy(&mut self) -> (Streaming<Packet>, JoinHandle<Result<(), Status>>) {
        let mut packets = self.client.download(ENDLESS).await.unwrap().into_inner();
        packets.message().await.unwrap().unwrap();
        let mut client = self.client.clone();
        let hanging = tokio::spawn(async move { client.hang(packet(1)).await.map(drop) });
        self.has_active(2).await;
        (packets, hanging)
    }

    async fn has_active(&mut self, calls: usize) {
        let reached = self.active.wait_for(|active| *active == calls).await;
        reached.unwrap();
    }
}

/// Sessions do not end by themselves.
fn patient(world: World) -> World {
    world.with(|config| config.idle_timeout(secs(3_600)))
}

#[test]
fn a_server_that_vanishes_ends_its_calls_by_pings() {
    World::simulated(|world| async move {
        let mut pair = Pair::new(&patient(world));
        let (mut packets, hanging) = pair.keep_busy().await;
        pair.serving.abort();
        pair.socket.close();
        let gone = tokio::time::Instant::now();
        let status = hanging.await.unwrap().unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(gone.elapsed() <= secs(51), "{:?}", gone.elapsed());
        let status = loop {
            match packets.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("half a download looks like a whole one"),
                Err(status) => break status,
            }
        };
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    });
}

#[test]
fn calls_of_a_client_that_vanishes_end_by_pings() {
    World::simulated(|world| async move {
        let mut pair = Pair::new(&patient(world));
        let (_packets, hanging) = pair.keep_busy().await;
        pair.dialer.vanish();
        pair.has_active(0).await;
        hanging.abort();
    });
}

#[test]
fn a_connection_without_calls_lasts() {
    World::simulated(|world| async move {
        let mut pair = Pair::new(&world);
        for _ in 0..3 {
            pair.client.echo(packet(1)).await.unwrap();
            tokio::time::sleep(secs(3_600)).await;
        }
        assert_eq!(pair.dialer.dials(), 1);
    });
}

#[test]
fn clones_share_a_connection_from_the_first_call_on() {
    World::simulated(|world| async move {
        let pair = Pair::new(&world);
        let mut calls = JoinSet::new();
        for length in 0..20 {
            let mut client = pair.client.clone();
            calls.spawn(async move { client.echo(packet(length)).await.unwrap() });
        }
        calls.join_all().await;
        assert_eq!(pair.dialer.dials(), 1);
    });
}

#[test]
fn calls_beyond_the_limit_wait_for_others_to_end() {
    World::simulated(|world| async move {
        let mut pair = Pair::new(&world);
        let mut uploads = Vec::new();
        let mut calls = JoinSet::new();
        for _ in 0..MAX_CALLS + 100 {
            let mut client = pair.client.clone();
            let (upload, packets) = mpsc::channel(1);
            upload.send(packet(1)).await.unwrap();
            uploads.push(upload);
            let packets = tokio_stream::wrappers::ReceiverStream::new(packets);
            calls.spawn(async move { client.count(packets).await.unwrap() });
        }
        pair.has_active(MAX_CALLS).await;
        tokio::time::sleep(secs(5)).await;
        assert_eq!(*pair.active.borrow(), MAX_CALLS);
        drop(uploads);
        for total in calls.join_all().await {
            assert_eq!(total.into_inner().packets, 1);
        }
    });
}

#[test]
fn a_reader_who_pauses_holds_the_server_back() {
    World::simulated(|world| async move {
        let server = Running::start(&world.clone().between(BOTH));
        let mut client = server.client(&world.between(BOTH));
        let mut packets = client.download(ENDLESS).await.unwrap().into_inner();
        packets.message().await.unwrap().unwrap();
        tokio::time::sleep(secs(60)).await;
        let sent = async || server.socket.stats().await.unwrap().sessions.bytes_sent;
        let before = sent().await;
        tokio::time::sleep(secs(60)).await;
        let more = sent().await - before;
        assert!(before < 16 << 20, "{before} bytes wait for the reader");
        assert!(more < 1_000, "{more} bytes more than pings need");
        for _ in 0..1_000 {
            packets.message().await.unwrap().unwrap();
        }
    });
}

#[test]
fn a_service_knows_its_peer() {
    World::simulated(|world| async move {
        let (seen, mut sightings) = mpsc::unbounded_channel();
        let look = move |request: Request<()>| {
            let request = kcp_tonic::remote_addr(request)?;
            let info = request.extensions().get::<KcpConnectInfo>().cloned();
            seen.send((request.remote_addr(), info)).unwrap();
            Ok(request)
        };
        let (probe, active) = Probe::new();
        let service = InterceptedService::new(ProbeServer::new(probe), look);
        let server = Running::start_serving(world.listen(), active, |incoming, stop| {
            let streams = Bare(incoming.into_inner());
            kcp_tonic::serve_direct_with_shutdown(streams, service, stop)
        });
        server.client(&world).echo(packet(1)).await.unwrap();
        let (remote_addr, info) = sightings.recv().await.unwrap();
        let info = info.expect("an extension of every request");
        assert_eq!(remote_addr, Some(info.peer_addr()));
        assert_eq!(info.local_addr(), server.addr);
    });
}

#[test]
fn a_method_that_is_not_there_is_unimplemented() {
    World::simulated(|world| async move {
        let pair = Pair::new(&world);
        let origin = format!("http://{}", pair.socket.local_addr())
            .parse()
            .unwrap();
        let channel = DirectChannel::new(Bare(pair.dialer.clone()), origin).unwrap();
        let mut health = tonic_health::pb::health_client::HealthClient::new(channel);
        let status = health.check(tonic_health::pb::HealthCheckRequest::default());
        assert_eq!(status.await.unwrap_err().code(), Code::Unimplemented);
    });
}
