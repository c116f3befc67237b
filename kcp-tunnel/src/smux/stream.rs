//! A stream's handle: bytes in, bytes out.

use core::pin::Pin;
use core::task::{Context, Poll};
use std::io::{self, IoSlice};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::proto::{Block, Peer, Readable, StreamId, Taken};
use super::shared::{Direction, Shared};

/// One stream of a session.
///
/// How it ends, for the reader:
/// * 0 bytes: the peer has finished the stream, or refused it. The protocol cannot say that a stream
///   broke off; what must be complete needs a length or an end mark of its own.
/// * an error whose inner error is a [`SessionError`](super::SessionError): the session is lost, and this stream with it.
///
/// For the writer:
/// * `BrokenPipe`: the peer has closed the stream, as far as it can say so, see
///   [`Config::half_close`](super::Config::half_close); or we have shut it down.
/// * an error whose inner error is a [`SessionError`](super::SessionError): as above.
///
/// Writes wait while 64 KiB are on their way to the transport; in version 2 also while the peer's
/// window is used up. `poll_flush` waits for nothing: the session sends as soon as it can.
/// `poll_shutdown` ends our direction, waits until all that was written has gone to the transport,
/// and leaves the other direction open.
///
/// Dropping the stream closes it: what was written is still sent, what was not read is lost. If it
/// was shut down before and the peer has not finished, the peer is told that nobody reads any more.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    shared: Arc<Shared>,
}

impl Stream {
    /// The handle of `id`, which was counted in already.
    pub(super) fn new(id: StreamId, shared: Arc<Shared>) -> Self {
        Self { id, shared }
    }

    /// Its number in the session.
    pub const fn id(&self) -> StreamId {
        self.id
    }

    /// How the session's peer ends streams.
    pub fn peer(&self) -> Peer {
        self.shared.with(|state| state.session.peer())
    }

    /// Waits until a write should come, and tells how many bytes it takes at once.
    ///
    /// Lets a relay read no more from elsewhere than it can hand over. Of many streams with much to send
    /// each is told of less: 16 KiB may wait in each while 1 MiB waits in all.
    ///
    /// # Errors
    /// As a write.
    pub fn poll_room(&self, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        self.shared.with(|state| match state.session.room(self.id) {
            Ok(0) => {
                state.register(self.id, Direction::Write, cx);
                Poll::Pending
            }
            Ok(room) => Poll::Ready(Ok(room)),
            Err(error) => Poll::Ready(Err(error.into())),
        })
    }

    /// Waits for something to read and takes it as it lies, without copying: at least one block,
    /// more while there are some and they are less than `limit` bytes. Returns how many bytes;
    /// 0 at the end of the stream.
    ///
    /// The peer may send as much again only when [`release`](Self::release) says that they were read.
    ///
    /// # Errors
    /// As a read.
    pub fn poll_take(
        &self,
        cx: &Context<'_>,
        limit: usize,
        mut take: impl FnMut(Block),
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|state| {
            let mut taken = 0;
            while taken < limit {
                match state.session.take(self.id) {
                    Ok(Taken::Data(block)) => {
                        taken += block.as_ref().len();
                        take(block);
                    }
                    Ok(Taken::Blocked) if taken == 0 => {
                        state.register(self.id, Direction::Read, cx);
                        return Poll::Pending;
                    }
                    Err(error) if taken == 0 => return Poll::Ready(Err(error.into())),
                    Ok(Taken::Blocked | Taken::End) | Err(_) => break,
                }
            }
            Poll::Ready(Ok(taken))
        })
    }

    /// Says that `count` of the bytes which [`poll_take`](Self::poll_take) gave were read, and gives
    /// blocks back that are `emptied`.
    pub fn release(&self, count: usize, emptied: impl IntoIterator<Item = Block>) {
        self.shared.with(|state| {
            state.session.release(self.id, count);
            for block in emptied {
                state.session.recycle(block);
            }
        });
    }

    fn poll_write_slices<'a>(
        &self,
        cx: &Context<'_>,
        slices: impl Iterator<Item = &'a [u8]>,
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|state| {
            let mut written = 0;
            let mut offered = 0;
            for slice in slices {
                offered += slice.len();
                match state.session.write(self.id, slice) {
                    Ok(len) => written += len,
                    Err(error) => return Poll::Ready(Err(error.into())),
                }
                if written < offered {
                    break;
                }
            }
            if written == 0 && offered > 0 {
                state.register(self.id, Direction::Write, cx);
                return Poll::Pending;
            }
            Poll::Ready(Ok(written))
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.remaining();
        self.shared.with(|state| {
            while buf.remaining() > 0 {
                let len = match state.session.readable(self.id) {
                    Ok(Readable::Data(data)) => {
                        let len = data.len().min(buf.remaining());
                        buf.put_slice(&data[..len]);
                        len
                    }
                    Ok(Readable::Blocked) if buf.remaining() == before => {
                        state.register(self.id, Direction::Read, cx);
                        return Poll::Pending;
                    }
                    Err(error) if buf.remaining() == before => {
                        return Poll::Ready(Err(error.into()));
                    }
                    Ok(Readable::Blocked | Readable::End) | Err(_) => break,
                };
                state.session.consume(self.id, len);
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, core::iter::once(data))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_slices(cx, slices.iter().map(|slice| &**slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self.shared.with(|state| state.session.end().cloned());
        Poll::Ready(end.map_or(Ok(()), |error| Err(error.into())))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|state| {
            let flushed = match state.session.finish(self.id) {
                Ok(()) => state.session.poll_flushed(self.id),
                Err(error) => Err(error),
            };
            match flushed {
                Ok(true) => Poll::Ready(Ok(())),
                Ok(false) => {
                    state.register(self.id, Direction::Write, cx);
                    Poll::Pending
                }
                Err(error) => Poll::Ready(Err(error.into())),
            }
        })
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.shared.with(|state| state.remove_stream(self.id));
    }
}
