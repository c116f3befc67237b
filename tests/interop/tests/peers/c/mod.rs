//! The C family: ports of the original KCP to Rust, `tokio_kcp` for streams and `kcp` for messages of many fragments.
//!
//! They know neither ciphers nor codes, so all of this is `null` without parity.

mod messages;
mod streams;

use std::net::{Ipv4Addr, SocketAddr};

use kcp_transport::{Discard, EndpointStats};
use netlab::relay::Relay;

use crate::record;

/// Links in the text form of netlab, the same both ways.
const PATHS: [&str; 3] = ["delay=3ms", "delay=3ms loss=5%", "delay=3ms loss=20%"];

/// Segments of every window: the original takes no receive window below 128.
const WINDOW: u16 = 256;

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn link(server: SocketAddr, path: &str, seed: u64) -> Relay {
    let link: netlab::link::LinkConfig = path.parse().expect("a link");
    Relay::start(server, link.clone(), link, seed).expect("started")
}

/// What we counted of a peer that does nothing wrong.
fn check(stats: &EndpointStats) {
    assert_eq!(stats.discarded(Discard::Malformed), 0, "{stats:?}");
    assert_eq!(stats.discarded(Discard::TooShort), 0, "{stats:?}");
    assert_eq!(stats.discarded(Discard::Refused), 0, "{stats:?}");
}

fn passed(peer: &'static str, role: &'static str, what: &'static str) {
    record::passed(record::Row {
        peer,
        role,
        cipher: "null",
        code: "none",
        what,
    });
}
