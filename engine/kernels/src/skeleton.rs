//! The loops that all vector instruction sets share, as a macro.
//!
//! A macro and not a generic function over a trait: trait methods cannot carry `#[target_feature]`,
//! and without it the compiler may leave an intrinsic as a call, which costs more than the
//! arithmetic.
//!
//! The module that invokes the macro supplies, each with the same target feature: `V` (vector
//! type), `LANES` (f32 per vector), `ACCS` (accumulators per row), `zero`, `add`, `sub`, `fma(a, b,
//! acc)`, `load(ptr)`, `load_tail(ptr, n)` (the first `n < LANES` values, the rest zero, no access
//! past them), `sum4` (four vectors to their four sums) and `prefetch(ptr)` (any address, never
//! faults).

/// Defines `pair` and `rows` for one instruction set. `L2` selects squared Euclidean distance, else
/// the inner product.
macro_rules! simd_kernels {
    ($feature:literal) => {
        /// Values of one row that one turn of the main loop takes.
        const BLOCK: usize = LANES * ACCS;

        #[inline]
        #[target_feature(enable = $feature)]
        fn step<const L2: bool>(acc: V, q: V, r: V) -> V {
            if L2 {
                let d = sub(q, r);
                fma(d, d, acc)
            } else {
                fma(q, r, acc)
            }
        }

        /// Scores `N <= 4` rows in one pass over the query, so that its loads are shared; scores
        /// past `N` are zero.
        ///
        /// The order of additions within a row does not depend on `N`: a row scores the same bits
        /// alone and in a group.
        ///
        /// # Safety
        /// `q` and each of `rows` must be readable for `dim` values.
        #[inline]
        #[target_feature(enable = $feature)]
        unsafe fn group<const N: usize, const L2: bool>(
            q: *const f32,
            rows: [*const f32; N],
            dim: usize,
        ) -> [f32; 4] {
            let mut acc = [[zero(); ACCS]; N];
            let mut i = 0;
            while i + BLOCK <= dim {
                if N == 4 {
                    // The same place in the next four rows: after each group the four streams jump by
                    // three rows. Measured on a shared EPYC, rows in memory: AVX2 mostly 10-30 %
                    // faster, AVX-512 within the noise; rows in L1: 2-13 % slower.
                    for row in rows {
                        for line in 0..BLOCK.div_ceil(16) {
                            prefetch(row.wrapping_add(4 * dim + i + 16 * line));
                        }
                    }
                }
                for a in 0..ACCS {
                    let at = i + a * LANES;
                    // SAFETY: at + LANES <= i + BLOCK <= dim, and q and the rows are readable for
                    // dim values.
                    unsafe {
                        let qv = load(q.add(at));
                        for r in 0..N {
                            acc[r][a] = step::<L2>(acc[r][a], qv, load(rows[r].add(at)));
                        }
                    }
                }
                i += BLOCK;
            }
            while i + LANES <= dim {
                // SAFETY: i + LANES <= dim.
                unsafe {
                    let qv = load(q.add(i));
                    for r in 0..N {
                        acc[r][0] = step::<L2>(acc[r][0], qv, load(rows[r].add(i)));
                    }
                }
                i += LANES;
            }
            if i < dim {
                // SAFETY: i + n == dim, and load_tail touches n values only. Its zeros add nothing
                // to either sum.
                unsafe {
                    let n = dim - i;
                    let qv = load_tail(q.add(i), n);
                    for r in 0..N {
                        let rv = load_tail(rows[r].add(i), n);
                        acc[r][ACCS - 1] = step::<L2>(acc[r][ACCS - 1], qv, rv);
                    }
                }
            }
            let mut sums = [zero(); 4];
            for r in 0..N {
                sums[r] = acc[r][0];
                for a in 1..ACCS {
                    sums[r] = add(sums[r], acc[r][a]);
                }
            }
            sum4(sums)
        }

        /// One pair; the shorter slice decides the length.
        #[target_feature(enable = $feature)]
        pub(crate) fn pair<const L2: bool>(a: &[f32], b: &[f32]) -> f32 {
            let dim = a.len().min(b.len());
            // SAFETY: both slices hold at least dim values.
            unsafe { group::<1, L2>(a.as_ptr(), [b.as_ptr()], dim)[0] }
        }

        /// Scores `out.len()` rows; a wrong length shortens the work, it never reads outside the
        /// slices.
        #[target_feature(enable = $feature)]
        pub(crate) fn rows<const L2: bool>(query: &[f32], rows: &[f32], out: &mut [f32]) {
            let (dim, q) = (query.len(), query.as_ptr());
            let mut fours = rows.chunks_exact(4 * dim);
            let mut scores = out.chunks_exact_mut(4);
            for (four, score) in fours.by_ref().zip(scores.by_ref()) {
                let p = four.as_ptr();
                // SAFETY: four holds 4 * dim values, so each of the four pointers is readable for
                // dim values.
                let sums = unsafe {
                    group::<4, L2>(q, [p, p.add(dim), p.add(2 * dim), p.add(3 * dim)], dim)
                };
                score.copy_from_slice(&sums);
            }
            for (row, score) in fours.remainder().chunks_exact(dim).zip(scores.into_remainder()) {
                *score = pair::<L2>(query, row);
            }
        }
    };
}
pub(crate) use simd_kernels;
