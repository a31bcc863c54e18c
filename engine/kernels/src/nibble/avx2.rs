//! AVX2: two nibbles of 32 rows a step.

use std::arch::x86_64::*;

use super::{BLOCK_ROWS, NibbleRows, NibbleTables};

/// Nibbles whose entries cannot overflow 16 bits: 63 * 256 < 65,536.
const CHUNK: usize = 256;

/// Sums of 16 rows: the two lanes of sums of even rows (with 256 times the odd) and of odd rows,
/// added and put in order.
#[inline]
#[target_feature(enable = "avx2")]
fn in_order(both: __m256i, odd: __m256i) -> __m256i {
    let even = _mm256_sub_epi16(both, _mm256_slli_epi16::<8>(odd));
    let low = _mm256_unpacklo_epi16(even, odd);
    let high = _mm256_unpackhi_epi16(even, odd);
    _mm256_add_epi16(
        _mm256_permute2x128_si256::<0x20>(low, high),
        _mm256_permute2x128_si256::<0x31>(low, high),
    )
}

/// Sums of up to CHUNK nibbles, a 16-bit value a row: rows 0 to 15, and the others.
///
/// # Safety
/// `codes` and `tables` must be readable for `16 * nibbles` bytes; `nibbles` is a multiple of 4.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn chunk(codes: *const u8, tables: *const u8, nibbles: usize) -> [__m256i; 2] {
    let low = _mm256_set1_epi8(15);
    // A 16-bit lane sees an even row plus 256 times an odd one; the second accumulator has the odd
    // row alone, and what it has is taken off the first at the end.
    let [mut both_l, mut odd_l, mut both_h, mut odd_h] = [_mm256_setzero_si256(); 4];
    let mut at = 0;
    while at < 16 * nibbles {
        // Two steps a turn, whose entries add up within a byte.
        let [mut l, mut h] = [_mm256_setzero_si256(); 2];
        for part in [at, at + 32] {
            // SAFETY: nibbles is a multiple of 4, so that at + 64 <= 16 * nibbles.
            let (code, table) = unsafe {
                let (codes, tables) = (codes.add(part).cast(), tables.add(part).cast());
                (_mm256_loadu_si256(codes), _mm256_loadu_si256(tables))
            };
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(code), low);
            l = _mm256_add_epi8(l, _mm256_shuffle_epi8(table, _mm256_and_si256(code, low)));
            h = _mm256_add_epi8(h, _mm256_shuffle_epi8(table, high));
        }
        both_l = _mm256_add_epi16(both_l, l);
        odd_l = _mm256_add_epi16(odd_l, _mm256_srli_epi16::<8>(l));
        both_h = _mm256_add_epi16(both_h, h);
        odd_h = _mm256_add_epi16(odd_h, _mm256_srli_epi16::<8>(h));
        at += 64;
    }
    [in_order(both_l, odd_l), in_order(both_h, odd_h)]
}

/// As [`Kernels::scan_nibbles`](crate::Kernels::scan_nibbles).
///
/// # Safety
/// Every slice must hold as many blocks as there are masks, the tables all nibbles, which are a
/// multiple of 4.
#[target_feature(enable = "avx2,popcnt")]
pub(crate) unsafe fn scan(
    rows: &NibbleRows,
    tables: &NibbleTables,
    base: f32,
    limit: f32,
    masks: &mut [u32],
    out: &mut [f32],
) -> usize {
    let bytes = 16 * rows.nibbles;
    let (unit, offset) = (_mm256_set1_ps(tables.unit), _mm256_set1_ps(tables.offset));
    let (base, limit) = (_mm256_set1_ps(base), _mm256_set1_ps(limit));
    let mut left = 0;
    for (block, mask) in masks.iter_mut().enumerate() {
        if *mask == 0 {
            continue;
        }
        let mut sums = [_mm256_setzero_si256(); 4];
        let mut done = 0;
        while done < rows.nibbles {
            let n = CHUNK.min(rows.nibbles - done);
            // SAFETY: the codes hold this block, the tables all nibbles; done + n <= nibbles.
            let halves = unsafe {
                let codes = rows.codes.as_ptr().add(block * bytes + 16 * done);
                chunk(codes, tables.tables.as_ptr().add(16 * done), n)
            };
            for (i, half) in halves.into_iter().enumerate() {
                let (lower, upper) =
                    (_mm256_castsi256_si128(half), _mm256_extracti128_si256::<1>(half));
                sums[2 * i] = _mm256_add_epi32(sums[2 * i], _mm256_cvtepu16_epi32(lower));
                sums[2 * i + 1] = _mm256_add_epi32(sums[2 * i + 1], _mm256_cvtepu16_epi32(upper));
            }
            done += n;
        }
        let mut kept = 0;
        for (part, sum) in sums.into_iter().enumerate() {
            let at = block * BLOCK_ROWS + 8 * part;
            // SAFETY: add, mul, scale and out hold this block, at + 8 values.
            unsafe {
                let start = match rows.scale {
                    Some(scale) => _mm256_mul_ps(_mm256_loadu_ps(scale.as_ptr().add(at)), base),
                    None => base,
                };
                let start = _mm256_add_ps(start, _mm256_loadu_ps(rows.add.as_ptr().add(at)));
                let value = _mm256_add_ps(_mm256_mul_ps(unit, _mm256_cvtepi32_ps(sum)), offset);
                let grown = _mm256_mul_ps(_mm256_loadu_ps(rows.mul.as_ptr().add(at)), value);
                let estimate = _mm256_add_ps(start, grown);
                _mm256_storeu_ps(out.as_mut_ptr().add(at), estimate);
                let less = _mm256_cmp_ps::<_CMP_LT_OQ>(estimate, limit);
                kept |= (_mm256_movemask_ps(less) as u32) << (8 * part);
            }
        }
        *mask &= kept;
        left += mask.count_ones() as usize;
    }
    left
}
