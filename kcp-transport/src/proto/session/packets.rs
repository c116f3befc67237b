//! What a session puts into packets: data first, and acknowledgements and window messages with it where there is room.

use super::Session;
use crate::proto::Time;
use crate::proto::arq::segment::{Command, HEADER_LEN, Header};
use crate::proto::arq::sender::Envelope;
use crate::proto::arq::seq::TransmissionId;
use crate::proto::batch::PacketBatch;
use crate::proto::layout::PacketWriter;
use crate::proto::path::Path;

impl Session {
    /// Whether a packet should leave now.
    pub(crate) fn wants_transmit(&mut self, now: Time) -> bool {
        self.wants_control(now) || !self.oob_out.is_empty() || self.sender.wants_transmit(now)
    }

    /// Builds packets until nothing more may leave or the batch is full.
    pub(crate) fn transmit(&mut self, now: Time, path: &mut Path, batch: &mut PacketBatch) {
        if path.is_doubtful() && self.doubt.is_over(self.sender.una()) {
            path.trust();
        }
        while !batch.is_full() {
            if let Some(data) = self.oob_out.pop_front() {
                path.send_oob(batch, self.conv, &data);
            } else if self.sender.wants_transmit(now) {
                let envelope = self.envelope();
                let longest = self.sender.next_len(now);
                let sent = path.send_protected(now, batch, longest, |packet| {
                    self.sender.fill(now, envelope, packet, &self.meters);
                    if packet.len() > 0 && !self.sender.wants_transmit(now) {
                        self.write_control(envelope, packet);
                    }
                });
                self.sender.spend(sent);
                if sent == 0 {
                    break;
                }
                if path.is_doubtful() {
                    self.doubt.handle_sent(self.sender.next());
                }
            } else if self.wants_control(now) {
                let envelope = self.envelope();
                path.send_control(now, batch, |packet| self.write_control(envelope, packet));
            } else {
                break;
            }
            self.touch(now);
            path.touch(now);
        }
        self.sender.end_burst(now);
        self.update_writable();
    }

    fn wants_control(&self, now: Time) -> bool {
        self.ask_window
            || self.tell_window
            || !self.owed.is_empty()
            || self.ack_at.is_some_and(|at| at <= now)
    }

    fn envelope(&mut self) -> Envelope {
        let window = self.receiver.free_window();
        self.told_window = window;
        Envelope {
            conv: self.conv,
            window,
            una: self.receiver.next(),
        }
    }

    /// Writes acknowledgements and window messages as far as there is room.
    fn write_control(&mut self, envelope: Envelope, packet: &mut PacketWriter<'_>) {
        let header = |command, sn, transmission| Header {
            conv: envelope.conv,
            command,
            fragments_after: 0,
            window: envelope.window,
            transmission,
            sn,
            una: envelope.una,
            len: 0,
        };
        if self.receiver.has_acks() && packet.room() >= HEADER_LEN {
            self.receiver.take_acks(&mut self.owed);
            self.ack_at = None;
            // `una` has moved but there is nothing to acknowledge: any segment carries it.
            self.tell_window |= self.owed.is_empty();
        } else if !self.receiver.has_acks() {
            self.ack_at = None;
        }
        let windows = [
            (&mut self.ask_window, Command::WindowAsk),
            (&mut self.tell_window, Command::WindowTell),
        ];
        for (wanted, command) in windows {
            if *wanted && packet.room() >= HEADER_LEN {
                *wanted = false;
                // Receivers ignore the number. But a late packet with number 0 has a kcp-go listener close whatever
                // conversation has taken this one's place, so only one that has heard nothing yet has it.
                packet.put(&header(command, envelope.una, TransmissionId(0)));
                self.meters.segments_sent.add(1);
            }
        }
        let fitting = self.owed.len().min(packet.room() / HEADER_LEN);
        for ack in self.owed.drain(..fitting) {
            packet.put(&header(Command::Ack, ack.sn, ack.transmission));
        }
        self.meters.segments_sent.add(fitting as u64);
    }
}
