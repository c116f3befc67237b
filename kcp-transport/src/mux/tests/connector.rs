//! The connector: sessions by target, shared attempts, backoff, and tower's layers around it.

use std::collections::HashSet;
use std::future::ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::limit::ConcurrencyLimit;
use tower::load::{CompleteOnResponse, PendingRequests};
use tower::make::MakeConnection;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::*;
use crate::io::clock;
use crate::mux::{Backoff, ConnectionInfo, MuxConnectError, MuxConnector};

const MS: Duration = Duration::from_millis(1);

type Connector = MuxConnector<Network, char>;

/// A network whose every connection leads to a server that writes the connection's number, from 0,
/// to each stream.
#[derive(Clone, Debug, Default)]
struct Network(Arc<Mutex<NetworkState>>);

#[derive(Debug, Default)]
struct NetworkState {
    /// When it was asked to connect.
    dials: Vec<Instant>,
    /// Attempts that are not over.
    pending: usize,
    /// How long an attempt takes.
    delay: Duration,
    /// Attempts yet to fail.
    failures: usize,
    servers: Vec<MuxSession>,
}

impl Network {
    fn change(&self, change: impl FnOnce(&mut NetworkState)) {
        change(&mut self.0.lock().unwrap());
    }

    fn dials(&self) -> usize {
        self.0.lock().unwrap().dials.len()
    }

    /// The waits between the attempts.
    fn waits(&self) -> Vec<Duration> {
        self.0
            .lock()
            .unwrap()
            .dials
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .collect()
    }

    fn server(&self, number: usize) -> MuxSession {
        self.0.lock().unwrap().servers[number].clone()
    }

    fn connector(&self) -> Connector {
        MuxConnector::new(self.clone(), MuxConfig::default()).jitter_seed(1)
    }
}

/// Counts an attempt while it lasts.
struct Attempt(Network);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.change(|state| state.pending -= 1);
    }
}

impl Service<char> for Network {
    type Response = DuplexStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<DuplexStream>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: char) -> Self::Future {
        let network = self.clone();
        Box::pin(async move {
            let mut delay = Duration::ZERO;
            network.change(|state| {
                state.dials.push(clock::now());
                state.pending += 1;
                delay = state.delay;
            });
            let attempt = Attempt(network.clone());
            sleep(delay).await;
            drop(attempt);
            let mut state = network.0.lock().unwrap();
            if state.failures > 0 {
                state.failures -= 1;
                return Err(io::Error::new(io::ErrorKind::HostUnreachable, "no route"));
            }
            let (near, far) = duplex(64 * KIB);
            let (server, mut incoming) = MuxSession::server(far, MuxConfig::default());
            let number = state.servers.len() as u8;
            state.servers.push(server);
            tokio::spawn(async move {
                while let Ok(mut stream) = incoming.accept().await {
                    tokio::spawn(async move {
                        let _ = stream.write_all(&[number]).await;
                        let _ = stream.read_u8().await;
                    });
                }
            });
            Ok(near)
        })
    }
}

/// Opens a stream: the number of its connection, and the stream.
async fn open<S>(service: &mut S, target: char) -> Result<(u8, MuxStream), S::Error>
where
    S: Service<char, Response = MuxStream>,
{
    let mut stream = service.ready().await?.call(target).await?;
    Ok((soon(stream.read_u8()).await.unwrap(), stream))
}

#[tokio::test(start_paused = true)]
async fn callers_at_the_same_time_share_one_attempt_and_its_session() {
    let network = Network::default();
    network.change(|state| state.delay = SECOND);
    let connector = network.connector();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let mut connector = connector.clone();
        calls.spawn(async move { open(&mut connector, 'a').await.unwrap() });
    }
    let opened = calls.join_all().await;
    assert!(opened.iter().all(|(session, _)| *session == 0));
    assert_eq!(
        opened
            .iter()
            .map(|(_, stream)| stream.id())
            .collect::<HashSet<_>>()
            .len(),
        20
    );
    assert_eq!(network.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn callers_at_the_same_time_share_one_error() {
    let network = Network::default();
    network.change(|state| (state.delay, state.failures) = (SECOND, 1));
    let connector = network.connector();
    let mut calls = JoinSet::new();
    for _ in 0..20 {
        let mut connector = connector.clone();
        calls.spawn(async move { open(&mut connector, 'a').await.unwrap_err() });
    }
    for error in calls.join_all().await {
        assert!(matches!(error, MuxConnectError::Dial(_)), "{error:?}");
        assert_eq!(
            io::Error::from(error).kind(),
            io::ErrorKind::HostUnreachable
        );
    }
    assert_eq!(network.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_used_again_and_each_target_has_its_own() {
    let network = Network::default();
    let mut connector = network.connector();
    let mut sessions = Vec::new();
    for target in ['a', 'b', 'a', 'b', 'a'] {
        sessions.push(open(&mut connector, target).await.unwrap().0);
    }
    assert_eq!(sessions, [0, 1, 0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn several_sessions_take_turns_and_a_pinned_clone_stays_with_one() {
    let network = Network::default();
    let mut connector = network.connector().sessions_per_target(3);
    let mut sessions = Vec::new();
    for _ in 0..6 {
        sessions.push(open(&mut connector, 'a').await.unwrap().0);
    }
    assert_eq!(sessions, [0, 1, 2, 0, 1, 2]);
    let mut pinned = [connector.pin(1), connector.pin(5)];
    for _ in 0..3 {
        assert_eq!(open(&mut pinned[0], 'a').await.unwrap().0, 1);
        assert_eq!(open(&mut pinned[1], 'a').await.unwrap().0, 2);
    }
    assert_eq!(network.dials(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_session_is_replaced_by_the_next_call() {
    let network = Network::default();
    let mut connector = network.connector();
    open(&mut connector, 'a').await.unwrap();
    sleep(10 * SECOND).await;
    network.server(0).close_within(Duration::ZERO).await;
    let start = clock::now();
    assert_eq!(open(&mut connector, 'a').await.unwrap().0, 1);
    assert_eq!(
        clock::now(),
        start,
        "a session that lasted is replaced at once"
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_the_peer_wants_to_end_is_not_used_again() {
    let (connections, mut listener) = mpsc::unbounded_channel();
    let connect = tower::service_fn(move |_: char| {
        let (near, far) = duplex(64 * KIB);
        connections.send(RawPeer { io: far }).unwrap();
        ready(io::Result::Ok(near))
    });
    let mut connector = MuxConnector::new(connect, MuxConfig::default());
    let mut old = connector.call('a').await.unwrap();
    let mut old_peer = listener.recv().await.unwrap();
    sleep(10 * SECOND).await;
    old_peer.send(Kind::GoAway, 0, 0, 0).await;
    sleep(SECOND).await;
    let new = connector.call('a').await.unwrap();
    listener.recv().await.unwrap();
    assert_eq!((old.id(), new.id()), (1, 1));
    old_peer.send_data(ACK, 1, b"x").await;
    assert_eq!(soon(old.read_u8()).await.unwrap(), b'x');
}

#[tokio::test(start_paused = true)]
async fn attempts_after_failures_wait_longer_and_longer() {
    let network = Network::default();
    network.change(|state| state.failures = 6);
    let backoff = Backoff::new(100 * MS, 1_000 * MS).unwrap();
    let mut connector = network.connector().backoff(backoff).jitter_seed(1);
    for _ in 0..6 {
        open(&mut connector, 'a').await.unwrap_err();
    }
    open(&mut connector, 'a').await.unwrap();
    let waits = network.waits();
    for (wait, longest) in waits.iter().zip([100, 200, 400, 800, 1_000, 1_000]) {
        // Timers fire up to a millisecond late.
        assert!(
            *wait >= longest / 2 * MS && *wait <= (longest + 1) * MS,
            "{waits:?}"
        );
    }
    let other = Network::default();
    other.change(|state| state.failures = 6);
    let mut connector = other.connector().backoff(backoff).jitter_seed(1);
    while open(&mut connector, 'a').await.is_err() {}
    assert_eq!(other.waits(), waits, "the same seed gives the same waits");
}

#[tokio::test(start_paused = true)]
async fn sessions_that_do_not_last_count_as_failures() {
    let network = Network::default();
    let mut connector = network.connector();
    for number in 0..5 {
        let (session, _) = open(&mut connector, 'a').await.unwrap();
        assert_eq!(session, number);
        network
            .server(number.into())
            .close_within(Duration::ZERO)
            .await;
    }
    let waits = network.waits();
    for (wait, longest) in waits.iter().zip([100, 200, 400, 800]) {
        assert!(
            *wait >= longest / 2 * MS && *wait <= (longest + 1) * MS,
            "{waits:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_lasts_as_long_as_someone_waits_for_it() {
    let network = Network::default();
    network.change(|state| state.delay = 10 * SECOND);
    let connector = network.connector();
    let (mut early, mut late) = (connector.clone(), connector.clone());
    let late = tokio::spawn(async move {
        sleep(2 * SECOND).await;
        timeout(3 * SECOND, open(&mut late, 'a')).await
    });
    assert!(timeout(3 * SECOND, open(&mut early, 'a')).await.is_err());
    sleep(SECOND).await;
    assert_eq!(network.0.lock().unwrap().pending, 1);
    assert!(late.await.unwrap().is_err());
    sleep(SECOND).await;
    assert_eq!(network.0.lock().unwrap().pending, 0);
    assert_eq!(network.dials(), 1);
    network.change(|state| state.delay = Duration::ZERO);
    assert_eq!(open(&mut early, 'a').await.unwrap().0, 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_has_failed_is_not_joined_any_more() {
    let network = Network::default();
    network.change(|state| state.failures = 1);
    let mut connector = network.connector();
    let mut early = connector.call('a');
    let mut cx = Context::from_waker(Waker::noop());
    assert!(early.as_mut().poll(&mut cx).is_pending());
    sleep(SECOND).await;
    // The first caller has not looked at its error yet.
    assert_eq!(open(&mut connector, 'a').await.unwrap().0, 0);
    assert!(early.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn targets_without_session_attempt_or_user_are_forgotten() {
    let network = Network::default();
    let mut connector = network.connector();
    let (_, stream) = open(&mut connector, 'a').await.unwrap();
    network.change(|state| state.failures = 1);
    open(&mut connector, 'b').await.unwrap_err();
    // One has a session, the other waits for the next attempt.
    assert_eq!(connector.targets(), 2);
    sleep(SECOND).await;
    assert_eq!(connector.targets(), 1);
    drop(stream);
    sleep(SECOND).await;
    assert_eq!(connector.targets(), 1);
    network.server(0).close().await;
    sleep(SECOND).await;
    assert_eq!(connector.targets(), 0);
}

#[tokio::test(start_paused = true)]
async fn sessions_end_with_the_last_connector_and_the_last_stream() {
    let network = Network::default();
    let mut connector = network.connector();
    let (_, stream) = open(&mut connector, 'a').await.unwrap();
    let server = network.server(0);
    drop(connector);
    assert!(timeout(100 * SECOND, server.closed()).await.is_err());
    drop(stream);
    timeout(SECOND, server.closed()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_knows_its_connection() {
    let describe = |_: &DuplexStream| ConnectionInfo {
        local_addr: Some(([127, 0, 0, 1], 7).into()),
        ..Default::default()
    };
    let network = Network::default();
    let mut connector = MuxConnector::with_info(network, MuxConfig::default(), describe);
    let (_, stream) = open(&mut connector, 'a').await.unwrap();
    let local = stream.connection_info().local_addr;
    assert_eq!(local, Some(([127, 0, 0, 1], 7).into()));
}

// ConcurrencyLimit panics if it is called before it is ready.
#[tokio::test(start_paused = true)]
async fn the_connector_below_is_called_only_when_it_is_ready() {
    let network = Network::default();
    network.change(|state| state.delay = SECOND);
    let limited = ConcurrencyLimit::new(network.clone(), 1);
    let connector = MuxConnector::new(limited, MuxConfig::default()).sessions_per_target(3);
    let start = clock::now();
    let mut calls = JoinSet::new();
    for _ in 0..3 {
        let mut connector = connector.clone();
        calls.spawn(async move { open(&mut connector, 'a').await.unwrap().0 });
    }
    let mut sessions = calls.join_all().await;
    sessions.sort_unstable();
    assert_eq!(sessions, [0, 1, 2]);
    assert_eq!(clock::now() - start, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn tower_layers_wrap_it() {
    fn is_make_connection<M: MakeConnection<char>>(_: &M) {}

    let network = Network::default();
    let mut service = ServiceBuilder::new()
        .buffer(8)
        .concurrency_limit(4)
        .timeout(SECOND)
        .service(network.connector());
    is_make_connection(&service);
    assert_eq!(open(&mut service, 'a').await.unwrap().0, 0);
    network.change(|state| state.delay = 10 * SECOND);
    let error = open(&mut service, 'b').await.unwrap_err();
    assert!(error.to_string().contains("timed out"), "{error}");
    sleep(SECOND).await;
    assert_eq!(network.0.lock().unwrap().pending, 0);
}

#[tokio::test(start_paused = true)]
async fn tower_balances_over_its_sessions() {
    let network = Network::default();
    let connector = network.connector().sessions_per_target(4);
    let members = (0..4)
        .map(|i| PendingRequests::new(connector.pin(i), CompleteOnResponse::default()))
        .collect::<Vec<_>>();
    let balance = Balance::new(ServiceList::new::<char>(members));
    let service = BoxCloneService::new(Buffer::new(balance, 64));
    let mut calls = JoinSet::new();
    for _ in 0..64 {
        let mut service = service.clone();
        calls.spawn(async move { open(&mut service, 'a').await.unwrap().0 });
    }
    let used: HashSet<u8> = calls.join_all().await.into_iter().collect();
    assert_eq!(used.len(), 4);
    assert_eq!(network.dials(), 4);
}
