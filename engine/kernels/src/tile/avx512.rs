//! AVX-512 VNNI: 16 centroids a register, four dims a step.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::*;

use super::NO_HIT;
use super::packed::{Finish, Line};

/// Sums of one row with one group.
type Sums = __m512i;
/// Scores of one row with one group.
type Scores = __m512;
/// For each lane the least score so far and the group it came from.
type Least = (__m512, __m512i);

/// Rows of a tile: with ROWS * GROUPS sums, the lines and a row's codes just fit 32 registers.
const ROWS: usize = 4;
const GROUPS: usize = 6;

/// Sums of R rows with G groups, in registers throughout.
///
/// # Safety
/// `lines` must be readable for `G * quads` lines, `finish` for G values, each of `rows` for `4 *
/// quads` bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile<const R: usize, const G: usize>(
    lines: *const Line,
    finish: *const Finish,
    quads: usize,
    rows: [*const u8; R],
) -> [[Sums; G]; R] {
    let mut sums = [[_mm512_setzero_si512(); G]; R];
    for g in 0..G {
        // SAFETY: g < G, and start is 64 bytes.
        let start = unsafe { _mm512_loadu_si512((&raw const (*finish.add(g)).start).cast()) };
        for row in &mut sums {
            row[g] = start;
        }
    }
    for quad in 0..quads {
        // SAFETY: quad < quads, and the pointers are readable as the caller promises.
        unsafe {
            let line: [__m512i; G] =
                std::array::from_fn(|g| _mm512_load_si512(lines.add(g * quads + quad).cast()));
            for r in 0..R {
                let codes = _mm512_set1_epi32(rows[r].add(4 * quad).cast::<i32>().read_unaligned());
                for g in 0..G {
                    sums[r][g] = _mm512_dpbusd_epi32(sums[r][g], codes, line[g]);
                }
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn scores(sums: Sums, row_scale: f32, finish: &Finish) -> Scores {
    // SAFETY: scale and bias are 16 values each.
    let (scale, bias) =
        unsafe { (_mm512_loadu_ps(finish.scale.as_ptr()), _mm512_loadu_ps(finish.bias.as_ptr())) };
    let factor = _mm512_mul_ps(_mm512_set1_ps(row_scale), scale);
    _mm512_sub_ps(bias, _mm512_mul_ps(factor, _mm512_cvtepi32_ps(sums)))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn no_least() -> Least {
    (_mm512_set1_ps(f32::INFINITY), _mm512_set1_epi32(-1))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn lessen(least: &mut Least, scores: Scores, group: u32) {
    let less = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(scores, least.0);
    least.0 = _mm512_mask_mov_ps(least.0, less, scores);
    least.1 = _mm512_mask_mov_epi32(least.1, less, _mm512_set1_epi32(group as i32));
}

/// The least lane and its number; the first of equals.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn least_of(least: Least) -> Hit {
    let score = _mm512_reduce_min_ps(least.0);
    let equal = _mm512_cmp_ps_mask::<_CMP_EQ_OQ>(least.0, _mm512_set1_ps(score));
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let numbers = _mm512_or_si512(_mm512_slli_epi32::<4>(least.1), lanes);
    let number = _mm512_mask_reduce_min_epu32(equal, numbers);
    let mut scores = [0.0; GROUP];
    // SAFETY: scores are 16 values.
    unsafe { _mm512_storeu_ps(scores.as_mut_ptr(), least.0) };
    // Read from its lane, for a zero of the other sign is equal to the minimum.
    if score < f32::INFINITY { (number, scores[number as usize % GROUP]) } else { NO_HIT }
}

/// # Safety
/// `to` must be writable for 16 values.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn store(scores: Scores, to: *mut f32) {
    // SAFETY: as the caller promises; the store needs no alignment.
    unsafe { _mm512_storeu_ps(to, scores) };
}

/// The lanes less than a limit.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
fn less(scores: &[f32; GROUP], limit: f32) -> u32 {
    // SAFETY: scores are 16 values.
    let scores = unsafe { _mm512_loadu_ps(scores.as_ptr()) };
    u32::from(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(scores, _mm512_set1_ps(limit)))
}

super::skeleton::tile_kernels!("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni", 6 5 4 3 2 1);
