//! What may be given as an end of connections, and what it means: multiplexed, unless it says otherwise.

use kcp_transport::mux::{MuxConfig, MuxIncoming};
use kcp_transport::{Bare, Incoming, KcpStream, Listener};

/// What a client may be given to make connections with.
///
/// | given | connections are |
/// |---|---|
/// | `Config`, `Connector` | streams, multiplexed with [`MuxConfig::default`] |
/// | `connector.mux(config)`, any [`MuxConnector`](kcp_transport::mux::MuxConnector) | its streams |
/// | `connector.bare()` | sessions |
/// | [`Bare`]`(service)`, of any service for addresses | what that makes, as it is |
///
/// The server must do the same, see [`IntoIncoming`].
#[cfg(feature = "client")]
pub trait IntoConnector {
    /// The service that makes the connections.
    type Connector;

    /// Makes that service.
    fn into_connector(self) -> Self::Connector;
}

#[cfg(feature = "client")]
mod connectors {
    use std::net::SocketAddr;

    use kcp_transport::mux::MuxConnector;
    use kcp_transport::{Config, Connector};
    use tower_service::Service;

    use super::{Bare, IntoConnector, MuxConfig};

    impl IntoConnector for Config {
        type Connector = MuxConnector<Connector, SocketAddr>;

        fn into_connector(self) -> Self::Connector {
            Connector::new(self).into_connector()
        }
    }

    impl IntoConnector for Connector {
        type Connector = MuxConnector<Self, SocketAddr>;

        fn into_connector(self) -> Self::Connector {
            self.mux(MuxConfig::default())
        }
    }

    impl<C: Service<T>, T> IntoConnector for MuxConnector<C, T> {
        type Connector = Self;

        fn into_connector(self) -> Self {
            self
        }
    }

    impl<C> IntoConnector for Bare<C> {
        type Connector = C;

        fn into_connector(self) -> C {
            self.0
        }
    }
}

/// What a server may be given to take connections from.
///
/// | given | connections are |
/// |---|---|
/// | `Listener` | streams, multiplexed with [`MuxConfig::default`] |
/// | `listener.mux(config)`, any [`MuxIncoming`] | its streams |
/// | `listener.bare()` | sessions |
/// | [`Bare`]`(stream)`, of any stream of connections | what that yields, as it is |
///
/// The client must do the same, see `IntoConnector`. `listener.incoming()` is none of these: it does not say which.
pub trait IntoIncoming {
    /// The stream of connections.
    type Incoming;

    /// Makes that stream.
    fn into_incoming(self) -> Self::Incoming;
}

impl IntoIncoming for Listener {
    type Incoming = MuxIncoming<Incoming, KcpStream>;

    fn into_incoming(self) -> Self::Incoming {
        self.mux(MuxConfig::default())
    }
}

impl<S, IO> IntoIncoming for MuxIncoming<S, IO> {
    type Incoming = Self;

    fn into_incoming(self) -> Self {
        self
    }
}

impl<S> IntoIncoming for Bare<S> {
    type Incoming = S;

    fn into_incoming(self) -> S {
        self.0
    }
}
