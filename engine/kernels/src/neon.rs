//! aarch64: NEON. Only the primitives differ; the loops are in `skeleton`.

use std::arch::aarch64::*;

pub(crate) type V = float32x4_t;
pub(crate) const LANES: usize = 4;
/// With four rows: 16 chains, for cores with four FMA units with a latency of 4; they fit 32
/// registers.
const ACCS: usize = 4;

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn zero() -> V {
    vdupq_n_f32(0.0)
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn add(a: V, b: V) -> V {
    vaddq_f32(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn sub(a: V, b: V) -> V {
    vsubq_f32(a, b)
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn fma(a: V, b: V, acc: V) -> V {
    vfmaq_f32(acc, a, b)
}

/// # Safety
/// `p` must be readable for 4 values.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn load(p: *const f32) -> V {
    // SAFETY: as the caller promises; the load needs no more alignment than an f32.
    unsafe { vld1q_f32(p) }
}

/// # Safety
/// `p` must be readable for `n` values, `n < 4`.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn load_tail(p: *const f32, n: usize) -> V {
    let mut lanes = [0.0; LANES];
    // SAFETY: n < LANES values are read, as the caller promises, into an array with room for LANES.
    unsafe {
        std::ptr::copy_nonoverlapping(p, lanes.as_mut_ptr(), n);
        vld1q_f32(lanes.as_ptr())
    }
}

#[inline]
#[target_feature(enable = "neon")]
pub(crate) fn sum4(v: [V; 4]) -> [f32; 4] {
    let s = vpaddq_f32(vpaddq_f32(v[0], v[1]), vpaddq_f32(v[2], v[3]));
    let mut out = [0.0; 4];
    // SAFETY: out has room for four values.
    unsafe { vst1q_f32(out.as_mut_ptr(), s) };
    out
}

/// Left to the hardware: the intrinsic is not stable on this architecture.
#[inline]
#[target_feature(enable = "neon")]
fn prefetch(_: *const f32) {}

crate::skeleton::simd_kernels!("neon");
