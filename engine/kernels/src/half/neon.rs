//! NEON: 4 values a step. The conversion instruction is not used, because its types are not stable
//! on this architecture: the same steps as in `f16_to_f32`.

use std::arch::aarch64::*;

use crate::neon::{LANES, V, add, fma, load, load_tail, sub, sum4, zero};

/// # Safety
/// `from` must be readable for 4 values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn widened<const BF16: bool>(from: *const u16) -> V {
    // SAFETY: as the caller promises.
    let halves = unsafe { vmovl_u16(vld1_u16(from)) };
    if BF16 {
        return vreinterpretq_f32_u32(vshlq_n_u32::<16>(halves));
    }
    let sign = vshlq_n_u32::<16>(vandq_u32(halves, vdupq_n_u32(0x8000)));
    let magnitude = vandq_u32(halves, vdupq_n_u32(0x7fff));
    let shifted = vshlq_n_u32::<13>(magnitude);
    let power = vreinterpretq_f32_u32(vdupq_n_u32((127 + 112) << 23));
    let finite = vreinterpretq_u32_f32(vmulq_f32(vreinterpretq_f32_u32(shifted), power));
    let infinite = vdupq_n_u32(0x7c00);
    let quiet = vandq_u32(vcgtq_u32(magnitude, infinite), vdupq_n_u32(0x40_0000));
    let special = vorrq_u32(vorrq_u32(shifted, vdupq_n_u32(0x7f80_0000)), quiet);
    let unsigned = vbslq_u32(vcgeq_u32(magnitude, infinite), special, finite);
    vreinterpretq_f32_u32(vorrq_u32(sign, unsigned))
}

/// The first `n` halves, the rest zero.
///
/// # Safety
/// `from` must be readable for `n < LANES` values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn widened_tail<const BF16: bool>(from: *const u16, n: usize) -> V {
    let mut some = [0; LANES];
    // SAFETY: n < LANES values are read, as the caller promises, into room for LANES.
    unsafe {
        std::ptr::copy_nonoverlapping(from, some.as_mut_ptr(), n);
        widened::<BF16>(some.as_ptr())
    }
}

/// # Safety
/// `to` must be writable for 4 values.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store(values: V, to: *mut f32) {
    // SAFETY: as the caller promises.
    unsafe { vst1q_f32(to, values) };
}

super::skeleton::half_kernels!("neon");
