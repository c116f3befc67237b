//! A connection as hyper's client wants it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::info::KcpIo;

/// A connection as hyper's client wants it: reads and writes by hyper's traits, and tells the pool what it is.
#[derive(Debug)]
pub struct HyperIo<IO> {
    io: TokioIo<IO>,
    http2: bool,
}

impl<IO> HyperIo<IO> {
    pub(crate) fn new(io: IO, http2: bool) -> Self {
        Self {
            io: TokioIo::new(io),
            http2,
        }
    }

    /// The connection itself.
    pub fn get_ref(&self) -> &IO {
        self.io.inner()
    }

    /// The connection itself.
    pub fn into_inner(self) -> IO {
        self.io.into_inner()
    }
}

impl<IO: KcpIo> Connection for HyperIo<IO> {
    /// Puts [`KcpConnectInfo`](crate::KcpConnectInfo) into the extensions of responses.
    fn connected(&self) -> Connected {
        let connected = Connected::new().extra(self.get_ref().connect_info());
        if self.http2 {
            connected.negotiated_h2()
        } else {
            connected
        }
    }
}

impl<IO: AsyncRead + Unpin> Read for HyperIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<IO: AsyncWrite + Unpin> Write for HyperIo<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
