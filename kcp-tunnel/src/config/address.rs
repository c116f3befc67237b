//! Addresses as kcptun writes them: hosts with a port or a range of ports, and unix sockets.

use core::fmt;
use core::ops::RangeInclusive;
use std::path::PathBuf;

/// Where bytes come from or go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(HostPort),
    /// The path of a unix socket: anything that does not have the form of `host:port`.
    Unix(PathBuf),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets; empty for every local address.
    pub host: String,
    /// The port; 0 lets the system choose one to listen on.
    pub port: u16,
}

/// A host and a range of ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPorts {
    /// A name or an address, without brackets; empty for every local address.
    pub host: String,
    /// The ports, never none.
    pub ports: RangeInclusive<u16>,
}

/// What is wrong with an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// Nothing is there.
    #[error("the address is empty")]
    Empty,
    /// There is no colon with a port behind it.
    #[error("{0:?} has no port")]
    NoPort(String),
    /// What stands for a port is not one.
    #[error("{0:?} is not a port")]
    Port(String),
    /// The range of ports has its end before its start.
    #[error("the ports {min}-{max} are the wrong way round")]
    Reversed {
        /// First port.
        min: u16,
        /// Last port.
        max: u16,
    },
}

impl Endpoint {
    /// Reads `host:port`, or else a path.
    ///
    /// # Errors
    /// The text is empty, or has a port that is not a number.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        match split_host_port(text) {
            Some((host, port)) => {
                let port = port
                    .parse()
                    .map_err(|_| AddressError::Port(port.to_owned()))?;
                Ok(Self::Tcp(HostPort {
                    host: host.to_owned(),
                    port,
                }))
            }
            None => Ok(Self::Unix(text.into())),
        }
    }
}

impl HostPort {
    /// Whether only this machine can connect to it.
    pub fn is_loopback(&self) -> bool {
        let address = self.host.parse::<std::net::IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

impl HostPorts {
    /// Reads `host:port` or `host:min-max`, ports from 1 on. The host is all before the last colon.
    ///
    /// # Errors
    /// There is no port, or it is not from 1 to 65,535, or the range is empty.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let Some((host, ports)) = text.rsplit_once(':') else {
            return Err(AddressError::NoPort(text.to_owned()));
        };
        let (min, max) = ports.split_once('-').unwrap_or((ports, ports));
        let (min, max) = (port(min)?, port(max)?);
        if min > max {
            return Err(AddressError::Reversed { min, max });
        }
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        Ok(Self {
            host: bare.unwrap_or(host).to_owned(),
            ports: min..=max,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(HostPort { host, port }) if host.contains(':') => {
                write!(f, "[{host}]:{port}")
            }
            Self::Tcp(HostPort { host, port }) => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Display for HostPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:", self.host)?,
            false => write!(f, "{}:", self.host)?,
        }
        match (self.ports.start(), self.ports.end()) {
            (min, max) if min == max => write!(f, "{min}"),
            (min, max) => write!(f, "{min}-{max}"),
        }
    }
}

fn port(text: &str) -> Result<u16, AddressError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|&port| digits && port != 0);
    port.ok_or_else(|| AddressError::Port(text.to_owned()))
}

/// Splits at the colon before the port, by the rules of Go's `net.SplitHostPort`: a host with colons
/// must stand in brackets.
fn split_host_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("]:")?,
        None => text
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':'))?,
    };
    let brackets = |part: &str| part.contains(['[', ']']);
    (!brackets(host) && !brackets(port) && !port.contains(':')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp(HostPort {
            host: host.to_owned(),
            port,
        })
    }

    #[test]
    fn what_has_a_port_is_tcp_and_the_rest_a_unix_socket() {
        let parse = |text| Endpoint::parse(text).unwrap();
        assert_eq!(parse(":12948"), tcp("", 12_948));
        assert_eq!(parse("127.0.0.1:80"), tcp("127.0.0.1", 80));
        assert_eq!(parse("[::1]:80"), tcp("::1", 80));
        assert_eq!(parse("example.org:80"), tcp("example.org", 80));
        for path in [
            "/run/tunnel.sock",
            "tunnel.sock",
            "::1",
            "::1:80",
            "[::1]",
            "[::1]80",
            "a]:1",
        ] {
            assert_eq!(parse(path), Endpoint::Unix(path.into()), "{path}");
        }
    }

    #[test]
    fn a_port_that_is_none_is_named() {
        let parse = |text| Endpoint::parse(text).unwrap_err().to_string();
        assert_eq!(parse("host:http"), "\"http\" is not a port");
        assert_eq!(parse("host:65536"), "\"65536\" is not a port");
        assert_eq!(parse("host:"), "\"\" is not a port");
        assert_eq!(parse(""), "the address is empty");
    }

    #[test]
    fn ports_are_one_or_a_range() {
        let parse = |text| HostPorts::parse(text).unwrap();
        let ports = |host: &str, ports| HostPorts {
            host: host.to_owned(),
            ports,
        };
        assert_eq!(parse("vps:29900"), ports("vps", 29_900..=29_900));
        assert_eq!(parse("vps:3000-4000"), ports("vps", 3_000..=4_000));
        assert_eq!(parse(":1-65535"), ports("", 1..=65_535));
        assert_eq!(parse("[::1]:7-7"), ports("::1", 7..=7));
        assert_eq!(parse("::1:7"), ports("::1", 7..=7));
    }

    #[test]
    fn a_range_that_is_none_is_refused() {
        let parse = |text| HostPorts::parse(text).unwrap_err().to_string();
        assert_eq!(parse("vps"), "\"vps\" has no port");
        assert_eq!(parse("vps:0"), "\"0\" is not a port");
        assert_eq!(parse("vps:+1"), "\"+1\" is not a port");
        assert_eq!(parse("vps:1-70000"), "\"70000\" is not a port");
        assert_eq!(parse("vps:1-"), "\"\" is not a port");
        assert_eq!(parse("vps:2-1"), "the ports 2-1 are the wrong way round");
    }

    #[test]
    fn an_endpoint_is_shown_as_it_is_written() {
        for text in [":12948", "127.0.0.1:80", "[::1]:80", "/run/tunnel.sock"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
    }
}
