//! One remote address: the packet layout towards it and the error correction that all its sessions share.
//!
//! Toward a kcp-go peer there is one session per path. Our own peers may have several, told apart by their conversation
//! number; parity packets carry none, so groups belong to the path.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use super::Time;
use super::arq::segment::HEADER_LEN;
use super::batch::PacketBatch;
use super::fec::{Code, Decoder, Encoder};
use super::layout::{FEC_HEADER_LEN, Layout, MAX_DATAGRAM, PacketWriter};
use super::meters::PathMeters;
use crate::config::Config;

/// Inner packet types. Source: kcp-go `typeData`, `typeParity`, `typeOOB`.
const TYPE_OOB: u16 = 0xf3;

/// Number in the FEC header of out-of-band packets, which take none from the sequence.
const OOB_SEQUENCE: u32 = u32::MAX;

/// Packets are not on their way for longer.
pub(crate) const QUARANTINE: Duration = Duration::from_secs(3);

/// A remote address.
pub(crate) struct Path {
    pub(crate) addr: SocketAddr,
    layout: Layout,
    encoder: Option<Encoder>,
    /// Taken out while it hands rebuilt packets to the sessions.
    pub(crate) decoder: Option<Decoder>,
    /// Until then packets of an earlier conversation may arrive, and nothing is rebuilt.
    quarantined_until: Option<Time>,
    /// When one of its sessions last sent or was heard.
    touched_at: Time,
    /// Indices of the sessions with this address.
    pub(crate) sessions: Vec<u32>,
    /// Whether the peer may take parity with an odd number for something else; see [`Doubt`](super::doubt::Doubt).
    doubtful: bool,
    duplicates: u8,
    protect_control: bool,
    meters: Arc<PathMeters>,
}

impl Path {
    pub(crate) fn new(
        addr: SocketAddr,
        layout: Layout,
        code: Option<Arc<Code>>,
        config: &Config,
        first: u32,
    ) -> Self {
        let mut path = Self {
            addr,
            layout,
            decoder: code.clone().map(|code| Decoder::new(Some(code))),
            encoder: code.map(|code| Encoder::starting_at(code, first)),
            quarantined_until: None,
            touched_at: Time::ZERO,
            sessions: Vec::new(),
            doubtful: false,
            duplicates: config.duplicates,
            protect_control: config.protect_control,
            meters: Arc::default(),
        };
        path.set_doubtful(path.encoder.is_some());
        path
    }

    /// Whether parity with odd numbers is left out, because it might harm a peer without a code.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// The peer has a code of its own, or has heard enough of ours.
    pub(crate) fn trust(&mut self) {
        if self.doubtful {
            self.set_doubtful(false);
        }
    }

    /// Another conversation begins at this address. Unless the peer has a code, its decoder may be a new one.
    pub(crate) fn doubt(&mut self) {
        self.set_doubtful(self.encoder.is_some() && self.newest_heard().is_none());
    }

    fn set_doubtful(&mut self, doubtful: bool) {
        self.doubtful = doubtful;
        if let Some(encoder) = &mut self.encoder {
            encoder.set_even_only(doubtful);
        }
    }

    /// The number with which our next group of protected packets begins.
    pub(crate) fn next_group(&self) -> u32 {
        self.encoder.as_ref().map_or(0, Encoder::next_group)
    }

    /// A number near the highest one that the peer's protected packets had so far.
    pub(crate) fn newest_heard(&self) -> Option<u32> {
        self.decoder.as_ref().and_then(Decoder::newest)
    }

    /// The peer may number anew from now on, as kcp-go does in each conversation, while packets of an earlier one are
    /// still on their way. Parity does not tell whose it is, and what is rebuilt from packets of both may look right.
    pub(crate) fn quarantine(&mut self, now: Time) {
        self.quarantined_until = Some(now + QUARANTINE);
    }

    /// Whether what arrives may be used for repair.
    pub(crate) fn may_repair(&mut self, now: Time) -> bool {
        match self.quarantined_until {
            Some(until) if now < until => false,
            Some(_) => {
                self.quarantined_until = None;
                if let Some(decoder) = &mut self.decoder {
                    decoder.restart();
                }
                true
            }
            None => true,
        }
    }

    /// Builds a packet of segments that parity protects, with room for one of `longest` bytes in any case: it may have
    /// been cut when datagrams could be longer. Returns the bytes that leave because of it, parity included; zero if
    /// `fill` wrote nothing.
    pub(crate) fn send_protected(
        &mut self,
        now: Time,
        batch: &mut PacketBatch,
        longest: usize,
        fill: impl FnOnce(&mut PacketWriter<'_>),
    ) -> usize {
        let before = self.meters.wire_bytes_sent.get();
        let Layout {
            crypto_header, tag, ..
        } = self.layout;
        let headroom = self.layout.headroom();
        let payload = self.layout.payload().max(HEADER_LEN + longest);
        let slot = batch.open(headroom + payload + tag);
        let mut writer = PacketWriter::new(&mut slot[headroom..headroom + payload]);
        fill(&mut writer);
        let len = writer.len();
        if len == 0 {
            return 0;
        }
        let parity = match &mut self.encoder {
            Some(encoder) => encoder.fold(now, &mut slot[crypto_header..headroom + len]),
            None => 0,
        };
        self.commit(batch, headroom + len + tag);
        self.duplicate(batch, headroom + len + tag);
        for _ in 0..parity {
            // As long as the longest packet of the group.
            let slot = batch.open(MAX_DATAGRAM);
            let encoder = self.encoder.as_mut().expect("it announced the parity");
            let len = encoder.next_parity(&mut slot[crypto_header..MAX_DATAGRAM - tag]);
            let len = len.expect("as many are due as it announced");
            self.commit(batch, crypto_header + len + tag);
        }
        (self.meters.wire_bytes_sent.get() - before) as usize
    }

    /// Builds a packet of control segments. Unless old peers need it, it carries no FEC header, which kcp-go accepts
    /// beside packets that do: acknowledgements repeat themselves, and groups fill with data only.
    pub(crate) fn send_control(
        &mut self,
        now: Time,
        batch: &mut PacketBatch,
        fill: impl FnOnce(&mut PacketWriter<'_>),
    ) {
        if self.protect_control && self.encoder.is_some() {
            self.send_protected(now, batch, 0, fill);
            return;
        }
        let Layout {
            crypto_header,
            tag,
            mtu,
            ..
        } = self.layout;
        let slot = batch.open(mtu);
        let mut writer = PacketWriter::new(&mut slot[crypto_header..mtu - tag]);
        fill(&mut writer);
        let len = writer.len();
        if len > 0 {
            self.commit(batch, crypto_header + len + tag);
        }
    }

    /// Builds an out-of-band packet; `data` must be no longer than [`max_oob`](Self::max_oob).
    pub(crate) fn send_oob(&mut self, batch: &mut PacketBatch, conv: u32, data: &[u8]) {
        let Layout {
            crypto_header, tag, ..
        } = self.layout;
        let len = FEC_HEADER_LEN + 4 + data.len();
        let slot = &mut batch.open(crypto_header + len + tag)[crypto_header..];
        slot[0..4].copy_from_slice(&OOB_SEQUENCE.to_le_bytes());
        slot[4..6].copy_from_slice(&TYPE_OOB.to_le_bytes());
        slot[6..8].copy_from_slice(&((2 + 4 + data.len()) as u16).to_le_bytes());
        slot[8..12].copy_from_slice(&conv.to_le_bytes());
        slot[12..len].copy_from_slice(data);
        self.commit(batch, crypto_header + len + tag);
        self.duplicate(batch, crypto_header + len + tag);
    }

    /// Longest out-of-band message, in bytes; `None` without FEC, whose header it needs.
    pub(crate) fn max_oob(&self) -> Option<usize> {
        self.encoder
            .as_ref()
            .map(|_| self.layout.payload().saturating_sub(4))
    }

    /// Extra copies of data packets.
    pub(crate) fn set_duplicates(&mut self, duplicates: u8) {
        self.duplicates = duplicates;
    }

    /// Sends at most this many of a group's parity packets.
    pub(crate) fn set_parity_limit(&mut self, limit: usize) {
        if let Some(encoder) = &mut self.encoder {
            encoder.set_parity_limit(limit);
        }
    }

    /// Changes the longest datagram.
    pub(crate) fn set_layout(&mut self, layout: Layout) {
        self.layout = layout;
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    /// What was sent to this address, and what error correction did as of [`measure`](Self::measure).
    pub(crate) fn meters(&self) -> &Arc<PathMeters> {
        &self.meters
    }

    /// Tells what error correction did.
    pub(crate) fn measure(&self) {
        if let Some(decoder) = &self.decoder {
            let fec = decoder.counters();
            self.meters.fec_full_groups.set(fec.complete);
            self.meters.fec_parity_received.set(fec.parity);
            self.meters.fec_recovered.set(fec.recovered);
            self.meters.fec_errors.set(fec.errors);
            self.meters.fec_short_packets.set(fec.short);
            self.meters.fec_groups.set(fec.groups);
            self.meters.fec_newest_group.set(fec.newest);
        }
    }

    /// One of its sessions sent or was heard.
    pub(crate) fn touch(&mut self, now: Time) {
        self.touched_at = now;
    }

    /// Gives back memory that an idle path does not need. It is idle once all its sessions were for `idle`.
    pub(crate) fn shrink(&mut self, now: Time, idle: Duration) {
        if now.since(self.touched_at) < idle {
            return;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.shrink();
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.shrink();
        }
        self.measure();
    }

    fn commit(&mut self, batch: &mut PacketBatch, len: usize) {
        batch.commit(self.addr, len);
        self.count(len);
    }

    fn count(&self, len: usize) {
        self.meters.packets_sent.add(1);
        self.meters.wire_bytes_sent.add(len as u64);
    }

    fn duplicate(&mut self, batch: &mut PacketBatch, len: usize) {
        for _ in 0..self.duplicates {
            batch.repeat_last(self.addr);
            self.count(len);
        }
    }
}

impl fmt::Debug for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Path")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}
