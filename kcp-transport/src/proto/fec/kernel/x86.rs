//! x86-64: table look-ups (`pshufb`) on two vector widths, bit matrices (`gf2p8affineqb`) on two others.

/// Vectors of 16 bytes: every processor since 2006.
pub(super) mod ssse3 {
    use crate::proto::fec::kernel::tables::NIBBLES;
    use crate::proto::fec::kernel::{BLOCK, Block, define_fold};
    use core::arch::x86_64::{
        __m128i, _mm_and_si128, _mm_loadu_si128, _mm_set1_epi8, _mm_shuffle_epi8, _mm_srli_epi64,
        _mm_storeu_si128, _mm_xor_si128,
    };

    const LANES: usize = 16;

    /// Products with the low and with the high half of a byte.
    type Multiplier = [__m128i; 2];

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn multiplier(coefficient: u8) -> Multiplier {
        let [low, high] = &NIBBLES[usize::from(coefficient)];
        [load(low), load(high)]
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn load(bytes: &[u8; LANES]) -> __m128i {
        // SAFETY: the reference is valid for reads of `LANES` bytes, and the load needs no alignment.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn store(vector: __m128i, bytes: &mut [u8; LANES]) {
        // SAFETY: the reference is valid for writes of `LANES` bytes, and the store needs no alignment.
        unsafe { _mm_storeu_si128(bytes.as_mut_ptr().cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn multiply([low, high]: &Multiplier, vector: __m128i) -> __m128i {
        let nibble = _mm_set1_epi8(15);
        let low = _mm_shuffle_epi8(*low, _mm_and_si128(vector, nibble));
        let shifted = _mm_and_si128(_mm_srli_epi64::<4>(vector), nibble);
        let high = _mm_shuffle_epi8(*high, shifted);
        _mm_xor_si128(low, high)
    }

    #[inline]
    #[target_feature(enable = "ssse3")]
    fn add(a: __m128i, b: __m128i) -> __m128i {
        _mm_xor_si128(a, b)
    }

    define_fold!("ssse3");
}

/// Vectors of 32 bytes.
pub(super) mod avx2 {
    use crate::proto::fec::kernel::tables::NIBBLES;
    use crate::proto::fec::kernel::{BLOCK, Block, define_fold};
    use core::arch::x86_64::{
        __m256i, _mm256_and_si256, _mm256_loadu_si256, _mm256_set1_epi8, _mm256_shuffle_epi8,
        _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
    };

    const LANES: usize = 32;

    /// Products with the low and with the high half of a byte, each twice: look-ups stay inside half a vector.
    type Multiplier = [__m256i; 2];

    #[inline]
    #[target_feature(enable = "avx2")]
    fn multiplier(coefficient: u8) -> Multiplier {
        let [low, high] = &NIBBLES[usize::from(coefficient)];
        let twice = |table: &[u8; 16]| {
            let mut both = [0; LANES];
            both[..16].copy_from_slice(table);
            both[16..].copy_from_slice(table);
            load(&both)
        };
        [twice(low), twice(high)]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; LANES]) -> __m256i {
        // SAFETY: the reference is valid for reads of `LANES` bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn store(vector: __m256i, bytes: &mut [u8; LANES]) {
        // SAFETY: the reference is valid for writes of `LANES` bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn multiply([low, high]: &Multiplier, vector: __m256i) -> __m256i {
        let nibble = _mm256_set1_epi8(15);
        let low = _mm256_shuffle_epi8(*low, _mm256_and_si256(vector, nibble));
        let shifted = _mm256_and_si256(_mm256_srli_epi64::<4>(vector), nibble);
        let high = _mm256_shuffle_epi8(*high, shifted);
        _mm256_xor_si256(low, high)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn add(a: __m256i, b: __m256i) -> __m256i {
        _mm256_xor_si256(a, b)
    }

    define_fold!("avx2");
}

/// Vectors of 32 bytes, one instruction per product.
pub(super) mod gfni_avx2 {
    use super::MATRICES;
    use crate::proto::fec::kernel::{BLOCK, Block, define_fold};
    use core::arch::x86_64::{
        __m256i, _mm256_gf2p8affine_epi64_epi8, _mm256_loadu_si256, _mm256_set1_epi64x,
        _mm256_storeu_si256, _mm256_xor_si256,
    };

    const LANES: usize = 32;

    type Multiplier = __m256i;

    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn multiplier(coefficient: u8) -> Multiplier {
        _mm256_set1_epi64x(MATRICES[usize::from(coefficient)].cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn load(bytes: &[u8; LANES]) -> __m256i {
        // SAFETY: the reference is valid for reads of `LANES` bytes, and the load needs no alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn store(vector: __m256i, bytes: &mut [u8; LANES]) {
        // SAFETY: the reference is valid for writes of `LANES` bytes, and the store needs no alignment.
        unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn multiply(matrix: &Multiplier, vector: __m256i) -> __m256i {
        _mm256_gf2p8affine_epi64_epi8::<0>(vector, *matrix)
    }

    #[inline]
    #[target_feature(enable = "avx2,gfni")]
    fn add(a: __m256i, b: __m256i) -> __m256i {
        _mm256_xor_si256(a, b)
    }

    define_fold!("avx2,gfni");
}

/// Vectors of 64 bytes, one instruction per product.
pub(super) mod gfni_avx512 {
    use super::MATRICES;
    use crate::proto::fec::kernel::{BLOCK, Block, define_fold};
    use core::arch::x86_64::{
        __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_loadu_si512, _mm512_set1_epi64,
        _mm512_storeu_si512, _mm512_xor_si512,
    };

    const LANES: usize = 64;

    type Multiplier = __m512i;

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn multiplier(coefficient: u8) -> Multiplier {
        _mm512_set1_epi64(MATRICES[usize::from(coefficient)].cast_signed())
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn load(bytes: &[u8; LANES]) -> __m512i {
        // SAFETY: the reference is valid for reads of `LANES` bytes, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn store(vector: __m512i, bytes: &mut [u8; LANES]) {
        // SAFETY: the reference is valid for writes of `LANES` bytes, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn multiply(matrix: &Multiplier, vector: __m512i) -> __m512i {
        _mm512_gf2p8affine_epi64_epi8::<0>(vector, *matrix)
    }

    #[inline]
    #[target_feature(enable = "avx512f,gfni")]
    fn add(a: __m512i, b: __m512i) -> __m512i {
        _mm512_xor_si512(a, b)
    }

    define_fold!("avx512f,gfni");
}

/// For every coefficient the bit matrix that multiplies by it, in the order that `gf2p8affineqb` wants: byte 7 - i
/// holds the row that yields bit i of the product.
static MATRICES: [u64; 256] = {
    let mut matrices = [0; 256];
    let mut coefficient = 0;
    while coefficient < 256 {
        let mut column = 0;
        while column < 8 {
            let image = super::tables::product(coefficient as u8, 1 << column);
            let mut row = 0;
            while row < 8 {
                let bit = (image >> row & 1) as u64;
                matrices[coefficient] |= bit << (8 * (7 - row) + column);
                row += 1;
            }
            column += 1;
        }
        coefficient += 1;
    }
    matrices
};
