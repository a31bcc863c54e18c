//! AVX2 and F16C: 8 values a step.

use std::arch::x86_64::*;

use crate::x86::avx2::{LANES, V, add, fma, load, load_tail, sub, sum4, zero};

/// # Safety
/// `from` must be readable for 8 values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widened<const BF16: bool>(from: *const u16) -> V {
    // SAFETY: as the caller promises; the load needs no alignment.
    let halves = unsafe { _mm_loadu_si128(from.cast()) };
    if BF16 {
        _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(halves)))
    } else {
        _mm256_cvtph_ps(halves)
    }
}

/// The first `n` halves, the rest zero.
///
/// # Safety
/// `from` must be readable for `n < LANES` values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn widened_tail<const BF16: bool>(from: *const u16, n: usize) -> V {
    let mut some = [0; LANES];
    // SAFETY: n < LANES values are read, as the caller promises, into room for LANES.
    unsafe {
        std::ptr::copy_nonoverlapping(from, some.as_mut_ptr(), n);
        widened::<BF16>(some.as_ptr())
    }
}

/// # Safety
/// `to` must be writable for 8 values.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
unsafe fn store(values: V, to: *mut f32) {
    // SAFETY: as the caller promises; the store needs no alignment.
    unsafe { _mm256_storeu_ps(to, values) };
}

super::skeleton::half_kernels!("avx2,fma,f16c");
