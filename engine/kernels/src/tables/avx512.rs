//! AVX-512: a nibble's table is one register.

use std::arch::x86_64::*;

use super::unit_of;

/// # Safety
/// `tables` must hold the nibble.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn load(tables: &[f32], nibble: usize) -> __m512 {
    // SAFETY: as the caller promises; the load needs no alignment.
    unsafe { _mm512_loadu_ps(tables.as_ptr().add(16 * nibble)) }
}

/// As [`Kernels::quantize_tables`](crate::Kernels::quantize_tables); `None` if values or ranges are
/// not finite.
///
/// # Safety
/// The slices must have one length, a multiple of 16.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) unsafe fn quantize(tables: &[f32], out: &mut [u8]) -> Option<(f32, f32)> {
    let nibbles = tables.len() / 16;
    let (mut widest, mut offset, mut finite) = (0.0f32, 0.0f64, u16::MAX);
    for nibble in 0..nibbles {
        // SAFETY: nibble < nibbles.
        let table = unsafe { load(tables, nibble) };
        let size = _mm512_abs_ps(table);
        finite &= _mm512_cmp_ps_mask::<_CMP_LE_OQ>(size, _mm512_set1_ps(f32::MAX));
        let (low, high) = (_mm512_reduce_min_ps(table), _mm512_reduce_max_ps(table));
        widest = widest.max(high - low);
        offset += f64::from(low);
    }
    if finite != u16::MAX {
        return None;
    }
    let (unit, inverse) = unit_of(widest)?;
    let inverse = _mm512_set1_ps(inverse);
    for nibble in 0..nibbles {
        // SAFETY: nibble < nibbles, and out is as long as tables.
        unsafe {
            let table = load(tables, nibble);
            let above = _mm512_sub_ps(table, _mm512_set1_ps(_mm512_reduce_min_ps(table)));
            let entries = _mm512_cvtps_epi32(_mm512_mul_ps(above, inverse));
            let bytes = _mm512_cvtusepi32_epi8(entries);
            _mm_storeu_si128(out.as_mut_ptr().add(16 * nibble).cast(), bytes);
        }
    }
    Some((unit, offset as f32))
}

/// As [`Kernels::sign_tables`](crate::Kernels::sign_tables).
///
/// # Safety
/// `out` must hold 16 values for every four of `q`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) unsafe fn sign(q: &[f32], out: &mut [f32]) {
    // Sign bits of the entries whose bit k is clear.
    let minus = [0x5555, 0x3333, 0x0f0f, 0x00ff]
        .map(|clear| _mm512_castsi512_ps(_mm512_maskz_set1_epi32(clear, i32::MIN)));
    for (nibble, dims) in q.chunks_exact(4).enumerate() {
        let signed = |k: usize| _mm512_xor_ps(_mm512_set1_ps(dims[k]), minus[k]);
        let sum = _mm512_add_ps(_mm512_add_ps(signed(0), signed(1)), signed(2));
        let sum = _mm512_add_ps(sum, signed(3));
        // SAFETY: out holds 16 values for this nibble.
        unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(16 * nibble), sum) };
    }
}

/// As [`Kernels::pair_tables`](crate::Kernels::pair_tables).
///
/// # Safety
/// `centers` must hold 32 and `out` 16 values for every two of `q`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub(crate) unsafe fn pair(q: &[f32], centers: &[f32], out: &mut [f32]) {
    let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    let odd = _mm512_or_si512(even, _mm512_set1_epi32(1));
    for (m, dims) in q.chunks_exact(2).enumerate() {
        // SAFETY: centers hold two registers for this pair, out holds one.
        unsafe {
            let (a, b) = (load(centers, 2 * m), load(centers, 2 * m + 1));
            let x = _mm512_mul_ps(_mm512_set1_ps(dims[0]), _mm512_permutex2var_ps(a, even, b));
            let y = _mm512_mul_ps(_mm512_set1_ps(dims[1]), _mm512_permutex2var_ps(a, odd, b));
            _mm512_storeu_ps(out.as_mut_ptr().add(16 * m), _mm512_add_ps(x, y));
        }
    }
}
