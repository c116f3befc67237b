//! The task that moves a session's frames over its transport.
//!
//! Reads while it cannot write and the other way round: only so do two ends with full buffers get
//! out of each other's way.

use core::future::poll_fn;
use core::ops::Range;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Sleep};
use tracing::debug;

use super::error::SessionError;
use super::proto::Frame;
use super::shared::{self, Shared, State};

/// Owns the transport of a session.
pub(super) struct Driver<T> {
    transport: T,
    shared: Arc<Shared>,
    /// What was read, and which part of it the session has not taken yet.
    input: Box<[u8]>,
    untaken: Range<usize>,
    /// Whether the session takes input, as far as the driver knows.
    listening: bool,
    /// Frames on their way, and how much of the first was written.
    output: VecDeque<Frame>,
    written: usize,
    unflushed: bool,
    timer: Pin<Box<Sleep>>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    pub(super) fn new(transport: T, shared: Arc<Shared>) -> Self {
        Self {
            transport,
            shared,
            input: vec![0; READ_SIZE].into_boxed_slice(),
            untaken: 0..0,
            listening: true,
            output: VecDeque::with_capacity(BATCH_FRAMES),
            written: 0,
            unflushed: false,
            timer: Box::pin(tokio::time::sleep_until(Instant::now())),
        }
    }

    /// Runs the session to its end. An orderly end also shuts the transport down.
    pub(super) async fn run(mut self) {
        if let Err(error) = poll_fn(|cx| self.poll_session(cx)).await {
            debug!(%error, "session ended");
            self.shared.with(|state| state.session.fail(error));
        } else if let Err(error) = self.transport.shutdown().await {
            debug!(%error, "transport did not shut down");
        }
    }

    /// `Ok` once the session was closed and all is sent, `Err` once it has failed, or was closed but
    /// cannot send.
    fn poll_session(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        self.shared.with(|State { driver, .. }| {
            shared::register(&mut driver.waker, cx);
            driver.send_idle = false;
        });
        for _ in 0..TURNS {
            let received = self.receive(cx)?;
            let sent = match self.send(cx) {
                Ok(sent) => sent,
                Err(error) => return Poll::Ready(Err(self.last_words(cx, error))),
            };
            if !received && !sent {
                return self.poll_end(cx);
            }
        }
        cx.waker().wake_by_ref();
        self.poll_end(cx)
    }

    /// The transport takes nothing more. What it still has is read before the session fails: the
    /// peer may have closed it after it had sent all it had to say.
    fn last_words(&mut self, cx: &mut Context<'_>, error: SessionError) -> SessionError {
        for _ in 0..TURNS {
            match self.receive(cx) {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => return error,
            }
        }
        error
    }

    /// Reads once and hands on what was read. Whether to try again.
    fn receive(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionError> {
        if self.untaken.is_empty() {
            if !self.listening {
                self.listening = self.shared.with(State::listen);
                return Ok(self.listening);
            }
            let mut buf = ReadBuf::new(&mut self.input);
            match Pin::new(&mut self.transport).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if buf.filled().is_empty() => {
                    return Err(SessionError::PeerClosed);
                }
                Poll::Ready(Ok(())) => self.untaken = 0..buf.filled().len(),
                Poll::Ready(Err(error)) => return Err(transport(error)),
                Poll::Pending => return Ok(false),
            }
        }
        let input = &self.input[self.untaken.clone()];
        let (taken, listening) = self.shared.with(|state| {
            let taken = state.session.handle_input(shared::now(), input);
            (taken, state.listen())
        });
        let taken = taken?;
        self.listening = listening;
        self.untaken.start += taken;
        Ok(taken > 0)
    }

    /// Writes once, as many frames as the transport takes. Whether to try again.
    ///
    /// A frame is one slice, so that a transport that makes a unit of each, as the compressing one does,
    /// delivers every frame as soon as it can.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionError> {
        if self.output.is_empty() {
            let output = &mut self.output;
            self.shared.with(|state| {
                let (now, mut bytes) = (shared::now(), 0);
                while bytes < BATCH_BYTES && output.len() < BATCH_FRAMES {
                    let Some(frame) = state.session.poll_transmit(now) else {
                        break;
                    };
                    bytes += frame.as_ref().len();
                    output.push_back(frame);
                }
                state.driver.send_idle = output.is_empty();
            });
            if self.output.is_empty() {
                return self.flush(cx);
            }
        }
        let mut slices = [IoSlice::new(&[]); BATCH_FRAMES];
        for (slice, frame) in slices.iter_mut().zip(&self.output) {
            *slice = IoSlice::new(frame.as_ref());
        }
        let slices = &mut slices[..self.output.len()];
        if let (Some(slice), Some(frame)) = (slices.first_mut(), self.output.front()) {
            *slice = IoSlice::new(&frame.as_ref()[self.written..]);
        }
        match Pin::new(&mut self.transport).poll_write_vectored(cx, slices) {
            Poll::Ready(Ok(0)) => Err(transport(io::ErrorKind::WriteZero.into())),
            Poll::Ready(Ok(len)) => {
                self.handle_written(len);
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(transport(error)),
            Poll::Pending => Ok(false),
        }
    }

    /// The transport has taken `len` bytes.
    fn handle_written(&mut self, len: usize) {
        self.unflushed = true;
        self.written += len;
        while let Some(frame) = self.output.front()
            && self.written >= frame.as_ref().len()
        {
            self.written -= frame.as_ref().len();
            self.output.pop_front();
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) -> Result<bool, SessionError> {
        if self.unflushed {
            match Pin::new(&mut self.transport).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Err(transport(error)),
                Poll::Pending => {}
            }
        }
        Ok(false)
    }

    /// Tells the session the time and whether it is over, and sets the timer.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SessionError>> {
        loop {
            let (over, drained, deadline) = self.shared.with(|State { session, .. }| {
                session.handle_timeout(shared::now());
                let over = session.end().filter(|_| session.is_over()).cloned();
                (over, session.is_drained(), session.poll_timeout())
            });
            if let Some(error) = over {
                return Poll::Ready(Err(error));
            }
            if drained && self.output.is_empty() && !self.unflushed {
                return Poll::Ready(Ok(()));
            }
            let Some(deadline) = deadline.map(Instant::from_std) else {
                return Poll::Pending;
            };
            // Every frame moves the deadline back; setting the timer each time costs more than
            // waking up early once in a while.
            if deadline < self.timer.deadline() || self.timer.is_elapsed() {
                self.timer.as_mut().reset(deadline);
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Drop for Driver<T> {
    /// Ends the session for all its handles, also when the runtime drops the task.
    fn drop(&mut self) {
        self.shared.driver_gone();
    }
}

fn transport(error: io::Error) -> SessionError {
    SessionError::Transport(Arc::new(error))
}

/// Bytes read from the transport at once: the longest frame.
const READ_SIZE: usize = 65_536;

/// Frames handed to the transport at once.
const BATCH_FRAMES: usize = 16;

/// Bytes from which on no more frames are gathered: what a KCP stream takes in one write.
const BATCH_BYTES: usize = 56 * 1_024;

/// Reads and writes before other tasks get their turn.
const TURNS: usize = 64;
