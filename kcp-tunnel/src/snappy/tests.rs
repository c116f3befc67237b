use std::io::{ErrorKind, Read as _};

use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

/// The framed stream of `writes`, as a transport sees it that takes everything.
fn encode(writes: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new();
    let mut out = Vec::new();
    for mut data in writes.iter().copied() {
        while !data.is_empty() {
            let taken = encoder.encode(data, &mut out);
            data = &data[taken..];
        }
    }
    out
}

/// What a reader makes of `bytes`, cut into pieces of `piece` bytes.
fn decode(bytes: &[u8], piece: usize) -> Result<Vec<u8>, SnappyError> {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    for mut input in bytes.chunks(piece) {
        while !input.is_empty() {
            decoder.decode(&mut input)?;
            out.extend_from_slice(decoder.plain());
            decoder.consume(decoder.plain().len());
        }
    }
    Ok(out)
}

fn chunk(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&[kind, len[0], len[1], len[2]], body].concat()
}

fn identifier() -> Vec<u8> {
    chunk(0xff, b"sNaPpY")
}

#[test]
fn chunks_of_every_kind_are_read_wherever_they_are_cut() {
    let hello = &encode(&[b"hello"])[10..];
    let mut stream = identifier();
    stream.extend(chunk(0xfe, &[0; 300]));
    stream.extend_from_slice(hello);
    stream.extend(chunk(0x80, b"unknown, skippable"));
    stream.extend(identifier());
    stream.extend(chunk(0xfd, &[]));
    stream.extend_from_slice(&encode(&[b""]));
    stream.extend_from_slice(&encode(&[&[b'a'; 1_000]])[10..]);
    let expected = [&b"hello"[..], &[b'a'; 1_000]].concat();
    for piece in 1..20 {
        assert_eq!(decode(&stream, piece).unwrap(), expected);
    }
}

#[test]
fn a_stream_without_identifier_says_so() {
    assert_eq!(
        decode(&[2, 0, 0, 0, 3, 0, 0, 0], 8),
        Err(SnappyError::NoIdentifier)
    );
    assert_eq!(
        decode(&chunk(0xff, b"SnApPy"), 8),
        Err(SnappyError::NoIdentifier)
    );
    assert_eq!(
        decode(&chunk(0xff, b"sNaPp"), 8),
        Err(SnappyError::Length { kind: 0xff, len: 5 })
    );
}

#[test]
fn a_chunk_that_cannot_be_is_an_error_at_once() {
    let decode = |tail: &[u8]| decode(&[&identifier(), tail].concat(), 100).unwrap_err();
    let length = |kind, len| SnappyError::Length { kind, len };
    assert_eq!(decode(&[0x02, 0, 0, 0]), SnappyError::UnknownChunk(0x02));
    assert_eq!(decode(&[0x7f, 0, 0, 0]), SnappyError::UnknownChunk(0x7f));
    assert_eq!(decode(&[0x01, 3, 0, 0]), length(1, 3));
    assert_eq!(decode(&[0x01, 5, 0, 1]), length(1, 65_541));
    assert_eq!(decode(&[0x00, 0xff, 0xff, 0xff]), length(0, 0xff_ffff));
    let claims_4_gib = chunk(0, &[1, 2, 3, 4, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]);
    assert_eq!(decode(&claims_4_gib), length(0, u32::MAX as usize));
    assert!(matches!(
        decode(&chunk(0, &[1, 2, 3, 4, 9, 9])),
        SnappyError::Corrupt(_)
    ));
}

#[tokio::test]
async fn after_a_corrupt_chunk_nothing_more_is_read() {
    let mut stream = encode(&[b"good", b"bad", b"never seen"]);
    let bad = stream.windows(3).position(|bytes| bytes == b"bad").unwrap();
    stream[bad] ^= 1;
    let mut reader = Snappy::new(&stream[..]);
    let mut got = [0; 100];
    assert_eq!(reader.read(&mut got).await.unwrap(), 4);
    for _ in 0..2 {
        let error = reader.read(&mut got).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData);
        assert_eq!(error.to_string(), "wrong checksum of a snappy chunk");
    }
}

#[tokio::test]
async fn an_end_inside_a_chunk_is_told_from_one_between_chunks() {
    let stream = encode(&[b"whole"]);
    let mut got = Vec::new();
    assert_eq!(
        Snappy::new(&stream[..])
            .read_to_end(&mut got)
            .await
            .unwrap(),
        5
    );
    assert_eq!(Snappy::new(&[][..]).read_to_end(&mut got).await.unwrap(), 0);
    for cut in [1, 5, 12, stream.len() - 1] {
        let error = Snappy::new(&stream[..cut])
            .read_to_end(&mut got)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_writer_waits_for_the_transport_with_at_most_one_chunk() {
    let (near, mut far) = duplex(10);
    let mut writer = Snappy::new(near);
    assert_eq!(writer.write(b"first").await.unwrap(), 5);
    let read = async {
        let mut got = vec![0; encode(&[b"first", b"second"]).len()];
        far.read_exact(&mut got).await.unwrap();
        got
    };
    let write = async {
        let mut second = core::pin::pin!(writer.write(b"second"));
        let mut polls = 0;
        let written = core::future::poll_fn(|cx| {
            polls += 1;
            second.as_mut().poll(cx)
        });
        assert_eq!(written.await.unwrap(), 6);
        assert!(polls > 1);
        writer.flush().await.unwrap();
    };
    let ((), got) = tokio::join!(write, read);
    assert_eq!(got, encode(&[b"first", b"second"]));
}

#[tokio::test]
async fn a_lost_transport_fails_the_writer() {
    let (near, far) = duplex(10);
    let mut writer = Snappy::new(near);
    writer.write_all(b"more than ten bytes").await.unwrap();
    drop(far);
    assert_eq!(
        writer.flush().await.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
    assert_eq!(
        writer.write(b"x").await.unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

proptest! {
    #[test]
    fn any_writes_are_read_back_by_us_and_by_the_crate(
        seed in prop::collection::vec((any::<u8>(), 1_usize..9_000, any::<bool>()), 1..12),
        piece in 1_usize..70_000,
    ) {
        let writes: Vec<Vec<u8>> = seed
            .into_iter()
            .map(|(byte, len, noise)| {
                let step = if noise { usize::from(byte) | 1 } else { 0 };
                (0..len * 12).map(|i| (i * i * step / 3 + i * step) as u8 ^ byte).collect()
            })
            .collect();
        let slices: Vec<&[u8]> = writes.iter().map(Vec::as_slice).collect();
        let (framed, plain) = (encode(&slices), writes.concat());
        prop_assert!(decode(&framed, piece).unwrap() == plain);
        let mut got = Vec::new();
        snap::read::FrameDecoder::new(&framed[..]).read_to_end(&mut got).unwrap();
        prop_assert!(got == plain);
    }

    #[test]
    fn no_input_panics(bytes in prop::collection::vec(any::<u8>(), 0..300), identified: bool) {
        let start = if identified { identifier() } else { Vec::new() };
        let _ = decode(&[start, bytes].concat(), 7);
    }

    #[test]
    fn no_flipped_bit_goes_unnoticed_in_the_data(position in 14_usize..400, bit in 0_u8..8) {
        let plain: Vec<u8> = (0..500_u32).map(|i| (i * i / 7) as u8).collect();
        let mut framed = encode(&[&plain]);
        framed[position] ^= 1 << bit;
        prop_assert!(decode(&framed, 100).is_err());
    }
}

/// Takes everything, and remembers what each write was.
#[derive(Default)]
struct Writes(Vec<Vec<u8>>);

impl AsyncWrite for Writes {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.push(data.to_vec());
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn slices_of_one_write_are_chunks_of_their_own_and_leave_together() {
    let mut noise = fastrand::Rng::with_seed(1);
    let frames: [Vec<u8>; 9] = core::array::from_fn(|_| {
        let mut frame = vec![0; 8_192];
        noise.fill(&mut frame);
        frame
    });
    let slices: Vec<IoSlice<'_>> = frames.iter().map(|frame| IoSlice::new(frame)).collect();
    let mut snappy = Snappy::new(Writes::default());
    let taken = snappy.write_vectored(&slices).await.unwrap();
    // The last two must wait: one write is not to grow without bound.
    assert_eq!(taken, 7 * 8_192);
    let borrowed: Vec<&[u8]> = frames[..7].iter().map(Vec::as_slice).collect();
    assert_eq!(snappy.inner.0, [encode(&borrowed)]);
}
