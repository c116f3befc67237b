//! One task per socket: receive → collect → time → deliver → transmit.
//!
//! Owns the socket, its sessions and every buffer. Decides when things happen, never what.
//!
//! Whoever is handed something may have an answer at once, and a packet with an answer carries the acknowledgement, too.
//! So before it sends, the driver lets those run whom it woke.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::time::Sleep;
use tracing::{debug, trace};

use super::clock::Clock;
use super::entropy;
use super::mailbox::{Command, Mailbox};
use super::patience::Patience;
use super::pipe::{Handle, Identity, Opened, Outbox, Pipe};
use super::socket::{DatagramSocket, RECEIVE_SLOTS, ReceiveSlot};
use super::turn::step_back;
use crate::config::Config;
use crate::error::SessionError;
use crate::proto::chunk::SMALL;
use crate::proto::hub::FETCHED;
use crate::proto::{Event, Hub, PacketBatch, SessionKey, Time};

/// Packets received in one turn, about: acknowledgements leave at its end, and the peer's window must not run dry.
const RECEIVE_PACKETS: usize = 192;

/// Buffers offered to the kernel where it joins many datagrams in each.
const JOINED_SLOTS: usize = 4;

/// Batches sent per turn.
const TRANSMIT_BATCHES: usize = 4;

/// Turns before other tasks of the thread get their turn.
const TURNS: usize = 8;

/// Where the sessions of peers go.
pub(crate) type Accepted = mpsc::Sender<Opened>;

/// Drives one socket and its sessions. Ends when it is told to, when its socket fails, or, for an endpoint that
/// nobody can use any more, when its last session ends.
pub(crate) struct Driver<S> {
    socket: S,
    local: SocketAddr,
    config: Arc<Config>,
    clock: Clock,
    hub: Hub,
    mailbox: Arc<Mailbox>,
    accepted: Option<Accepted>,
    /// By session index.
    pipes: Vec<Option<Arc<Pipe>>>,
    slots: Vec<ReceiveSlot>,
    /// The kernel joins datagrams.
    joined: bool,
    batch: PacketBatch,
    /// Runs of `batch` already sent.
    sent_runs: usize,
    /// More packets are waiting in the hub.
    more: bool,
    timer: Option<(Time, Pin<Box<Sleep>>)>,
    visits: Vec<SessionKey>,
    commands: Vec<Command>,
    outbox: Outbox,
    patience: Patience,
    /// Readers woken before had their chance to answer.
    yielded: bool,
    /// Nothing can open sessions any more: the driver ends with the last one.
    finishing: bool,
}

/// What came of a turn.
#[derive(Clone, Copy, Debug)]
enum Turn {
    /// Something was done; there may be more.
    Busy,
    /// There was nothing to do.
    Idle,
    /// Readers were woken: nothing is sent before they had their turn.
    Yield,
}

impl<S: DatagramSocket + Unpin> Driver<S> {
    /// A driver for `socket`; sessions of peers are taken if `accepted` says where they go.
    pub(crate) fn new(
        socket: S,
        config: Arc<Config>,
        mailbox: Arc<Mailbox>,
        accepted: Option<Accepted>,
    ) -> io::Result<Self> {
        Ok(Self {
            local: socket.local_addr()?,
            batch: PacketBatch::new(socket.max_run()),
            socket,
            clock: Clock::new(),
            hub: Hub::new(Arc::clone(&config), accepted.is_some(), entropy::bytes()),
            config,
            mailbox,
            accepted,
            pipes: Vec::new(),
            slots: (0..RECEIVE_SLOTS).map(|_| ReceiveSlot::new()).collect(),
            joined: false,
            sent_runs: 0,
            more: false,
            timer: None,
            visits: Vec::new(),
            commands: Vec::new(),
            outbox: Outbox::default(),
            patience: Patience::new(),
            yielded: false,
            finishing: false,
        })
    }

    /// One turn. `park`: ask to be woken by the socket if there is nothing to receive.
    fn turn(&mut self, cx: &mut Context<'_>, park: bool) -> Result<Turn, SessionError> {
        let now = self.clock.now();
        let received = self.receive(cx, now, park)?;
        let collected = self.collect(now)?;
        self.hub.handle_timeout(now);
        let woken = self.deliver(now);
        if woken && !self.yielded {
            self.yielded = true;
            self.patience.handle_work(now);
            return Ok(Turn::Yield);
        }
        self.yielded = false;
        let sent = self.transmit(cx, now);
        if received > 0 || collected || sent > 0 {
            self.patience.handle_work(now);
            Ok(Turn::Busy)
        } else {
            self.patience.handle_idleness(now);
            Ok(Turn::Idle)
        }
    }

    fn receive(
        &mut self,
        cx: &mut Context<'_>,
        now: Time,
        park: bool,
    ) -> Result<usize, SessionError> {
        let mut packets = 0;
        while packets < RECEIVE_PACKETS {
            let offered = if self.joined {
                JOINED_SLOTS
            } else {
                self.slots.len()
            };
            let slots = &mut self.slots[..offered];
            let result = if park {
                match self.socket.poll_recv(cx, slots) {
                    Poll::Ready(result) => result,
                    Poll::Pending => break,
                }
            } else {
                self.socket.try_recv(slots)
            };
            let filled = match result {
                Ok(filled) => filled,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    debug!(%error, "the socket failed");
                    return Err(SessionError::Socket(error.kind()));
                }
            };
            for slot in &mut self.slots[..filled] {
                let datagrams = &mut slot.buffer[..slot.len];
                packets += datagrams.len().div_ceil(slot.stride.max(1));
                self.hub
                    .handle_datagrams(now, slot.peer, datagrams, slot.stride);
            }
            if filled < self.slots.len() {
                break;
            }
        }
        Ok(packets)
    }

    /// Takes what handles wrote and asked for.
    fn collect(&mut self, now: Time) -> Result<bool, SessionError> {
        let mut visits = std::mem::take(&mut self.visits);
        let mut commands = std::mem::take(&mut self.commands);
        let hub = &mut self.hub;
        let anything = self
            .mailbox
            .take(&mut visits, &mut commands, || hub.spare_chunk(SMALL));
        // Who gives up a session and opens another has left a visit before the command.
        for group in visits.chunks(FETCHED) {
            self.hub.fetch(group);
            for &key in group {
                self.visit(now, key);
            }
        }
        visits.clear();
        for command in commands.drain(..) {
            self.handle_command(now, command)?;
        }
        self.visits = visits;
        self.commands = commands;
        Ok(anything)
    }

    fn handle_command(&mut self, now: Time, command: Command) -> Result<(), SessionError> {
        match command {
            Command::Connect(peer, conv, reply) => {
                let key = loop {
                    let number = conv.unwrap_or_else(|| u32::from_le_bytes(entropy::bytes()));
                    match self.hub.connect(now, peer, number) {
                        Some(key) => break Ok(key),
                        None if conv.is_some() => break Err(SessionError::Replaced),
                        None => {}
                    }
                };
                let opened = key.map(|key| Opened(self.open(key)));
                // Whoever asked may have given up: the handle's drop closes the session then.
                let _ = reply.send(opened);
            }
            Command::StopAccepting => {
                self.hub.set_accepting(false);
                self.accepted = None;
                self.finishing = true;
            }
            Command::Close => return Err(SessionError::EndpointClosed),
            Command::Stats(reply) => {
                let _ = reply.send(self.hub.stats());
            }
        }
        Ok(())
    }

    /// Gives a session its pipe.
    fn open(&mut self, key: SessionKey) -> Handle {
        let config = &self.config;
        let identity = Identity {
            key,
            conv: self.hub.conv(key).unwrap_or_default(),
            peer: self.hub.peer_addr(key).unwrap_or(self.local),
            local: self.local,
            messages: config.messages,
            capacity: config.send_buffer,
            mss: self.hub.mss(key),
            max_message: self.hub.max_message(key),
            max_oob: self.hub.max_oob(key),
        };
        let meters = self.hub.meters(key).unwrap_or_default();
        let pipe = Arc::new(Pipe::new(
            identity,
            meters,
            config,
            Arc::clone(&self.mailbox),
        ));
        let index = key.index();
        if self.pipes.len() <= index {
            self.pipes.resize(index + 1, None);
        }
        self.pipes[index] = Some(Arc::clone(&pipe));
        Handle::new(pipe)
    }

    /// Moves what a handle left in its pipe to the session.
    fn visit(&mut self, now: Time, key: SessionKey) {
        let Some(pipe) = self.pipes.get(key.index()).and_then(Option::as_ref) else {
            return;
        };
        if pipe.identity().key != key {
            return;
        }
        let hub = &mut self.hub;
        let outbox = &mut self.outbox;
        pipe.collect(hub.is_writable(key), outbox);
        for change in outbox.changes.drain(..) {
            hub.change(now, key, change);
        }
        if outbox.consumed_bytes > 0 || outbox.consumed_messages > 0 {
            hub.handle_consumed(now, key, outbox.consumed_bytes, outbox.consumed_messages);
        }
        for chunk in outbox.emptied.drain(..) {
            hub.recycle(chunk);
        }
        for chunk in outbox.chunks.drain(..) {
            if chunk.capacity() >= 64 * 1024
                && pipe.wants_spare()
                && let Some(spare) = hub.spare_chunk(chunk.capacity())
            {
                pipe.give_spare(spare);
            }
            hub.write(now, key, chunk);
        }
        for message in outbox.oob.drain(..) {
            // Checked by the handle; the session may have ended meanwhile.
            let _ = hub.send_oob(now, key, message);
        }
        let requests = outbox.requests;
        if requests.accepted {
            hub.handle_accepted(key);
        }
        if requests.flush {
            hub.flush(now, key);
        }
        if requests.ask {
            hub.ask(now, key);
        }
        if requests.drain {
            hub.drain(now, key);
        }
        if requests.abort {
            hub.abort(now, key, SessionError::Closed);
        } else if requests.close {
            hub.close(now, key);
        }
    }

    /// Hands received chunks and other news to the handles. Returns whether that woke a reader.
    fn deliver(&mut self, now: Time) -> bool {
        let mut woken = false;
        self.fetch_pipes();
        while let Some(event) = self.hub.poll_event() {
            match event {
                Event::Accepted(key) => {
                    let opened = Opened(self.open(key));
                    trace!(peer = %opened.0.identity().peer, "session opened by a peer");
                    if let Some(accepted) = &self.accepted {
                        // A listener that is gone, or whose queue is full, refuses it: the drop closes the session.
                        let _ = accepted.try_send(opened);
                    }
                }
                Event::Readable(key) => {
                    if let Some(pipe) = self.pipe(key) {
                        // Both closures need the hub, one after the other.
                        let hub = std::cell::RefCell::new(&mut self.hub);
                        let delivered = pipe.deliver(
                            || hub.borrow_mut().read(key),
                            || hub.borrow_mut().read_oob(key),
                        );
                        woken |= delivered.woken;
                        if delivered.consumed {
                            self.visit(now, key);
                        }
                    }
                }
                Event::Writable(key) => self.visit(now, key),
                Event::Answered(key) => {
                    if let Some(pipe) = self.pipe(key) {
                        pipe.set_answered();
                    }
                }
                Event::Drained(key) => {
                    if let Some(pipe) = self.pipe(key) {
                        pipe.set_drained();
                    }
                }
                Event::Ended(key, error, stats) => {
                    debug!(?key, %error, "session ended");
                    if let Some(pipe) = self
                        .pipes
                        .get_mut(key.index())
                        .and_then(|pipe| pipe.take_if(|pipe| pipe.identity().key == key))
                    {
                        pipe.end(error, Some(*stats));
                    }
                }
            }
        }
        woken
    }

    /// Looks at the pipes of sessions with news, so that the processor waits for all of them at once.
    fn fetch_pipes(&self) {
        let noticed = self.hub.noticed();
        if noticed.len() > 1 {
            for index in noticed.take(FETCHED) {
                if let Some(pipe) = self.pipes.get(index).and_then(Option::as_ref) {
                    pipe.fetch();
                }
            }
        }
    }

    /// Sends packets until nothing more may leave, the socket is full or the turn's budget is spent.
    fn transmit(&mut self, cx: &mut Context<'_>, now: Time) -> usize {
        let mut packets = 0;
        for _ in 0..TRANSMIT_BATCHES {
            if self.sent_runs == self.batch.transmits().len() {
                self.batch.clear();
                self.sent_runs = 0;
                self.more = self.hub.poll_transmit(now, &mut self.batch);
                if self.batch.is_empty() {
                    break;
                }
                packets += self.batch.len();
            }
            for transmit in self.batch.transmits().skip(self.sent_runs) {
                match self.socket.poll_send(cx, &transmit) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(error)) => {
                        debug!(%error, to = %transmit.destination, "packets could not be sent");
                    }
                    Poll::Pending => return packets,
                }
                self.sent_runs += 1;
            }
        }
        packets
    }

    /// Asks to be woken at the hub's next deadline. Returns whether it has passed.
    fn arm(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.hub.poll_timeout() else {
            return false;
        };
        let at = self.clock.instant(deadline);
        match &mut self.timer {
            // Firing early is harmless, and cheaper than moving a timer for every packet.
            Some((armed, _)) if *armed <= deadline => {}
            Some((armed, sleep)) => {
                *armed = deadline;
                sleep.as_mut().reset(at);
            }
            none => *none = Some((deadline, Box::pin(tokio::time::sleep_until(at)))),
        }
        let fired = self
            .timer
            .as_mut()
            .is_some_and(|(_, sleep)| sleep.as_mut().poll(cx).is_ready());
        if fired {
            self.timer = None;
        }
        fired
    }

    fn pipe(&self, key: SessionKey) -> Option<Arc<Pipe>> {
        let pipe = self.pipes.get(key.index())?.as_ref()?;
        (pipe.identity().key == key).then(|| Arc::clone(pipe))
    }

    /// Tells every handle that it is over.
    fn end(&mut self, error: &SessionError) {
        self.mailbox.close();
        self.hub.abort_all(self.clock.now(), error);
        self.deliver(self.clock.now());
        self.accepted = None;
    }
}

impl<S: DatagramSocket + Unpin> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        let mut busy = false;
        for _ in 0..TURNS {
            let looking = this.patience.lasts();
            match this.turn(cx, !looking) {
                Ok(Turn::Busy) => busy = true,
                Ok(Turn::Yield) => break,
                Ok(Turn::Idle) if this.finishing && this.hub.is_empty() => {
                    this.end(&SessionError::EndpointClosed);
                    return Poll::Ready(());
                }
                // Others may have to do with what was done before.
                Ok(Turn::Idle) if looking && busy => break,
                Ok(Turn::Idle) if looking => {}
                // The socket will wake the task; so shall letters and the next deadline.
                Ok(Turn::Idle) => {
                    if !this.mailbox.sleep(cx.waker()) && !this.arm(cx) {
                        return Poll::Pending;
                    }
                }
                Err(error) => {
                    this.end(&error);
                    return Poll::Ready(());
                }
            }
        }
        step_back(cx);
        Poll::Pending
    }
}

impl<S> Drop for Driver<S> {
    /// A runtime that shuts down drops its tasks: handles must not wait for ever.
    fn drop(&mut self) {
        self.mailbox.close();
        for pipe in self.pipes.iter_mut().filter_map(Option::take) {
            pipe.end(SessionError::EndpointClosed, None);
        }
    }
}
