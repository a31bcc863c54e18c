//! k-means over byte codes: Lloyd's algorithm, the distances on the tiled int8 kernel, the means in f32.

use elanus_kernels::{Kernels, PackedCentroids};
use rayon::prelude::*;

use super::bytes8::{ByteRows, quantize_signed};

/// Rounds of Lloyd's algorithm, of which the first look at every other row only: centroids that are far off yet
/// need no more to come nearer.
const ROUNDS: usize = 6;
const FIRST_ROUNDS: usize = 4;
/// Rows handed to a thread at once.
const PART_ROWS: usize = 1_024;

/// Centroids `[lists, width]` of rows `[n, width]`, given with their codes; `n >= lists > 0`.
pub fn train(rows: &[f32], codes: &ByteRows, lists: usize) -> Vec<f32> {
    let width = codes.stride;
    let n = rows.len() / width;
    let row = |at: usize| &rows[at * width..(at + 1) * width];
    let mut centroids: Vec<f32> =
        (0..lists).flat_map(|list| row(list * n / lists).iter().copied()).collect();
    let some = codes.every(2);
    for round in 0..ROUNDS {
        let (codes, step) = if round < FIRST_ROUNDS { (&some, 2) } else { (codes, 1) };
        let row = |at: usize| row(step * at);
        let nearest = assign(&pack(centroids.chunks_exact(width), width), codes);
        let mut sums = vec![0.0f32; lists * width];
        let mut counts = vec![0u32; lists];
        for (at, (list, _)) in nearest.iter().enumerate() {
            let list = *list as usize;
            counts[list] += 1;
            let sum = &mut sums[list * width..(list + 1) * width];
            sum.iter_mut().zip(row(at)).for_each(|(s, v)| *s += v);
        }
        refill_empty(&mut sums, &mut counts, &nearest, width, row);
        for (sum, count) in sums.chunks_exact_mut(width).zip(&counts) {
            let inverse = 1.0 / (*count).max(1) as f32;
            sum.iter_mut().for_each(|s| *s *= inverse);
        }
        centroids = sums;
    }
    centroids
}

/// An empty list takes the farthest rows of all, one each: they are worst served where they are.
fn refill_empty<'a>(
    sums: &mut [f32],
    counts: &mut [u32],
    nearest: &[(u32, f32)],
    width: usize,
    row: impl Fn(usize) -> &'a [f32],
) {
    let empty: Vec<usize> = (0..counts.len()).filter(|l| counts[*l] == 0).collect();
    if empty.is_empty() {
        return;
    }
    // A score lacks the row's own norm; rows of one norm are ranked right, others well enough.
    let mut far: Vec<usize> = (0..nearest.len()).collect();
    let take = empty.len().min(far.len() - 1);
    far.select_nth_unstable_by(take, |a, b| nearest[*b].1.total_cmp(&nearest[*a].1));
    for (list, at) in empty.into_iter().zip(far) {
        counts[list] = 1;
        sums[list * width..(list + 1) * width].copy_from_slice(row(at));
    }
}

/// Packs centroids `[width]` so that a score is `|c|² - 2 row·c`: the squared distance less the row's own
/// squared norm.
pub fn pack<'a>(
    centroids: impl ExactSizeIterator<Item = &'a [f32]>,
    width: usize,
) -> PackedCentroids {
    let mut codes = vec![0i8; centroids.len() * width];
    let (mut scales, mut bias) = (Vec::new(), Vec::new());
    for (row, out) in centroids.zip(codes.chunks_exact_mut(width)) {
        scales.push(2.0 * quantize_signed(row, out));
        bias.push(Kernels::best().norm_squared(row));
    }
    PackedCentroids::new(&codes, width, &scales, &bias)
}

/// The nearest centroid of each row and its score, on all threads of the pool that this runs in.
pub fn assign(set: &PackedCentroids, rows: &ByteRows) -> Vec<(u32, f32)> {
    let mut nearest = vec![(0, 0.0); rows.scales.len()];
    nearest
        .par_chunks_mut(PART_ROWS)
        .zip(rows.codes.par_chunks(PART_ROWS * rows.stride))
        .zip(rows.scales.par_chunks(PART_ROWS))
        .for_each(|((out, codes), scales)| {
            Kernels::best().nearest_centroid(set, codes, scales, out);
        });
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separate_clusters_are_found_and_no_list_stays_empty() {
        let width = 32;
        let rows: Vec<f32> = (0..600)
            .flat_map(|n| {
                let cluster = n * n % 7;
                (0..width).map(move |d| {
                    let noise = ((n * 31 + d * 17) % 101) as f32 / 101.0 - 0.5;
                    if d == cluster { 10.0 + noise } else { noise }
                })
            })
            .collect();
        let codes = ByteRows::of(&rows, width);
        let centroids = train(&rows, &codes, 16);
        let nearest = assign(&pack(centroids.chunks_exact(width), width), &codes);
        let far = nearest.iter().enumerate().filter(|(at, (list, _))| {
            let row = &rows[at * width..(at + 1) * width];
            let center = &centroids[*list as usize * width..(*list as usize + 1) * width];
            Kernels::best().l2_squared(row, center) > 8.0
        });
        assert_eq!(far.count(), 0);
    }
}
