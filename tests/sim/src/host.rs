//! What sits at an address: a hub of ours, or a model of a kcp-go peer.

use std::net::SocketAddr;

use interop::reference::{self, FecKind};
use kcp_transport::proto::{Hub, PacketBatch, Time};

/// Packets in one run, as a kernel with segmentation offload takes them.
const MAX_RUN: usize = 64;

/// Bytes of the header in front of a packet that parity protects.
const FEC_HEADER: usize = 8;

pub(crate) struct Host {
    pub(crate) addr: SocketAddr,
    pub(crate) machine: Machine,
}

pub(crate) enum Machine {
    Hub(Box<Hub>, PacketBatch),
    Model(Box<Model>),
}

/// A kcp-go program with one session, which it dials or accepts.
pub(crate) struct Model {
    config: reference::Config,
    session: Option<reference::Session>,
    peer: Option<SocketAddr>,
}

impl Machine {
    pub(crate) fn hub(hub: Hub) -> Self {
        Self::Hub(Box::new(hub), PacketBatch::new(MAX_RUN))
    }

    pub(crate) fn model(config: reference::Config) -> Self {
        Self::Model(Box::new(Model {
            config,
            session: None,
            peer: None,
        }))
    }
}

impl Machine {
    /// Takes a datagram. Returns whether a model accepted its session with it.
    pub(crate) fn handle_datagram(
        &mut self,
        now: Time,
        from: SocketAddr,
        datagram: &mut [u8],
    ) -> bool {
        match self {
            Self::Hub(hub, _) => {
                let len = datagram.len();
                hub.handle_datagrams(now, from, datagram, len);
                false
            }
            Self::Model(model) => model.handle_datagram(now, from, datagram),
        }
    }

    /// Hands out every datagram that leaves now.
    pub(crate) fn transmit(&mut self, now: Time, mut send: impl FnMut(SocketAddr, &[u8])) {
        match self {
            Self::Hub(hub, batch) => loop {
                batch.clear();
                hub.poll_transmit(now, batch);
                if batch.is_empty() {
                    break;
                }
                for transmit in batch.transmits() {
                    for datagram in transmit.contents.chunks(transmit.segment_size) {
                        send(transmit.destination, datagram);
                    }
                }
            },
            Self::Model(model) => {
                if let (Some(peer), Some(session)) = (model.peer, &mut model.session) {
                    while let Some(datagram) = session.poll_transmit() {
                        send(peer, &datagram);
                    }
                }
            }
        }
    }
}

impl Model {
    /// Dials `peer`; the session begins with all its settings.
    pub(crate) fn dial(&mut self, now: Time, peer: SocketAddr, conv: u32) {
        self.peer = Some(peer);
        let config = reference::Config {
            conv,
            ..self.config
        };
        self.session = Some(reference::Session::new(now.as_millis(), config));
    }

    /// Takes a datagram. The first one makes a listener's session; the program then changes its settings, as one that
    /// was handed an accepted session does. Returns whether that happened.
    fn handle_datagram(&mut self, now: Time, from: SocketAddr, datagram: &[u8]) -> bool {
        let now = now.as_millis();
        if let Some(session) = &mut self.session {
            if self.peer == Some(from) {
                session.handle_packet(now, datagram);
            }
            return false;
        }
        let Some(conv) = conversation(datagram) else {
            return false;
        };
        let untouched = reference::Config {
            conv,
            fec: self.config.fec,
            ..reference::Config::default()
        };
        let mut session = reference::Session::new(now, untouched);
        session.handle_packet(now, datagram);
        session.configure(self.config);
        self.session = Some(session);
        self.peer = Some(from);
        true
    }

    pub(crate) fn session(&self) -> Option<&reference::Session> {
        self.session.as_ref()
    }

    pub(crate) fn session_mut(&mut self) -> Option<&mut reference::Session> {
        self.session.as_mut()
    }
}

/// The conversation that a datagram begins, as a kcp-go listener sees it.
fn conversation(datagram: &[u8]) -> Option<u32> {
    let at = match FecKind::of(datagram) {
        Some(FecKind::Data | FecKind::Oob) => FEC_HEADER,
        Some(FecKind::Parity) => return None,
        None => 0,
    };
    let bytes = datagram.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_le_bytes(bytes))
}
