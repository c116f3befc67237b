//! What happens to received datagrams: opened, told apart, routed to a session or refused, and used for repair.

use core::net::SocketAddr;
use core::ops::Range;

use slab::Slab;

use super::{Entry, Hub};
use crate::error::SessionError;
use crate::proto::Time;
use crate::proto::arq::receiver::Origin;
use crate::proto::crypto::OpenError;
use crate::proto::fec::Decoder;
use crate::proto::layout::MAX_DATAGRAM;
use crate::proto::packet::{self, Inner, Packet};
use crate::stats::Discard;

/// A datagram that was opened.
#[derive(Debug)]
pub(super) struct Arrival {
    /// Where its packet lies among the datagrams at hand.
    range: Range<usize>,
    /// The session that it seems to be for.
    receiver: Option<u32>,
}

impl Hub {
    /// Takes datagrams from `peer` that lie back to back, each `stride` bytes long but for the last. They are
    /// decrypted in place.
    pub fn handle_datagrams(
        &mut self,
        now: Time,
        peer: SocketAddr,
        datagrams: &mut [u8],
        stride: usize,
    ) {
        let stride = stride.max(1);
        let mut packets = core::mem::take(&mut self.packets);
        for (number, datagram) in datagrams.chunks_mut(stride).enumerate() {
            self.stats.datagrams_received += 1;
            match self.open(datagram) {
                Ok(Range { start, end }) => {
                    let offset = number * stride;
                    packets.push(Arrival {
                        range: offset + start..offset + end,
                        receiver: None,
                    });
                }
                Err(reason) => self.stats.discard(reason),
            }
        }
        if packets.len() > 1 {
            self.fetch_receivers(peer, datagrams, &mut packets);
        }
        for Arrival { range, receiver } in packets.drain(..) {
            if let Err(reason) = self.handle_packet(now, peer, &datagrams[range], receiver) {
                self.stats.discard(reason);
            }
        }
        self.packets = packets;
        while let Some(index) = self.touched.pop() {
            if let Some(entry) = self.sessions.get_mut(index as usize) {
                entry.touched = false;
                self.file(now, index);
            }
        }
    }

    /// Decrypts a datagram; returns where in it the packet lies.
    fn open(&self, datagram: &mut [u8]) -> Result<Range<usize>, Discard> {
        // No peer sends longer ones, and segments of such a length would take more memory than the window grants.
        if datagram.len() > MAX_DATAGRAM {
            return Err(Discard::TooLong);
        }
        self.config
            .cipher
            .open(datagram)
            .map_err(|error| match error {
                OpenError::TooShort => Discard::TooShort,
                OpenError::BadChecksum | OpenError::BadTag => Discard::BadChecksum,
            })
    }

    /// Finds who gets the packets, and [looks at them](crate::proto::session::Session::fetch).
    fn fetch_receivers(&mut self, peer: SocketAddr, datagrams: &[u8], packets: &mut [Arrival]) {
        let Some(&path) = self.by_addr.get(&peer) else {
            return;
        };
        let mut receivers = core::mem::take(&mut self.due);
        for Arrival { range, receiver } in packets {
            let packet = Packet::read(&datagrams[range.clone()]);
            let conv = packet.and_then(|packet| packet.conv());
            *receiver = conv.and_then(|conv| self.find_on(path, conv));
            receivers.extend(receiver.filter(|index| receivers.last() != Some(index)));
        }
        self.fetch_sessions(&receivers);
        receivers.clear();
        self.due = receivers;
    }

    /// `receiver`: who got it when it was opened; packets before it may have changed that.
    fn handle_packet(
        &mut self,
        now: Time,
        peer: SocketAddr,
        packet: &[u8],
        receiver: Option<u32>,
    ) -> Result<(), Discard> {
        let packet = Packet::read(packet).ok_or(Discard::TooShort)?;
        match packet.inner {
            Inner::Segments(segments) => {
                let index = self.route(now, peer, &packet, receiver)?;
                self.deliver(now, index, segments)
            }
            Inner::Protected(segments) => {
                let index = self.route(now, peer, &packet, receiver)?;
                let delivered = self.deliver(now, index, segments);
                let path = self.sessions[index as usize].path;
                self.repair(now, path, packet.bytes);
                delivered
            }
            Inner::Parity => {
                let path = *self.by_addr.get(&peer).ok_or(Discard::Stranger)?;
                self.repair(now, path, packet.bytes);
                Ok(())
            }
            Inner::OutOfBand(data) => {
                let index = self.route(now, peer, &packet, receiver)?;
                self.touch(index);
                self.sessions[index as usize].session.handle_oob(now, data);
                Ok(())
            }
        }
    }

    fn deliver(&mut self, now: Time, index: u32, segments: &[u8]) -> Result<(), Discard> {
        self.touch(index);
        let entry = &mut self.sessions[index as usize];
        self.paths[entry.path as usize].touch(now);
        entry
            .session
            .handle_packet(now, segments, Origin::Wire, &mut self.pool)
            .map_err(|_| Discard::Malformed)
    }

    /// Gives a packet to the path's decoder, and what it rebuilds to the sessions. Data packets were delivered before:
    /// the code's state never decides whether they count.
    fn repair(&mut self, now: Time, path: u32, protected: &[u8]) {
        let known = &mut self.paths[path as usize];
        known.trust();
        if !known.may_repair(now) {
            return;
        }
        let mut decoder = known.decoder.take().unwrap_or_else(|| Decoder::new(None));
        let (sessions, by_conv) = (&mut self.sessions, &self.by_conv);
        let taker = |sessions: &Slab<Entry>, rebuilt: &[u8]| {
            let index = *by_conv.get(&(path, packet::first_conv(rebuilt)?))?;
            sessions[index as usize]
                .session
                .would_accept(rebuilt)
                .then_some(index)
        };
        let repairs = decoder.accept(protected, |rebuilt| taker(sessions, rebuilt).is_some());
        for repaired in repairs {
            // An earlier one of the same group may have made this one implausible.
            let Some(index) = taker(sessions, repaired.packet) else {
                continue;
            };
            let entry = &mut sessions[index as usize];
            if !entry.touched {
                entry.touched = true;
                self.touched.push(index);
            }
            // Plausible packets are well-formed.
            let _ =
                entry
                    .session
                    .handle_packet(now, repaired.packet, Origin::Rebuilt, &mut self.pool);
        }
        let known = &mut self.paths[path as usize];
        known.decoder = Some(decoder);
        known.measure();
    }

    /// Finds the session that a packet belongs to, or opens one for it.
    fn route(
        &mut self,
        now: Time,
        peer: SocketAddr,
        packet: &Packet<'_>,
        receiver: Option<u32>,
    ) -> Result<u32, Discard> {
        let conv = packet.conv().ok_or(Discard::Malformed)?;
        let still = receiver.filter(|&index| self.is(index, peer, conv));
        if let Some(index) = still.or_else(|| self.find(peer, conv)) {
            return Ok(index);
        }
        if self
            .tombstones
            .get(&(peer, conv))
            .is_some_and(|&until| until > now)
        {
            return Err(Discard::Closed);
        }
        let window = self.config.receive_window.into();
        if !self.accepting || !packet.may_open_session(window) {
            return Err(Discard::Stranger);
        }
        if self.backlog >= self.config.accept_backlog {
            return Err(Discard::Refused);
        }
        if self.config.replace_on_new_conv && packet.begins_conversation() {
            self.end_path(now, peer);
        }
        let ip_sessions = self.per_ip.get(&peer.ip()).copied().unwrap_or_default() as usize;
        if self.sessions.len() >= self.config.max_sessions
            || ip_sessions >= self.config.max_sessions_per_ip
        {
            return Err(Discard::Refused);
        }
        self.stats.passive_opens += 1;
        self.backlog += 1;
        let number = packet.number();
        let index = self.insert(now, peer, conv, |path, _| {
            let newest = path.newest_heard().unwrap_or_default();
            number.is_some_and(|number| number.wrapping_sub(newest).cast_signed() > 0)
        });
        let entry = &mut self.sessions[index as usize];
        entry.accepted = true;
        entry.session.notices_mut().accepted = true;
        Ok(index)
    }

    fn end_path(&mut self, now: Time, peer: SocketAddr) {
        if let Some(&path) = self.by_addr.get(&peer) {
            for index in self.paths[path as usize].sessions.clone() {
                self.end(now, index, SessionError::Replaced);
            }
        }
    }

    fn touch(&mut self, index: u32) {
        let entry = &mut self.sessions[index as usize];
        if !entry.touched {
            entry.touched = true;
            self.touched.push(index);
        }
    }
}
