//! AVX-512: stages below 128 in registers, the others two at a time.

use std::arch::x86_64::*;

use super::{scale_of, stages};

/// `v` with its partners added, or taken from them where `minus` is set.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn within(v: __m512, partner: __m512, minus: __mmask16) -> __m512 {
    _mm512_mask_sub_ps(_mm512_add_ps(partner, v), minus, partner, v)
}

/// The four stages inside a register.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn first_four(v: __m512) -> __m512 {
    let v = within(v, _mm512_permute_ps::<0b10_11_00_01>(v), 0xaaaa);
    let v = within(v, _mm512_permute_ps::<0b01_00_11_10>(v), 0xcccc);
    let v = within(v, _mm512_shuffle_f32x4::<0b10_11_00_01>(v, v), 0xf0f0);
    within(v, _mm512_shuffle_f32x4::<0b01_00_11_10>(v, v), 0xff00)
}

/// Scale and stages of R neighbouring registers, R a power of two.
///
/// # Safety
/// `p` must be valid for `16 * R` values.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn near<const R: usize>(p: *mut f32, scale: __m512) {
    // SAFETY: r < R, for which p is valid; loads and stores need no alignment.
    let mut v: [__m512; R] = std::array::from_fn(|r| unsafe {
        first_four(_mm512_mul_ps(_mm512_loadu_ps(p.add(16 * r)), scale))
    });
    let mut half = 1;
    while half < R {
        for r in 0..R {
            if r & half == 0 {
                let (a, b) = (v[r], v[r + half]);
                (v[r], v[r + half]) = (_mm512_add_ps(a, b), _mm512_sub_ps(a, b));
            }
        }
        half *= 2;
    }
    for (r, v) in v.into_iter().enumerate() {
        // SAFETY: as above.
        unsafe { _mm512_storeu_ps(p.add(16 * r), v) };
    }
}

/// Two stages in one pass: partners `half` and then `2 * half` apart.
///
/// # Safety
/// `p` must be valid for `4 * half` values, `half` a multiple of 16.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
unsafe fn two_stages(p: *mut f32, half: usize) {
    for at in (0..half).step_by(16) {
        // SAFETY: at + 16 <= half, so all four places lie in the 4 * half values.
        unsafe {
            let v: [_; 4] = std::array::from_fn(|i| _mm512_loadu_ps(p.add(i * half + at)));
            let (a, b) = (_mm512_add_ps(v[0], v[1]), _mm512_sub_ps(v[0], v[1]));
            let (c, d) = (_mm512_add_ps(v[2], v[3]), _mm512_sub_ps(v[2], v[3]));
            _mm512_storeu_ps(p.add(at), _mm512_add_ps(a, c));
            _mm512_storeu_ps(p.add(half + at), _mm512_add_ps(b, d));
            _mm512_storeu_ps(p.add(2 * half + at), _mm512_sub_ps(a, c));
            _mm512_storeu_ps(p.add(3 * half + at), _mm512_sub_ps(b, d));
        }
    }
}

/// As [`Kernels::hadamard`](crate::Kernels::hadamard): the stages in the order of the reference.
///
/// # Safety
/// The length must be a power of two.
#[target_feature(enable = "avx512f,avx512dq")]
pub(crate) unsafe fn transform(x: &mut [f32]) {
    let (len, scale) = (x.len(), _mm512_set1_ps(scale_of(x.len())));
    let p = x.as_mut_ptr();
    // SAFETY: len is a power of two, so whole blocks of the sizes below cover it.
    unsafe {
        match len {
            ..16 => return super::transform(x),
            16 => near::<1>(p, scale),
            32 => near::<2>(p, scale),
            64 => near::<4>(p, scale),
            _ => (0..len).step_by(128).for_each(|at| near::<8>(p.add(at), scale)),
        }
        let mut half = 128;
        while 4 * half <= len {
            (0..len).step_by(4 * half).for_each(|at| two_stages(p.add(at), half));
            half *= 4;
        }
        stages(x, half.min(len));
    }
}
