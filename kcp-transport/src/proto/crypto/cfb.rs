//! Cipher feedback over whole batches: several packets in lockstep.
//!
//! Inside a packet every block waits for the one before it, which leaves a processor that could work on eight blocks
//! at once mostly idle. Packets are independent of each other, so up to [`LANES`] of them advance together, one block
//! each per step. The bytes are those of encrypting packet by packet.

use super::PacketCipher;
use crate::proto::batch::Span;
use cfb_mode::cipher::array::ArraySize;
use cfb_mode::cipher::inout::InOutBuf;
use cfb_mode::cipher::{
    Array, Block, BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser,
    InnerIvInit, typenum::Unsigned,
};
use cfb_mode::{Decryptor, Encryptor};
use core::ops::Range;

/// Packets that advance together. More do not fit the registers of AES-NI and gain nothing.
const LANES: usize = 8;

/// What precedes every packet; ciphers with shorter blocks use its front. Source: kcp-go `crypt.go`, `initialVector`.
const INITIAL_VECTOR: [u8; 16] = [
    0xa7, 0x73, 0x4f, 0x9c, 0x12, 0xac, 0x1b, 0x01, 0xa4, 0x15, 0xf2, 0xc1, 0xfc, 0x78, 0xe6, 0x6b,
];

/// A block cipher in full-block CFB with kcp-go's fixed initial vector. What makes packets differ is the nonce that
/// each begins with.
pub(super) struct Cfb<C>(C);

impl<C: BlockCipherEncrypt> Cfb<C> {
    pub(super) fn new(cipher: C) -> Self {
        Self(cipher)
    }

    fn initial_vector() -> Block<C> {
        Array::from_fn(|i| INITIAL_VECTOR[i])
    }

    /// Encrypts until the shortest of the lanes has come to its end; `N` is at least the number of lanes.
    fn advance<const N: usize>(&self, buffer: &mut [u8], lanes: &mut [Lane<C::BlockSize>]) {
        let shortest = lanes.iter().map(|lane| lane.rest.len()).min().unwrap_or(0);
        let steps = shortest / C::BlockSize::USIZE;

        let mut feedback: [Block<C>; N] = core::array::from_fn(|i| {
            lanes
                .get(i)
                .map(|lane| lane.feedback.clone())
                .unwrap_or_default()
        });
        let due = core::array::from_fn(|i| {
            lanes
                .get_mut(i)
                .map_or(0..0, |lane| lane.take(steps * C::BlockSize::USIZE))
        });
        let blocks = buffer
            .get_disjoint_mut(due)
            .expect("packets lie inside the buffer and do not overlap")
            .map(|bytes| Array::slice_as_chunks_mut(bytes).0);
        self.0.encrypt_with_backend(Lockstep {
            blocks,
            feedback: &mut feedback,
            steps,
        });
        for (lane, feedback) in lanes.iter_mut().zip(&feedback) {
            lane.feedback = feedback.clone();
        }

        if lanes.iter().any(|lane| lane.ends_in_part_of_a_block()) {
            self.0.encrypt_blocks(&mut feedback);
            for (lane, mask) in lanes.iter_mut().zip(&feedback) {
                if lane.ends_in_part_of_a_block() {
                    let tail = &mut buffer[lane.take(lane.rest.len())];
                    tail.iter_mut()
                        .zip(mask)
                        .for_each(|(byte, mask)| *byte ^= mask);
                }
            }
        }
    }
}

impl<C: BlockCipherEncrypt + Send + Sync> PacketCipher for Cfb<C> {
    fn encrypt(&self, buffer: &mut [u8], packets: &[Span]) {
        let mut packets = packets.iter();
        let mut lanes: [Lane<C::BlockSize>; LANES] = core::array::from_fn(|_| Lane::default());
        let mut active = 0;
        loop {
            for packet in packets.by_ref().take(LANES - active) {
                lanes[active] = Lane {
                    feedback: Self::initial_vector(),
                    rest: packet.range(),
                };
                active += 1;
            }
            let running = &mut lanes[..active];
            match running {
                [] => return,
                // Alone, a lane gains nothing from lockstep, and no packet is left to join it.
                [Lane { feedback, rest }] => {
                    let rest = &mut buffer[core::mem::take(rest)];
                    return Encryptor::inner_iv_init(&self.0, feedback).encrypt(rest);
                }
                [_, _] => self.advance::<2>(buffer, running),
                [_, _, _] | [_, _, _, _] => self.advance::<4>(buffer, running),
                _ => self.advance::<LANES>(buffer, running),
            }
            for i in (0..active).rev() {
                if lanes[i].rest.is_empty() {
                    active -= 1;
                    lanes.swap(i, active);
                }
            }
        }
    }

    fn decrypt(&self, datagram: &mut [u8]) {
        Decryptor::inner_iv_init(&self.0, &Self::initial_vector()).decrypt(datagram);
    }
}

/// A packet on its way through the cipher.
struct Lane<B: ArraySize> {
    /// The ciphertext before `rest`: the block that the next one depends on.
    feedback: Array<u8, B>,
    /// What is still to be encrypted, as a range into the buffer.
    rest: Range<usize>,
}

impl<B: ArraySize> Lane<B> {
    /// Cuts `len` bytes off the front of `rest`.
    fn take(&mut self, len: usize) -> Range<usize> {
        let start = self.rest.start;
        self.rest.start += len;
        start..self.rest.start
    }

    fn ends_in_part_of_a_block(&self) -> bool {
        (1..B::USIZE).contains(&self.rest.len())
    }
}

impl<B: ArraySize> Default for Lane<B> {
    fn default() -> Self {
        Self {
            feedback: Array::default(),
            rest: 0..0,
        }
    }
}

/// Advances all lanes by the same number of blocks. Lanes without blocks only keep the count constant, so that their
/// feedback stays in registers.
struct Lockstep<'a, B: ArraySize, const N: usize> {
    blocks: [&'a mut [Array<u8, B>]; N],
    feedback: &'a mut [Array<u8, B>; N],
    steps: usize,
}

impl<B: ArraySize, const N: usize> BlockSizeUser for Lockstep<'_, B, N> {
    type BlockSize = B;
}

impl<B: ArraySize, const N: usize> BlockCipherEncClosure for Lockstep<'_, B, N> {
    #[inline(always)]
    fn call<E: BlockCipherEncBackend<BlockSize = B>>(mut self, backend: &E) {
        let mut feedback = self.feedback.clone();
        for step in 0..self.steps {
            let (chunks, rest) = InOutBuf::from(&mut feedback[..]).into_chunks();
            chunks
                .into_iter()
                .for_each(|chunk| backend.encrypt_par_blocks(chunk));
            backend.encrypt_tail_blocks(rest);
            for (blocks, feedback) in self.blocks.iter_mut().zip(&mut feedback) {
                if let Some(block) = blocks.get_mut(step) {
                    let words = block.as_chunks_mut::<8>().0.iter_mut();
                    for (word, feedback) in words.zip(feedback.as_chunks_mut::<8>().0) {
                        *word = (u64::from_ne_bytes(*word) ^ u64::from_ne_bytes(*feedback))
                            .to_ne_bytes();
                        *feedback = *word;
                    }
                }
            }
        }
        *self.feedback = feedback;
    }
}
