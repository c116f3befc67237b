//! What a session is asked for and what it tells.

use super::frame::StreamId;
use super::queue::Block;
#[cfg(doc)]
use super::session::Session;

/// Which end of the transport this is. The two must differ; nothing else depends on who connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Its streams have odd numbers, from 3 on.
    Client,
    /// Its streams have even numbers, from 2 on.
    Server,
}

/// Something that the application waits for has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A call of [`Session::accept`] found no stream; now there is one.
    Incoming,
    /// A call of [`Session::readable`] found nothing; now there is something, perhaps the end.
    Readable(StreamId),
    /// A call of [`Session::write`] or [`Session::poll_flushed`] had to wait and need not any more.
    Writable(StreamId),
    /// The peer accepts no more streams: see [`Session::is_peer_leaving`].
    Leaving,
}

/// What a stream has to read.
#[derive(Debug, PartialEq, Eq)]
pub enum Readable<'a> {
    /// Some bytes, never none. [`Session::consume`] takes them.
    Data(&'a [u8]),
    /// The peer sends no more on this stream.
    End,
    /// Nothing yet; [`Event::Readable`] follows.
    Blocked,
}

/// What was taken of a stream.
#[derive(Debug)]
pub enum Taken {
    /// Some bytes, never none. [`Session::release`] counts them as read.
    Data(Block),
    /// The peer sends no more on this stream.
    End,
    /// Nothing yet; [`Event::Readable`] follows.
    Blocked,
}
