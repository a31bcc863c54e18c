//! AVX-512: four nibbles of 32 rows a step.

use std::arch::x86_64::*;

use super::{BLOCK_ROWS, NibbleRows, NibbleTables};

/// Nibbles whose entries cannot overflow 16 bits: 63 * 256 < 65,536.
const CHUNK: usize = 256;

/// Where the sum of each row lies after the lanes are added: even rows of the low halves, even rows
/// of the high halves, then the odd ones.
static ROW_ORDER: [u16; BLOCK_ROWS] = {
    let mut order = [0; BLOCK_ROWS];
    let mut row = 0;
    while row < BLOCK_ROWS {
        order[row] = (row % 2 * 16 + row / 16 * 8 + row % 16 / 2) as u16;
        row += 1;
    }
    order
};

/// Lanes of two vectors added to two lanes of each: `[a02, a13, b02, b13]`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
fn fold(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi16(_mm512_shuffle_i64x2::<0x44>(a, b), _mm512_shuffle_i64x2::<0xee>(a, b))
}

/// Entries of four nibbles: those of the low halves and those of the high ones.
///
/// # Safety
/// `codes` and `tables` must be readable for 64 bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
unsafe fn entries(codes: *const u8, tables: *const u8) -> [__m512i; 2] {
    let low = _mm512_set1_epi8(15);
    // SAFETY: as the caller promises; the loads need no alignment.
    let (code, table) =
        unsafe { (_mm512_loadu_si512(codes.cast()), _mm512_loadu_si512(tables.cast())) };
    let high = _mm512_and_si512(_mm512_srli_epi16::<4>(code), low);
    [_mm512_shuffle_epi8(table, _mm512_and_si512(code, low)), _mm512_shuffle_epi8(table, high)]
}

/// Adds bytes to the sums of low halves, their odd rows, high halves and their odd rows.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
fn widen(sums: [__m512i; 4], [l, h]: [__m512i; 2]) -> [__m512i; 4] {
    [
        _mm512_add_epi16(sums[0], l),
        _mm512_add_epi16(sums[1], _mm512_srli_epi16::<8>(l)),
        _mm512_add_epi16(sums[2], h),
        _mm512_add_epi16(sums[3], _mm512_srli_epi16::<8>(h)),
    ]
}

/// Sums of up to CHUNK nibbles, a 16-bit value a row.
///
/// # Safety
/// `codes` and `tables` must be readable for `16 * nibbles` bytes; `nibbles` is a multiple of 4.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
unsafe fn chunk(codes: *const u8, tables: *const u8, nibbles: usize, order: __m512i) -> __m512i {
    // A 16-bit lane sees an even row plus 256 times an odd one; the second accumulator has the odd
    // row alone, and what it has is taken off the first at the end.
    let mut sums = [_mm512_setzero_si512(); 4];
    let (mut at, end) = (0, 16 * nibbles);
    // Four steps a turn, whose entries add up within a byte; and with so few turns their number is
    // foreseen, a wrong guess at the end of each block costs a tenth.
    while at + 256 <= end {
        let [mut l, mut h] = [_mm512_setzero_si512(); 2];
        for part in 0..4 {
            // SAFETY: at + 256 <= 16 * nibbles.
            let found = unsafe { entries(codes.add(at + 64 * part), tables.add(at + 64 * part)) };
            (l, h) = (_mm512_add_epi8(l, found[0]), _mm512_add_epi8(h, found[1]));
        }
        sums = widen(sums, [l, h]);
        at += 256;
    }
    while at < end {
        // SAFETY: at + 64 <= 16 * nibbles.
        sums = widen(sums, unsafe { entries(codes.add(at), tables.add(at)) });
        at += 64;
    }
    let [both_l, odd_l, both_h, odd_h] = sums;
    let (both, odd) = (fold(both_l, both_h), fold(odd_l, odd_h));
    let sums = _mm512_add_epi16(
        _mm512_shuffle_i64x2::<0x88>(both, odd),
        _mm512_shuffle_i64x2::<0xdd>(both, odd),
    );
    let excess = _mm512_shuffle_i64x2::<0x4e>(sums, sums);
    let sums = _mm512_sub_epi16(sums, _mm512_maskz_slli_epi16::<8>(0xffff, excess));
    _mm512_permutexvar_epi16(order, sums)
}

/// As [`Kernels::scan_nibbles`](crate::Kernels::scan_nibbles).
///
/// # Safety
/// Every slice must hold as many blocks as there are masks, the tables all nibbles, which are a
/// multiple of 4.
#[target_feature(enable = "avx512f,avx512bw,popcnt")]
pub(crate) unsafe fn scan(
    rows: &NibbleRows,
    tables: &NibbleTables,
    base: f32,
    limit: f32,
    masks: &mut [u32],
    out: &mut [f32],
) -> usize {
    let bytes = 16 * rows.nibbles;
    // SAFETY: ROW_ORDER is 64 bytes.
    let order = unsafe { _mm512_loadu_si512(ROW_ORDER.as_ptr().cast()) };
    let (unit, offset) = (_mm512_set1_ps(tables.unit), _mm512_set1_ps(tables.offset));
    let (base, limit) = (_mm512_set1_ps(base), _mm512_set1_ps(limit));
    let mut left = 0;
    for (block, mask) in masks.iter_mut().enumerate() {
        if *mask == 0 {
            continue;
        }
        let [mut first, mut second] = [_mm512_setzero_si512(); 2];
        let mut done = 0;
        while done < rows.nibbles {
            let n = CHUNK.min(rows.nibbles - done);
            // SAFETY: the codes hold this block, the tables all nibbles; done + n <= nibbles.
            let sums = unsafe {
                let codes = rows.codes.as_ptr().add(block * bytes + 16 * done);
                chunk(codes, tables.tables.as_ptr().add(16 * done), n, order)
            };
            let (lower, upper) =
                (_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64::<1>(sums));
            first = _mm512_add_epi32(first, _mm512_cvtepu16_epi32(lower));
            second = _mm512_add_epi32(second, _mm512_cvtepu16_epi32(upper));
            done += n;
        }
        let mut kept = 0;
        for (half, sum) in [first, second].into_iter().enumerate() {
            let at = block * BLOCK_ROWS + 16 * half;
            // SAFETY: add, mul, scale and out hold this block, at + 16 values.
            unsafe {
                let start = match rows.scale {
                    Some(scale) => _mm512_mul_ps(_mm512_loadu_ps(scale.as_ptr().add(at)), base),
                    None => base,
                };
                let start = _mm512_add_ps(start, _mm512_loadu_ps(rows.add.as_ptr().add(at)));
                let value = _mm512_add_ps(_mm512_mul_ps(unit, _mm512_cvtepi32_ps(sum)), offset);
                let grown = _mm512_mul_ps(_mm512_loadu_ps(rows.mul.as_ptr().add(at)), value);
                let estimate = _mm512_add_ps(start, grown);
                _mm512_storeu_ps(out.as_mut_ptr().add(at), estimate);
                let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(estimate, limit);
                kept |= u32::from(less) << (16 * half);
            }
        }
        *mask &= kept;
        left += mask.count_ones() as usize;
    }
    left
}
