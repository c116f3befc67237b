//! The word for a connection that is a whole session.

/// Connections as they are, without multiplexing: the word for "off" at both ends.
///
/// Made by [`Connector::bare`](crate::Connector::bare) and [`Listener::bare`](crate::Listener::bare), where
/// `Connector::mux` and `Listener::mux` would multiplex. Both ends must say the same. It does nothing itself: it tells
/// whoever multiplexes by default, as `kcp-tonic` and `kcp-hyper` do, to take what is inside as it stands. Put anything
/// else that makes connections into it for the same purpose: `Bare(service)`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Bare<T>(pub T);
