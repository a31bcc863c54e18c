//! x86-64: AVX-512F and AVX2 + FMA. Only the primitives differ; the loops are in `skeleton`.

use std::arch::x86_64::*;

/// Four vectors of four lanes to their four sums.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn sum4_128(v: [__m128; 4]) -> [f32; 4] {
    let s = _mm_hadd_ps(_mm_hadd_ps(v[0], v[1]), _mm_hadd_ps(v[2], v[3]));
    let mut out = [0.0; 4];
    // SAFETY: out has room for four values; the store needs no alignment.
    unsafe { _mm_storeu_ps(out.as_mut_ptr(), s) };
    out
}

/// Adds the upper half to the lower.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn fold_256(v: __m256) -> __m128 {
    _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps::<1>(v))
}

/// Asks for a cache line; any address is allowed, the instruction never faults.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn prefetch(p: *const f32) {
    _mm_prefetch::<_MM_HINT_T0>(p.cast());
}

pub(crate) mod avx512 {
    use super::*;

    pub(crate) type V = __m512;
    pub(crate) const LANES: usize = 16;
    /// With four rows: 8 chains, as many as two FMA units with a latency of 4 keep busy.
    const ACCS: usize = 2;

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn zero() -> V {
        _mm512_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn add(a: V, b: V) -> V {
        _mm512_add_ps(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn sub(a: V, b: V) -> V {
        _mm512_sub_ps(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn fma(a: V, b: V, acc: V) -> V {
        _mm512_fmadd_ps(a, b, acc)
    }

    /// # Safety
    /// `p` must be readable for 16 values.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) unsafe fn load(p: *const f32) -> V {
        // SAFETY: as the caller promises; the load needs no alignment.
        unsafe { _mm512_loadu_ps(p) }
    }

    /// # Safety
    /// `p` must be readable for `n` values, `n < 16`.
    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) unsafe fn load_tail(p: *const f32, n: usize) -> V {
        // SAFETY: lanes outside the mask are not accessed, they cannot fault.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p) }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn fold(v: V) -> __m128 {
        // As doubles, because the extraction of eight floats would need AVX-512DQ.
        let upper = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(v)));
        fold_256(_mm256_add_ps(_mm512_castps512_ps256(v), upper))
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    pub(crate) fn sum4(v: [V; 4]) -> [f32; 4] {
        sum4_128([fold(v[0]), fold(v[1]), fold(v[2]), fold(v[3])])
    }

    crate::skeleton::simd_kernels!("avx512f");
}

pub(crate) mod avx2 {
    use super::*;

    pub(crate) type V = __m256;
    pub(crate) const LANES: usize = 8;
    /// With four rows: 8 chains, which with the query and the differences just fit 16 registers.
    const ACCS: usize = 2;
    /// Eight set lanes, then eight clear ones: read from `8 - n`, it is a mask of the first `n`.
    static TAIL: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn zero() -> V {
        _mm256_setzero_ps()
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn add(a: V, b: V) -> V {
        _mm256_add_ps(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn sub(a: V, b: V) -> V {
        _mm256_sub_ps(a, b)
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn fma(a: V, b: V, acc: V) -> V {
        _mm256_fmadd_ps(a, b, acc)
    }

    /// # Safety
    /// `p` must be readable for 8 values.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) unsafe fn load(p: *const f32) -> V {
        // SAFETY: as the caller promises; the load needs no alignment.
        unsafe { _mm256_loadu_ps(p) }
    }

    /// # Safety
    /// `p` must be readable for `n` values, `n < 8`.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) unsafe fn load_tail(p: *const f32, n: usize) -> V {
        // SAFETY: n < 8, so the eight mask values lie inside TAIL; lanes outside the mask are not
        // accessed.
        unsafe { _mm256_maskload_ps(p, _mm256_loadu_si256(TAIL.as_ptr().add(8 - n).cast())) }
    }

    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub(crate) fn sum4(v: [V; 4]) -> [f32; 4] {
        sum4_128([fold_256(v[0]), fold_256(v[1]), fold_256(v[2]), fold_256(v[3])])
    }

    crate::skeleton::simd_kernels!("avx2,fma");
}
