//! Frames on the wire, both ways: a header of 8 bytes and a payload.
//!
//! Knows no stream. The decoder takes input in pieces of any size and holds at most 8 bytes.

use core::fmt;

use super::super::config::Version;
use super::super::error::ProtocolError;

/// Number of a stream, unique in its session: odd if the client opened it, even if the server did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(super) u32);

impl StreamId {
    /// The number on the wire.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a peer said, as far as one piece of input tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// The peer opens a stream.
    Open(StreamId),
    /// The peer sends no more on a stream.
    Finish(StreamId),
    /// Some bytes of a stream; a frame's payload may come as several of these.
    Data(StreamId, &'a [u8]),
    /// The peer has read `consumed` bytes of a stream (modulo 2³²) and takes `window` beyond that.
    Update {
        stream: StreamId,
        consumed: u32,
        window: u32,
    },
    /// The peer lives.
    Nop,
}

/// Turns bytes into [`Item`]s.
#[derive(Debug)]
pub(super) struct Decoder {
    version: Version,
    state: State,
}

#[derive(Debug)]
enum State {
    Header(Gather),
    Data { stream: StreamId, left: usize },
    Update { stream: StreamId, body: Gather },
}

/// Eight bytes that may arrive one by one.
#[derive(Debug, Default)]
struct Gather {
    bytes: [u8; 8],
    len: usize,
}

/// A frame's header, its version apart.
struct Header {
    command: Command,
    len: u16,
    stream: StreamId,
}

#[derive(Clone, Copy)]
enum Command {
    Syn = 0,
    Fin = 1,
    Psh = 2,
    Nop = 3,
    Upd = 4,
}

impl Decoder {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            state: State::Header(Gather::default()),
        }
    }

    /// Takes the next item from the front of `input`; `None` once the rest is not enough for one.
    /// `Data` holds at most `limit` bytes, which must not be zero.
    pub(super) fn decode<'a>(
        &mut self,
        input: &mut &'a [u8],
        limit: usize,
    ) -> Result<Option<Item<'a>>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Header(gather) => {
                    let Some(bytes) = gather.fill(input) else {
                        return Ok(None);
                    };
                    let header = Header::decode(bytes, self.version)?;
                    let stream = header.stream;
                    let (item, next) = match header.command {
                        Command::Syn => (Some(Item::Open(stream)), State::default()),
                        Command::Fin => (Some(Item::Finish(stream)), State::default()),
                        Command::Nop => (Some(Item::Nop), State::default()),
                        Command::Psh => (
                            None,
                            State::Data {
                                stream,
                                left: header.len.into(),
                            },
                        ),
                        Command::Upd => (
                            None,
                            State::Update {
                                stream,
                                body: Gather::default(),
                            },
                        ),
                    };
                    self.state = next;
                    if item.is_some() {
                        return Ok(item);
                    }
                }
                State::Data { left: 0, .. } => self.state = State::default(),
                State::Data { stream, left } => {
                    let (stream, len) = (*stream, limit.min(*left).min(input.len()));
                    let Some((data, rest)) = input.split_at_checked(len).filter(|_| len > 0) else {
                        return Ok(None);
                    };
                    *left -= len;
                    *input = rest;
                    return Ok(Some(Item::Data(stream, data)));
                }
                State::Update { stream, body } => {
                    let stream = *stream;
                    let Some([a, b, c, d, e, f, g, h]) = body.fill(input) else {
                        return Ok(None);
                    };
                    let consumed = u32::from_le_bytes([a, b, c, d]);
                    let window = u32::from_le_bytes([e, f, g, h]);
                    self.state = State::default();
                    return Ok(Some(Item::Update {
                        stream,
                        consumed,
                        window,
                    }));
                }
            }
        }
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Header(Gather::default())
    }
}

impl Gather {
    /// Moves bytes over from `input`; gives all eight once they are there.
    fn fill(&mut self, input: &mut &[u8]) -> Option<[u8; 8]> {
        let (head, rest) = input.split_at(input.len().min(self.bytes.len() - self.len));
        self.bytes[self.len..][..head.len()].copy_from_slice(head);
        self.len += head.len();
        *input = rest;
        (self.len == self.bytes.len()).then_some(self.bytes)
    }
}

impl Header {
    fn decode(bytes: [u8; 8], version: Version) -> Result<Self, ProtocolError> {
        let [actual, command, l0, l1, s0, s1, s2, s3] = bytes;
        let expected = version.byte();
        if actual != expected {
            return Err(ProtocolError::Version { expected, actual });
        }
        let len = u16::from_le_bytes([l0, l1]);
        let stream = StreamId(u32::from_le_bytes([s0, s1, s2, s3]));
        let command = match (command, len, version) {
            (0, 0, _) => Command::Syn,
            (1, 0, _) => Command::Fin,
            (2, _, _) => Command::Psh,
            (3, 0, _) => Command::Nop,
            (4, 8, Version::V2) => Command::Upd,
            (0 | 1 | 3, _, _) | (4, _, Version::V2) => {
                return Err(ProtocolError::Length { command, len });
            }
            (_, _, _) => return Err(ProtocolError::Command(command)),
        };
        Ok(Self {
            command,
            len,
            stream,
        })
    }
}

/// Appends SYN: opens `stream`.
pub(super) fn put_open(out: &mut Vec<u8>, version: Version, stream: StreamId) {
    put_header(out, version, Command::Syn, 0, stream);
}

/// Appends FIN: no more data on `stream`.
pub(super) fn put_finish(out: &mut Vec<u8>, version: Version, stream: StreamId) {
    put_header(out, version, Command::Fin, 0, stream);
}

/// Appends NOP: this end lives.
pub(super) fn put_nop(out: &mut Vec<u8>, version: Version) {
    put_header(out, version, Command::Nop, 0, StreamId(0));
}

/// The header of PSH, which `len` bytes of payload follow.
pub(super) fn data_header(version: Version, stream: StreamId, len: u16) -> [u8; HEADER_LEN] {
    header(version, Command::Psh, len, stream)
}

/// Appends UPD: `consumed` bytes of `stream` were read, and `window` more are welcome.
pub(super) fn put_update(out: &mut Vec<u8>, stream: StreamId, consumed: u32, window: u32) {
    put_header(out, Version::V2, Command::Upd, 8, stream);
    out.extend_from_slice(&consumed.to_le_bytes());
    out.extend_from_slice(&window.to_le_bytes());
}

fn put_header(out: &mut Vec<u8>, version: Version, command: Command, len: u16, stream: StreamId) {
    out.extend_from_slice(&header(version, command, len, stream));
}

fn header(version: Version, command: Command, len: u16, stream: StreamId) -> [u8; HEADER_LEN] {
    let ([l0, l1], [s0, s1, s2, s3]) = (len.to_le_bytes(), stream.0.to_le_bytes());
    [version.byte(), command as u8, l0, l1, s0, s1, s2, s3]
}

/// Length of a header.
pub(super) const HEADER_LEN: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Everything in `pieces`, with neighbouring data of one stream joined.
    fn decode_all(
        version: Version,
        pieces: &[&[u8]],
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, ProtocolError> {
        let mut decoder = Decoder::new(version);
        let mut items: Vec<(String, Vec<u8>)> = Vec::new();
        for mut piece in pieces.iter().copied() {
            while let Some(item) = decoder.decode(&mut piece, limit)? {
                let (name, data) = match item {
                    Item::Data(stream, data) => {
                        assert!(!data.is_empty() && data.len() <= limit);
                        (format!("data {stream}"), data)
                    }
                    Item::Open(_) | Item::Finish(_) | Item::Update { .. } | Item::Nop => {
                        (format!("{item:?}"), &[][..])
                    }
                };
                match items.last_mut() {
                    Some((last, bytes)) if !data.is_empty() && *last == name => {
                        bytes.extend_from_slice(data);
                    }
                    Some(_) | None => items.push((name, data.to_vec())),
                }
            }
            assert!(piece.is_empty());
        }
        Ok(items)
    }

    fn sample() -> Vec<u8> {
        let mut out = Vec::new();
        put_open(&mut out, Version::V2, StreamId(3));
        out.extend(data_header(Version::V2, StreamId(3), 0));
        out.extend(data_header(Version::V2, StreamId(3), 300));
        out.extend_from_slice(&[7; 300]);
        put_update(&mut out, StreamId(3), 5, 64);
        put_nop(&mut out, Version::V2);
        put_finish(&mut out, Version::V2, StreamId(3));
        out
    }

    #[test]
    fn what_a_command_cannot_carry_is_an_error() {
        let decode = |version, bytes: [u8; 8]| decode_all(version, &[&bytes], 1).unwrap_err();
        let length = |command, len| ProtocolError::Length { command, len };
        assert_eq!(
            decode(Version::V1, [2, 0, 0, 0, 3, 0, 0, 0]),
            ProtocolError::Version {
                expected: 1,
                actual: 2
            }
        );
        assert_eq!(decode(Version::V1, [1, 0, 1, 0, 3, 0, 0, 0]), length(0, 1));
        assert_eq!(
            decode(Version::V1, [1, 1, 0, 1, 3, 0, 0, 0]),
            length(1, 256)
        );
        assert_eq!(decode(Version::V1, [1, 3, 2, 0, 0, 0, 0, 0]), length(3, 2));
        assert_eq!(
            decode(Version::V1, [1, 4, 8, 0, 3, 0, 0, 0]),
            ProtocolError::Command(4)
        );
        assert_eq!(decode(Version::V2, [2, 4, 7, 0, 3, 0, 0, 0]), length(4, 7));
        assert_eq!(
            decode(Version::V2, [2, 5, 0, 0, 3, 0, 0, 0]),
            ProtocolError::Command(5)
        );
    }

    #[test]
    fn the_largest_frame_is_read_in_pieces_no_longer_than_the_limit() {
        let mut out = Vec::new();
        out.extend(data_header(Version::V1, StreamId(9), u16::MAX));
        out.resize(8 + 65_535, 1);
        let items = decode_all(Version::V1, &[&out], 1_000).unwrap();
        assert_eq!(items, [("data 9".to_owned(), vec![1; 65_535])]);
    }

    proptest! {
        #[test]
        fn input_may_be_cut_anywhere(cuts in prop::collection::vec(0_usize..350, 0..20), limit in 1_usize..400) {
            let bytes = sample();
            let mut cuts = cuts;
            cuts.extend([0, bytes.len()]);
            cuts.iter_mut().for_each(|cut| *cut = (*cut).min(bytes.len()));
            cuts.sort_unstable();
            let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let whole = decode_all(Version::V2, &[&bytes], usize::MAX);
            prop_assert_eq!(decode_all(Version::V2, &pieces, limit), whole);
        }

        #[test]
        fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), v2: bool) {
            let version = if v2 { Version::V2 } else { Version::V1 };
            let _ = decode_all(version, &[&bytes], 16);
        }
    }
}
