//! NEON: 16 products a step, added in pairs.
#![allow(clippy::needless_range_loop, reason = "an index runs over several arrays of registers")]

use std::arch::aarch64::*;
use std::arch::asm;

/// As an instruction, because the intrinsic is not stable on this architecture.
#[inline]
#[target_feature(enable = "neon")]
fn prefetch(p: *const u8) {
    // SAFETY: the instruction never faults and changes nothing that the program sees.
    unsafe {
        asm!("prfm pldl1keep, [{p}]", p = in(reg) p, options(nostack, preserves_flags, readonly));
    }
}

/// None: codes are made signed below.
#[inline]
#[target_feature(enable = "neon")]
fn correction(_: &[i8]) -> i32 {
    0
}

/// Adds the products of 16 pairs, two neighbours to a lane.
#[inline]
#[target_feature(enable = "neon")]
fn add_products(sum: int32x4_t, x: int8x16_t, y: int8x16_t) -> int32x4_t {
    let low = vpadalq_s16(sum, vmull_s8(vget_low_s8(x), vget_low_s8(y)));
    vpadalq_s16(low, vmull_high_s8(x, y))
}

/// Inner products of R <= 4 rows less the correction; sums past R mean nothing.
///
/// # Safety
/// Each row must be readable for the length of the query, a multiple of 32.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn sums<const R: usize>(query: &[i8], rows: [*const u8; R], correction: i32) -> [i32; 4] {
    let mut sums = [vdupq_n_s32(0); 4];
    let flip = vdupq_n_u8(128);
    for at in (0..query.len()).step_by(16) {
        // SAFETY: at + 16 <= query.len().
        unsafe {
            let q = vld1q_s8(query.as_ptr().add(at));
            for r in 0..R {
                let codes = veorq_u8(vld1q_u8(rows[r].add(at)), flip);
                sums[r] = add_products(sums[r], q, vreinterpretq_s8_u8(codes));
            }
        }
    }
    let mut out = [0; 4];
    for r in 0..R {
        out[r] = vaddvq_s32(sums[r]).wrapping_sub(correction);
    }
    out
}

super::skeleton::int8_kernels!("neon");

/// Inner product of two vectors of one length.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn dot(a: &[i8], b: &[i8]) -> i32 {
    let (mut sum, whole) = (vdupq_n_s32(0), a.len() / 16 * 16);
    for at in (0..whole).step_by(16) {
        // SAFETY: at + 16 <= whole.
        let (x, y) = unsafe { (vld1q_s8(a.as_ptr().add(at)), vld1q_s8(b.as_ptr().add(at))) };
        sum = add_products(sum, x, y);
    }
    vaddvq_s32(sum).wrapping_add(super::dot(&a[whole..], &b[whole..]))
}

/// Squared distance of two vectors of one length that is not too much for an i32.
///
/// # Safety
/// `b` must be as long as `a`.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn l2(a: &[i8], b: &[i8]) -> i32 {
    let (mut sum, whole) = (vdupq_n_u32(0), a.len() / 16 * 16);
    for at in (0..whole).step_by(16) {
        // SAFETY: at + 16 <= whole.
        let (x, y) = unsafe { (vld1q_s8(a.as_ptr().add(at)), vld1q_s8(b.as_ptr().add(at))) };
        // Differences go to 255: their bits as unsigned bytes.
        let d = vreinterpretq_u8_s8(vabdq_s8(x, y));
        sum = vpadalq_u16(sum, vmull_u8(vget_low_u8(d), vget_low_u8(d)));
        sum = vpadalq_u16(sum, vmull_high_u8(d, d));
    }
    (vaddvq_u32(sum) as i32).wrapping_add(super::l2(&a[whole..], &b[whole..]))
}
