//! AVX-512 VNNI: 64 products a step.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::*;

/// The first `n < 64` bytes of a register.
#[inline]
fn first(n: usize) -> __mmask64 {
    (1u64 << n) - 1
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn prefetch(p: *const u8) {
    _mm_prefetch::<_MM_HINT_T0>(p.cast());
}

/// 128 times the sum of a query.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn correction(query: &[i8]) -> i32 {
    let (mut sum, half) = (_mm512_setzero_si512(), _mm512_set1_epi8(-128));
    for part in query.chunks(64) {
        let mask = if part.len() < 64 { first(part.len()) } else { u64::MAX };
        // SAFETY: bytes outside the mask are not accessed.
        let q = unsafe { _mm512_maskz_loadu_epi8(mask, part.as_ptr()) };
        sum = _mm512_dpbusd_epi32(sum, half, q);
    }
    _mm512_reduce_add_epi32(sum)
}

/// Four registers to their four sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
fn sum4(v: [__m512i; 4]) -> __m128i {
    let pair = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (ab, cd) = (pair(v[0], v[1]), pair(v[2], v[3]));
    let lanes = _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    let upper = _mm512_extracti64x4_epi64::<1>(lanes);
    let halves = _mm256_add_epi32(_mm512_castsi512_si256(lanes), upper);
    _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256::<1>(halves))
}

/// Inner products of R <= 4 rows less the correction; sums past R mean nothing.
///
/// # Safety
/// Each row must be readable for the length of the query, a multiple of 32.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums<const R: usize>(query: &[i8], rows: [*const u8; R], correction: i32) -> [i32; 4] {
    // Two chains a row, because a step waits for the one before.
    let mut sums = [[_mm512_setzero_si512(); 2]; 4];
    let (len, q) = (query.len(), query.as_ptr());
    let mut at = 0;
    while at + 128 <= len {
        for chain in 0..2 {
            // SAFETY: at + 128 <= len.
            unsafe {
                let at = at + 64 * chain;
                let values = _mm512_loadu_si512(q.add(at).cast());
                for r in 0..R {
                    let codes = _mm512_loadu_si512(rows[r].add(at).cast());
                    sums[r][chain] = _mm512_dpbusd_epi32(sums[r][chain], codes, values);
                }
            }
        }
        at += 128;
    }
    if at + 64 <= len {
        // SAFETY: at + 64 <= len.
        unsafe {
            let values = _mm512_loadu_si512(q.add(at).cast());
            for r in 0..R {
                let codes = _mm512_loadu_si512(rows[r].add(at).cast());
                sums[r][0] = _mm512_dpbusd_epi32(sums[r][0], codes, values);
            }
        }
        at += 64;
    }
    if at < len {
        // SAFETY: 32 bytes are left, for len is a multiple of that. Not by masked loads, which read
        // memory at a quarter of the speed here.
        unsafe {
            let values = _mm512_zextsi256_si512(_mm256_loadu_si256(q.add(at).cast()));
            for r in 0..R {
                let codes = _mm256_loadu_si256(rows[r].add(at).cast());
                let codes = _mm512_zextsi256_si512(codes);
                sums[r][1] = _mm512_dpbusd_epi32(sums[r][1], codes, values);
            }
        }
    }
    let dots = sum4(sums.map(|[a, b]| _mm512_add_epi32(a, b)));
    let dots = _mm_sub_epi32(dots, _mm_set1_epi32(correction));
    let mut out = [0; 4];
    // SAFETY: out is four values.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), dots) };
    out
}

super::skeleton::int8_kernels!("avx512f,avx512bw,avx512vnni");

/// Inner product of two vectors of one length.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn dot(a: &[i8], b: &[i8]) -> i32 {
    // a + 128 is unsigned; what the 128 adds is summed apart.
    let half = _mm512_set1_epi8(-128);
    let [mut sum, mut excess] = [_mm512_setzero_si512(); 2];
    let mut at = 0;
    while at < a.len() {
        let mask = if at + 64 <= a.len() { u64::MAX } else { first(a.len() - at) };
        // SAFETY: bytes outside the mask are not accessed.
        let (x, y) = unsafe {
            (
                _mm512_maskz_loadu_epi8(mask, a.as_ptr().add(at)),
                _mm512_maskz_loadu_epi8(mask, b.as_ptr().add(at)),
            )
        };
        sum = _mm512_dpbusd_epi32(sum, _mm512_xor_si512(x, half), y);
        excess = _mm512_dpbusd_epi32(excess, half, y);
        at += 64;
    }
    _mm512_reduce_add_epi32(_mm512_sub_epi32(sum, excess))
}

/// Squared distance of two vectors of one length that is not too much for an i32.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(crate) unsafe fn l2(a: &[i8], b: &[i8]) -> i32 {
    let mut sum = [_mm512_setzero_si512(); 2];
    let mut at = 0;
    while at < a.len() {
        let mask = if at + 64 <= a.len() { u64::MAX } else { first(a.len() - at) };
        // SAFETY: bytes outside the mask are not accessed.
        let (x, y) = unsafe {
            (
                _mm512_maskz_loadu_epi8(mask, a.as_ptr().add(at)),
                _mm512_maskz_loadu_epi8(mask, b.as_ptr().add(at)),
            )
        };
        let wide = |v| {
            let upper = _mm512_extracti64x4_epi64::<1>(v);
            [_mm512_cvtepi8_epi16(_mm512_castsi512_si256(v)), _mm512_cvtepi8_epi16(upper)]
        };
        let (x, y) = (wide(x), wide(y));
        for half in 0..2 {
            let d = _mm512_sub_epi16(x[half], y[half]);
            sum[half] = _mm512_dpwssd_epi32(sum[half], d, d);
        }
        at += 64;
    }
    _mm512_reduce_add_epi32(_mm512_add_epi32(sum[0], sum[1]))
}
