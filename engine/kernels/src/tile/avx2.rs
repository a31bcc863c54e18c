//! AVX2: four centroids a register, four dims a step, widened to 16 bits: the byte products of
//! `maddubs` would saturate.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::x86_64::*;

use super::packed::{Finish, Line};

/// Sums of one row with one group: four centroids a register, two sums a centroid.
type Sums = [__m256i; 4];
/// Scores of one row with one group.
type Scores = [__m256; 2];
/// For each lane the least score so far and the group it came from.
type Least = ([__m256; 2], [__m256i; 2]);

/// Rows of a tile: two rows of four sums leave registers for the centroids and codes.
const ROWS: usize = 2;
const GROUPS: usize = 1;

/// Sums of R rows with G groups, in registers throughout.
///
/// # Safety
/// `lines` must be readable for `G * quads` lines, each of `rows` for `4 * quads` bytes.
#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn tile<const R: usize, const G: usize>(
    lines: *const Line,
    _: *const Finish,
    quads: usize,
    rows: [*const u8; R],
) -> [[Sums; G]; R] {
    let mut sums = [[[_mm256_setzero_si256(); 4]; G]; R];
    for quad in 0..quads {
        // SAFETY: quad < quads, and the pointers are readable as the caller promises.
        unsafe {
            let codes: [__m256i; R] = std::array::from_fn(|r| {
                let four = rows[r].add(4 * quad).cast::<i32>().read_unaligned();
                _mm256_cvtepu8_epi16(_mm_set1_epi32(four))
            });
            for g in 0..G {
                let line = lines.add(g * quads + quad).cast::<__m128i>();
                for part in 0..4 {
                    let values = _mm256_cvtepi8_epi16(_mm_load_si128(line.add(part)));
                    for r in 0..R {
                        let products = _mm256_madd_epi16(codes[r], values);
                        sums[r][g][part] = _mm256_add_epi32(sums[r][g][part], products);
                    }
                }
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
fn scores(sums: Sums, row_scale: f32, finish: &Finish) -> Scores {
    let mut out = [_mm256_setzero_ps(); 2];
    for (half, out) in out.iter_mut().enumerate() {
        // The two sums of each centroid; lanes are then in the order 0 1 4 5, 2 3 6 7.
        let pairs = _mm256_hadd_epi32(sums[2 * half], sums[2 * half + 1]);
        let dots = _mm256_permute4x64_epi64::<0b11_01_10_00>(pairs);
        // SAFETY: start, scale and bias are 16 values each, and half < 2.
        let (start, scale, bias) = unsafe {
            (
                _mm256_loadu_si256(finish.start.as_ptr().add(8 * half).cast()),
                _mm256_loadu_ps(finish.scale.as_ptr().add(8 * half)),
                _mm256_loadu_ps(finish.bias.as_ptr().add(8 * half)),
            )
        };
        let dots = _mm256_cvtepi32_ps(_mm256_add_epi32(start, dots));
        let factor = _mm256_mul_ps(_mm256_set1_ps(row_scale), scale);
        *out = _mm256_sub_ps(bias, _mm256_mul_ps(factor, dots));
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
fn no_least() -> Least {
    ([_mm256_set1_ps(f32::INFINITY); 2], [_mm256_set1_epi32(-1); 2])
}

#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
fn lessen(least: &mut Least, scores: Scores, group: u32) {
    let number = _mm256_castsi256_ps(_mm256_set1_epi32(group as i32));
    for half in 0..2 {
        let less = _mm256_cmp_ps::<_CMP_LT_OQ>(scores[half], least.0[half]);
        least.0[half] = _mm256_blendv_ps(least.0[half], scores[half], less);
        let kept = _mm256_castsi256_ps(least.1[half]);
        least.1[half] = _mm256_castps_si256(_mm256_blendv_ps(kept, number, less));
    }
}

/// The least lane and its number; the first of equals.
#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
fn least_of(least: Least) -> Hit {
    let (mut scores, mut groups) = ([0.0; GROUP], [0u32; GROUP]);
    for half in 0..2 {
        // SAFETY: both arrays are 16 values, and half < 2.
        unsafe {
            _mm256_storeu_ps(scores.as_mut_ptr().add(8 * half), least.0[half]);
            _mm256_storeu_si256(groups.as_mut_ptr().add(8 * half).cast(), least.1[half]);
        }
    }
    super::scalar::least_lane(&scores, &groups)
}

/// # Safety
/// `to` must be writable for 16 values.
#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
unsafe fn store(scores: Scores, to: *mut f32) {
    // SAFETY: as the caller promises; the stores need no alignment.
    unsafe {
        _mm256_storeu_ps(to, scores[0]);
        _mm256_storeu_ps(to.add(8), scores[1]);
    }
}

/// The lanes less than a limit.
#[inline]
#[target_feature(enable = "avx2,fma,popcnt")]
fn less(scores: &[f32; GROUP], limit: f32) -> u32 {
    let half = |i: usize| {
        // SAFETY: scores are 16 values, and i < 2.
        let scores = unsafe { _mm256_loadu_ps(scores.as_ptr().add(8 * i)) };
        let less = _mm256_cmp_ps::<_CMP_LT_OQ>(scores, _mm256_set1_ps(limit));
        _mm256_movemask_ps(less) as u32
    };
    half(0) | half(1) << 8
}

super::skeleton::tile_kernels!("avx2,fma,popcnt", 1);
