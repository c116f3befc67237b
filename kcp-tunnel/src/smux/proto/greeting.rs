//! What two ends of this kind tell each other besides the protocol, unseen by others.
//!
//! A message is data on stream 0, which no end ever opens: the Go library drops data of streams that
//! it does not know. The first message is the first thing that an end says at all, so whoever begins
//! with something else is known to be another implementation.

use super::super::config::Version;
use super::frame::{self, Item, StreamId};

/// What is known of how the peer ends streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// It has said nothing yet.
    Unknown,
    /// It has said that a stream which it finishes may still be written to, and that it takes ours
    /// the same way.
    HalfCloses,
    /// It has not, or was not asked: when it finishes a stream it most likely reads no more, and
    /// closes ours when we finish it. kcptun does.
    Closes,
}

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    /// This end half-closes streams.
    Hello,
    /// This end will accept no more streams: the next ones belong into another session.
    Leaving,
}

/// Reads messages.
#[derive(Debug, Default)]
pub(super) struct Listener {
    bytes: [u8; LEN],
    len: usize,
}

impl Listener {
    /// Takes data of stream 0 and calls `f` with every message in it.
    pub(super) fn push(&mut self, data: &[u8], mut f: impl FnMut(Option<Message>)) {
        for &byte in data {
            self.bytes[self.len] = byte;
            self.len += 1;
            if self.len == LEN {
                self.len = 0;
                f(Message::decode(&self.bytes));
            }
        }
    }
}

impl Message {
    /// Appends it as a frame.
    pub(super) fn put(self, out: &mut Vec<u8>, version: Version) {
        out.extend(frame::data_header(version, STREAM, LEN as u16));
        out.extend_from_slice(MAGIC);
        out.push(self.code());
    }

    const fn code(self) -> u8 {
        match self {
            Self::Hello => 0,
            Self::Leaving => 1,
        }
    }

    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let (code, magic) = bytes.split_last()?;
        let known = [Self::Hello, Self::Leaving].into_iter();
        known
            .filter(|_| magic == MAGIC)
            .find(|message| message.code() == *code)
    }
}

/// The data of a message, if `item` is some.
pub(super) fn data<'a>(item: &Item<'a>) -> Option<&'a [u8]> {
    match item {
        Item::Data(STREAM, data) => Some(data),
        Item::Data(..) | Item::Open(_) | Item::Finish(_) | Item::Update { .. } | Item::Nop => None,
    }
}

/// The stream that messages travel on.
const STREAM: StreamId = StreamId(0);

/// What a message starts with.
const MAGIC: &[u8; LEN - 1] = b"kcp-tunnel";

/// Length of a message.
const LEN: usize = 11;
