//! The loops over rows and groups that all vector instruction sets share, as a macro; why a macro
//! is said in `crate::skeleton`.
//!
//! The module that invokes it supplies, each with the same target feature: `Sums` (of one row with
//! one group), `Scores` (16, for one row and group), `Least` (per lane the least score and its
//! group), `ROWS` and `GROUPS` (of the largest tile), `tile`, `scores`, `no_least`, `lessen`,
//! `least_of`, `store` and
//! `less` (the lanes of 16 scores that are less than a limit).

/// Defines `nearest`, `scores_of` and `best` for one instruction set. The numbers are all sizes of
/// the tile in groups, the largest first.
macro_rules! tile_kernels {
    ($feature:literal, $($size:literal)+) => {
        use super::packed::GROUP;
        use super::scalar::{Room, select};
        use super::{Hit, PackedCentroids};

        /// Rows that meet one tile of groups before the next comes: the groups are then read from
        /// L1 for all rows but the first, and the rows stay there too.
        const BAND: usize = 64;

        /// Where scores go.
        enum Sink<'a> {
            /// To the least of each row.
            Least(&'a mut [Least]),
            /// To all scores, `[rows, set.len()]`.
            All(&'a mut [f32]),
        }

        /// One tile and what becomes of it; `first` is the number of the first row.
        ///
        /// # Safety
        /// `group + G` groups must exist, each of `rows` must be readable for a stride, and `sink`
        /// must hold `first + R` rows.
        #[inline]
        #[target_feature(enable = $feature)]
        unsafe fn meet<const R: usize, const G: usize>(
            set: &PackedCentroids,
            group: usize,
            rows: [*const u8; R],
            row_scale: &[f32],
            first: usize,
            sink: &mut Sink,
        ) {
            let quads = set.stride() / 4;
            let finish = &set.finish()[group..group + G];
            let lines = set.lines()[group * quads..(group + G) * quads].as_ptr();
            // SAFETY: lines are G * quads, finish is G, and the rows are a stride long.
            let sums = unsafe { tile::<R, G>(lines, finish.as_ptr(), quads, rows) };
            for r in 0..R {
                for g in 0..G {
                    let scored = scores(sums[r][g], row_scale[first + r], &finish[g]);
                    match sink {
                        Sink::Least(least) => {
                            lessen(&mut least[first + r], scored, (group + g) as u32);
                        }
                        Sink::All(out) => {
                            let row = &mut out[(first + r) * set.len()..][..set.len()];
                            let to = &mut row[(group + g) * GROUP..];
                            if to.len() >= GROUP {
                                // SAFETY: there are 16 values.
                                unsafe { store(scored, to.as_mut_ptr()) };
                            } else {
                                let mut some = [0.0; GROUP];
                                // SAFETY: there are 16 values.
                                unsafe { store(scored, some.as_mut_ptr()) };
                                to.copy_from_slice(&some[..to.len()]);
                            }
                        }
                    }
                }
            }
        }

        /// All groups with the rows of a band, one a scale.
        ///
        /// # Safety
        /// `rows` must be readable for a stride a scale, and `sink` must hold as many rows.
        #[inline]
        #[target_feature(enable = $feature)]
        unsafe fn sweep(
            set: &PackedCentroids,
            rows: *const u8,
            row_scale: &[f32],
            mut sink: Sink,
        ) {
            let (stride, n) = (set.stride(), row_scale.len());
            let mut group = 0;
            while group < set.groups() {
                let size = GROUPS.min(set.groups() - group);
                let mut first = 0;
                while first < n {
                    let full = first + ROWS <= n;
                    let row = |r: usize| rows.wrapping_add((first + r) * stride);
                    match size {
                        // SAFETY: `size` groups are left, and so are the rows of the tile.
                        $($size if full => unsafe {
                            let rows: [_; ROWS] = std::array::from_fn(row);
                            meet::<ROWS, $size>(set, group, rows, row_scale, first, &mut sink);
                        },)+
                        // SAFETY: `size` groups are left, and so is the row.
                        $($size => unsafe {
                            meet::<1, $size>(set, group, [row(0)], row_scale, first, &mut sink);
                        },)+
                        // No other size is asked for.
                        _ => {}
                    }
                    first += if full { ROWS } else { 1 };
                }
                group += size;
            }
        }

        /// Bands of B rows.
        #[inline]
        #[target_feature(enable = $feature)]
        fn nearest_by<const B: usize>(
            set: &PackedCentroids,
            rows: &[u8],
            row_scale: &[f32],
            out: &mut [Hit],
        ) {
            for (band, (hits, scales)) in out.chunks_mut(B).zip(row_scale.chunks(B)).enumerate() {
                let rows = &rows[band * B * set.stride()..][..scales.len() * set.stride()];
                let mut least = [no_least(); B];
                // SAFETY: rows are a stride a scale, and there are not more than B.
                unsafe { sweep(set, rows.as_ptr(), scales, Sink::Least(&mut least)) };
                hits.iter_mut().zip(least).for_each(|(hit, least)| *hit = least_of(least));
            }
        }

        /// As [`Kernels::nearest_centroid`](crate::Kernels::nearest_centroid); all slices are of
        /// the same number of rows.
        #[target_feature(enable = $feature)]
        pub(crate) fn nearest(
            set: &PackedCentroids,
            rows: &[u8],
            row_scale: &[f32],
            out: &mut [Hit],
        ) {
            // The state of a band costs its setting up, which few rows should not pay.
            if out.len() <= ROWS {
                nearest_by::<ROWS>(set, rows, row_scale, out);
            } else {
                nearest_by::<BAND>(set, rows, row_scale, out);
            }
        }

        /// As [`Kernels::centroid_scores`](crate::Kernels::centroid_scores); all slices are of the
        /// same number of rows.
        #[target_feature(enable = $feature)]
        pub(crate) fn all_scores(
            set: &PackedCentroids,
            rows: &[u8],
            row_scale: &[f32],
            out: &mut [f32],
        ) {
            for (band, scales) in row_scale.chunks(BAND).enumerate() {
                let rows = &rows[band * BAND * set.stride()..][..scales.len() * set.stride()];
                let out = &mut out[band * BAND * set.len()..][..scales.len() * set.len()];
                // SAFETY: rows and out hold a row for each scale.
                unsafe { sweep(set, rows.as_ptr(), scales, Sink::All(out)) };
            }
        }

        /// As [`Kernels::nearest_centroids`](crate::Kernels::nearest_centroids); all slices are of
        /// the same number of rows, and `k` is not 0.
        #[target_feature(enable = $feature)]
        pub(crate) fn best(
            set: &PackedCentroids,
            rows: &[u8],
            row_scale: &[f32],
            k: usize,
            out: &mut [Hit],
        ) {
            // Fewer rows than for the nearest, so that their scores stay in L2.
            let most = (BAND / 4).min(row_scale.len());
            let (mut scored, mut room) = (vec![0.0; most * set.len()], Room::default());
            let bands = row_scale.chunks(BAND / 4).zip(out.chunks_mut(BAND / 4 * k)).enumerate();
            for (band, (scales, hits)) in bands {
                let rows = &rows[band * (BAND / 4) * set.stride()..][..scales.len() * set.stride()];
                let scored = &mut scored[..scales.len() * set.len()];
                // SAFETY: rows and scored hold a row for each scale.
                unsafe { sweep(set, rows.as_ptr(), scales, Sink::All(scored)) };
                for (i, hits) in hits.chunks_exact_mut(k).enumerate() {
                    let scored = &scored[i * set.len()..][..set.len()];
                    select(scored, &mut room, hits, |scores, limit| less(scores, limit));
                }
            }
        }
    };
}
pub(crate) use tile_kernels;
