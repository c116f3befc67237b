//! The reliable protocol: messages in, packets out, and back.

mod flush;
mod input;

use std::collections::{BTreeMap, VecDeque};

use super::{OVERHEAD, Rtt, diff};

pub use flush::Flush;
pub use input::{InputError, Origin};

/// Windows until others are set, in segments. Source: kcp-go `IKCP_WND_SND`, `IKCP_WND_RCV`.
const DEFAULT_WINDOW: u32 = 32;
/// Source: ikcp.c `IKCP_THRESH_INIT`.
const INITIAL_SSTHRESH: u32 = 2;
/// Shortest resend timeout in milliseconds. Source: ikcp.c `IKCP_RTO_MIN`.
const RTO_MIN: u32 = 100;
/// Shortest resend timeout with `nodelay`, in milliseconds. Source: ikcp.c `IKCP_RTO_NDL`.
const RTO_MIN_NODELAY: u32 = 30;
/// A message has at most this many fragments: their count less one must fit a byte.
const MAX_FRAGMENTS: usize = 255;

/// The four numbers of kcp-go's `SetNoDelay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDelay {
    /// Shorter timeouts, which grow slower.
    pub nodelay: bool,
    /// Milliseconds between timed flushes; used within 10..=5000.
    pub interval: u32,
    /// Later acknowledgements that make a segment lost; 0 turns the rule off.
    pub resend: u32,
    /// No congestion window.
    pub nc: bool,
}

impl NoDelay {
    /// What a session starts with.
    pub const DEFAULT: Self = Self::new(false, 100, 0, false);
    /// kcptun's mode `normal`.
    pub const NORMAL: Self = Self::new(false, 40, 2, true);
    /// kcptun's mode `fast`.
    pub const FAST: Self = Self::new(false, 30, 2, true);
    /// kcptun's mode `fast2`.
    pub const FAST2: Self = Self::new(true, 20, 2, true);
    /// kcptun's mode `fast3`.
    pub const FAST3: Self = Self::new(true, 10, 2, true);

    /// The numbers in the order in which kcp-go takes them.
    pub const fn new(nodelay: bool, interval: u32, resend: u32, nc: bool) -> Self {
        Self {
            nodelay,
            interval,
            resend,
            nc,
        }
    }
}

/// What [`Kcp`] counts; see [`Snmp`](crate::snmp::Snmp) for the meaning of each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "documented at `Snmp`")]
pub struct KcpCounters {
    pub in_segs: u64,
    pub out_segs: u64,
    pub fast_retrans_segs: u64,
    pub early_retrans_segs: u64,
    pub lost_segs: u64,
    pub repeat_segs: u64,
    pub ring_buffer_snd_queue: u64,
    pub ring_buffer_rcv_queue: u64,
    pub ring_buffer_snd_buffer: u64,
}

/// Why [`Kcp::send`] refused a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// Nothing was given.
    Empty = -1,
    /// More than 255 fragments. In stream mode, what filled up the last segment stays queued.
    TooManyFragments = -2,
}

/// Why [`Kcp::recv`] returned nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// No complete message is there.
    Empty = -1,
    /// The message is longer than the buffer; it stays.
    BufferTooSmall = -2,
}

/// Which window probes the next flush writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    /// Ask the peer for its window.
    ask: bool,
    /// Tell the peer ours.
    tell: bool,
}

/// A message, or a part of one, that has no number yet.
#[derive(Clone, Debug)]
struct Queued {
    frg: u8,
    data: Vec<u8>,
}

/// A numbered segment that the peer's `una` has not passed.
#[derive(Clone, Debug)]
pub struct InFlight {
    frg: u8,
    sn: u32,
    /// When it was sent last.
    ts: u32,
    /// How often it was sent.
    pub xmit: u32,
    /// Its own timeout.
    pub rto: u32,
    /// When it is sent again.
    pub resendts: u32,
    /// Acknowledgements of later segments, or [`InFlight::RESENT`].
    fastack: u32,
    /// Acknowledged by number: keeps its place in the window, not its data.
    acked: bool,
    data: Vec<u8>,
}

impl InFlight {
    /// In place of a count: sent again before its time, which happens once until a timeout.
    const RESENT: u32 = u32::MAX;
}

/// One end of a conversation.
///
/// All times are milliseconds of a clock that wraps; `now` is the same for the whole of a call.
#[derive(Clone, Debug)]
pub struct Kcp {
    /// Conversation: packets of another are refused.
    pub conv: u32,
    mtu: usize,
    mss: usize,
    stream: bool,
    no_delay: NoDelay,
    min_rto: u32,
    snd_wnd: u32,
    rcv_wnd: u32,

    /// First number that the peer has not passed.
    pub snd_una: u32,
    /// Number of the next new segment.
    pub snd_nxt: u32,
    /// Number of the next segment in order.
    pub rcv_nxt: u32,
    /// The peer's receive window.
    pub rmt_wnd: u32,
    /// Congestion window, in segments.
    pub cwnd: u32,
    /// Where the congestion window stops doubling.
    pub ssthresh: u32,
    /// Congestion window in bytes.
    pub incr: u32,
    /// Round-trip estimate.
    pub rtt: Rtt,
    probe: Probe,
    /// Current wait between window probes; 0 while the peer's window is open.
    pub probe_wait: u32,
    /// When to ask for the peer's window next.
    pub ts_probe: u32,
    /// A segment was sent 20 times. Only a flag: kcp-go ends no session for it.
    pub dead_link: bool,

    snd_queue: VecDeque<Queued>,
    snd_buf: VecDeque<InFlight>,
    rcv_buf: BTreeMap<u32, Queued>,
    rcv_queue: VecDeque<Queued>,
    acklist: Vec<(u32, u32)>,

    /// Packets written and not yet taken.
    pub output: VecDeque<Vec<u8>>,
    /// What happened so far.
    pub counters: KcpCounters,
}

impl Kcp {
    /// An end that writes packets of up to `mtu` bytes, with kcp-go's defaults.
    pub fn new(conv: u32, mtu: usize) -> Self {
        let mut kcp = Self {
            conv,
            mtu: 0,
            mss: 0,
            stream: false,
            no_delay: NoDelay::DEFAULT,
            min_rto: RTO_MIN,
            snd_wnd: DEFAULT_WINDOW,
            rcv_wnd: DEFAULT_WINDOW,
            snd_una: 0,
            snd_nxt: 0,
            rcv_nxt: 0,
            rmt_wnd: DEFAULT_WINDOW,
            cwnd: 0,
            ssthresh: INITIAL_SSTHRESH,
            incr: 0,
            rtt: Rtt::new(),
            probe: Probe::default(),
            probe_wait: 0,
            ts_probe: 0,
            dead_link: false,
            snd_queue: VecDeque::new(),
            snd_buf: VecDeque::new(),
            rcv_buf: BTreeMap::new(),
            rcv_queue: VecDeque::new(),
            acklist: Vec::new(),
            output: VecDeque::new(),
            counters: KcpCounters::default(),
        };
        kcp.set_mtu(mtu);
        kcp
    }

    /// Changes the longest packet, in bytes; it must have room for a header and a byte.
    pub fn set_mtu(&mut self, mtu: usize) {
        assert!(mtu > OVERHEAD, "{mtu} bytes have no room for data");
        self.mtu = mtu;
        self.mss = mtu - OVERHEAD;
    }

    /// Changes timing and congestion control.
    pub fn set_no_delay(&mut self, no_delay: NoDelay) {
        self.min_rto = if no_delay.nodelay {
            RTO_MIN_NODELAY
        } else {
            RTO_MIN
        };
        self.no_delay = NoDelay {
            interval: no_delay.interval.clamp(10, 5000),
            ..no_delay
        };
    }

    /// Changes both windows, in segments; 0 leaves one as it is.
    pub fn set_windows(&mut self, snd_wnd: u32, rcv_wnd: u32) {
        if snd_wnd > 0 {
            self.snd_wnd = snd_wnd;
        }
        if rcv_wnd > 0 {
            self.rcv_wnd = rcv_wnd;
        }
    }

    /// Stream mode: segments are filled up and message boundaries forgotten.
    pub fn set_stream(&mut self, stream: bool) {
        self.stream = stream;
    }

    /// Queues a message.
    pub fn send(&mut self, message: &[u8]) -> Result<(), SendError> {
        if message.is_empty() {
            return Err(SendError::Empty);
        }
        let mut message = message;
        // Only a segment without a number can still grow.
        if let Some(last) = self.snd_queue.back_mut().filter(|_| self.stream) {
            let room = self.mss.saturating_sub(last.data.len());
            let (head, rest) = message.split_at(room.min(message.len()));
            last.data.extend(head);
            message = rest;
        }
        let count = message.len().div_ceil(self.mss);
        if count > MAX_FRAGMENTS {
            return Err(SendError::TooManyFragments);
        }
        for (i, data) in message.chunks(self.mss).enumerate() {
            let following = if self.stream { 0 } else { count - 1 - i };
            self.snd_queue.push_back(Queued {
                frg: u8::try_from(following).expect("at most 255 fragments"),
                data: data.to_vec(),
            });
        }
        Ok(())
    }

    /// Takes the next message, if it is complete and no longer than `buffer` bytes.
    pub fn recv(&mut self, buffer: usize) -> Result<Vec<u8>, RecvError> {
        let size = self.peek_size().ok_or(RecvError::Empty)?;
        if size > buffer {
            return Err(RecvError::BufferTooSmall);
        }
        let was_full = self.window_is_full();
        let mut message = Vec::with_capacity(size);
        while let Some(fragment) = self.rcv_queue.pop_front() {
            message.extend(fragment.data);
            if fragment.frg == 0 {
                break;
            }
        }
        self.move_in_order();
        if was_full && !self.window_is_full() {
            self.probe.tell = true;
        }
        Ok(message)
    }

    /// Length of the next message in bytes, if it is complete.
    pub fn peek_size(&self) -> Option<usize> {
        let head = self.rcv_queue.front()?;
        if self.rcv_queue.len() <= usize::from(head.frg) {
            return None;
        }
        let last = self.rcv_queue.iter().position(|part| part.frg == 0);
        let parts = last.map_or(self.rcv_queue.len(), |last| last + 1);
        Some(
            self.rcv_queue
                .iter()
                .take(parts)
                .map(|part| part.data.len())
                .sum(),
        )
    }

    /// Most data in one segment, in bytes.
    pub const fn mss(&self) -> usize {
        self.mss
    }

    /// The send window, in segments.
    pub const fn snd_wnd(&self) -> u32 {
        self.snd_wnd
    }

    /// Segments that are queued or in flight.
    pub fn wait_snd(&self) -> usize {
        self.snd_queue.len() + self.snd_buf.len()
    }

    /// The oldest segment in flight.
    pub fn first_in_flight(&self) -> Option<&InFlight> {
        self.snd_buf.front()
    }

    /// Which probes are due, as kcp-go keeps them: bit 0 ask, bit 1 tell.
    pub fn probe_bits(&self) -> u32 {
        u32::from(self.probe.ask) | u32::from(self.probe.tell) << 1
    }

    /// Lengths of what kcp-go calls `snd_queue`, `snd_buf`, `rcv_buf`, `rcv_queue` and `acklist`.
    pub fn queue_lengths(&self) -> [usize; 5] {
        [
            self.snd_queue.len(),
            self.snd_buf.len(),
            self.rcv_buf.len(),
            self.rcv_queue.len(),
            self.acklist.len(),
        ]
    }

    /// Moves what has become readable in order out of the reorder buffer, while the window has room.
    fn move_in_order(&mut self) {
        while !self.window_is_full() {
            let Some(segment) = self.rcv_buf.remove(&self.rcv_nxt) else {
                return;
            };
            self.rcv_queue.push_back(segment);
            self.rcv_nxt = self.rcv_nxt.wrapping_add(1);
        }
    }

    fn window_is_full(&self) -> bool {
        self.rcv_queue.len() >= self.rcv_wnd as usize
    }

    /// `sn` is one that we sent and that the peer has not passed.
    fn is_in_flight(&self, sn: u32) -> bool {
        diff(sn, self.snd_una) >= 0 && diff(sn, self.snd_nxt) < 0
    }
}
