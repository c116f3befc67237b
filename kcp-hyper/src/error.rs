//! Why no connection could be made to a URI.

use std::io;
use std::net::SocketAddr;

/// Why no connection could be made to a URI.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URI names no host.
    #[error("the URI names no host: a KCP target is written like http://example.org:4000")]
    NoHost,
    /// The URI names no port, and KCP has no usual one.
    #[error(
        "the URI names no port, and KCP has no usual one: write http://{0}:4000, or whatever port it is"
    )]
    NoPort(String),
    /// The URI asks for TLS, or something else that this connector does not do.
    #[error("a plain connector cannot open {0}: URIs")]
    Scheme(String),
    /// The host's name could not be resolved.
    #[error("cannot resolve {host}")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The host's name has no address.
    #[error("{0} has no address")]
    NoAddress(String),
    /// The connector below failed. Of several addresses it is the last that was tried.
    #[error("cannot connect to {addr}")]
    Dial {
        /// The address.
        addr: SocketAddr,
        /// What the connector said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
