//! The client: takes connections of applications and carries them, each in a stream of one of a few
//! sessions with the server.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::backoff::Backoff;
use crate::config::{ClientConfig, Expiry};
use crate::link::{self, Dial};
use crate::qpp::Pads;
use crate::relay::{Connection, End, Far, Relay};
use crate::smux::{OpenError, Session, Stream, Watch};
use crate::sockets::Acceptor;
use crate::status::{Registry, Role, Running, Tunnel};

/// A running client. Clones are handles of the same one.
///
/// A connection that is taken is kept until it is over: while there is no session it waits, and as
/// long as nothing has passed either way it moves to another session if its own is lost.
#[derive(Debug)]
pub struct Client<D> {
    inner: Arc<Inner<D>>,
}

#[derive(Debug)]
struct Inner<D> {
    config: ClientConfig,
    dialer: D,
    pads: Option<Arc<Pads>>,
    /// A connection takes the next of them in turn.
    slots: Vec<Slot>,
    next: AtomicUsize,
    running: Running,
}

/// A place for a session. Whoever finds it empty holds it until it has opened one.
#[derive(Debug, Default)]
struct Slot(Mutex<Option<Live>>);

/// A session that takes new connections.
#[derive(Clone, Debug)]
struct Live {
    number: u64,
    session: Session,
    since: Instant,
    /// It should not take any more: its peer is leaving or does not answer.
    stale: CancellationToken,
}

impl<D> Clone for Client<D> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<D: Dial> Client<D> {
    /// A client without connections yet.
    pub fn new(config: ClientConfig, dialer: D) -> Self {
        let inner = Inner {
            pads: link::pads(&config.tunnel),
            slots: (0..config.sessions.get())
                .map(|_| Slot::default())
                .collect(),
            next: AtomicUsize::new(0),
            running: Running::new(Role::Client),
            config,
            dialer,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Opens all sessions now instead of with the first connections: what is wrong shows at once.
    pub fn open_sessions(&self) {
        for slot in 0..self.inner.slots.len() {
            let inner = Arc::clone(&self.inner);
            tokio::spawn(async move {
                tokio::select! {
                    _ = inner.session(slot) => {}
                    () = inner.running.drain.stopping() => {}
                }
            });
        }
    }

    /// Takes connections until the client [stops](Tunnel::stop).
    pub async fn serve(&self, acceptor: Acceptor) {
        loop {
            let accepted = tokio::select! {
                accepted = acceptor.accept() => accepted,
                () = self.inner.running.drain.stopping() => return,
            };
            match accepted {
                Ok((local, name)) => self.carry(local, name),
                Err(error) => {
                    warn!("connection not accepted: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Carries a connection. `name` is for the log.
    pub fn carry<L: Connection>(&self, local: L, name: String) {
        if self.inner.running.drain.is_stopping() {
            return;
        }
        let inner = Arc::clone(&self.inner);
        let counted = inner.running.registry.count_connection();
        self.inner.running.drain.spawn(async move {
            inner.carry(local, &name).await;
            drop(counted);
        });
    }

    /// The configuration.
    pub fn config(&self) -> &ClientConfig {
        &self.inner.config
    }
}

impl<D: Dial> Tunnel for Client<D> {
    fn running(&self) -> &Running {
        &self.inner.running
    }
}

impl<D: Dial> Inner<D> {
    async fn carry<L: Connection>(self: &Arc<Self>, mut local: L, name: &str) {
        let slot = self.next.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        loop {
            let opened = tokio::select! {
                opened = self.open(slot) => opened,
                () = self.running.drain.stopping() => return local.abort(),
            };
            let (stream, live) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    warn!("no stream for {name}: {error}");
                    return local.abort();
                }
            };
            let id = stream.id();
            let quiet = self.config.tunnel.quiet;
            if !quiet {
                info!(
                    "stream opened: {name}, session {}, stream {id}",
                    live.number
                );
            }
            let carried = match &self.pads {
                Some(pads) => self.relay(local, link::permute(stream, pads), live).await,
                None => self.relay(local, stream, live).await,
            };
            match carried {
                Ok((sent, received)) => {
                    if !quiet {
                        info!("stream closed: {name}, {sent} bytes sent, {received} received");
                    }
                    return;
                }
                Err(unused) => local = unused,
            }
        }
    }

    /// Relays to the end. Gives the connection back if its session is lost before it was used.
    async fn relay<L: Connection, F: Far>(
        &self,
        local: L,
        far: F,
        live: Live,
    ) -> Result<(u64, u64), L> {
        let Live {
            number,
            session,
            stale,
            ..
        } = live;
        // The stream keeps the session open; an old session is to end with its last stream.
        drop(session);
        let mut relay = Relay::new(local, far, self.config.tunnel.close_wait);
        let end = tokio::select! {
            end = relay.run() => Some(end),
            () = stale.cancelled() => None,
            () = self.running.drain.forced() => {
                relay.into_local().abort();
                return Ok((0, 0));
            }
        };
        let end = match end {
            Some(end) => end,
            None if relay.is_unused() => return Err(relay.into_local()),
            None => tokio::select! {
                end = relay.run() => end,
                () = self.running.drain.forced() => {
                    relay.into_local().abort();
                    return Ok((0, 0));
                }
            },
        };
        match end {
            End::Finished => {}
            End::Local(error) => {
                if !self.config.tunnel.quiet {
                    info!("connection broken off by the application: {error}");
                }
            }
            End::Session(_) if relay.is_unused() => return Err(relay.into_local()),
            End::Session(error) => {
                warn!("connection lost with session {number}: {error}");
                let moved = relay.moved();
                relay.into_local().abort();
                return Ok(moved);
            }
        }
        Ok(relay.moved())
    }

    /// A stream in the session of a slot.
    async fn open(self: &Arc<Self>, slot: usize) -> Result<(Stream, Live), OpenError> {
        loop {
            let live = self.session(slot).await;
            match live.session.open() {
                Ok(stream) => return Ok((stream, live)),
                // It has ended, or has no numbers left: there will be another.
                Err(OpenError::Session(_) | OpenError::Exhausted) => live.stale.cancel(),
                Err(error @ OpenError::TooManyStreams(_)) => return Err(error),
            }
        }
    }

    /// The session of a slot: the one that is there if it still takes connections, or a new one, for
    /// which this tries until there is one.
    async fn session(self: &Arc<Self>, slot: usize) -> Live {
        let mut place = self.slots[slot].0.lock().await;
        if let Some(live) = &*place {
            if live.takes_more(self.config.expiry) {
                return live.clone();
            }
            self.running.registry.retire_session(live.number);
        }
        *place = None;
        let mut backoff = Backoff::new();
        loop {
            match self.dial().await {
                Ok(live) => {
                    *place = Some(live.clone());
                    return live;
                }
                Err(error) => {
                    self.running.registry.count_failed_dial();
                    let wait = backoff.next_wait();
                    warn!("no session with the server: {error}; next attempt in {wait:.1?}");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    async fn dial(self: &Arc<Self>) -> io::Result<Live> {
        let (endpoint, kcp) = self.dialer.dial().await?;
        let info = kcp.info();
        let session = link::start(kcp, &self.config.tunnel, true);
        let watch = session.watch();
        let number = self
            .running
            .registry
            .add_session(info.clone(), watch.clone(), Some(endpoint));
        info!(
            "session {number} opened: {} to {}",
            info.local_addr(),
            info.peer_addr()
        );
        let live = Live {
            number,
            session,
            since: Instant::now(),
            stale: CancellationToken::new(),
        };
        let attendant = Attendant {
            number,
            info,
            watch,
            stale: live.stale.clone(),
            closes_at: self
                .config
                .expiry
                .map(|expiry| live.since + expiry.after + expiry.ttl),
        };
        let registry = Arc::clone(&self.running.registry);
        tokio::spawn(async move { attendant.run(&registry).await });
        Ok(live)
    }
}

impl Live {
    fn takes_more(&self, expiry: Option<Expiry>) -> bool {
        let old = expiry.is_some_and(|expiry| self.since.elapsed() >= expiry.after);
        !old && !self.stale.is_cancelled() && !self.session.is_closed()
    }
}

/// Looks after one session until it is over, without keeping it open.
struct Attendant {
    number: u64,
    info: kcp_transport::SessionInfo,
    watch: Watch,
    stale: CancellationToken,
    /// When it is closed, whatever it carries.
    closes_at: Option<Instant>,
}

impl Attendant {
    async fn run(self, registry: &Registry) {
        let number = self.number;
        let error = tokio::select! {
            error = self.watch.closed() => error,
            error = self.attend() => error,
        };
        self.stale.cancel();
        info!("session {number} closed: {error}");
        registry.remove_session(number).await;
    }

    /// Never ends before the session does.
    async fn attend(&self) -> crate::smux::SessionError {
        tokio::join!(
            self.close_in_time(),
            self.notice_silence(),
            self.notice_leaving()
        );
        self.watch.closed().await
    }

    async fn close_in_time(&self) {
        if let Some(at) = self.closes_at {
            tokio::time::sleep_until(at).await;
            self.watch.close();
        }
    }

    async fn notice_leaving(&self) {
        self.watch.leaving().await;
        if !self.watch.is_closed() {
            info!("session {}: the server is about to stop", self.number);
        }
        self.stale.cancel();
    }

    /// Notices a server that does not answer, long before its silence ends the session: something is
    /// under way and nothing comes back.
    ///
    /// What a server says that has been restarted counts for nothing. Its KCP takes our packets for
    /// those of a new session and acknowledges them, but never the ones that its predecessor had.
    async fn notice_silence(&self) {
        let mut heard = 0;
        let mut unanswered = 0;
        while !self.stale.is_cancelled() {
            tokio::time::sleep(SILENCE_CHECK).await;
            let stats = self.info.stats();
            if stats.in_flight == 0 || stats.packets_up_to_date != heard {
                heard = stats.packets_up_to_date;
                unanswered = 0;
                continue;
            }
            unanswered += 1;
            if unanswered == UNANSWERED_CHECKS {
                warn!("session {}: the server does not answer", self.number);
                self.stale.cancel();
            }
        }
    }
}

/// After a failure to accept, which most likely means that there are too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time between two looks at whether the server answers.
const SILENCE_CHECK: Duration = Duration::from_secs(1);

/// Looks in a row that find data under way and nothing received after which new connections get
/// another session: several times what a lost packet takes to be repeated.
const UNANSWERED_CHECKS: u32 = 5;
