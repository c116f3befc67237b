//! A body on its way to the peer.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, SendStream};
use http::HeaderMap;
use http_body::Body;
use pin_project::pin_project;

/// Sends a body to its end, no faster than the peer takes it.
///
/// Ends early if the peer wants no more of it. Dropped before the end, it resets the stream.
#[pin_project]
#[derive(Debug)]
pub(super) struct Outgoing<B> {
    #[pin]
    body: B,
    stream: SendStream<Bytes>,
    /// The last part, until it is known whether another follows.
    held: Option<Bytes>,
    /// Nothing more is asked of the body before the peer makes room.
    full: bool,
}

/// Nobody is there any more to send to. Whoever waits for the other direction learns why.
struct Gone;

impl<B> Outgoing<B> {
    pub(super) fn new(body: B, stream: SendStream<Bytes>) -> Self {
        Self {
            body,
            stream,
            held: None,
            full: false,
        }
    }
}

impl<B: Body<Data = Bytes>> Outgoing<B> {
    fn poll_send(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut this = self.project();
        loop {
            if *this.full {
                ready!(poll_room(this.stream, cx))?;
                *this.full = false;
            }
            match this.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        if let Some(held) = this.held.replace(data) {
                            send(this.stream, held)?;
                            *this.full = true;
                        }
                    }
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Poll::Ready(end(this.stream, this.held.take(), trailers));
                        }
                    }
                },
                Poll::Ready(None) => {
                    let last = this.held.take().unwrap_or_default();
                    return Poll::Ready(this.stream.send_data(last, true).map_err(|_| Gone));
                }
                Poll::Ready(Some(Err(_))) => {
                    this.stream.send_reset(Reason::INTERNAL_ERROR);
                    return Poll::Ready(Err(Gone));
                }
                Poll::Pending => {
                    let Some(held) = this.held.take() else {
                        let _ = ready!(this.stream.poll_reset(cx));
                        return Poll::Ready(Err(Gone));
                    };
                    send(this.stream, held)?;
                    *this.full = true;
                }
            }
        }
    }
}

impl<B: Body<Data = Bytes>> Future for Outgoing<B> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_send(cx).map(|_| ())
    }
}

fn send(stream: &mut SendStream<Bytes>, data: Bytes) -> Result<(), Gone> {
    stream.send_data(data, false).map_err(|_| Gone)?;
    stream.reserve_capacity(1);
    Ok(())
}

fn end(
    stream: &mut SendStream<Bytes>,
    last: Option<Bytes>,
    trailers: HeaderMap,
) -> Result<(), Gone> {
    if let Some(last) = last {
        stream.send_data(last, false).map_err(|_| Gone)?;
    }
    stream.send_trailers(trailers).map_err(|_| Gone)
}

/// Waits until the peer, and the buffer of the connection, have room for at least a byte.
fn poll_room(stream: &mut SendStream<Bytes>, cx: &mut Context<'_>) -> Poll<Result<(), Gone>> {
    while stream.capacity() == 0 {
        let Some(Ok(_)) = ready!(stream.poll_capacity(cx)) else {
            return Poll::Ready(Err(Gone));
        };
    }
    Poll::Ready(Ok(()))
}
