//! AVX-512: 16 values a step.

use std::arch::x86_64::*;

use crate::x86::avx512::{LANES, V, add, fma, load, load_tail, sub, sum4, zero};

/// # Safety
/// `from` must be readable for 16 values.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn widened<const BF16: bool>(from: *const u16) -> V {
    // SAFETY: as the caller promises; the load needs no alignment.
    wide::<BF16>(unsafe { _mm256_loadu_si256(from.cast()) })
}

/// # Safety
/// `from` must be readable for `n < 16` values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
unsafe fn widened_tail<const BF16: bool>(from: *const u16, n: usize) -> V {
    // SAFETY: values outside the mask are not accessed.
    wide::<BF16>(unsafe { _mm256_maskz_loadu_epi16((1 << n) - 1, from.cast()) })
}

#[inline]
#[target_feature(enable = "avx512f")]
fn wide<const BF16: bool>(halves: __m256i) -> V {
    if BF16 {
        _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(halves)))
    } else {
        _mm512_cvtph_ps(halves)
    }
}

/// # Safety
/// `to` must be writable for 16 values.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store(values: V, to: *mut f32) {
    // SAFETY: as the caller promises; the store needs no alignment.
    unsafe { _mm512_storeu_ps(to, values) };
}

super::skeleton::half_kernels!("avx512f,avx512bw,avx512vl");
