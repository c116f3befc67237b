//! A body on its way from the peer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body, Frame, SizeHint};
use tokio::task::AbortHandle;
use tonic::Status;

use super::connection::status;

/// The body of a response of a [`DirectChannel`](crate::DirectChannel). Dropped before its end, it cancels the call.
#[derive(Debug)]
pub struct DirectBody {
    stream: RecvStream,
    data_ended: bool,
    /// What still sends the request: it ends with the response.
    sending: Option<Sending>,
}

/// The task that sends the body of a request; ended when this is dropped.
#[derive(Debug)]
pub(super) struct Sending(AbortHandle);

impl Sending {
    pub(super) fn new(task: AbortHandle) -> Self {
        Self(task)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl DirectBody {
    pub(super) fn new(stream: RecvStream, sending: Option<Sending>) -> Self {
        Self {
            stream,
            data_ended: false,
            sending,
        }
    }
}

impl Body for DirectBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        if !this.data_ended {
            match ready!(this.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Whoever has it may take its time: what waits is bounded by what tonic decodes at once.
                    let released = this.stream.flow_control().release_capacity(data.len());
                    let frame = released.map(|()| Frame::data(data));
                    return Poll::Ready(Some(frame.map_err(status)));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(status(error)))),
                None => this.data_ended = true,
            }
        }
        let trailers = ready!(this.stream.poll_trailers(cx));
        this.sending = None;
        Poll::Ready(match trailers {
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => Some(Err(status(error))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.stream.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
