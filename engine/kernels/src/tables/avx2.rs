//! AVX2: a nibble's table is two registers. The tables of floats are the reference compiled for
//! wider registers.

use std::arch::x86_64::*;

use super::unit_of;

/// # Safety
/// `tables` must hold the nibble.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(tables: &[f32], nibble: usize) -> [__m256; 2] {
    // SAFETY: as the caller promises; the loads need no alignment.
    unsafe {
        let p = tables.as_ptr().add(16 * nibble);
        [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))]
    }
}

/// The least of a nibble's values in all lanes.
#[inline]
#[target_feature(enable = "avx2")]
fn least([a, b]: [__m256; 2]) -> __m256 {
    let v = _mm256_min_ps(a, b);
    let v = _mm256_min_ps(v, _mm256_permute2f128_ps::<1>(v, v));
    let v = _mm256_min_ps(v, _mm256_permute_ps::<0b01_00_11_10>(v));
    _mm256_min_ps(v, _mm256_permute_ps::<0b10_11_00_01>(v))
}

/// As [`Kernels::quantize_tables`](crate::Kernels::quantize_tables); `None` if values or ranges are
/// not finite.
///
/// # Safety
/// The slices must have one length, a multiple of 16.
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn quantize(tables: &[f32], out: &mut [u8]) -> Option<(f32, f32)> {
    let nibbles = tables.len() / 16;
    let (sign, most) = (_mm256_set1_ps(-0.0), _mm256_set1_ps(f32::MAX));
    let (mut widest, mut offset) = (_mm256_setzero_ps(), 0.0f64);
    let mut finite = _mm256_castsi256_ps(_mm256_set1_epi32(-1));
    for nibble in 0..nibbles {
        // SAFETY: nibble < nibbles.
        let table = unsafe { load(tables, nibble) };
        let low = least(table);
        for half in table {
            let size = _mm256_andnot_ps(sign, half);
            finite = _mm256_and_ps(finite, _mm256_cmp_ps::<_CMP_LE_OQ>(size, most));
            // In each lane, for the widest range is that of some lane.
            widest = _mm256_max_ps(widest, _mm256_sub_ps(half, low));
        }
        offset += f64::from(_mm256_cvtss_f32(low));
    }
    if _mm256_movemask_ps(finite) != 0xff {
        return None;
    }
    let mut lanes = [0.0f32; 8];
    // SAFETY: lanes are eight values.
    unsafe { _mm256_storeu_ps(lanes.as_mut_ptr(), widest) };
    let (unit, inverse) = unit_of(lanes.into_iter().fold(0.0, f32::max))?;
    let inverse = _mm256_set1_ps(inverse);
    for nibble in 0..nibbles {
        // SAFETY: nibble < nibbles, and out is as long as tables.
        unsafe {
            let [a, b] = load(tables, nibble);
            let low = least([a, b]);
            let a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(a, low), inverse));
            let b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_sub_ps(b, low), inverse));
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(a, b));
            let (lower, upper) =
                (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            let bytes = _mm_packus_epi16(lower, upper);
            _mm_storeu_si128(out.as_mut_ptr().add(16 * nibble).cast(), bytes);
        }
    }
    Some((unit, offset as f32))
}

/// As [`Kernels::sign_tables`](crate::Kernels::sign_tables).
#[target_feature(enable = "avx2")]
pub(crate) fn sign(q: &[f32], out: &mut [f32]) {
    super::sign(q, out);
}

/// As [`Kernels::pair_tables`](crate::Kernels::pair_tables).
#[target_feature(enable = "avx2")]
pub(crate) fn pair(q: &[f32], centers: &[f32], out: &mut [f32]) {
    super::pair(q, centers, out);
}
