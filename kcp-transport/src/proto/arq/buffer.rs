//! Bytes written but not yet acknowledged: first waiting to be cut into segments, then kept for resending.
//!
//! Owns the chunks. Addresses bytes by their offset in everything ever written.

use std::collections::VecDeque;

use crate::proto::chunk::{Chunk, LARGE, Pool};

/// Up to this length a chunk is copied rather than kept: so at least three quarters of each large chunk are used.
const SHORT: usize = LARGE / 4;

/// Bytes from the oldest unacknowledged one to the newest written one.
#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    chunks: VecDeque<Placed>,
    /// Offset of the first byte that no segment holds yet.
    next: u64,
    /// Offset behind the last byte.
    end: u64,
    /// Where messages end, for the bytes from `next` on; empty where writes flow together.
    cuts: VecDeque<u64>,
}

#[derive(Debug)]
struct Placed {
    start: u64,
    chunk: Chunk,
}

impl SendBuffer {
    pub(crate) fn fetch_behind(&self) -> u64 {
        self.chunks.back().map_or(0, |placed| placed.start)
    }

    /// Appends `chunk`. One that is short is copied into the last chunk if that has room, so that writes of less than a
    /// chunk do not each hold a chunk's memory; others move.
    pub(crate) fn push(&mut self, chunk: Chunk, pool: &mut Pool) {
        let len = chunk.len();
        let start = self.end;
        self.end += len as u64;
        if len <= SHORT
            && let Some(last) = self.chunks.back_mut()
            && last.chunk.room() >= len
        {
            last.chunk.push(chunk.bytes());
            pool.give(chunk);
            return;
        }
        if len > 0 {
            self.chunks.push_back(Placed { start, chunk });
        }
    }

    /// Ends a message behind the last byte: no segment will span this point.
    pub(crate) fn cut(&mut self) {
        self.cuts.push_back(self.end);
    }

    /// Bytes that no segment holds yet.
    pub(crate) fn unsent(&self) -> usize {
        (self.end - self.next) as usize
    }

    /// Offset of the first byte that no segment holds yet.
    pub(crate) fn unsent_offset(&self) -> u64 {
        self.next
    }

    /// Bytes that no segment holds yet, up to the next cut.
    pub(crate) fn unsent_before_cut(&self) -> usize {
        let end = self.cuts.front().copied().unwrap_or(self.end);
        (end - self.next) as usize
    }

    /// Gives the next `len` bytes to a segment; returns the offset of the first.
    pub(crate) fn take(&mut self, len: usize) -> u64 {
        let offset = self.next;
        self.next += len as u64;
        if self.cuts.front() == Some(&self.next) {
            self.cuts.pop_front();
        }
        offset
    }

    /// Copies the bytes from `offset` on to all of `out`.
    pub(crate) fn copy_to(&self, offset: u64, mut out: &mut [u8]) {
        let mut index = self.chunks.partition_point(|placed| placed.start <= offset) - 1;
        let mut skip = (offset - self.chunks[index].start) as usize;
        while !out.is_empty() {
            let bytes = &self.chunks[index].chunk.bytes()[skip..];
            let len = bytes.len().min(out.len());
            let (head, tail) = out.split_at_mut(len);
            head.copy_from_slice(&bytes[..len]);
            out = tail;
            index += 1;
            skip = 0;
        }
    }

    /// Frees the chunks that lie wholly before `offset`.
    pub(crate) fn release(&mut self, offset: u64, pool: &mut Pool) {
        while let Some(placed) = self.chunks.front() {
            if placed.start + placed.chunk.len() as u64 > offset {
                break;
            }
            if let Some(placed) = self.chunks.pop_front() {
                pool.give(placed.chunk);
            }
        }
    }

    /// Gives back memory that an idle session does not need.
    pub(crate) fn shrink(&mut self) {
        self.chunks.shrink_to_fit();
        self.cuts.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(bytes: &[u8]) -> Chunk {
        Chunk::from(bytes.to_vec())
    }

    #[test]
    fn bytes_are_found_across_chunks() {
        let mut pool = Pool::default();
        let mut buffer = SendBuffer::default();
        buffer.push(chunk(b"abc"), &mut pool);
        buffer.push(chunk(b"defgh"), &mut pool);
        buffer.push(chunk(b"ij"), &mut pool);
        let mut out = [0; 7];
        buffer.copy_to(2, &mut out);
        assert_eq!(&out, b"cdefghi");
        buffer.release(4, &mut pool);
        let mut out = [0; 2];
        buffer.copy_to(8, &mut out);
        assert_eq!(&out, b"ij");
    }

    #[test]
    fn tiny_writes_share_a_chunk() {
        let mut pool = Pool::default();
        let mut buffer = SendBuffer::default();
        for byte in 0..100 {
            let mut small = pool.small();
            small.push(&[byte]);
            buffer.push(small, &mut pool);
        }
        assert_eq!(buffer.chunks.len(), 1);
        let mut out = [0; 100];
        buffer.copy_to(0, &mut out);
        assert_eq!(out[99], 99);
    }

    #[test]
    fn writes_of_a_frame_fill_chunks() {
        let mut pool = Pool::default();
        let mut buffer = SendBuffer::default();
        for frame in 0..16 {
            let mut chunk = Chunk::for_len(8 * 1024);
            chunk.push(&[frame; 8 * 1024]);
            buffer.push(chunk, &mut pool);
        }
        assert_eq!(buffer.chunks.len(), 2);
        let mut out = [0; 2];
        buffer.copy_to(LARGE as u64 - 1, &mut out);
        assert_eq!(out, [7, 8]);
    }

    #[test]
    fn cuts_limit_what_one_segment_may_hold() {
        let mut pool = Pool::default();
        let mut buffer = SendBuffer::default();
        buffer.push(chunk(b"abc"), &mut pool);
        buffer.cut();
        buffer.push(chunk(b"de"), &mut pool);
        buffer.cut();
        assert_eq!(buffer.unsent(), 5);
        assert_eq!(buffer.unsent_before_cut(), 3);
        assert_eq!(buffer.take(3), 0);
        assert_eq!(buffer.unsent_before_cut(), 2);
        assert_eq!(buffer.take(2), 3);
        assert_eq!(buffer.unsent(), 0);
    }
}
