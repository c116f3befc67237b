//! Where packets are built and sent from: packets back to back in one buffer, gathered into runs of equal size.
//!
//! A run goes to one address and can leave in one system call (generic segmentation offload): all its packets have
//! one length, but for the last, which may be shorter.

use core::net::SocketAddr;
use core::ops::Range;

use super::layout::MAX_DATAGRAM;

/// Packets after which a batch counts as full. Two full runs: enough to amortise a system call and a lockstep
/// encryption, few enough to stay in the second-level cache until they are sent.
const BATCH_PACKETS: usize = 92;

/// Most packets and bytes of one run: what Linux takes in one call, and the longest UDP payload.
const RUN_PACKETS: usize = 64;
const RUN_BYTES: usize = 65_507;

/// One packet inside a buffer: the whole datagram, from nonce to tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// Offset of the first byte.
    pub(crate) start: u32,
    /// Length in bytes.
    pub(crate) len: u32,
}

impl Span {
    /// The packet's bytes as a range into the buffer.
    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..(self.start + self.len) as usize
    }
}

#[derive(Clone, Copy, Debug)]
struct Run {
    destination: SocketAddr,
    start: usize,
    end: usize,
    packets: usize,
    segment_size: usize,
}

/// Datagrams to one address: `contents` holds packets of `segment_size` bytes back to back, the last maybe shorter.
#[derive(Clone, Copy, Debug)]
pub struct Transmit<'a> {
    /// Where they go.
    pub destination: SocketAddr,
    /// The packets' bytes.
    pub contents: &'a [u8],
    /// Length of each packet but the last.
    pub segment_size: usize,
}

/// Packets ready to be sent.
#[derive(Debug)]
pub struct PacketBatch {
    buffer: Vec<u8>,
    len: usize,
    packets: Vec<Span>,
    runs: Vec<Run>,
    max_run: usize,
}

impl PacketBatch {
    /// An empty batch whose runs have up to `max_run` packets: 1 where the system cannot send several in one call.
    pub fn new(max_run: usize) -> Self {
        Self {
            buffer: Vec::new(),
            len: 0,
            packets: Vec::new(),
            runs: Vec::new(),
            max_run: max_run.clamp(1, RUN_PACKETS),
        }
    }

    /// The packets, run by run.
    pub fn transmits(&self) -> impl ExactSizeIterator<Item = Transmit<'_>> {
        self.runs.iter().map(|run| Transmit {
            destination: run.destination,
            contents: &self.buffer[run.start..run.end],
            segment_size: run.segment_size,
        })
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.packets.len()
    }

    /// Forgets the packets; the memory stays.
    pub fn clear(&mut self) {
        self.len = 0;
        self.packets.clear();
        self.runs.clear();
    }

    /// Whether it is time to send.
    pub(crate) fn is_full(&self) -> bool {
        self.packets.len() >= BATCH_PACKETS
    }

    /// Room for the next packet: at least `len` bytes, with whatever content.
    pub(crate) fn open(&mut self, len: usize) -> &mut [u8] {
        if self.buffer.len() < self.len + len {
            let grown = (self.len + len).max(BATCH_PACKETS * MAX_DATAGRAM);
            self.buffer.resize(grown, 0);
        }
        &mut self.buffer[self.len..self.len + len]
    }

    /// Adds the packet of `len` bytes that was written to [`open`](Self::open)'s room.
    pub(crate) fn commit(&mut self, destination: SocketAddr, len: usize) {
        let start = self.len;
        self.len += len;
        self.packets.push(Span {
            start: start as u32,
            len: len as u32,
        });
        if let Some(run) = self.runs.last_mut() {
            let whole = run.end - run.start == run.packets * run.segment_size;
            if whole
                && run.destination == destination
                && len <= run.segment_size
                && run.packets < self.max_run
                && run.end - run.start + len <= RUN_BYTES
            {
                run.end += len;
                run.packets += 1;
                return;
            }
        }
        self.runs.push(Run {
            destination,
            start,
            end: self.len,
            packets: 1,
            segment_size: len,
        });
    }

    /// Adds the last packet once more.
    pub(crate) fn repeat_last(&mut self, destination: SocketAddr) {
        if let Some(&last) = self.packets.last() {
            let len = last.len as usize;
            self.open(len);
            self.buffer.copy_within(last.range(), self.len);
            self.commit(destination, len);
        }
    }

    /// The buffer and the packets in it, for sealing.
    pub(crate) fn parts_mut(&mut self) -> (&mut [u8], &[Span]) {
        (&mut self.buffer[..self.len], &self.packets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(max_run: usize, packets: &[(u16, usize)]) -> Vec<(u16, usize, usize)> {
        let mut batch = PacketBatch::new(max_run);
        for &(port, len) in packets {
            batch.open(MAX_DATAGRAM);
            batch.commit(SocketAddr::from(([127, 0, 0, 1], port)), len);
        }
        batch
            .transmits()
            .map(|run| (run.destination.port(), run.contents.len(), run.segment_size))
            .collect()
    }

    #[test]
    fn equal_packets_to_one_address_form_a_run_that_a_shorter_one_ends() {
        let runs = batch(
            64,
            &[(1, 100), (1, 100), (1, 40), (1, 40), (1, 100), (2, 100)],
        );
        assert_eq!(
            runs,
            [(1, 240, 100), (1, 40, 40), (1, 100, 100), (2, 100, 100)]
        );
    }

    #[test]
    fn runs_are_no_longer_than_the_system_takes() {
        assert_eq!(batch(1, &[(1, 9), (1, 9)]).len(), 2);
        let runs = batch(64, &[(1, 1_400); 50]);
        assert_eq!(runs, [(1, 46 * 1_400, 1_400), (1, 4 * 1_400, 1_400)]);
        let runs = batch(64, &[(1, 10); 65]);
        assert_eq!(runs, [(1, 640, 10), (1, 10, 10)]);
    }

    #[test]
    fn a_repeated_packet_has_the_same_bytes() {
        let mut batch = PacketBatch::new(64);
        batch.open(3).copy_from_slice(b"abc");
        let to = SocketAddr::from(([127, 0, 0, 1], 1));
        batch.commit(to, 3);
        batch.repeat_last(to);
        let run = batch.transmits().next().map(|run| run.contents.to_vec());
        assert_eq!(run.as_deref(), Some(&b"abcabc"[..]));
    }
}
