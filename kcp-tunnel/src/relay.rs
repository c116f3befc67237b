//! One connection: bytes between an application and a stream, each direction at its own pace.
//!
//! Holds no buffer while nothing waits: what the application sends goes through memory that all
//! connections of a thread share, what it receives is the stream's own. More is read from the application only when the stream has room,
//! and from the stream only when the application has taken what came before; so a slow end slows
//! down its own connection and nothing else.

use core::cell::RefCell;
use core::future::poll_fn;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::qpp::Qpp;
use crate::smux::{Block, Peer, Stream};

/// A connection of an application.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Sees to it that the application, once this is dropped, does not take what it got for the
    /// whole. Does nothing where the kind of connection has no way to say so.
    fn abort(&mut self) {}
}

impl Connection for tokio::io::DuplexStream {}

/// The tunnel's end of a connection: a stream, perhaps with something around it.
pub(crate) trait Far: AsyncRead + AsyncWrite + Unpin + Send {
    /// Waits until a write takes something, and tells how many bytes it takes at once.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>>;

    /// Waits for something to read and appends it to `into`. Returns how many bytes; 0 at the end.
    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut Waiting) -> Poll<io::Result<usize>>;

    /// Says that `count` of the bytes which `poll_take` gave have gone to the application, and gives
    /// back what they were in.
    fn release(&self, count: usize, emptied: Vec<Block>);

    /// How the peer ends streams.
    fn peer(&self) -> Peer;
}

impl Far for Stream {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        Self::poll_room(self, cx)
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut Waiting) -> Poll<io::Result<usize>> {
        Self::poll_take(self, cx, MOST_TAKEN, |block| into.push(block))
    }

    fn release(&self, count: usize, emptied: Vec<Block>) {
        Self::release(self, count, emptied);
    }

    fn peer(&self) -> Peer {
        Self::peer(self)
    }
}

impl Far for Qpp<Stream> {
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let most = ready!(self.poll_empty(cx))?;
        let room = ready!(self.get_ref().poll_room(cx))?;
        Poll::Ready(Ok(room.min(most)))
    }

    fn poll_take(&mut self, cx: &mut Context<'_>, into: &mut Waiting) -> Poll<io::Result<usize>> {
        self.poll_take_with(|stream, open| {
            stream.poll_take(cx, MOST_TAKEN, |mut block| {
                open(block.as_mut());
                into.push(block);
            })
        })
    }

    fn release(&self, count: usize, emptied: Vec<Block>) {
        self.get_ref().release(count, emptied);
    }

    fn peer(&self) -> Peer {
        self.get_ref().peer()
    }
}

/// Why a relay ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both directions ended, or one did and the peer does not know half-closed streams.
    Finished,
    /// The application broke its connection off.
    Local(io::Error),
    /// The session was lost.
    Session(io::Error),
}

/// Bytes between `local` and `far`, both ways.
#[derive(Debug)]
pub(crate) struct Relay<L, F> {
    local: L,
    far: F,
    up: Up,
    down: Down,
    /// What came from the stream and the application has yet to take.
    waiting: Waiting,
    close_wait: Duration,
    /// The session was lost for what the application sends; what has arrived can still be read.
    lost: Option<io::Error>,
    /// Until when one direction goes on after the other has ended, with a peer that does not know
    /// half-closed streams.
    closing: Option<Pin<Box<Sleep>>>,
    sent: u64,
    received: u64,
}

/// The direction from the application to the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Up {
    Copying,
    /// The application has ended it, the stream is being told.
    Finishing,
    /// The peer takes no more: what still comes is dropped, so that the application is not reset
    /// before it has read all.
    Discarding,
    Ended,
}

/// The direction from the stream to the application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Down {
    Copying,
    /// The stream has ended it, the application is being told.
    Finishing,
    Ended,
}

/// Bytes that wait for the application, as they lay in the stream.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    blocks: VecDeque<Block>,
    emptied: Vec<Block>,
}

impl<L: Connection, F: Far> Relay<L, F> {
    /// A relay that has moved nothing yet. `close_wait`: kcptun's `closewait`, for peers that do not
    /// know half-closed streams.
    pub(crate) fn new(local: L, far: F, close_wait: Duration) -> Self {
        Self {
            local,
            far,
            up: Up::Copying,
            down: Down::Copying,
            waiting: Waiting::default(),
            close_wait,
            lost: None,
            closing: None,
            sent: 0,
            received: 0,
        }
    }

    /// Relays until both directions have ended or something fails. Cancellation-safe.
    pub(crate) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Whether the application has neither sent nor received anything nor closed: it can be moved
    /// to another session without knowing.
    pub(crate) fn is_unused(&self) -> bool {
        self.sent == 0
            && self.received == 0
            && (self.up == Up::Copying || self.lost.is_some())
            && self.down == Down::Copying
    }

    /// Bytes of the application sent, and received for it.
    pub(crate) const fn moved(&self) -> (u64, u64) {
        (self.sent, self.received)
    }

    /// The application's connection. The stream is closed.
    pub(crate) fn into_local(self) -> L {
        self.local
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(Err(end)) = self.poll_down(cx) {
            return Poll::Ready(end);
        }
        if let Poll::Ready(Err(end)) = self.poll_up(cx) {
            return Poll::Ready(end);
        }
        if self.up == Up::Ended && self.down == Down::Ended {
            let lost = self.lost.take();
            return Poll::Ready(lost.map_or(End::Finished, End::Session));
        }
        match &mut self.closing {
            Some(closing) => closing.as_mut().poll(cx).map(|()| End::Finished),
            None => Poll::Pending,
        }
    }

    fn poll_up(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            match self.up {
                Up::Copying => {
                    let room = match ready!(self.far.poll_room(cx)) {
                        Ok(room) => room,
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            self.up = Up::Discarding;
                            continue;
                        }
                        Err(error) => {
                            self.up_is_lost(error);
                            continue;
                        }
                    };
                    let (local, far) = (&mut self.local, &mut self.far);
                    let copied = with_scratch(|scratch| {
                        let room = room.min(scratch.len());
                        let mut buf = ReadBuf::new(&mut scratch[..room]);
                        ready!(Pin::new(local).poll_read(cx, &mut buf)).map_err(End::Local)?;
                        if buf.filled().is_empty() {
                            return Poll::Ready(Ok(0));
                        }
                        write_now(far, cx, buf.filled()).map_err(End::Session)?;
                        Poll::Ready(Ok(buf.filled().len()))
                    });
                    match ready!(copied)? {
                        0 => self.up_has_ended(),
                        len => self.sent += len as u64,
                    }
                }
                Up::Finishing => match ready!(Pin::new(&mut self.far).poll_shutdown(cx)) {
                    Ok(()) => self.up = Up::Ended,
                    Err(error) => self.up_is_lost(error),
                },
                Up::Discarding => {
                    let local = &mut self.local;
                    let discarded = with_scratch(|scratch| {
                        let mut buf = ReadBuf::new(scratch);
                        ready!(Pin::new(local).poll_read(cx, &mut buf))?;
                        Poll::Ready(io::Result::Ok(buf.filled().len()))
                    });
                    match ready!(discarded) {
                        Ok(0) | Err(_) => self.up = Up::Ended,
                        Ok(_) => {}
                    }
                }
                Up::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Nothing that the application sends arrives any more.
    fn up_is_lost(&mut self, error: io::Error) {
        self.up = Up::Ended;
        self.lost = Some(error);
    }

    /// The application sends no more.
    fn up_has_ended(&mut self) {
        if self.peer_half_closes() {
            self.up = Up::Finishing;
        } else {
            // The peer would close all of the stream as soon as it heard of this.
            self.up = Up::Ended;
            self.start_closing();
        }
    }

    fn poll_down(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        loop {
            match self.down {
                Down::Copying => {
                    while let Some(written) = self.waiting.poll_write(&mut self.local, cx) {
                        let written = ready!(written).map_err(End::Local)?;
                        let emptied = core::mem::take(&mut self.waiting.emptied);
                        self.far.release(written, emptied);
                    }
                    let taken = self.far.poll_take(cx, &mut self.waiting);
                    match ready!(taken).map_err(End::Session)? {
                        0 => self.down = Down::Finishing,
                        len => self.received += len as u64,
                    }
                }
                Down::Finishing => {
                    // An application that is gone already needs no telling.
                    let _ = ready!(Pin::new(&mut self.local).poll_shutdown(cx));
                    self.down = Down::Ended;
                    if !self.peer_half_closes() {
                        self.up = match self.up {
                            Up::Copying => Up::Discarding,
                            up @ (Up::Finishing | Up::Discarding | Up::Ended) => up,
                        };
                        self.start_closing();
                    }
                }
                Down::Ended => return Poll::Ready(Ok(())),
            }
        }
    }

    /// A peer that has said nothing yet is given the chance.
    fn peer_half_closes(&self) -> bool {
        match self.far.peer() {
            Peer::HalfCloses | Peer::Unknown => true,
            Peer::Closes => false,
        }
    }

    fn start_closing(&mut self) {
        let wait = self.close_wait;
        self.closing
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
    }
}

impl Waiting {
    fn push(&mut self, block: Block) {
        self.blocks.push_back(block);
    }

    /// Writes once, unless nothing waits. Returns how many bytes were taken.
    fn poll_write<L: Connection>(
        &mut self,
        local: &mut L,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<usize>>> {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let mut count = 0;
        for (slice, block) in slices.iter_mut().zip(&self.blocks) {
            *slice = IoSlice::new(block.as_ref());
            count += 1;
        }
        let written = match &slices[..count] {
            [] => return None,
            [slice] => Pin::new(local).poll_write(cx, slice),
            slices => Pin::new(local).poll_write_vectored(cx, slices),
        };
        Some(match written {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(len)) => {
                self.advance(len);
                Poll::Ready(Ok(len))
            }
            written @ (Poll::Ready(Err(_)) | Poll::Pending) => written,
        })
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(first) = self.blocks.front_mut() {
            let len = first.as_ref().len();
            if count < len {
                first.advance(count);
                return;
            }
            count -= len;
            self.emptied.extend(self.blocks.pop_front());
        }
        // An idle connection holds nothing.
        self.blocks = VecDeque::new();
    }
}

/// Writes `bytes`, for which `poll_room` has told that there is room.
fn write_now<F: Far>(far: &mut F, cx: &mut Context<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match Pin::new(&mut *far).poll_write(cx, bytes) {
            Poll::Ready(Ok(len)) if len > 0 => bytes = &bytes[len..],
            Poll::Ready(Err(error)) => return Err(error),
            Poll::Ready(Ok(_)) | Poll::Pending => {
                return Err(io::Error::other("a stream took less than it had room for"));
            }
        }
    }
    Ok(())
}

/// Lends the thread's scratch memory.
fn with_scratch<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    thread_local! {
        static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_LEN].into());
    }
    SCRATCH.with_borrow_mut(|scratch| f(scratch))
}

/// Bytes read from an application at once.
const SCRATCH_LEN: usize = 64 * 1_024;

/// Bytes after which no more are taken from a stream before the application has got them.
const MOST_TAKEN: usize = 64 * 1_024;

/// Pieces written to an application at once.
const MOST_SLICES: usize = 16;

#[cfg(test)]
mod tests;
