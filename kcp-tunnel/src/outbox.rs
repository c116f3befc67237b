//! What a wrapper has transformed and its transport has yet to take.

use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;

use tokio::io::AsyncWrite;

/// Bytes on their way to a transport: a wrapper that has accepted bytes cannot give them back, so
/// what the transport does not take at once waits here. Wrappers accept more only when it is empty.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// How many of them the transport has taken.
    written: usize,
}

impl Outbox {
    /// The bytes, to append to.
    pub(crate) const fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Hands everything to `transport`. Ready once it has taken all.
    pub(crate) fn poll_drain<T: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut T,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            let rest = &self.bytes[self.written..];
            match ready!(Pin::new(&mut *transport).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                len => self.written += len,
            }
        }
        self.bytes.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Hands over what `transport` takes now. The rest waits for `poll_drain`.
    pub(crate) fn try_drain<T: AsyncWrite + Unpin>(
        &mut self,
        transport: &mut T,
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        match self.poll_drain(transport, cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }
}
