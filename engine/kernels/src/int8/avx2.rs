//! AVX2: 16 products a step, widened to 16 bits: the byte products of `maddubs` would saturate.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::*;

#[inline]
#[target_feature(enable = "avx2")]
fn prefetch(p: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(p.cast());
}

/// 128 times the sum of a query.
#[inline]
#[target_feature(enable = "avx2")]
fn correction(query: &[i8]) -> i32 {
    query.iter().fold(0i32, |sum, q| sum.wrapping_add(i32::from(*q))).wrapping_mul(128)
}

/// Four registers to their four sums.
#[inline]
#[target_feature(enable = "avx2")]
fn sum4(v: [__m256i; 4]) -> __m128i {
    let (ab, cd) = (_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    let lanes = _mm256_hadd_epi32(ab, cd);
    _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256::<1>(lanes))
}

/// Inner products of R <= 4 rows less the correction; sums past R mean nothing.
///
/// # Safety
/// Each row must be readable for the length of the query, a multiple of 32.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums<const R: usize>(query: &[i8], rows: [*const u8; R], correction: i32) -> [i32; 4] {
    let mut sums = [_mm256_setzero_si256(); 4];
    for at in (0..query.len()).step_by(16) {
        // SAFETY: at + 16 <= query.len().
        unsafe {
            let q = _mm256_cvtepi8_epi16(_mm_loadu_si128(query.as_ptr().add(at).cast()));
            for r in 0..R {
                let codes = _mm256_cvtepu8_epi16(_mm_loadu_si128(rows[r].add(at).cast()));
                sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(codes, q));
            }
        }
    }
    let dots = _mm_sub_epi32(sum4(sums), _mm_set1_epi32(correction));
    let mut out = [0; 4];
    // SAFETY: out is four values.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), dots) };
    out
}

super::skeleton::int8_kernels!("avx2");

/// Sum of products of the vectors, or of squares of their differences.
///
/// # Safety
/// `b` must be as long as `a`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pair<const L2: bool>(a: &[i8], b: &[i8]) -> i32 {
    let mut sum = [_mm256_setzero_si256(); 2];
    let whole = a.len() / 32 * 32;
    for at in (0..whole).step_by(32) {
        for half in 0..2 {
            // SAFETY: at + 32 <= whole.
            let [x, y] = unsafe {
                [a, b].map(|v| {
                    let p = v.as_ptr().add(at + 16 * half);
                    _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast()))
                })
            };
            let d = _mm256_sub_epi16(x, y);
            let term = if L2 { _mm256_madd_epi16(d, d) } else { _mm256_madd_epi16(x, y) };
            sum[half] = _mm256_add_epi32(sum[half], term);
        }
    }
    let zero = _mm256_setzero_si256();
    let sum = _mm_cvtsi128_si32(sum4([_mm256_add_epi32(sum[0], sum[1]), zero, zero, zero]));
    let rest = if L2 { super::l2 } else { super::dot };
    sum.wrapping_add(rest(&a[whole..], &b[whole..]))
}

/// Inner product of two vectors of one length.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn dot(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { pair::<false>(a, b) }
}

/// Squared distance of two vectors of one length that is not too much for an i32.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn l2(a: &[i8], b: &[i8]) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { pair::<true>(a, b) }
}
