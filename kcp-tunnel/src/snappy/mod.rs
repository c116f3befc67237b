//! Compression between smux and the transport: kcptun's unless `nocomp` is set.

mod frame;

use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io::{self, IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use frame::SnappyError;
use frame::{Decoder, Encoder};

use crate::outbox::Outbox;

/// A transport whose bytes travel in snappy's framing format, in both directions.
///
/// Every slice of a write becomes a chunk of its own (more than one above 65,536 bytes), as every
/// write of kcptun's does: a reader gets it without waiting for another. The chunks of one write go
/// to the transport together. What it does not take at once waits, about 64 KiB and a chunk at most;
/// flushing hands it over.
///
/// What comes in must be a snappy stream; it may be cut into chunks in any way. After an error,
/// which is of kind `InvalidData` and holds a [`SnappyError`], reading fails for good.
#[derive(Debug)]
pub struct Snappy<T> {
    inner: T,
    encoder: Encoder,
    output: Outbox,
    decoder: Decoder,
    failed: Option<SnappyError>,
    /// What was read from the transport, and which part of it is yet to be decoded.
    input: Box<[u8]>,
    undecoded: Range<usize>,
}

impl<T> Snappy<T> {
    /// Wraps `inner`, on which nothing was sent or received yet.
    pub fn new(inner: T) -> Self {
        Self {
            inner,
            encoder: Encoder::new(),
            output: Outbox::default(),
            decoder: Decoder::default(),
            failed: None,
            input: vec![0; READ_SIZE].into_boxed_slice(),
            undecoded: 0..0,
        }
    }

    /// Decodes until there is something to read, or nothing left to decode.
    fn decode(&mut self) -> Result<(), SnappyError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let mut input = &self.input[self.undecoded.clone()];
        while self.decoder.plain().is_empty() && !input.is_empty() {
            if let Err(error) = self.decoder.decode(&mut input) {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        self.undecoded.start = self.undecoded.end - input.len();
        Ok(())
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Snappy<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            this.decode()?;
            let plain = this.decoder.plain();
            if !plain.is_empty() {
                let len = plain.len().min(buf.remaining());
                buf.put_slice(&plain[..len]);
                this.decoder.consume(len);
                return Poll::Ready(Ok(()));
            }
            let mut input = ReadBuf::new(&mut this.input);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut input))?;
            this.undecoded = 0..input.filled().len();
            if this.undecoded.is_empty() {
                let whole = this.decoder.is_between_chunks();
                let end = if whole {
                    Ok(())
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
                return Poll::Ready(end);
            }
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Snappy<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(data)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        let mut taken = 0;
        for slice in slices.iter().filter(|slice| !slice.is_empty()) {
            let len = this.encoder.encode(slice, this.output.bytes());
            taken += len;
            if len < slice.len() || this.output.bytes().len() >= WRITE_SIZE {
                break;
            }
        }
        this.output.try_drain(&mut this.inner, cx)?;
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

impl From<SnappyError> for io::Error {
    fn from(error: SnappyError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

/// Compressed bytes from which on a write takes no more slices.
const WRITE_SIZE: usize = 56 * 1_024;

/// Bytes read from the transport at once.
const READ_SIZE: usize = 16 * 1_024;

#[cfg(test)]
mod tests;
