//! What a packet of the peer changes.

use super::{Flush, InFlight, Kcp, Queued};
use crate::reference::{Command, Header, OVERHEAD, diff};

/// How a packet came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the network.
    Regular,
    /// Rebuilt from parity: it is late, so neither its window nor its round trip counts.
    Fec,
}

/// Why [`Kcp::input`] stopped. Segments before the bad one keep their effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputError {
    /// Too short for a header, or of another conversation.
    Foreign = -1,
    /// Announces more data than there is.
    Truncated = -2,
    /// Not one of the four commands.
    UnknownCommand = -3,
}

impl Kcp {
    /// Takes in a packet and answers at once what should not wait for the next timed flush.
    pub fn input(
        &mut self,
        now: u32,
        packet: &[u8],
        origin: Origin,
        ack_no_delay: bool,
    ) -> Result<(), InputError> {
        if packet.len() < OVERHEAD {
            return Err(InputError::Foreign);
        }
        let una_before = self.snd_una;
        let mut flush_wanted = false;
        let mut last_ack_ts = None;
        let mut segments = 0;
        let mut rest = packet;
        while let Some((header, tail)) = Header::parse(rest) {
            if header.conv != self.conv {
                return Err(InputError::Foreign);
            }
            let (data, after) = tail
                .split_at_checked(header.len as usize)
                .ok_or(InputError::Truncated)?;
            let command = Command::from_wire(header.cmd).ok_or(InputError::UnknownCommand)?;
            rest = after;

            if origin == Origin::Regular {
                self.rmt_wnd = u32::from(header.wnd);
            }
            flush_wanted |= self.acknowledge_before(header.una);
            match command {
                Command::Push => self.accept_data(&header, data, origin),
                Command::Ack => {
                    self.acknowledge(header.sn);
                    flush_wanted |= self.count_later_ack(header.sn, header.ts);
                    last_ack_ts = Some(header.ts);
                }
                Command::WindowAsk => self.probe.tell = true,
                Command::WindowTell => {}
            }
            segments += 1;
        }
        self.counters.in_segs += segments;

        // One sample a packet, from its last acknowledgement.
        if let Some(ts) = last_ack_ts.filter(|_| origin == Origin::Regular) {
            let sample = diff(now, ts);
            if sample >= 0 {
                self.rtt
                    .update(sample, self.no_delay.interval, self.min_rto);
            }
        }
        if !self.no_delay.nc && diff(self.snd_una, una_before) > 0 {
            self.grow_cwnd();
        }
        if flush_wanted {
            self.flush(now, Flush::Full);
        } else if self.acklist.len() >= self.mtu / OVERHEAD
            || (ack_no_delay && !self.acklist.is_empty())
        {
            self.flush(now, Flush::AckOnly);
        }
        Ok(())
    }

    /// Forgets every segment before `una`; true if there was one.
    fn acknowledge_before(&mut self, una: u32) -> bool {
        let before = self.snd_buf.len();
        while self
            .snd_buf
            .front()
            .is_some_and(|segment| diff(una, segment.sn) > 0)
        {
            self.snd_buf.pop_front();
        }
        self.snd_una = self
            .snd_buf
            .front()
            .map_or(self.snd_nxt, |segment| segment.sn);
        self.snd_buf.len() < before
    }

    /// Marks one segment. It leaves only when `una` passes it.
    fn acknowledge(&mut self, sn: u32) {
        if !self.is_in_flight(sn) {
            return;
        }
        if let Some(segment) = self.snd_buf.iter_mut().find(|segment| segment.sn == sn) {
            segment.acked = true;
            segment.data = Vec::new();
        }
    }

    /// Counts an acknowledgement against every earlier segment that was not sent after the acknowledged one;
    /// true if that makes one of them due.
    fn count_later_ack(&mut self, sn: u32, ts: u32) -> bool {
        if !self.is_in_flight(sn) {
            return false;
        }
        let mut due = false;
        for segment in self
            .snd_buf
            .iter_mut()
            .take_while(|segment| diff(segment.sn, sn) < 0)
        {
            if diff(segment.ts, ts) <= 0 && segment.fastack != InFlight::RESENT {
                segment.fastack += 1;
                due |= segment.fastack >= self.no_delay.resend;
            }
        }
        due
    }

    /// Keeps a data segment if it lies in the window. Old ones are acknowledged again, ones beyond are not.
    fn accept_data(&mut self, header: &Header, data: &[u8], origin: Origin) {
        let mut wanted = false;
        if diff(header.sn, self.rcv_nxt.wrapping_add(self.rcv_wnd)) < 0 {
            self.acklist.push((header.sn, header.ts));
            wanted = diff(header.sn, self.rcv_nxt) >= 0 && !self.rcv_buf.contains_key(&header.sn);
        }
        if wanted {
            let frg = header.frg;
            let data = data.to_vec();
            self.rcv_buf.insert(header.sn, Queued { frg, data });
            self.move_in_order();
        } else if origin == Origin::Regular {
            self.counters.repeat_segs += 1;
        }
    }

    /// Slow start up to `ssthresh`, then about a segment a round trip. Unsigned 32 bits throughout.
    fn grow_cwnd(&mut self) {
        if self.cwnd >= self.rmt_wnd {
            return;
        }
        let mss = self.mss as u32;
        if self.cwnd < self.ssthresh {
            self.cwnd = self.cwnd.wrapping_add(1);
            self.incr = self.incr.wrapping_add(mss);
        } else {
            self.incr = self.incr.max(mss);
            let step = mss.wrapping_mul(mss) / self.incr + mss / 16;
            self.incr = self.incr.wrapping_add(step);
            if self.cwnd.wrapping_add(1).wrapping_mul(mss) <= self.incr {
                self.cwnd = self.incr.wrapping_add(mss - 1) / mss;
            }
        }
        if self.cwnd > self.rmt_wnd {
            self.cwnd = self.rmt_wnd;
            self.incr = self.rmt_wnd.wrapping_mul(mss);
        }
    }
}
