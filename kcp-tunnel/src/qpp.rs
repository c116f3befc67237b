//! kcptun's `QPP`: a byte transform on the payload of every stream.
//!
//! Each byte goes through one of a set of permutations, chosen by a generator that both ends derive
//! from the key. It hides no lengths and authenticates nothing; it adds to the packet encryption and
//! does not replace it.

use core::num::NonZeroU16;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use std::io;
use std::sync::Arc;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _};
use hmac::{Hmac, Mac as _};
use pbkdf2::pbkdf2_hmac_array;
use sha1::Sha1;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outbox::Outbox;

/// The permutations that follow from a key. Made once, shared by all streams.
pub struct Pads {
    key: Box<[u8]>,
    /// Every permutation and its inverse.
    pads: Vec<(Permutation, Permutation)>,
}

type Permutation = [u8; 256];

impl Pads {
    /// `count` permutations from the text of the key (not from what packets are encrypted with).
    pub fn new(key: &str, count: NonZeroU16) -> Self {
        let key = key.as_bytes();
        let chunks = seed_chunks(key);
        let ciphers = chunks.map(|chunk| Aes256::new(&derive(&chunk, SHUFFLE, 128).into()));
        let pads = (0..count.get())
            .map(|number| {
                let chunk = &chunks[usize::from(number) % chunks.len()];
                let pad = shuffle(hmac(chunk, format!("QPP_{number:b}").as_bytes()), &ciphers);
                (pad, invert(&pad))
            })
            .collect();
        Self {
            key: key.into(),
            pads,
        }
    }

    /// The transform of one direction of a stream, from its first byte on.
    fn start(&self) -> Generator {
        Generator::new(&self.key)
    }

    fn seal(&self, generator: &mut Generator, bytes: &mut [u8]) {
        self.transform(generator, bytes, |(pad, _), byte, mask| {
            pad[usize::from(byte ^ mask)]
        });
    }

    fn open(&self, generator: &mut Generator, bytes: &mut [u8]) {
        self.transform(generator, bytes, |(_, inverse), byte, mask| {
            inverse[usize::from(byte)] ^ mask
        });
    }

    /// Passes every byte through `f` with its permutations and its mask.
    fn transform(
        &self,
        generator: &mut Generator,
        mut bytes: &mut [u8],
        f: impl Fn(&(Permutation, Permutation), u8, u8) -> u8,
    ) {
        while !bytes.is_empty() {
            let (word, used) = generator.current();
            let pads = &self.pads[usize::from(word as u16) % self.pads.len()];
            let masks = &word.to_le_bytes()[used..];
            let (now, later) = bytes.split_at_mut(masks.len().min(bytes.len()));
            for (byte, &mask) in now.iter_mut().zip(masks) {
                *byte = f(pads, *byte, mask);
            }
            generator.used += now.len();
            bytes = later;
        }
    }
}

impl core::fmt::Debug for Pads {
    /// Names the count only: the rest is secret.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Pads")
            .field("count", &self.pads.len())
            .finish_non_exhaustive()
    }
}

/// A stream whose bytes are transformed, in each direction from its first byte on.
#[derive(Debug)]
pub struct Qpp<T> {
    inner: T,
    pads: Arc<Pads>,
    sealing: Generator,
    opening: Generator,
    output: Outbox,
}

impl<T> Qpp<T> {
    /// Wraps `inner`, on which nothing was sent or received yet.
    pub fn new(inner: T, pads: Arc<Pads>) -> Self {
        let (sealing, opening) = (pads.start(), pads.start());
        Self {
            inner,
            pads,
            sealing,
            opening,
            output: Outbox::default(),
        }
    }

    /// What it wraps.
    pub(crate) const fn get_ref(&self) -> &T {
        &self.inner
    }
}

impl<T: AsyncWrite + Unpin> Qpp<T> {
    /// Waits until nothing is left of earlier writes. Tells how many bytes a write takes then.
    pub(crate) fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        ready!(self.output.poll_drain(&mut self.inner, cx))?;
        Poll::Ready(Ok(MAX_WRITE))
    }
}

impl<T> Qpp<T> {
    /// Reads from what it wraps by other means than copying: `read` gives every piece that it gets,
    /// in order, to the function that it is given.
    pub(crate) fn poll_take_with<R>(
        &mut self,
        read: impl FnOnce(&T, &mut dyn FnMut(&mut [u8])) -> R,
    ) -> R {
        let (pads, opening) = (&self.pads, &mut self.opening);
        read(&self.inner, &mut |bytes| pads.open(opening, bytes))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Qpp<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
        this.pads
            .open(&mut this.opening, &mut buf.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Qpp<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        let taken = &data[..data.len().min(MAX_WRITE)];
        let bytes = this.output.bytes();
        bytes.extend_from_slice(taken);
        this.pads.seal(&mut this.sealing, bytes);
        this.output.try_drain(&mut this.inner, cx)?;
        Poll::Ready(Ok(taken.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.output.poll_drain(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

/// Why a choice of key or count is weaker than it could be. kcptun warns of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Weakness {
    /// The key is shorter than a permutation's entropy, 211 bytes.
    #[error("QPP with a key of {0} bytes: 211 or more are advised")]
    ShortKey(usize),
    /// There are fewer permutations than parts of the seed.
    #[error("QPP with {0} pads: 7 or more are advised")]
    FewPads(u16),
    /// The count shares a factor with the 8 bytes of a random word.
    #[error("QPP with {0} pads: an odd number, best a prime, is advised")]
    EvenCount(u16),
}

/// What is weak about `key` and `count`, if anything.
pub fn weaknesses(key: &str, count: NonZeroU16) -> Vec<Weakness> {
    let count = count.get();
    let mut found = Vec::new();
    if key.len() < 211 {
        found.push(Weakness::ShortKey(key.len()));
    }
    if count < 7 {
        found.push(Weakness::FewPads(count));
    }
    if count.is_multiple_of(2) {
        found.push(Weakness::EvenCount(count));
    }
    found
}

/// Random words, xoshiro256**: each chooses the permutation for 8 bytes and masks them with its own.
#[derive(Debug)]
struct Generator {
    state: [u64; 4],
    word: u64,
    /// Bytes of the word that have masked one.
    used: usize,
}

impl Generator {
    fn new(key: &[u8]) -> Self {
        let seed = derive(&hmac(key, b"PERMUTATION_MATRIX_SELECTOR"), PRNG, 128);
        let mut state = [0; 4];
        for (word, bytes) in state.iter_mut().zip(seed.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        let mut generator = Self {
            state,
            word: 0,
            used: 0,
        };
        generator.word = generator.next_word();
        generator
    }

    /// The word for the next byte, and which of its bytes, from 0 to 7, masks that.
    fn current(&mut self) -> (u64, usize) {
        if self.used == 8 {
            self.word = self.next_word();
            self.used = 0;
        }
        (self.word, self.used)
    }

    fn next_word(&mut self) -> u64 {
        let [a, b, c, d] = self.state;
        let word = b.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        let (c, d) = (c ^ a, d ^ b);
        self.state = [a ^ d, b ^ c, c ^ (b << 17), d.rotate_left(45)];
        word
    }
}

/// The seven parts of the seed: 32 bytes each, read around a key that is too short for them.
fn seed_chunks(key: &[u8]) -> [[u8; 32]; 7] {
    let derived;
    let seed = if key.len() >= 32 {
        key
    } else {
        derived = derive(key, SEED, 128);
        &derived
    };
    core::array::from_fn(|chunk| {
        let part: [u8; 32] = core::array::from_fn(|i| seed[(32 * chunk + i) % seed.len()]);
        derive(&part, SEED, 1_024)
    })
}

/// Shuffles the identity, from the last element down. The next place comes from `state`, 256 bits
/// that every cipher encrypts in turn and that go on from one place to the next.
fn shuffle(mut state: [u8; 32], ciphers: &[Aes256; 7]) -> Permutation {
    let mut pad: Permutation = core::array::from_fn(|i| i as u8);
    for last in (1..pad.len()).rev() {
        for cipher in ciphers {
            for block in state.as_chunks_mut::<16>().0 {
                cipher.encrypt_block(block.into());
            }
        }
        let modulus = last + 1;
        let place = state
            .iter()
            .fold(0, |rest, &byte| (rest * 256 + usize::from(byte)) % modulus);
        pad.swap(last, place);
    }
    pad
}

fn invert(pad: &Permutation) -> Permutation {
    let mut inverse = [0; 256];
    for (input, &output) in (0..=u8::MAX).zip(pad) {
        inverse[usize::from(output)] = input;
    }
    inverse
}

fn derive(secret: &[u8], salt: &[u8], rounds: u32) -> [u8; 32] {
    pbkdf2_hmac_array::<Sha1, 32>(secret, salt, rounds)
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

const SEED: &[u8] = b"___QUANTUM_PERMUTATION_PAD_SEED_DERIVE___";
const SHUFFLE: &[u8] = b"___QUANTUM_PERMUTATION_PAD_SHUFFLE_SALT___";
const PRNG: &[u8] = b"___QUANTUM_PERMUTATION_PAD_PRNG_SALT___";

/// Most bytes transformed ahead of a transport that does not take them.
const MAX_WRITE: usize = 16 * 1_024;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn count(pads: u16) -> NonZeroU16 {
        NonZeroU16::new(pads).unwrap()
    }

    #[tokio::test]
    async fn both_directions_of_a_stream_start_alike_and_go_on_alone() {
        let pads = Arc::new(Pads::new("key", count(7)));
        let (near, far) = duplex(10);
        let (mut near, mut far) = (Qpp::new(near, Arc::clone(&pads)), Qpp::new(far, pads));
        let data: Vec<u8> = (0..100_000_u32).map(|i| (i / 3) as u8).collect();
        for _ in 0..2 {
            let write = async {
                near.write_all(&data).await.unwrap();
                near.flush().await.unwrap();
            };
            let mut got = vec![0; data.len()];
            let ((), read) = tokio::join!(write, far.read_exact(&mut got));
            read.unwrap();
            assert!(got == data);
        }
        far.write_all(b"answer").await.unwrap();
        let mut got = [0; 6];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(&got, b"answer");
    }

    #[test]
    fn pads_and_words_are_those_of_the_go_package() {
        let vectors: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/interop/vectors/qpp.json")).unwrap();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        for case in vectors["cases"].as_array().unwrap() {
            let pads = case["pads"].as_u64().unwrap().try_into().unwrap();
            let pads = Pads::new(&text(&case["seed"]), count(pads));
            for (head, (pad, _)) in case["pads_head"].as_array().unwrap().iter().zip(&pads.pads) {
                let ours: String = pad[..16].iter().map(|byte| format!("{byte:02x}")).collect();
                assert_eq!(ours, text(head));
            }
            let mut generator = pads.start();
            for word in case["prng_words"].as_array().unwrap() {
                assert_eq!(format!("{:016x}", generator.word), text(word));
                generator.word = generator.next_word();
            }
        }
    }

    #[test]
    fn every_pad_is_a_permutation_and_no_two_are_alike() {
        let pads = Pads::new("key", count(9));
        for (index, (pad, inverse)) in pads.pads.iter().enumerate() {
            assert!((0..=255).all(|byte: u8| inverse[usize::from(pad[usize::from(byte)])] == byte));
            assert!(pads.pads[..index].iter().all(|(other, _)| other != pad));
        }
    }

    #[test]
    fn what_kcptun_warns_of_is_found() {
        let long = "k".repeat(211);
        assert_eq!(weaknesses(&long, count(61)), []);
        assert_eq!(weaknesses(&long[1..], count(7)), [Weakness::ShortKey(210)]);
        let both = [Weakness::FewPads(6), Weakness::EvenCount(6)];
        assert_eq!(weaknesses(&long, count(6)), both);
        assert_eq!(weaknesses(&long, count(5)), [Weakness::FewPads(5)]);
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        let shown = format!("{:?}", Pads::new("hunter2", count(1)));
        assert_eq!(shown, "Pads { count: 1, .. }");
    }

    proptest! {
        #[test]
        fn any_cut_of_the_bytes_gives_the_same(cuts in prop::collection::vec(0_usize..40, 0..20)) {
            static PADS: LazyLock<Pads> = LazyLock::new(|| Pads::new("another key", count(3)));
            let pads = &*PADS;
            let plain: Vec<u8> = (0..cuts.iter().sum::<usize>()).map(|i| i as u8).collect();
            let mut whole = plain.clone();
            pads.seal(&mut pads.start(), &mut whole);
            let (mut sealing, mut opening) = (pads.start(), pads.start());
            let mut pieces = plain.clone();
            let mut rest = &mut pieces[..];
            for cut in cuts {
                let (piece, later) = rest.split_at_mut(cut);
                pads.seal(&mut sealing, piece);
                rest = later;
            }
            prop_assert_eq!(&pieces, &whole);
            pads.open(&mut opening, &mut pieces);
            prop_assert_eq!(pieces, plain);
        }
    }
}
