//! The transports by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What carries the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) enum Transport {
    /// Ours.
    Kcp(Profile),
    /// kcp-go 5.6.72 with the same settings; both ends are its Go program.
    KcpGo(Profile),
    /// The crate `tokio_kcp`, which neither encrypts nor corrects errors.
    TokioKcp,
    /// QUIC by the crate `quinn`.
    Quinn(Congestion),
    /// The kernel's TCP, without TLS.
    Tcp(Congestion),
    /// tonic over one of these.
    Grpc(Carrier),
}

/// What tonic runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Carrier {
    /// The kernel's TCP, without TLS.
    Tcp(Congestion),
    /// A session of ours.
    Kcp(Profile),
    /// The same by `DirectChannel` and `serve_direct`, without the layers of tonic's transport.
    KcpDirect(Profile),
    /// A stream of a multiplexed session of ours.
    KcpMux(Profile),
    /// HTTP/3 by the crates `tonic-h3` and `quinn`.
    H3,
}

/// Encryption and error correction of a KCP session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Profile {
    /// Neither.
    Null,
    /// AES-128 in CFB mode with FEC 10/3.
    AesFec,
    /// AES-128-GCM.
    Gcm,
    /// AES-128-GCM with FEC 10/3.
    GcmFec,
}

impl Profile {
    pub(crate) const ALL: [Self; 4] = [Self::Null, Self::AesFec, Self::Gcm, Self::GcmFec];

    /// Its cipher, as kcptun spells it.
    pub(crate) fn cipher(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::AesFec => "aes-128",
            Self::Gcm | Self::GcmFec => "aes-128-gcm",
        }
    }

    /// Data and parity packets of a group.
    pub(crate) fn fec(self) -> Option<(usize, usize)> {
        match self {
            Self::AesFec | Self::GcmFec => Some((10, 3)),
            Self::Null | Self::Gcm => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::AesFec => "aes-fec",
            Self::Gcm => "gcm",
            Self::GcmFec => "gcm-fec",
        }
    }
}

/// How a sender finds its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Congestion {
    /// Loss halves it, nearly.
    Cubic,
    /// What was delivered decides.
    Bbr,
}

impl Congestion {
    const ALL: [Self; 2] = [Self::Cubic, Self::Bbr];

    /// As the kernel spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
        }
    }
}

impl Transport {
    /// Every transport there is, ours first.
    pub(crate) fn all() -> Vec<Self> {
        let profiles = |of: fn(Profile) -> Self| Profile::ALL.into_iter().map(of);
        let congestion = |of: fn(Congestion) -> Self| Congestion::ALL.into_iter().map(of);
        let mut all: Vec<_> = profiles(Self::Kcp).chain(profiles(Self::KcpGo)).collect();
        all.push(Self::TokioKcp);
        all.extend(congestion(Self::Quinn).chain(congestion(Self::Tcp)));
        all.extend(profiles(|profile| Self::Grpc(Carrier::Kcp(profile))));
        all.extend(profiles(|profile| Self::Grpc(Carrier::KcpDirect(profile))));
        all.extend(profiles(|profile| Self::Grpc(Carrier::KcpMux(profile))));
        all.extend(congestion(|congestion| {
            Self::Grpc(Carrier::Tcp(congestion))
        }));
        all.push(Self::Grpc(Carrier::H3));
        all
    }

    /// Whether the kernel's TCP carries it: a relay of datagrams cannot.
    pub(crate) fn is_tcp(self) -> bool {
        matches!(self, Self::Tcp(_) | Self::Grpc(Carrier::Tcp(_)))
    }

    /// Whether it needs the Go program.
    pub(crate) fn is_go(self) -> bool {
        matches!(self, Self::KcpGo(_))
    }

    /// Whether its name is `word`, or begins with it and a dash.
    pub(crate) fn matches(self, word: &str) -> bool {
        let name = self.to_string();
        name.strip_prefix(word)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Kcp(profile) => format!("kcp-{}", profile.name()),
            Self::KcpGo(profile) => format!("kcpgo-{}", profile.name()),
            Self::TokioKcp => "tokio-kcp".to_owned(),
            Self::Quinn(congestion) => format!("quinn-{}", congestion.name()),
            Self::Tcp(congestion) => format!("tcp-{}", congestion.name()),
            Self::Grpc(Carrier::Tcp(congestion)) => format!("grpc-tcp-{}", congestion.name()),
            Self::Grpc(Carrier::Kcp(profile)) => format!("grpc-kcp-{}", profile.name()),
            Self::Grpc(Carrier::KcpDirect(profile)) => {
                format!("grpc-kcpdirect-{}", profile.name())
            }
            Self::Grpc(Carrier::KcpMux(profile)) => format!("grpc-kcpmux-{}", profile.name()),
            Self::Grpc(Carrier::H3) => "grpc-h3".to_owned(),
        };
        f.pad(&name)
    }
}

impl FromStr for Transport {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::all()
            .into_iter()
            .find(|transport| transport.to_string() == name)
            .ok_or_else(|| format!("no transport `{name}`; `bench list` shows all"))
    }
}

impl TryFrom<String> for Transport {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        name.parse()
    }
}

impl From<Transport> for String {
    fn from(transport: Transport) -> Self {
        transport.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        let all = Transport::all();
        for &transport in &all {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        assert_eq!(all.len(), 28);
        assert!("kcp".parse::<Transport>().is_err());
    }

    #[test]
    fn a_beginning_selects_a_family() {
        let count = |word: &str| {
            let all = Transport::all().into_iter();
            all.filter(|transport| transport.matches(word)).count()
        };
        assert_eq!(count("kcp"), 4);
        assert_eq!(count("kcp-gcm"), 2);
        assert_eq!(count("kcpgo"), 4);
        assert_eq!(count("grpc"), 15);
        assert_eq!(count("quinn-bbr"), 1);
        assert_eq!(count("quin"), 0);
    }
}
