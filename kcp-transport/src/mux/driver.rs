//! One task per session: it alone owns the yamux connection and the connection below.
//!
//! Every wake-up is one turn: take what handles ask for, read, let yamux work, write, flush once.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tracing::debug;

use super::config::MuxConfig;
use super::error::MuxError;
use super::frame::Header;
use super::ledger::{Fate, Ledger, Mode};
use super::pulse::Pulse;
use super::session::Shared;
use super::stream::MuxStream;
use super::wire::{self, LAST_PING, Port, Wire};
use crate::io::clock;

/// Reads from the connection below in one turn, before other tasks get theirs.
const RECEIVE_BUDGET: usize = 16;

/// Bytes of frames that no writer waits for (answers, credit) which may pile up before the session
/// stops reading. An honest peer reads, so they never do; without a limit, a peer that reads
/// nothing could make us fill our memory with answers.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// How long a session that has ended may take to send its last bytes and to hear that the peer knows.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a handle asks of the driver.
#[derive(Debug)]
pub(super) enum Command {
    /// Open a stream.
    Open {
        permit: OwnedSemaphorePermit,
        reply: oneshot::Sender<MuxStream>,
    },
    /// End a stream whose handle was dropped.
    Retire(Retired),
    /// End the session when no stream lives any more, or after some time.
    Close { within: Option<Duration> },
    /// The last handle was dropped.
    Release,
}

/// A stream whose handle was dropped.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) stream: yamux::Stream,
    pub(super) fate: Arc<Fate>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    /// Whether our side was shut down before.
    pub(super) shut: bool,
}

impl Retired {
    /// Discards what the peer still sends, until it ends its side, at most for `linger`.
    async fn drain(mut self, linger: Duration) -> Self {
        let end = poll_fn(|cx| {
            while let Some(packet) = ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                if packet.is_err() {
                    break;
                }
            }
            Poll::Ready(())
        });
        // Whether it ended in time is in its fate.
        let _ = timeout(linger, end).await;
        self
    }
}

pub(super) struct Driver<IO> {
    io: IO,
    wire: Arc<Mutex<Wire>>,
    /// Before `mux`, so that whoever the end of `mux` wakes finds the session ended.
    shared: EndGuard,
    mux: yamux::Connection<Port>,
    config: MuxConfig,
    commands: mpsc::UnboundedReceiver<Command>,
    arrivals: mpsc::Sender<MuxStream>,
    /// Done when nobody accepts streams any more.
    unattended: Pin<Box<dyn Future<Output = ()> + Send>>,
    accepting: bool,
    /// Whether a handle is left.
    in_use: bool,
    /// Streams whose handles are left.
    live: usize,
    opens: VecDeque<(OwnedSemaphorePermit, oneshot::Sender<MuxStream>)>,
    drains: JoinSet<Retired>,
    /// Streams that yamux is about to forget, with the permits that are free thereafter.
    released: Vec<(u32, Option<OwnedSemaphorePermit>)>,
    closing: bool,
    close_by: Option<Instant>,
    peer_left: bool,
    pulse: Option<Pulse>,
    timer: Option<Pin<Box<Sleep>>>,
    unflushed: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Driver<IO> {
    pub(super) fn new(
        io: IO,
        mode: Mode,
        config: MuxConfig,
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        arrivals: mpsc::Sender<MuxStream>,
    ) -> Self {
        let wire = Arc::new(Mutex::new(Wire::new(Ledger::new(mode, config.max_inbound))));
        let mux = yamux::Connection::new(Port(Arc::clone(&wire)), config.yamux(), mode);
        let acceptor = arrivals.clone();
        Self {
            io,
            wire,
            shared: EndGuard(shared),
            mux,
            commands,
            arrivals,
            unattended: Box::pin(async move { acceptor.closed().await }),
            accepting: true,
            in_use: true,
            live: 0,
            opens: VecDeque::new(),
            drains: JoinSet::new(),
            released: Vec::new(),
            closing: false,
            close_by: None,
            peer_left: false,
            pulse: config
                .keep_alive
                .map(|settings| Pulse::new(settings, clock::now())),
            timer: None,
            unflushed: false,
            config,
        }
    }

    /// Drives the session to its end.
    pub(super) async fn run(mut self) {
        let cause = poll_fn(|cx| match self.turn(cx) {
            Ok(()) => Poll::Pending,
            Err(cause) => Poll::Ready(cause),
        })
        .await;
        debug!(%cause, streams = self.live, "session ended");
        let writable = match cause {
            MuxError::Closed
            | MuxError::ClosedByPeer
            | MuxError::BrokenProtocol(_)
            | MuxError::GivenUp(_) => true,
            MuxError::PeerSilent(_) | MuxError::Io(_) => false,
        };
        let mut farewell = self.end(cause);
        if writable {
            let _ = timeout(CLOSE_TIMEOUT, poll_fn(|cx| farewell.poll_part(cx))).await;
        }
    }

    /// Ends all streams, and the waiting for new ones. What is left is to part from the peer.
    fn end(mut self, cause: MuxError) -> Farewell<IO> {
        let ours = matches!(cause, MuxError::Closed);
        let mut wire = wire::lock(&self.wire);
        if ours {
            for stream in wire.ledger.streams() {
                wire.send(Header::reset(stream));
            }
        }
        if ours || self.peer_left {
            wire.send(Header::go_away(0));
        }
        if ours {
            wire.send(Header::ping(LAST_PING));
        }
        drop(wire);
        self.shared.end(cause);
        while self.commands.try_recv().is_ok() {}
        Farewell {
            io: self.io,
            wire: self.wire,
            peer_left: self.peer_left || !ours,
            _commands: self.commands,
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Result<(), MuxError> {
        let now = clock::now();
        self.take_commands(cx, now);
        self.take_drained(cx);
        self.open_streams(cx)?;
        let received = self.receive(cx, now);
        // Before the end of the connection: the peer may have said why.
        self.heed_news(now)?;
        received?;
        self.keep_time(cx, now)?;
        self.transmit(cx)?;
        self.check_end(cx)
    }

    fn take_commands(&mut self, cx: &mut Context<'_>, now: Instant) {
        while let Poll::Ready(Some(command)) = self.commands.poll_recv(cx) {
            match command {
                Command::Open { permit, reply } => self.opens.push_back((permit, reply)),
                Command::Retire(stream) => self.retire(stream),
                Command::Close { within } => {
                    self.start_closing();
                    let deadline = within.map(|limit| now + limit);
                    self.close_by = earlier(self.close_by, deadline);
                }
                Command::Release => self.in_use = false,
            }
        }
    }

    fn start_closing(&mut self) {
        self.closing = true;
        self.opens.clear();
        self.shared.refuse(MuxError::Closed);
        wire::lock(&self.wire).ledger.admit_none();
    }

    /// The handle of a stream is gone.
    fn retire(&mut self, stream: Retired) {
        self.live -= 1;
        if stream.shut && !stream.fate.is_ended() {
            self.drains.spawn(stream.drain(self.config.linger));
        } else {
            self.release(stream);
        }
    }

    fn take_drained(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(drained)) = self.drains.poll_join_next(cx) {
            if let Ok(stream) = drained {
                self.release(stream);
            }
        }
    }

    /// Ends a stream for good. yamux tells the peer, where the peer needs to know.
    fn release(&mut self, retired: Retired) {
        let id = retired.stream.id().val();
        let mut wire = wire::lock(&self.wire);
        if !retired.shut {
            wire.ledger.abandon(id);
        } else if !retired.fate.is_ended() {
            // yamux would say nothing, and a peer out of credit would wait for ever.
            wire.send(Header::reset(id));
        }
        self.released.push((id, retired.permit));
    }

    fn open_streams(&mut self, cx: &mut Context<'_>) -> Result<(), MuxError> {
        while let Some((permit, reply)) = self.opens.pop_front() {
            if reply.is_closed() {
                continue;
            }
            let opened = if self.is_clogged() {
                Poll::Pending
            } else {
                // Pending as well while the peer has not acknowledged 256 streams.
                self.mux.poll_new_outbound(cx)
            };
            let Poll::Ready(opened) = opened else {
                self.opens.push_front((permit, reply));
                break;
            };
            let opened = opened.map_err(broken)?;
            let mut stream = self.handle(opened, Some(permit));
            if self.config.eager_open {
                // A new stream has room for one frame.
                let _ = stream.poll_announce(cx);
            }
            // A caller who left drops the stream, which retires it.
            let _ = reply.send(stream);
        }
        Ok(())
    }

    /// Takes what has come and lets yamux work, at least once: streams may have something to send.
    fn receive(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), MuxError> {
        let mut received = self.poll_receive(cx, now)?;
        self.poll_mux(cx)?;
        for _ in 1..RECEIVE_BUDGET {
            if !received {
                return Ok(());
            }
            received = self.poll_receive(cx, now)?;
            if received {
                self.poll_mux(cx)?;
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Whether anything was received.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<bool, MuxError> {
        if self.is_clogged() {
            return Ok(false);
        }
        match wire::lock(&self.wire).poll_receive(&mut self.io, cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => Err(MuxError::ClosedByPeer),
            Poll::Ready(Ok(n)) => {
                self.shared.count(|stats| stats.bytes_received += n as u64);
                if let Some(pulse) = &mut self.pulse {
                    pulse.handle_received(now);
                }
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(MuxError::Io(Arc::new(error))),
        }
    }

    /// Whether more frames wait than writers can have caused.
    fn is_clogged(&self) -> bool {
        let writers = self.config.send_buffer + self.config.frame_size;
        wire::lock(&self.wire).unsent() > writers + ANSWER_LIMIT
    }

    /// Lets yamux read all that was received and write all that streams sent.
    fn poll_mux(&mut self, cx: &mut Context<'_>) -> Result<(), MuxError> {
        while let Poll::Ready(inbound) = self.mux.poll_next_inbound(cx) {
            match inbound {
                Some(Ok(stream)) => self.arrive(stream, cx),
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(MuxError::ClosedByPeer),
            }
        }
        let mut wire = wire::lock(&self.wire);
        for (id, _permit) in self.released.drain(..) {
            wire.ledger.strike(id);
        }
        let (outbound, inbound) = (wire.ledger.outbound(), wire.ledger.inbound());
        self.shared
            .count(|stats| (stats.outbound, stats.inbound) = (outbound, inbound));
        Ok(())
    }

    fn arrive(&mut self, stream: yamux::Stream, cx: &mut Context<'_>) {
        let mut stream = self.handle(stream, None);
        if self.config.eager_accept {
            // A new stream has room for one frame.
            let _ = stream.poll_announce(cx);
        }
        // A stream that finds no place in the queue is dropped, which retires it.
        let _ = self.arrivals.try_send(stream);
    }

    fn handle(&mut self, stream: yamux::Stream, permit: Option<OwnedSemaphorePermit>) -> MuxStream {
        self.live += 1;
        let fate = wire::lock(&self.wire).ledger.enter(stream.id().val());
        MuxStream::new(stream, fate, Arc::clone(&self.shared.0), permit)
    }

    fn heed_news(&mut self, now: Instant) -> Result<(), MuxError> {
        let news = std::mem::take(&mut wire::lock(&self.wire).news);
        if let Some(value) = news.pong
            && let Some(pulse) = &mut self.pulse
            && let Some(round_trip) = pulse.handle_pong(now, value)
        {
            self.shared
                .count(|stats| stats.round_trip = Some(round_trip));
        }
        match news.departure {
            Some(0) => {
                self.peer_left = true;
                self.opens.clear();
                self.shared.refuse(MuxError::ClosedByPeer);
            }
            Some(code) => return Err(MuxError::GivenUp(code)),
            None => {}
        }
        match news.fault {
            Some(fault) => Err(MuxError::BrokenProtocol(fault.into())),
            None => Ok(()),
        }
    }

    fn keep_time(&mut self, cx: &mut Context<'_>, now: Instant) -> Result<(), MuxError> {
        if self.close_by.is_some_and(|deadline| now >= deadline) {
            return Err(MuxError::Closed);
        }
        if let Some(pulse) = &mut self.pulse {
            if let Some(timeout) = pulse.silence(now) {
                return Err(MuxError::PeerSilent(timeout));
            }
            if let Some(value) = pulse.poll_ping(now) {
                let mut wire = wire::lock(&self.wire);
                wire.shrink();
                wire.send(Header::ping(value));
            }
        }
        let next = self.pulse.as_ref().map(Pulse::poll_timeout);
        let Some(next) = earlier(next, self.close_by) else {
            return Ok(());
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(next)));
        if timer.deadline() != next {
            timer.as_mut().reset(next);
        }
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Ok(())
    }

    fn transmit(&mut self, cx: &mut Context<'_>) -> Result<(), MuxError> {
        let mut wire = wire::lock(&self.wire);
        let overhead = wire.take_overhead();
        let sent = wire
            .transmit(&mut self.io, cx)
            .map_err(|error| MuxError::Io(Arc::new(error)))?;
        drop(wire);
        if sent > 0 {
            self.unflushed = true;
            self.shared.count(|stats| stats.bytes_sent += sent as u64);
        }
        self.shared.gate.settle(overhead, sent);
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(MuxError::Io(Arc::new(error))),
                Poll::Pending => {}
            }
        }
        Ok(())
    }

    /// Ends a session that nobody needs any more.
    fn check_end(&mut self, cx: &mut Context<'_>) -> Result<(), MuxError> {
        if self.accepting && self.unattended.as_mut().poll(cx).is_ready() {
            self.accepting = false;
            wire::lock(&self.wire).ledger.admit_none();
        }
        if self.live > 0 || !self.drains.is_empty() || !self.opens.is_empty() {
            return Ok(());
        }
        if self.peer_left {
            return Err(MuxError::ClosedByPeer);
        }
        if self.closing || !(self.in_use || self.accepting) {
            return Err(MuxError::Closed);
        }
        Ok(())
    }
}

/// A session that has ended here: the last bytes to send, and what the peer opened before it heard of the end.
struct Farewell<IO> {
    io: IO,
    wire: Arc<Mutex<Wire>>,
    /// Whether the peer opens no more.
    peer_left: bool,
    /// Its end tells those who wait for the session that it has let go of the connection.
    _commands: mpsc::UnboundedReceiver<Command>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Farewell<IO> {
    /// Sends what is left, resets what the peer opens until it knows better, then shuts the connection below down.
    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut wire = wire::lock(&self.wire);
        loop {
            while !self.peer_left && wire.unsent() <= ANSWER_LIMIT {
                match wire.poll_receive(&mut self.io, cx) {
                    Poll::Ready(Ok(0) | Err(_)) => self.peer_left = true,
                    Poll::Ready(Ok(_)) => self.peer_left = wire.refuse(),
                    Poll::Pending => break,
                }
            }
            match wire.transmit(&mut self.io, cx) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
        let unsent = wire.unsent() > 0;
        drop(wire);
        if unsent || !self.peer_left {
            let _ = Pin::new(&mut self.io).poll_flush(cx);
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_shutdown(cx).map(drop)
    }
}

/// Ends the session when dropped: nobody is left waiting, even if the driver's task is cancelled.
struct EndGuard(Arc<Shared>);

impl Deref for EndGuard {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.0.end(MuxError::Closed);
    }
}

fn broken(error: yamux::ConnectionError) -> MuxError {
    MuxError::BrokenProtocol(error.to_string().into())
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
