//! The loops over rows that all vector instruction sets share, as a macro; why a macro is said in
//! `crate::skeleton`.
//!
//! The module that invokes it supplies, each with the same target feature: `correction` (128 times
//! the sum of a query, or 0 if the module makes codes signed), `sums` (inner products of up to four
//! rows, less the correction) and `prefetch` (any address, never faults).

/// Defines `picked` and `rows` for one instruction set.
macro_rules! int8_kernels {
    ($feature:literal) => {
        use super::row_at;

        /// Bytes of rows to ask for ahead: about what a core can have under way.
        const AHEAD: usize = 4096;

        /// Asks for all lines of a picked row; one that does not exist is no harm.
        #[inline]
        #[target_feature(enable = $feature)]
        fn ask(rows: *const u8, stride: usize, pick: u32) {
            let row = rows.wrapping_add((pick as usize).wrapping_mul(stride));
            for line in 0..stride.div_ceil(64) {
                prefetch(row.wrapping_add(64 * line));
            }
        }

        /// As [`Kernels::int8_dot_picked`](crate::Kernels::int8_dot_picked).
        ///
        /// # Safety
        /// The query must have a length that is a positive multiple of 32, and there must be as
        /// many picks as scores.
        #[target_feature(enable = $feature)]
        pub(crate) unsafe fn picked(query: &[i8], rows: &[u8], picks: &[u32], out: &mut [i32]) {
            let (stride, correction) = (query.len(), correction(query));
            let ahead = (AHEAD / stride).clamp(4, 32) / 4 * 4;
            for pick in picks.iter().take(ahead) {
                ask(rows.as_ptr(), stride, *pick);
            }
            let scores = out.chunks_mut(4);
            for (i, (four, scores)) in picks.chunks(4).zip(scores).enumerate() {
                for pick in picks.iter().skip(4 * i + ahead).take(4) {
                    ask(rows.as_ptr(), stride, *pick);
                }
                if let [a, b, c, d] = *four
                    && let Some(a) = row_at(rows, stride, a)
                    && let Some(b) = row_at(rows, stride, b)
                    && let Some(c) = row_at(rows, stride, c)
                    && let Some(d) = row_at(rows, stride, d)
                {
                    let of = [a.as_ptr(), b.as_ptr(), c.as_ptr(), d.as_ptr()];
                    // SAFETY: row_at gives rows as long as the query.
                    scores.copy_from_slice(&unsafe { sums::<4>(query, of, correction) });
                    continue;
                }
                for (pick, score) in four.iter().zip(scores) {
                    let row = row_at(rows, stride, *pick);
                    debug_assert!(row.is_some(), "pick {pick} is no row");
                    *score = row.map_or(i32::MIN, |row| {
                        // SAFETY: row_at gives rows as long as the query.
                        unsafe { sums::<1>(query, [row.as_ptr()], correction)[0] }
                    });
                }
            }
        }

        /// As [`Kernels::int8_dot_rows`](crate::Kernels::int8_dot_rows).
        ///
        /// # Safety
        /// The query must have a length that is a positive multiple of 32, and `rows` must hold a
        /// row for each score.
        #[target_feature(enable = $feature)]
        pub(crate) unsafe fn rows(query: &[i8], rows: &[u8], out: &mut [i32]) {
            let (stride, correction) = (query.len(), correction(query));
            let mut fours = out.chunks_exact_mut(4);
            let mut row = rows.as_ptr();
            for scores in fours.by_ref() {
                // SAFETY: rows holds these four rows, each as long as the query.
                unsafe {
                    let of = std::array::from_fn(|r| row.add(r * stride));
                    scores.copy_from_slice(&sums::<4>(query, of, correction));
                    row = row.add(4 * stride);
                }
            }
            for score in fours.into_remainder() {
                // SAFETY: rows holds this row, as long as the query.
                unsafe {
                    *score = sums::<1>(query, [row], correction)[0];
                    row = row.add(stride);
                }
            }
        }
    };
}
pub(crate) use int8_kernels;
