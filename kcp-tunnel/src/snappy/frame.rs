//! The framing format of snappy, both ways: chunks with a type, a length and a checksum.
//!
//! Source: snappy `framing_format.txt`; a reader takes any stream that it allows. Memory is bounded
//! by the largest chunk, whatever comes in.

use snap::raw;

/// What makes a stream unreadable. Nothing after it can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnappyError {
    /// The stream does not start with its identifier: most likely the peer does not compress.
    #[error("not a snappy stream: the peer must use compression, too")]
    NoIdentifier,
    /// A chunk of a type that a reader must know and this format does not define.
    #[error("unknown snappy chunk type {0:#04x}")]
    UnknownChunk(u8),
    /// A chunk longer than one of its type can be, packed or expanded, or too short for its checksum.
    #[error("snappy chunk of type {kind:#04x} with {len} bytes")]
    Length {
        /// The chunk's type.
        kind: u8,
        /// Its length in bytes, checksum included.
        len: usize,
    },
    /// The compressed bytes cannot be expanded.
    #[error("corrupt snappy chunk: {0}")]
    Corrupt(#[from] snap::Error),
    /// The expanded bytes are not those that were compressed.
    #[error("wrong checksum of a snappy chunk")]
    Checksum,
}

/// Turns bytes into chunks.
#[derive(Debug)]
pub(super) struct Encoder {
    compressor: raw::Encoder,
    identified: bool,
}

/// Turns chunks into bytes.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    identified: bool,
    /// The part of a chunk that is being gathered: its header, or its body.
    gathered: Vec<u8>,
    /// The bytes of the last chunk, and how many of them were consumed.
    plain: Vec<u8>,
    consumed: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Header,
    Body {
        kind: Kind,
        len: usize,
    },
    Skip {
        left: usize,
    },
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Identifier,
    Compressed,
    Plain,
}

impl Encoder {
    pub(super) fn new() -> Self {
        Self {
            compressor: raw::Encoder::new(),
            identified: false,
        }
    }

    /// Appends the start of `data` to `out` as one chunk, behind the identifier if it is the first.
    /// Returns how many bytes went into it.
    pub(super) fn encode(&mut self, data: &[u8], out: &mut Vec<u8>) -> usize {
        let data = &data[..data.len().min(MAX_PLAIN)];
        if !core::mem::replace(&mut self.identified, true) {
            put_header(out, IDENTIFIER, MAGIC.len());
            out.extend_from_slice(MAGIC);
        }
        let start = out.len();
        put_header(out, COMPRESSED, 0);
        out.extend_from_slice(&checksum(data).to_le_bytes());
        let body = out.len();
        out.resize(body + raw::max_compress_len(data.len()), 0);
        let compressed = self.compressor.compress(data, &mut out[body..]);
        let compressed = compressed.expect("the compressor has all the room it may need");
        out.truncate(body + compressed);
        let mut kind = COMPRESSED;
        // What saves less than an eighth is not worth expanding. Source: golang/snappy.
        if compressed >= data.len() - data.len() / 8 {
            kind = PLAIN;
            out.truncate(body);
            out.extend_from_slice(data);
        }
        let len = out.len() - start - HEADER_LEN;
        out[start..][..HEADER_LEN].copy_from_slice(&header(kind, len));
        data.len()
    }
}

impl Decoder {
    /// Takes bytes from the front of `input` up to the end of the next chunk. Call it only when
    /// nothing is left of the last one.
    pub(super) fn decode(&mut self, input: &mut &[u8]) -> Result<(), SnappyError> {
        match self.state {
            State::Header => {
                if let &[kind, a, b, c] = self.gather(HEADER_LEN, input) {
                    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
                    self.state = self.begin(kind, len)?;
                    self.gathered.clear();
                }
            }
            State::Body { kind, len } => {
                if self.gather(len, input).len() == len {
                    self.state = State::Header;
                    self.finish(kind)?;
                    self.gathered.clear();
                }
            }
            State::Skip { left } => {
                let skipped = left.min(input.len());
                *input = &input[skipped..];
                self.state = match left - skipped {
                    0 => State::Header,
                    left => State::Skip { left },
                };
            }
        }
        Ok(())
    }

    /// What is left of the bytes of the last chunk.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain[self.consumed..]
    }

    /// The first `count` bytes of `plain` are read.
    pub(super) fn consume(&mut self, count: usize) {
        self.consumed += count;
    }

    /// Whether the input so far ends with a whole chunk.
    pub(super) fn is_between_chunks(&self) -> bool {
        matches!(self.state, State::Header) && self.gathered.is_empty()
    }

    /// Moves bytes over from `input` until `len` are gathered; gives what is gathered.
    fn gather(&mut self, len: usize, input: &mut &[u8]) -> &[u8] {
        let (head, rest) = input.split_at(input.len().min(len - self.gathered.len()));
        self.gathered.extend_from_slice(head);
        *input = rest;
        &self.gathered
    }

    /// What to do with the body of a chunk of this type and length.
    fn begin(&self, kind: u8, len: usize) -> Result<State, SnappyError> {
        if kind != IDENTIFIER && !self.identified {
            return Err(SnappyError::NoIdentifier);
        }
        let (body, min, max) = match kind {
            IDENTIFIER => (Kind::Identifier, MAGIC.len(), MAGIC.len()),
            COMPRESSED => (
                Kind::Compressed,
                CHECKSUM_LEN,
                CHECKSUM_LEN + MAX_COMPRESSED,
            ),
            PLAIN => (Kind::Plain, CHECKSUM_LEN, CHECKSUM_LEN + MAX_PLAIN),
            FIRST_SKIPPABLE.. => return Ok(State::Skip { left: len }),
            _ => return Err(SnappyError::UnknownChunk(kind)),
        };
        if !(min..=max).contains(&len) {
            return Err(SnappyError::Length { kind, len });
        }
        Ok(State::Body { kind: body, len })
    }

    /// Takes in the gathered body of a chunk.
    fn finish(&mut self, kind: Kind) -> Result<(), SnappyError> {
        self.plain.clear();
        self.consumed = 0;
        let (checksum_bytes, data) = self.gathered.split_at(CHECKSUM_LEN);
        match kind {
            Kind::Identifier if self.gathered == MAGIC => {
                self.identified = true;
                return Ok(());
            }
            Kind::Identifier => return Err(SnappyError::NoIdentifier),
            Kind::Plain => self.plain.extend_from_slice(data),
            Kind::Compressed => {
                let len = raw::decompress_len(data)?;
                if len > MAX_PLAIN {
                    return Err(SnappyError::Length {
                        kind: COMPRESSED,
                        len,
                    });
                }
                self.plain.resize(len, 0);
                raw::Decoder::new().decompress(data, &mut self.plain)?;
            }
        }
        let (expected, actual) = (checksum_bytes, checksum(&self.plain).to_le_bytes());
        if expected != actual {
            return Err(SnappyError::Checksum);
        }
        Ok(())
    }
}

fn put_header(out: &mut Vec<u8>, kind: u8, len: usize) {
    out.extend_from_slice(&header(kind, len));
}

fn header(kind: u8, len: usize) -> [u8; HEADER_LEN] {
    let [a, b, c, _] = (len as u32).to_le_bytes();
    [kind, a, b, c]
}

/// CRC-32C of the plain bytes, turned and shifted so that a checksum of data with checksums is one.
fn checksum(plain: &[u8]) -> u32 {
    crc32c::crc32c(plain)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

const COMPRESSED: u8 = 0x00;
const PLAIN: u8 = 0x01;
/// From here on a reader skips what it does not know; below, after the two above, it must not.
const FIRST_SKIPPABLE: u8 = 0x80;
const IDENTIFIER: u8 = 0xff;

/// The body of the identifier.
const MAGIC: &[u8; 6] = b"sNaPpY";

/// A chunk's type and the 24-bit length of what follows.
const HEADER_LEN: usize = 4;

/// What the body of a chunk with data starts with.
const CHECKSUM_LEN: usize = 4;

/// Most plain bytes in a chunk.
const MAX_PLAIN: usize = 65_536;

/// What they can grow to at worst: `snap::raw::max_compress_len(MAX_PLAIN)`.
const MAX_COMPRESSED: usize = 76_490;
