//! Bytes of a stream that wait to be sent, laid out as the frames they will be: nothing is copied
//! when they leave.

use std::collections::VecDeque;

use super::super::config::Version;
use super::frame::{self, HEADER_LEN, StreamId};

/// A frame that is ready to be sent.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    /// Where it begins; what is before was sent in earlier frames.
    start: usize,
}

/// Bytes in order: in at the back, out at the front as frames.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// Each with room for a header in front of what is unsent. None is empty.
    blocks: VecDeque<Frame>,
    /// Unsent bytes.
    len: usize,
}

impl Frame {
    /// A frame without payload, or one with a payload of its own kind.
    pub(super) fn control(write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::with_capacity(2 * HEADER_LEN);
        write(&mut bytes);
        Self { bytes, start: 0 }
    }

    /// Room for a header, and for `payload` bytes without moving.
    fn data(payload: usize) -> Self {
        let mut bytes = Vec::with_capacity(HEADER_LEN + payload);
        bytes.resize(HEADER_LEN, 0);
        Self { bytes, start: 0 }
    }

    fn payload(&self) -> usize {
        self.bytes.len() - self.start - HEADER_LEN
    }

    fn put_header(&mut self, version: Version, stream: StreamId) {
        let len = u16::try_from(self.payload()).expect("no frame is longer than its field says");
        let header = frame::data_header(version, stream, len);
        self.bytes[self.start..][..HEADER_LEN].copy_from_slice(&header);
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..]
    }
}

impl Outgoing {
    /// Appends `bytes`, in frames of up to `max_frame` bytes of payload.
    pub(super) fn push(&mut self, mut bytes: &[u8], max_frame: usize) {
        self.len += bytes.len();
        while !bytes.is_empty() {
            let last = match self.blocks.back_mut() {
                Some(last) if last.payload() < max_frame => last,
                Some(_) | None => {
                    self.blocks
                        .push_back(Frame::data(bytes.len().min(max_frame)));
                    self.blocks.back_mut().expect("one was just pushed")
                }
            };
            let room = max_frame - last.payload();
            let (now, later) = bytes.split_at(bytes.len().min(room));
            last.bytes.extend_from_slice(now);
            bytes = later;
        }
    }

    /// The next frame, with at most `most` bytes of payload. `None` if there is nothing, or may be
    /// nothing in it. Returns also how many bytes are in it.
    pub(super) fn pop(
        &mut self,
        most: usize,
        version: Version,
        stream: StreamId,
    ) -> Option<(Frame, usize)> {
        let first = self.blocks.front_mut()?;
        let payload = first.payload();
        let (mut frame, len) = if payload <= most {
            (self.blocks.pop_front()?, payload)
        } else if most > 0 {
            let mut head = Frame::data(most);
            let unsent = &first.bytes[first.start + HEADER_LEN..];
            head.bytes.extend_from_slice(&unsent[..most]);
            first.start += most;
            (head, most)
        } else {
            return None;
        };
        frame.put_header(version, stream);
        self.len -= len;
        Some((frame, len))
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_frames_as_large_as_allowed(
            steps in prop::collection::vec((0_usize..3_000, 0_usize..3_000), 1..50),
        ) {
            let mut queue = Outgoing::default();
            let (mut model, mut next) = (VecDeque::new(), 0_u8);
            for (push, most) in steps {
                let bytes: Vec<u8> = (0..push).map(|_| { next = next.wrapping_add(1); next }).collect();
                queue.push(&bytes, 1_000);
                model.extend(bytes);
                if let Some((frame, len)) = queue.pop(most, Version::V2, StreamId(3)) {
                    let (header, payload) = frame.as_ref().split_at(HEADER_LEN);
                    prop_assert_eq!(header, &frame::data_header(Version::V2, StreamId(3), len as u16));
                    prop_assert!(len > 0 && len <= most.min(1_000));
                    prop_assert_eq!(payload, &model.drain(..len).collect::<Vec<_>>());
                } else {
                    prop_assert!(most == 0 || model.is_empty());
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.is_empty(), model.is_empty());
                let frames = queue.blocks.len();
                // The first may be the rest of one.
                prop_assert!(frames <= model.len().div_ceil(1_000) + 1);
            }
        }
    }
}
