//! What a run consists of: the presets, and what the command line takes from them.

use crate::lab::LINK_BANDWIDTH;
use crate::model::Link;
use crate::names::Transport;
use crate::settings::{Settings, Times};
use crate::work::Work;

/// A choice of works, links and transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Preset {
    /// A look at everything in some minutes.
    Quick,
    /// All works on the loopback interface.
    Loopback,
    /// Bulk and calls over an emulated link, by loss.
    Lossy,
    /// The two together.
    Full,
    /// What the gate needs.
    Gate,
}

/// One work on one link over several transports, which take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    pub(crate) work: Work,
    pub(crate) link: Link,
    pub(crate) transports: Vec<Transport>,
}

impl Preset {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Quick => "quick",
            Self::Loopback => "loopback",
            Self::Lossy => "lossy",
            Self::Full => "full",
            Self::Gate => "gate",
        }
    }

    /// How long each sample is measured, unless the command line says.
    pub(crate) fn seconds(self, link: Link) -> f64 {
        let emulated = link.loss().is_some();
        match self {
            Self::Quick => 2.0,
            Self::Loopback | Self::Lossy | Self::Full | Self::Gate if emulated => 10.0,
            Self::Loopback | Self::Lossy | Self::Full | Self::Gate => 3.0,
        }
    }

    /// How often each transport has its turn, unless the command line says.
    pub(crate) fn rounds(self) -> u32 {
        match self {
            Self::Quick => 2,
            Self::Loopback | Self::Lossy | Self::Full | Self::Gate => 3,
        }
    }

    /// What it runs.
    pub(crate) fn cases(self, tun: bool, losses: &[u8]) -> Vec<Case> {
        match self {
            Self::Quick => quick(tun, losses),
            Self::Loopback => loopback(),
            Self::Lossy => lossy(tun, losses),
            Self::Full => [loopback(), lossy(tun, losses)].concat(),
            Self::Gate => gate(tun, losses),
        }
    }
}

fn case(work: &str, link: Link, transports: &[&str]) -> Case {
    let parse = |name: &&str| name.parse().expect("a name of this program");
    Case {
        work: work.parse().expect("a work of this program"),
        link,
        transports: transports.iter().map(parse).collect(),
    }
}

fn quick(tun: bool, losses: &[u8]) -> Vec<Case> {
    let bulk = [
        "kcp-aes-fec",
        "kcpgo-aes-fec",
        "kcp-gcm",
        "quinn-cubic",
        "tcp-cubic",
    ];
    let mut cases = vec![
        case("bulk", Link::Loopback, &bulk),
        case("bulk", Link::OneCore, &["kcp-gcm", "quinn-cubic"]),
        case("echo:64K", Link::Loopback, &ECHO),
        case("callers:128", Link::Loopback, &RPC),
        case(
            "active:1000",
            Link::Loopback,
            &["kcp-aes-fec", "kcpgo-aes-fec"],
        ),
    ];
    let lossy = ["kcp-gcm-fec", "kcpgo-gcm-fec", "quinn-bbr", "tcp-bbr"];
    let loss = losses.iter().copied().find(|&loss| loss >= 5).unwrap_or(5);
    let link = Link::Emulated { loss, tun };
    cases.extend(["bulk", "unary"].map(|work| case(work, link, &lossy)));
    cases
}

fn loopback() -> Vec<Case> {
    let on = |work: &str, transports: &[&str]| case(work, Link::Loopback, transports);
    let mut cases = vec![
        on("bulk", &BULK),
        case("bulk", Link::OneCore, &BULK),
        on("bulk", &RPC),
    ];
    cases.extend(["echo:4K", "echo:64K", "echo:1M"].map(|work| on(work, &ECHO)));
    for work in ["unary", "unary:16K", "load:1000", "mixed:100", "connect"] {
        cases.push(on(work, &CALLS));
    }
    cases.push(on("callers:128", &RPC));
    for count in ["1000", "5000", "10000"] {
        for kind in ["idle", "active"] {
            cases.push(on(&format!("{kind}:{count}"), &SESSIONS));
        }
    }
    cases
}

fn lossy(tun: bool, losses: &[u8]) -> Vec<Case> {
    let mut cases = Vec::new();
    for work in [
        "bulk",
        "unary",
        "unary:16K",
        "load:1000",
        "mixed:100",
        "connect",
    ] {
        for &loss in losses {
            cases.push(case(work, Link::Emulated { loss, tun }, &LOSSY));
        }
    }
    cases
}

fn gate(tun: bool, losses: &[u8]) -> Vec<Case> {
    let bulk = ["kcp-aes-fec", "kcpgo-aes-fec", "kcp-gcm", "quinn-cubic"];
    let echo = ["kcp-aes-fec", "kcpgo-aes-fec"];
    let rpc = [
        "grpc-kcp-gcm",
        "grpc-kcpdirect-gcm",
        "grpc-tcp-cubic",
        "grpc-h3",
    ];
    let mut cases = vec![
        case("bulk", Link::Loopback, &bulk),
        case("bulk", Link::OneCore, &["kcp-gcm", "quinn-cubic"]),
    ];
    for work in ["echo:4K", "echo:64K", "echo:1M"] {
        cases.push(case(work, Link::Loopback, &echo));
    }
    cases.push(case("callers:128", Link::Loopback, &rpc));
    cases.push(case("active:10000", Link::Loopback, &echo));
    cases.push(case("message:10000", Link::Loopback, &echo));
    for &loss in losses.iter().filter(|&&loss| loss > 0) {
        let link = Link::Emulated { loss, tun };
        let pairs = ["kcp-gcm", "kcpgo-gcm", "kcp-gcm-fec", "kcpgo-gcm-fec"];
        for work in ["bulk", "unary", "unary:16K", "load:1000"] {
            cases.push(case(work, link, &pairs));
        }
    }
    cases
}

/// What the ends are told on a link.
pub(crate) fn settings(link: Link, transport: Transport, threads: u16) -> Settings {
    match link {
        Link::Loopback | Link::OneCore => Settings {
            // With larger windows tokio_kcp overruns its socket's buffer and collapses.
            window: if transport == Transport::TokioKcp {
                256
            } else {
                1_024
            },
            bandwidth: 0,
            ack_no_delay: false,
            threads,
        },
        Link::Emulated { .. } => Settings {
            // Four times what the path holds: a window of once that stands still while a loss is being repaired.
            window: 4_096,
            bandwidth: LINK_BANDWIDTH,
            ack_no_delay: true,
            threads,
        },
    }
}

/// How long the parts of a sample take on a link.
pub(crate) fn times(link: Link, seconds: f64) -> Times {
    Times {
        seconds,
        // Long enough for a sender that has to find its rate first.
        warmup: if link.loss().is_some() { 2.0 } else { 0.5 },
        drain: 10.0,
        pause: 30,
    }
}

const BULK: [&str; 11] = [
    "kcp-null",
    "kcpgo-null",
    "tokio-kcp",
    "kcp-aes-fec",
    "kcpgo-aes-fec",
    "kcp-gcm",
    "kcpgo-gcm",
    "kcp-gcm-fec",
    "kcpgo-gcm-fec",
    "quinn-cubic",
    "tcp-cubic",
];

const ECHO: [&str; 6] = [
    "kcp-aes-fec",
    "kcpgo-aes-fec",
    "kcp-gcm",
    "quinn-cubic",
    "tokio-kcp",
    "tcp-cubic",
];

const RPC: [&str; 6] = [
    "grpc-kcp-null",
    "grpc-kcp-gcm",
    "grpc-kcpdirect-gcm",
    "grpc-kcpmux-gcm",
    "grpc-tcp-cubic",
    "grpc-h3",
];

const CALLS: [&str; 10] = [
    "kcp-gcm",
    "kcpgo-gcm",
    "tokio-kcp",
    "quinn-cubic",
    "tcp-cubic",
    "grpc-kcp-gcm",
    "grpc-kcpdirect-gcm",
    "grpc-kcpmux-gcm",
    "grpc-tcp-cubic",
    "grpc-h3",
];

const SESSIONS: [&str; 5] = [
    "kcp-null",
    "kcpgo-null",
    "kcp-aes-fec",
    "kcpgo-aes-fec",
    "quinn-cubic",
];

const LOSSY: [&str; 15] = [
    "kcp-gcm",
    "kcpgo-gcm",
    "kcp-gcm-fec",
    "kcpgo-gcm-fec",
    "tokio-kcp",
    "quinn-cubic",
    "quinn-bbr",
    "tcp-cubic",
    "tcp-bbr",
    "grpc-kcp-gcm-fec",
    "grpc-kcpdirect-gcm-fec",
    "grpc-kcpmux-gcm-fec",
    "grpc-tcp-cubic",
    "grpc-tcp-bbr",
    "grpc-h3",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_made_of_names_that_exist() {
        for preset in [Preset::Quick, Preset::Full, Preset::Gate] {
            let cases = preset.cases(true, &[0, 1, 5, 10, 20]);
            assert!(!cases.is_empty());
            assert!(cases.iter().all(|case| !case.transports.is_empty()));
        }
    }

    #[test]
    fn full_is_loopback_and_lossy() {
        let losses = [0, 5];
        let count = |preset: Preset| preset.cases(false, &losses).len();
        let parts = count(Preset::Loopback) + count(Preset::Lossy);
        assert_eq!(count(Preset::Full), parts);
        assert_eq!(count(Preset::Lossy), 6 * losses.len());
    }
}
