//! The connection as yamux sees it: memory that takes every write and is read frame by frame.
//!
//! yamux stops reading while it cannot answer a ping, so with a connection that refuses writes two
//! saturated peers wait for each other for ever (rust-yamux issue 227). Here every write is taken;
//! that the memory stays small is the business of [`Gate`](super::gate::Gate). The driver moves
//! the bytes between this memory and the connection below, once per wake-up.
//!
//! All frames pass through here, so this is also where the session notes how streams end, refuses
//! streams beyond the limit, sends pings of its own and keeps their answers from yamux, and cuts
//! frames too long for yamux.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::frame::{ACK, FIN, HEADER_LEN, Header, Kind, RST, SYN};
use super::ledger::{Fate, Ledger};

/// Marks the pings of this module. yamux numbers its own from 0, at most one in ten seconds.
pub(super) const OWN_PING: u32 = 1 << 31;

/// Follows the end of a session: once it is answered, the peer opens no more streams.
pub(super) const LAST_PING: u32 = u32::MAX;

/// Bytes taken from the connection below at a time.
const READ_AHEAD: usize = 16 * 1024;

/// Longest frame body yamux gets to see. It ends the session at more than 1 MiB and allocates a
/// body before the first byte of it has come; hashicorp/yamux sends its whole window in one frame.
const MAX_BODY: u32 = 64 * 1024;

/// Capacity the send buffer may keep while the session is idle, in bytes.
const IDLE_CAPACITY: usize = 4 * 1024;

/// What frames brought about, for the driver to take up.
#[derive(Debug, Default)]
pub(super) struct News {
    /// The ping that the peer has answered.
    pub(super) pong: Option<u32>,
    /// The peer announced the end of the session, with this code.
    pub(super) departure: Option<u32>,
    /// The peer broke the protocol in this way, and was told so.
    pub(super) fault: Option<&'static str>,
}

/// Both directions of the connection, between the driver and yamux.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) ledger: Ledger,
    pub(super) news: News,
    inbox: Inbox,
    /// Header of the frame on its way to yamux, and how much of it is read.
    head: ([u8; HEADER_LEN], usize),
    /// Bytes of that frame's body still to be read.
    body: usize,
    /// What that frame does to its stream once all of it is read.
    ending: Option<(Arc<Fate>, u16)>,
    /// The frame to follow it, if it was cut from a longer one.
    rest: Option<Header>,
    /// Bytes still to come of a frame that yamux shall not see.
    skip: usize,
    outbox: VecDeque<u8>,
    /// Bytes still to come from yamux of the frame it writes.
    outgoing_body: usize,
    /// Bytes of headers written since [`take_overhead`](Self::take_overhead).
    overhead: usize,
}

impl Wire {
    pub(super) fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            news: News::default(),
            inbox: Inbox::default(),
            head: ([0; HEADER_LEN], HEADER_LEN),
            body: 0,
            ending: None,
            rest: None,
            skip: 0,
            outbox: VecDeque::new(),
            outgoing_body: 0,
            overhead: 0,
        }
    }

    /// Takes bytes from the connection below, for yamux to read: how many; 0 at its end.
    pub(super) fn poll_receive<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.inbox.poll_fill(io, cx)
    }

    /// Gives bytes that yamux wrote to the connection below: how many before it took no more.
    pub(super) fn transmit<IO: AsyncWrite + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> io::Result<usize> {
        let mut sent = 0;
        while !self.outbox.is_empty() {
            let io = Pin::new(&mut *io);
            let (first, second) = self.outbox.as_slices();
            let written = if io.is_write_vectored() && !second.is_empty() {
                io.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)])
            } else {
                io.poll_write(cx, first)
            };
            match written {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(n)) => {
                    self.outbox.drain(..n);
                    sent += n;
                }
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(sent)
    }

    /// Sends a frame of the session itself.
    pub(super) fn send(&mut self, header: Header) {
        debug_assert_eq!(self.outgoing_body, 0, "yamux writes a frame in one go");
        self.outbox.extend(header.encode());
        self.overhead += HEADER_LEN;
    }

    /// Bytes that wait for the connection below.
    pub(super) fn unsent(&self) -> usize {
        self.outbox.len()
    }

    /// Bytes that were added to the send buffer beyond those the streams wrote, since last asked.
    pub(super) fn take_overhead(&mut self) -> usize {
        std::mem::take(&mut self.overhead)
    }

    /// Gives back memory that bulk traffic needed.
    pub(super) fn shrink(&mut self) {
        self.outbox.shrink_to(IDLE_CAPACITY);
    }

    /// Resets every stream that the peer opens, and skips whatever else has come: for a session without a yamux.
    /// Whether the peer knows that the session has ended.
    pub(super) fn refuse(&mut self) -> bool {
        let rest = self.rest.take().map_or(0, Header::body_len);
        let unread = std::mem::take(&mut self.body) + rest;
        self.skip = self.skip.saturating_add(unread);
        loop {
            self.skip -= self.inbox.skip(self.skip);
            if self.skip > 0 {
                return false;
            }
            let Some(bytes) = self.inbox.take_header() else {
                return false;
            };
            let Some(header) = Header::decode(&bytes) else {
                return true;
            };
            match header.kind {
                Kind::GoAway => return true,
                Kind::Ping if header.has(ACK) && header.length == LAST_PING => return true,
                Kind::Data | Kind::WindowUpdate if header.has(SYN) => {
                    self.send(Header::reset(header.stream));
                }
                Kind::Data | Kind::WindowUpdate | Kind::Ping => {}
            }
            self.skip = header.body_len();
        }
    }

    /// Hands bytes to yamux: how many; 0 if none are there.
    fn read(&mut self, out: &mut [u8]) -> usize {
        if self.head.1 == HEADER_LEN && self.body == 0 && !self.next_frame() {
            return 0;
        }
        let (head, read) = &mut self.head;
        let n = if *read < HEADER_LEN {
            let n = out.len().min(HEADER_LEN - *read);
            out[..n].copy_from_slice(&head[*read..*read + n]);
            *read += n;
            n
        } else {
            let len = out.len().min(self.body);
            let n = self.inbox.take(&mut out[..len]);
            self.body -= n;
            n
        };
        if self.head.1 == HEADER_LEN && self.body == 0 {
            self.finish_frame();
        }
        n
    }

    /// Takes a frame from yamux, or a part of its body.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.outgoing_body > 0 {
            self.outgoing_body = self.outgoing_body.saturating_sub(bytes.len());
            self.outbox.extend(bytes);
            return Ok(());
        }
        let header = bytes.try_into().ok().and_then(Header::decode);
        let mut header = header.ok_or_else(|| io::Error::other("yamux wrote part of a header"))?;
        match header.kind {
            // Dropping a stream whose peer has finished looks to yamux like shutting it down, but
            // the peer must not take what it got so far for everything.
            Kind::Data if header.has(FIN) && self.ledger.is_abandoned(header.stream) => {
                header.flags = RST;
            }
            Kind::GoAway => self.news.fault = Some("it sent what the state of a stream forbids"),
            Kind::Data | Kind::WindowUpdate | Kind::Ping => {}
        }
        self.outgoing_body = header.body_len();
        self.overhead += HEADER_LEN;
        self.outbox.extend(header.encode());
        Ok(())
    }

    /// Gets the next frame ready for yamux to read; `false` if none has come.
    fn next_frame(&mut self) -> bool {
        loop {
            if let Some(rest) = self.rest.take() {
                self.stage(rest);
                return true;
            }
            self.skip -= self.inbox.skip(self.skip);
            if self.skip > 0 {
                return false;
            }
            let Some(bytes) = self.inbox.take_header() else {
                return false;
            };
            let Some(header) = Header::decode(&bytes) else {
                self.news.fault = Some("it sent what is no yamux header");
                self.send(Header::go_away(1));
                self.skip = usize::MAX;
                return false;
            };
            if self.passes(header) {
                self.stage(header);
                return true;
            }
            self.skip = header.body_len();
        }
    }

    /// Whether yamux gets to see a frame; what else follows from the frame is done here.
    fn passes(&mut self, header: Header) -> bool {
        match header.kind {
            Kind::Data | Kind::WindowUpdate => {
                let admitted = !header.has(SYN) || self.ledger.admit(header.stream);
                if !admitted {
                    self.send(Header::reset(header.stream));
                }
                admitted
            }
            Kind::Ping if header.has(ACK) && header.length & OWN_PING != 0 => {
                self.news.pong = Some(header.length);
                false
            }
            Kind::Ping => true,
            // yamux would drop every stream at once, even where the peer only opens no more.
            Kind::GoAway => {
                self.news.departure = Some(header.length);
                false
            }
        }
    }

    /// Offers a frame to yamux, cut to the length that yamux takes.
    fn stage(&mut self, mut header: Header) {
        if header.body_len() > MAX_BODY as usize {
            self.rest = Some(Header {
                flags: header.flags & FIN,
                length: header.length - MAX_BODY,
                ..header
            });
            header.flags &= !FIN;
            header.length = MAX_BODY;
        }
        if header.kind != Kind::Ping && header.has(FIN | RST) {
            let fate = self.ledger.fate(header.stream);
            self.ending = fate.map(|fate| (Arc::clone(fate), header.flags));
        }
        self.head = (header.encode(), 0);
        self.body = header.body_len();
    }

    /// All of a frame is with yamux: only now does an end of file of its stream mean that.
    fn finish_frame(&mut self) {
        let Some((fate, flags)) = self.ending.take() else {
            return;
        };
        if flags & RST != 0 {
            fate.set_reset();
        } else {
            fate.set_finished();
        }
    }
}

/// Bytes from the connection below that yamux has not read yet.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    fn poll_fill<IO: AsyncRead + Unpin>(
        &mut self,
        io: &mut IO,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.bytes.resize(READ_AHEAD, 0);
        // yamux reads all there is but an incomplete header: these are few bytes.
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let mut buf = ReadBuf::new(&mut self.bytes[self.end..]);
        ready!(Pin::new(io).poll_read(cx, &mut buf))?;
        let n = buf.filled().len();
        self.end += n;
        Poll::Ready(Ok(n))
    }

    fn take_header(&mut self) -> Option<[u8; HEADER_LEN]> {
        let header = *self.bytes[self.start..self.end].first_chunk()?;
        self.start += HEADER_LEN;
        Some(header)
    }

    fn take(&mut self, out: &mut [u8]) -> usize {
        let n = out.len().min(self.end - self.start);
        out[..n].copy_from_slice(&self.bytes[self.start..self.start + n]);
        self.start += n;
        n
    }

    fn skip(&mut self, len: usize) -> usize {
        let n = len.min(self.end - self.start);
        self.start += n;
        n
    }
}

/// The end of a [`Wire`] that yamux holds.
#[derive(Debug)]
pub(super) struct Port(pub(super) Arc<Mutex<Wire>>);

impl Port {
    fn wire(&self) -> MutexGuard<'_, Wire> {
        lock(&self.0)
    }
}

/// Locks a wire. Only the driver's task does so: the lock is never contended.
pub(super) fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock()
        .expect("the driver that panicked was the only user")
}

impl futures_io::AsyncRead for Port {
    /// Pending registers no waker: whoever brings bytes polls yamux next.
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.wire().read(out) {
            0 => Poll::Pending,
            n => Poll::Ready(Ok(n)),
        }
    }
}

impl futures_io::AsyncWrite for Port {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wire().write(bytes)?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
