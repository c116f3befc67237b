//! What is written, and when: acknowledgements, window probes, new data, resends.

use super::{InFlight, Kcp};
use crate::reference::{Command, Header, OVERHEAD, diff};

/// First wait before asking a peer whose window is closed, in milliseconds. Source: kcp-go `IKCP_PROBE_INIT`.
const PROBE_INIT: u32 = 500;
/// Longest wait between such questions, in milliseconds. Source: ikcp.c `IKCP_PROBE_LIMIT`.
const PROBE_LIMIT: u32 = 120_000;
/// Transmissions of one segment before the path counts as dead. Source: ikcp.c `IKCP_DEADLINK`.
const DEADLINK: u32 = 20;
/// Source: ikcp.c `IKCP_THRESH_MIN`.
const SSTHRESH_MIN: u32 = 2;

/// How much a flush does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Everything.
    Full,
    /// All but sending data. New segments get their number all the same, and wait for the next full flush.
    AckOnly,
}

/// Joins segments to packets of limited size.
struct Packer {
    limit: usize,
    buffer: Vec<u8>,
    packets: Vec<Vec<u8>>,
    segments: u64,
}

impl Packer {
    const fn new(limit: usize) -> Self {
        Self {
            limit,
            buffer: Vec::new(),
            packets: Vec::new(),
            segments: 0,
        }
    }

    /// Ends the packet if `size` more bytes would not fit.
    fn make_room(&mut self, size: usize) {
        if self.buffer.len() + size > self.limit {
            self.end_packet();
        }
    }

    fn write(&mut self, header: &Header, data: &[u8]) {
        self.make_room(OVERHEAD + data.len());
        header.write(&mut self.buffer);
        self.buffer.extend(data);
        self.segments += 1;
    }

    fn end_packet(&mut self) {
        if !self.buffer.is_empty() {
            self.packets.push(std::mem::take(&mut self.buffer));
        }
    }
}

/// Why a segment is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    New,
    /// Enough later segments were acknowledged.
    Fast,
    /// A later one was acknowledged, and there is nothing new that would bring more acknowledgements.
    Early,
    Timeout,
}

/// How many segments were sent again in one flush, and why.
#[derive(Default)]
struct Resent {
    fast: u64,
    early: u64,
    timeout: u64,
}

impl Resent {
    const fn count(&mut self, reason: Reason) {
        match reason {
            Reason::New => {}
            Reason::Fast => self.fast += 1,
            Reason::Early => self.early += 1,
            Reason::Timeout => self.timeout += 1,
        }
    }
}

impl Kcp {
    /// Writes what is due to [`Kcp::output`]; returns the milliseconds until the next flush is.
    pub fn flush(&mut self, now: u32, kind: Flush) -> u32 {
        let mut packer = Packer::new(self.mtu);
        // Window and una of everything written are those of the beginning.
        let mut header = Header {
            conv: self.conv,
            cmd: Command::Ack as u8,
            frg: 0,
            wnd: self.window_field(),
            ts: 0,
            sn: 0,
            una: self.rcv_nxt,
            len: 0,
        };
        self.write_acks(&mut header, &mut packer);
        self.time_probe(now);
        self.write_probes(&mut header, &mut packer);
        let window = self.send_window();
        let moved = self.number_segments(window);
        let (resent, next) = match kind {
            Flush::Full => self.transmit(now, header, moved, &mut packer),
            Flush::AckOnly => (Resent::default(), self.no_delay.interval),
        };
        if !self.no_delay.nc {
            self.shrink_cwnd(&resent, window);
        }
        packer.end_packet();
        self.counters.out_segs += packer.segments;
        self.counters.fast_retrans_segs += resent.fast;
        self.counters.early_retrans_segs += resent.early;
        self.counters.lost_segs += resent.timeout;
        self.output.extend(packer.packets);
        self.counters.ring_buffer_snd_queue = self.snd_queue.len() as u64;
        self.counters.ring_buffer_rcv_queue = self.rcv_queue.len() as u64;
        self.counters.ring_buffer_snd_buffer = self.snd_buf.len() as u64;
        next
    }

    /// The free receive window, cut to the 16 bits of its field.
    fn window_field(&self) -> u16 {
        (self.rcv_wnd as usize).saturating_sub(self.rcv_queue.len()) as u16
    }

    /// Acknowledges by number what `una` does not cover, and the last arrival in any case, for its time.
    fn write_acks(&mut self, header: &mut Header, packer: &mut Packer) {
        let acks = std::mem::take(&mut self.acklist);
        for (i, &(sn, ts)) in acks.iter().enumerate() {
            // kcp-go ends a full packet also before an acknowledgement that it then leaves out.
            packer.make_room(OVERHEAD);
            if diff(sn, self.rcv_nxt) >= 0 || i + 1 == acks.len() {
                header.sn = sn;
                header.ts = ts;
                packer.write(header, &[]);
            }
        }
    }

    /// Asks for the window of a peer that has none, at growing distances.
    fn time_probe(&mut self, now: u32) {
        if self.rmt_wnd != 0 {
            self.probe_wait = 0;
            self.ts_probe = 0;
        } else if self.probe_wait == 0 {
            self.probe_wait = PROBE_INIT;
            self.ts_probe = now.wrapping_add(PROBE_INIT);
        } else if diff(now, self.ts_probe) >= 0 {
            let wait = self.probe_wait.max(PROBE_INIT);
            self.probe_wait = (wait + wait / 2).min(PROBE_LIMIT);
            self.ts_probe = now.wrapping_add(self.probe_wait);
            self.probe.ask = true;
        }
    }

    /// Number and time of a probe are whatever the last acknowledgement left in the header.
    fn write_probes(&mut self, header: &mut Header, packer: &mut Packer) {
        let probe = std::mem::take(&mut self.probe);
        if probe.ask {
            header.cmd = Command::WindowAsk as u8;
            packer.write(header, &[]);
        }
        if probe.tell {
            header.cmd = Command::WindowTell as u8;
            packer.write(header, &[]);
        }
    }

    /// Segments that may be in flight.
    fn send_window(&self) -> u32 {
        let window = self.snd_wnd.min(self.rmt_wnd);
        if self.no_delay.nc {
            window
        } else {
            window.min(self.cwnd)
        }
    }

    /// Gives numbers to queued segments as far as the window reaches; true if there were any.
    fn number_segments(&mut self, window: u32) -> bool {
        let mut moved = false;
        while diff(self.snd_nxt, self.snd_una.wrapping_add(window)) < 0 {
            let Some(segment) = self.snd_queue.pop_front() else {
                break;
            };
            self.snd_buf.push_back(InFlight {
                frg: segment.frg,
                sn: self.snd_nxt,
                ts: 0,
                xmit: 0,
                rto: 0,
                resendts: 0,
                fastack: 0,
                acked: false,
                data: segment.data,
            });
            self.snd_nxt = self.snd_nxt.wrapping_add(1);
            moved = true;
        }
        moved
    }

    /// Sends what is new, due, or taken for lost; returns also the milliseconds until something is due.
    fn transmit(
        &mut self,
        now: u32,
        header: Header,
        moved: bool,
        packer: &mut Packer,
    ) -> (Resent, u32) {
        let rto = self.rtt.rto;
        let resend_after = self.resend_after();
        let mut resent = Resent::default();
        let mut next = self.no_delay.interval;
        for segment in self.snd_buf.iter_mut().filter(|segment| !segment.acked) {
            if let Some(reason) = segment.reason_to_send(now, resend_after, moved) {
                match reason {
                    Reason::New => segment.rto = rto,
                    Reason::Fast | Reason::Early => {
                        segment.fastack = InFlight::RESENT;
                        segment.rto = rto;
                    }
                    Reason::Timeout => {
                        let longer = if self.no_delay.nodelay { rto / 2 } else { rto };
                        segment.rto = segment.rto.wrapping_add(longer);
                        segment.fastack = 0;
                    }
                }
                resent.count(reason);
                segment.resendts = now.wrapping_add(segment.rto);
                segment.xmit += 1;
                segment.ts = now;
                self.dead_link |= segment.xmit >= DEADLINK;
                let header = Header {
                    cmd: Command::Push as u8,
                    frg: segment.frg,
                    ts: now,
                    sn: segment.sn,
                    len: segment.data.len() as u32,
                    ..header
                };
                packer.write(&header, &segment.data);
            }
            if let Ok(wait @ 1..) = u32::try_from(diff(segment.resendts, now)) {
                next = next.min(wait);
            }
        }
        (resent, next)
    }

    /// Later acknowledgements that make a segment lost; with the rule off, a count that is never reached.
    fn resend_after(&self) -> u32 {
        match self.no_delay.resend {
            0 => u32::MAX,
            resend => resend,
        }
    }

    /// Reacts to losses. kcp-go adds `resend` to `ssthresh` also when that rule is off, and wraps.
    fn shrink_cwnd(&mut self, resent: &Resent, window: u32) {
        let mss = self.mss as u32;
        if resent.fast + resent.early > 0 {
            let in_flight = self.snd_nxt.wrapping_sub(self.snd_una);
            self.ssthresh = (in_flight / 2).max(SSTHRESH_MIN);
            self.cwnd = self.ssthresh.wrapping_add(self.resend_after());
            self.incr = self.cwnd.wrapping_mul(mss);
        }
        if resent.timeout > 0 {
            self.ssthresh = (window / 2).max(SSTHRESH_MIN);
            self.cwnd = 1;
            self.incr = mss;
        }
        if self.cwnd < 1 {
            self.cwnd = 1;
            self.incr = mss;
        }
    }
}

impl InFlight {
    fn reason_to_send(&self, now: u32, resend_after: u32, moved: bool) -> Option<Reason> {
        let counting = self.fastack != Self::RESENT;
        if self.xmit == 0 {
            Some(Reason::New)
        } else if counting && self.fastack >= resend_after {
            Some(Reason::Fast)
        } else if counting && self.fastack > 0 && !moved {
            Some(Reason::Early)
        } else if diff(now, self.resendts) >= 0 {
            Some(Reason::Timeout)
        } else {
            None
        }
    }
}
