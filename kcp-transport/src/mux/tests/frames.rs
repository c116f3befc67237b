//! The bytes between yamux and the connection below, for any frames, cut anywhere.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use yamux::Mode;

use super::super::frame::{FIN, RST, SYN};
use super::super::ledger::Ledger;
use super::super::wire::{OWN_PING, Port, Wire, lock};
use super::*;
use crate::mux::MuxError;

/// Longest body that yamux gets to see.
const MAX_BODY: u32 = 64 * 1024;

/// Streams of the peer that may be open at a time.
const MAX_INBOUND: usize = 2;

/// A connection that gives and takes bytes in pieces of the given lengths, over and over.
struct Pieces {
    bytes: VecDeque<u8>,
    lengths: Vec<usize>,
    next: usize,
}

impl Pieces {
    fn new(bytes: Vec<u8>, lengths: &[usize]) -> Self {
        Self {
            bytes: bytes.into(),
            lengths: lengths.to_vec(),
            next: 0,
        }
    }

    fn next_length(&mut self) -> usize {
        self.next += 1;
        self.lengths[self.next % self.lengths.len()]
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let len = self
            .next_length()
            .min(buf.remaining())
            .min(self.bytes.len());
        buf.put_slice(&self.bytes.drain(..len).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = self.next_length().min(buf.len());
        self.bytes.extend(&buf[..len]);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn frames() -> impl Strategy<Value = Vec<Header>> {
    let flags =
        prop_oneof![3 => Just(0), 1 => Just(SYN), 1 => Just(FIN), 1 => Just(RST), 1 => 0..16u16];
    let stream = prop_oneof![8 => 0..12u32, 1 => any::<u32>()];
    let data = prop_oneof![4 => 0..100u32, 1 => 0..3 * MAX_BODY];
    let value = prop_oneof![4 => 0..100u32, 1 => any::<u32>()];
    let frame =
        (0..20u8, flags, stream, data, value).prop_map(|(kind, flags, stream, data, value)| {
            let (kind, length) = match kind {
                0..=9 => (Kind::Data, data),
                10..=16 => (Kind::WindowUpdate, value),
                17..=18 => (Kind::Ping, value),
                _ => (Kind::GoAway, value),
            };
            Header {
                kind,
                flags,
                stream,
                length,
            }
        });
    vec(frame, 0..40)
}

fn encode(frames: &[Header]) -> Vec<u8> {
    let encode = |frame: &Header| [&frame.encode()[..], &pattern(frame.body_len())].concat();
    frames.iter().flat_map(encode).collect()
}

/// What yamux, as a server, shall see of these frames.
fn seen(frames: &[Header]) -> Vec<u8> {
    let mut open: Vec<u32> = Vec::new();
    let mut bytes = Vec::new();
    for &frame in frames {
        match frame.kind {
            Kind::GoAway => continue,
            Kind::Ping if frame.has(ACK) && frame.length & OWN_PING != 0 => continue,
            Kind::Data | Kind::WindowUpdate if frame.has(SYN) && frame.stream % 2 == 1 => {
                if !open.contains(&frame.stream) {
                    if open.len() == MAX_INBOUND {
                        continue;
                    }
                    open.push(frame.stream);
                }
            }
            Kind::Data | Kind::WindowUpdate | Kind::Ping => {}
        }
        let body = pattern(frame.body_len());
        let mut rest = frame;
        for (number, piece) in body.chunks(MAX_BODY as usize).enumerate() {
            let is_last = (number + 1) * MAX_BODY as usize >= body.len();
            let fin = if is_last { FIN } else { 0 };
            let flags = if number == 0 { frame.flags & !FIN } else { 0 } | frame.flags & fin;
            rest = Header {
                flags,
                length: piece.len() as u32,
                ..frame
            };
            bytes.extend(rest.encode());
            bytes.extend(piece);
        }
        if body.is_empty() {
            bytes.extend(rest.encode());
        }
    }
    bytes
}

fn new_wire() -> Arc<Mutex<Wire>> {
    Arc::new(Mutex::new(Wire::new(Ledger::new(
        Mode::Server,
        MAX_INBOUND,
    ))))
}

proptest! {
    #[test]
    fn yamux_sees_the_frames_it_shall_however_they_arrive(
        frames in frames(),
        lengths in vec(1..3_000usize, 1..20),
        reads in vec(1..3_000usize, 1..20),
    ) {
        let wire = new_wire();
        let mut port = Port(Arc::clone(&wire));
        let mut io = Pieces::new(encode(&frames), &lengths);
        let mut cx = Context::from_waker(Waker::noop());
        let mut got = Vec::new();
        let mut sizes = reads.iter().cycle();
        loop {
            let received = lock(&wire).poll_receive(&mut io, &mut cx);
            let mut out = vec![0; *sizes.next().unwrap()];
            while let Poll::Ready(n) =
                futures_io::AsyncRead::poll_read(Pin::new(&mut port), &mut cx, &mut out)
            {
                got.extend_from_slice(&out[..n.unwrap()]);
            }
            if matches!(received, Poll::Ready(Ok(0))) {
                break;
            }
        }
        prop_assert!(got == seen(&frames));
    }

    #[test]
    fn what_yamux_writes_goes_out_unchanged(
        frames in frames(),
        lengths in vec(1..3_000usize, 1..20),
    ) {
        let wire = new_wire();
        let mut port = Port(Arc::clone(&wire));
        let mut io = Pieces::new(Vec::new(), &lengths);
        let mut cx = Context::from_waker(Waker::noop());
        for frame in &frames {
            for part in [&frame.encode()[..], &pattern(frame.body_len())] {
                if !part.is_empty() {
                    let written = futures_io::AsyncWrite::poll_write(Pin::new(&mut port), &mut cx, part);
                    prop_assert!(matches!(written, Poll::Ready(Ok(n)) if n == part.len()));
                }
            }
            lock(&wire).transmit(&mut io, &mut cx).unwrap();
        }
        prop_assert!(io.bytes == encode(&frames));
        prop_assert_eq!(lock(&wire).unsent(), 0);
        prop_assert_eq!(lock(&wire).take_overhead(), frames.len() * HEADER_LEN);
    }

    // Closed is what the handles find if the session's task panics: nobody closes it here.
    #[test]
    fn whatever_a_peer_sends_a_session_does_not_panic(frames in frames()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let cause = runtime.block_on(async {
            let (mut peer, session, mut incoming) = RawPeer::with_server(MuxConfig::default());
            tokio::spawn(async move {
                let mut kept = Vec::new();
                while let Ok(mut stream) = incoming.accept().await {
                    let _ = stream.write_all(b"welcome").await;
                    // Some are dropped at once, some live on.
                    if stream.id() % 4 == 1 {
                        kept.push(stream);
                    }
                }
            });
            let _ = timeout(SECOND, peer.io.write_all(&encode(&frames))).await;
            drop(peer);
            soon(session.closed()).await
        });
        prop_assert!(!matches!(cause, MuxError::Closed), "{cause:?}");
    }
}
