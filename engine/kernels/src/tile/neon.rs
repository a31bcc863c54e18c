//! NEON: four centroids a register, four dims a step. Without the dot product instruction, which
//! not every CPU has: products of 16 bits, added in pairs.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::aarch64::*;

use super::packed::{Finish, Line};

/// Sums of one row with one group: two centroids a register, two sums a centroid.
type Sums = [int32x4_t; 8];
/// Scores of one row with one group.
type Scores = [float32x4_t; 4];
/// For each lane the least score so far and the group it came from.
type Least = ([float32x4_t; 4], [uint32x4_t; 4]);

/// Rows of a tile: two rows of eight sums leave registers for the centroids and codes.
const ROWS: usize = 2;
const GROUPS: usize = 1;

/// Sums of R rows with G groups, in registers throughout. Codes are made signed here: sums start
/// at zero, not at `Finish::start`.
///
/// # Safety
/// `lines` must be readable for `G * quads` lines, each of `rows` for `4 * quads` bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tile<const R: usize, const G: usize>(
    lines: *const Line,
    _: *const Finish,
    quads: usize,
    rows: [*const u8; R],
) -> [[Sums; G]; R] {
    let mut sums = [[[vdupq_n_s32(0); 8]; G]; R];
    let flip = vdupq_n_u8(128);
    for quad in 0..quads {
        // SAFETY: quad < quads, and the pointers are readable as the caller promises.
        unsafe {
            let codes: [int8x16_t; R] = std::array::from_fn(|r| {
                let four = rows[r].add(4 * quad).cast::<u32>().read_unaligned();
                vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(vdupq_n_u32(four)), flip))
            });
            for g in 0..G {
                let line = lines.add(g * quads + quad).cast::<i8>();
                for part in 0..4 {
                    let values = vld1q_s8(line.add(16 * part));
                    for r in 0..R {
                        let low = vmull_s8(vget_low_s8(codes[r]), vget_low_s8(values));
                        let high = vmull_high_s8(codes[r], values);
                        sums[r][g][2 * part] = vpadalq_s16(sums[r][g][2 * part], low);
                        sums[r][g][2 * part + 1] = vpadalq_s16(sums[r][g][2 * part + 1], high);
                    }
                }
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "neon")]
fn scores(sums: Sums, row_scale: f32, finish: &Finish) -> Scores {
    let mut out = [vdupq_n_f32(0.0); 4];
    for (part, out) in out.iter_mut().enumerate() {
        let dots = vcvtq_f32_s32(vpaddq_s32(sums[2 * part], sums[2 * part + 1]));
        // SAFETY: scale and bias are 16 values each, and part < 4.
        let (scale, bias) = unsafe {
            (
                vld1q_f32(finish.scale.as_ptr().add(4 * part)),
                vld1q_f32(finish.bias.as_ptr().add(4 * part)),
            )
        };
        *out = vsubq_f32(bias, vmulq_f32(vmulq_f32(vdupq_n_f32(row_scale), scale), dots));
    }
    out
}

#[inline]
#[target_feature(enable = "neon")]
fn no_least() -> Least {
    ([vdupq_n_f32(f32::INFINITY); 4], [vdupq_n_u32(u32::MAX); 4])
}

#[inline]
#[target_feature(enable = "neon")]
fn lessen(least: &mut Least, scores: Scores, group: u32) {
    for part in 0..4 {
        let less = vcltq_f32(scores[part], least.0[part]);
        least.0[part] = vbslq_f32(less, scores[part], least.0[part]);
        least.1[part] = vbslq_u32(less, vdupq_n_u32(group), least.1[part]);
    }
}

/// The least lane and its number; the first of equals.
#[inline]
#[target_feature(enable = "neon")]
fn least_of(least: Least) -> Hit {
    let (mut scores, mut groups) = ([0.0; GROUP], [0u32; GROUP]);
    for part in 0..4 {
        // SAFETY: both arrays are 16 values, and part < 4.
        unsafe {
            vst1q_f32(scores.as_mut_ptr().add(4 * part), least.0[part]);
            vst1q_u32(groups.as_mut_ptr().add(4 * part), least.1[part]);
        }
    }
    super::scalar::least_lane(&scores, &groups)
}

/// # Safety
/// `to` must be writable for 16 values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(scores: Scores, to: *mut f32) {
    for (part, scores) in scores.into_iter().enumerate() {
        // SAFETY: as the caller promises.
        unsafe { vst1q_f32(to.add(4 * part), scores) };
    }
}

/// The lanes less than a limit.
#[inline]
#[target_feature(enable = "neon")]
fn less(scores: &[f32; GROUP], limit: f32) -> u32 {
    let bits = [1u32, 2, 4, 8];
    let mut lanes = 0;
    for part in 0..4 {
        // SAFETY: scores are 16 values, bits four, and part < 4.
        let (scores, bits) =
            unsafe { (vld1q_f32(scores.as_ptr().add(4 * part)), vld1q_u32(bits.as_ptr())) };
        let less = vcltq_f32(scores, vdupq_n_f32(limit));
        lanes |= vaddvq_u32(vandq_u32(less, bits)) << (4 * part);
    }
    lanes
}

super::skeleton::tile_kernels!("neon", 1);
