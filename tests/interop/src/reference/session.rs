//! A whole session without a socket: what kcp-go calls `UDPSession`.

use std::collections::VecDeque;

use super::fec::packet_with_size;
use super::sizes::FEC_HEADER;
use super::{
    Decoder, Encoder, Envelope, FecCounters, FecKind, FecParams, Flush, Kcp, KcpCounters, NoDelay,
    Origin, PacketSizes,
};
use crate::snmp::Snmp;

/// Shorter packets are dropped, in bytes without what the cipher adds. Source: kcp-go.
const MIN_PACKET: usize = 12;
/// Sequence number of out-of-band packets, which no group contains.
const OOB_SEQID: u32 = u32::MAX;
/// Where the message of an out-of-band packet begins: behind header and conversation.
const OOB_MESSAGE: usize = FEC_HEADER + 4;
/// Out-of-band messages kept for [`Session::read_oob`]; more are dropped. A limit of the model: kcp-go calls
/// a handler and keeps none.
const OOB_QUEUE: usize = 1024;

/// Everything that can be set. The default is a session nobody has touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Conversation.
    pub conv: u32,
    /// Shard counts; `None` for a session without forward error correction.
    pub fec: Option<FecParams>,
    /// What a cipher around this session adds. It only takes room here: packets leave and arrive in clear.
    pub envelope: Envelope,
    /// Longest datagram, in bytes of UDP payload.
    pub mtu: usize,
    /// Timing and congestion control.
    pub no_delay: NoDelay,
    /// Send window in segments; 0 keeps what was set before.
    pub snd_wnd: u32,
    /// Receive window in segments; 0 keeps what was set before.
    pub rcv_wnd: u32,
    /// Segments are filled up and message boundaries forgotten.
    pub stream: bool,
    /// A write waits for the next timed flush, unless the window is full.
    pub write_delay: bool,
    /// Every packet with data is acknowledged at once.
    pub ack_no_delay: bool,
    /// Further copies of every datagram but parity.
    pub dup: usize,
    /// Out-of-band messages are kept for [`Session::read_oob`], if there is a code.
    pub receive_oob: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            conv: 0,
            fec: None,
            envelope: Envelope::Null,
            mtu: 1400,
            no_delay: NoDelay::DEFAULT,
            snd_wnd: 32,
            rcv_wnd: 32,
            stream: false,
            write_delay: false,
            ack_no_delay: false,
            dup: 0,
            receive_oob: false,
        }
    }
}

/// Why an out-of-band message was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OobError {
    /// The header is that of forward error correction, which the session does not have.
    NoFec,
    /// Longer than [`PacketSizes::oob_max`].
    TooLong,
}

/// One end of a connection to which its owner brings packets and time.
///
/// Times are milliseconds of the owner's clock and never go back. After every call, send what
/// [`Session::poll_transmit`] hands out, and call [`Session::handle_timeout`] at [`Session::poll_timeout`].
///
/// Differs from kcp-go in what has no clock or no socket to refer to: no rate limit, no queue of 2048 packets
/// in front of the socket, no deadlines. kcp-go closes by falling silent; dropping a session does that.
#[derive(Clone, Debug)]
pub struct Session {
    config: Config,
    kcp: Kcp,
    encoder: Option<Encoder>,
    decoder: Option<Decoder>,
    outgoing: VecDeque<Vec<u8>>,
    oob: VecDeque<Vec<u8>>,
    next_flush_ms: u64,
    snmp: Snmp,
}

impl Session {
    /// A session with these settings from the beginning, as for a dialler.
    ///
    /// For one that a listener creates, start with the defaults and call [`Session::configure`] after the
    /// first packet: so does an application that is handed an accepted session.
    ///
    /// # Panics
    /// If the MTU leaves no room for data.
    pub fn new(now_ms: u64, config: Config) -> Self {
        let untouched = Config {
            conv: config.conv,
            fec: config.fec,
            envelope: config.envelope,
            ..Config::default()
        };
        let mut session = Self {
            config: untouched,
            kcp: Kcp::new(config.conv, sizes(&untouched).kcp_mtu),
            encoder: config.fec.map(Encoder::new),
            decoder: config.fec.map(Decoder::new),
            outgoing: VecDeque::new(),
            oob: VecDeque::new(),
            next_flush_ms: now_ms,
            snmp: Snmp::default(),
        };
        session.handle_timeout(now_ms);
        session.configure(config);
        session
    }

    /// Changes the settings, except for conversation, code and envelope, which stay.
    ///
    /// # Panics
    /// If the MTU leaves no room for data.
    pub fn configure(&mut self, config: Config) {
        self.config = Config {
            conv: self.config.conv,
            fec: self.config.fec,
            envelope: self.config.envelope,
            ..config
        };
        self.kcp.set_mtu(sizes(&self.config).kcp_mtu);
        self.kcp.set_no_delay(config.no_delay);
        self.kcp.set_windows(config.snd_wnd, config.rcv_wnd);
        self.kcp.set_stream(config.stream);
    }

    /// Takes in a datagram, without what a cipher adds.
    pub fn handle_packet(&mut self, now_ms: u64, packet: &[u8]) {
        if packet.len() < MIN_PACKET {
            self.snmp.kcp_in_errors += 1;
            return;
        }
        self.snmp.in_pkts += 1;
        self.snmp.in_bytes += packet.len() as u64;
        match FecKind::of(packet) {
            // The protocol comes first: parity may be confused, data never is.
            Some(FecKind::Data) => {
                self.input(now_ms, &packet[FEC_HEADER..], Origin::Regular);
                self.repair(now_ms, packet);
            }
            Some(FecKind::Parity) => self.repair(now_ms, packet),
            Some(FecKind::Oob) => self.accept_oob(&packet[OOB_MESSAGE..]),
            None => self.input(now_ms, packet, Origin::Regular),
        }
        self.collect(now_ms);
    }

    /// Does the timed flush if it is due.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if now_ms >= self.next_flush_ms {
            let wait = self.kcp.flush(wire_time(now_ms), Flush::Full);
            self.next_flush_ms = now_ms + u64::from(wait);
            self.collect(now_ms);
        }
    }

    /// Queues all of `data`; false, and nothing queued, while the send window is full.
    #[must_use = "a full window takes nothing"]
    pub fn write(&mut self, now_ms: u64, data: &[u8]) -> bool {
        if !self.is_writable() {
            return false;
        }
        // Cut here, so that the protocol never makes fragments.
        for piece in data.chunks(self.kcp.mss()) {
            self.kcp
                .send(piece)
                .expect("a piece is one segment and not empty");
        }
        self.snmp.bytes_sent += data.len() as u64;
        if !data.is_empty() && (!self.is_writable() || !self.config.write_delay) {
            self.kcp.flush(wire_time(now_ms), Flush::Full);
            self.collect(now_ms);
        }
        true
    }

    /// The next message. A message of no bytes is never returned and blocks all that follow, as in kcp-go.
    pub fn read(&mut self) -> Option<Vec<u8>> {
        let size = self.kcp.peek_size().filter(|&size| size > 0)?;
        let message = self.kcp.recv(size).ok()?;
        self.snmp.bytes_received += size as u64;
        Some(message)
    }

    /// Sends a message beside the stream: once, and lost if its packet is.
    pub fn send_oob(&mut self, message: &[u8]) -> Result<(), OobError> {
        if self.encoder.is_none() {
            return Err(OobError::NoFec);
        }
        if message.len() > sizes(&self.config).oob_max {
            return Err(OobError::TooLong);
        }
        let body = [&self.config.conv.to_le_bytes(), message].concat();
        let packet = packet_with_size(FecKind::Oob, OOB_SEQID, &body);
        self.queue(packet, self.config.dup);
        Ok(())
    }

    /// The next message that came beside the stream.
    pub fn read_oob(&mut self) -> Option<Vec<u8>> {
        self.oob.pop_front()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let packet = self.outgoing.pop_front()?;
        self.snmp.out_pkts += 1;
        self.snmp.out_bytes += packet.len() as u64;
        Some(packet)
    }

    /// When [`Session::handle_timeout`] is due; a session of kcp-go never rests.
    pub const fn poll_timeout(&self) -> u64 {
        self.next_flush_ms
    }

    /// A write would be taken.
    pub fn is_writable(&self) -> bool {
        self.kcp.wait_snd() < self.kcp.snd_wnd() as usize
    }

    /// Segments that the peer has not passed: 0 when all that was written has arrived.
    pub fn wait_snd(&self) -> usize {
        self.kcp.wait_snd()
    }

    /// Timeout of a segment sent now, in milliseconds: kcp-go's `GetRTO`.
    pub const fn rto(&self) -> u32 {
        self.kcp.rtt.rto
    }

    /// Smoothed round trip in milliseconds: kcp-go's `GetSRTT`.
    pub const fn srtt(&self) -> i32 {
        self.kcp.rtt.srtt
    }

    /// The protocol below, for tests that look at its state.
    pub const fn kcp(&self) -> &Kcp {
        &self.kcp
    }

    /// What happened so far.
    pub fn snmp(&self) -> Snmp {
        let KcpCounters {
            in_segs,
            out_segs,
            fast_retrans_segs,
            early_retrans_segs,
            lost_segs,
            repeat_segs,
            ring_buffer_snd_queue,
            ring_buffer_rcv_queue,
            ring_buffer_snd_buffer,
        } = self.kcp.counters;
        let FecCounters {
            full_shards,
            parity_shards,
            errs,
            recovered,
            shard_set,
            shard_min,
        } = self
            .decoder
            .as_ref()
            .map(|decoder| decoder.counters.clone())
            .unwrap_or_default();
        Snmp {
            in_segs,
            out_segs,
            retrans_segs: fast_retrans_segs + early_retrans_segs + lost_segs,
            fast_retrans_segs,
            early_retrans_segs,
            lost_segs,
            repeat_segs,
            ring_buffer_snd_queue,
            ring_buffer_rcv_queue,
            ring_buffer_snd_buffer,
            fec_full_shards: full_shards,
            fec_parity_shards: parity_shards,
            fec_errs: errs,
            fec_recovered: recovered,
            fec_shard_set: shard_set,
            fec_shard_min: shard_min,
            ..self.snmp.clone()
        }
    }

    fn input(&mut self, now_ms: u64, packet: &[u8], origin: Origin) {
        let now = wire_time(now_ms);
        let result = self
            .kcp
            .input(now, packet, origin, self.config.ack_no_delay);
        self.snmp.kcp_in_errors += u64::from(result.is_err());
    }

    /// Gives a packet to the decoder, and what it rebuilds to the protocol. A peer may use a code though we do
    /// not: then the decoder starts with the smallest and learns.
    fn repair(&mut self, now_ms: u64, packet: &[u8]) {
        const SMALLEST: FecParams = FecParams { data: 1, parity: 1 };
        let decoder = self.decoder.get_or_insert_with(|| Decoder::new(SMALLEST));
        for shard in decoder.decode(packet) {
            if let Some(payload) = Decoder::payload(&shard) {
                self.input(now_ms, payload, Origin::Fec);
            }
        }
    }

    /// Every message is counted. Only a session with a code can have a handler, which then gets it.
    fn accept_oob(&mut self, message: &[u8]) {
        self.snmp.oob_packets += 1;
        let has_handler = self.config.receive_oob && self.encoder.is_some();
        if has_handler && self.oob.len() < OOB_QUEUE {
            self.oob.push_back(message.to_vec());
        }
    }

    /// Turns what the protocol has written into datagrams.
    fn collect(&mut self, now_ms: u64) {
        while let Some(packet) = self.kcp.output.pop_front() {
            let (packet, parity) = match &mut self.encoder {
                Some(encoder) => encoder.encode(now_ms, &packet),
                None => (packet, Vec::new()),
            };
            self.queue(packet, self.config.dup);
            for packet in parity {
                self.queue(packet, 0);
            }
        }
    }

    fn queue(&mut self, packet: Vec<u8>, copies: usize) {
        self.outgoing
            .extend(std::iter::repeat_n(packet, 1 + copies));
    }
}

fn sizes(config: &Config) -> PacketSizes {
    PacketSizes::new(config.envelope, config.fec.is_some(), config.mtu)
        .expect("the MTU leaves room for data")
}

/// The clock as it is written into segments.
const fn wire_time(now_ms: u64) -> u32 {
    now_ms as u32
}
