//! Training a codebook on a sample.

use elanus_kernels::Kernels;
use rayon::prelude::*;

use super::bytes8::ByteRows;
use super::codebook::{
    Codebook, CodebookParts, Codes, Space, into_space, rotation_of, signs, width_of,
};
use super::coder::Coder;
use super::coverage::{Coverage, Probe, RANKS};
use super::kmeans;
use super::outlook::{Outlook, looked_at};
use super::search::HALF_SPREAD;

/// Sample rows for each list; more change the centroids by less than the data themselves vary.
const ROWS_PER_LIST: usize = 36;
/// Lists for the square root of the rows.
const LISTS_PER_ROOT: f64 = 3.0;
/// Rows that code tables are learned from.
const TABLE_ROWS: usize = 4_096;
/// Sample rows that stand in for queries, and are left out of the training.
const PROBES: usize = 768;
/// Rows among which their neighbours are looked for.
const NEIGHBOUR_ROWS: usize = 24_576;

/// Lists for a collection of that many rows: as many as make the search for the nearest lists cost about
/// what the scan of the lists costs, which grows with the square root.
pub fn lists_for(rows: usize) -> usize {
    ((LISTS_PER_ROOT * (rows as f64).sqrt()) as usize)
        .next_multiple_of(16)
        .clamp(16, 16_384)
        .min(rows / 8)
        .max(1)
}

/// Rows that a sample should have.
pub fn sample_rows(rows: usize) -> usize {
    rows.min(lists_for(rows) * ROWS_PER_LIST).max(rows.min(2 * TABLE_ROWS))
}

/// What a codebook is to be trained for.
#[derive(Debug, Clone, Copy)]
pub struct Order {
    /// Number of the new codebook.
    pub version: u64,
    /// Dimensions.
    pub dim: usize,
    /// Which vectors it is to encode.
    pub space: Space,
    /// Rows of the collection, of which the sample is a part.
    pub rows: usize,
}

/// Trains on a sample `[n, dim]`, which it works in. None if it holds values that no distance can be computed
/// with (their squares overflow): such a field is searched exactly.
pub fn train(order: Order, sample: Vec<f32>) -> Option<Codebook> {
    let kernels = Kernels::best();
    let (dim, width) = (order.dim, width_of(order.dim));
    let n = sample.len() / dim.max(1);
    let lists = lists_for(order.rows).min(n / 4);
    if lists == 0 {
        return None;
    }
    let scale = |row: &[f32]| match (order.space, kernels.norm_squared(row).sqrt()) {
        (Space::Raw, _) => 1.0,
        (Space::Unit, length) if length > 0.0 => 1.0 / length,
        _ => 0.0,
    };
    let mean = mean_of(&sample, dim, scale);
    let rotation = rotation_of(dim, order.version);
    let mut rows = each_into(sample, dim, width, |row, out| {
        into_space(kernels, row, scale(row), &mean, rotation.as_ref(), out);
    });
    let sound = rows.par_chunks(width).all(|row| kernels.norm_squared(row) < 1e30);
    if !sound {
        return None;
    }
    let probes = take_probes(&mut rows, width);
    let n = rows.len() / width;
    let codes = ByteRows::of(&rows, width);
    let centroids = neighbourly(kmeans::train(&rows, &codes, lists), width);
    let assigned = Assigned::new(&rows, &codes, &centroids);
    let residual = |at: usize| -> Vec<f32> {
        let center = &centroids[assigned.of[at] as usize * width..][..width];
        rows[at * width..][..width].iter().zip(center).map(|(v, c)| v - c).collect()
    };
    let step = (n / TABLE_ROWS).max(1);
    let table_rows: Vec<usize> = (0..n).step_by(step).take(TABLE_ROWS).collect();
    let residuals: Vec<f32> = table_rows.iter().flat_map(|at| residual(*at)).collect();
    let whole: Vec<f32> =
        table_rows.iter().flat_map(|at| rows[at * width..][..width].iter().copied()).collect();
    let errors: f64 =
        residuals.chunks_exact(width).map(|r| f64::from(kernels.norm_squared(r))).sum();
    let parts = CodebookParts {
        version: order.version,
        dim,
        space: order.space,
        trained_rows: order.rows as u64,
        mean_error: (errors / table_rows.len().max(1) as f64) as f32,
        mean,
        fine: codes_for(&residuals, dim, width),
        flat: codes_for(&whole, dim, width),
        coverage: coverage(&rows, &probes, &centroids, &assigned, width),
        centroids,
    };
    Some(Codebook::new(parts))
}

/// Rows that [`measure`] wants to see.
pub const MEASURED_ROWS: usize = NEIGHBOUR_ROWS + PROBES;

/// Measures, for rows that the codebook was not trained on, how many of its lists hold their neighbours.
/// `sample` is `[n, dim]`, spread evenly over the rows; it is worked in.
pub fn measure(book: &Codebook, sample: Vec<f32>) -> Coverage {
    let width = book.width;
    let mut rows = each_into(sample, book.dim, width, |row, out| {
        book.transform(Kernels::best(), row, out);
    });
    let probes = take_probes(&mut rows, width);
    let assigned = Assigned::new(&rows, &ByteRows::of(&rows, width), &book.centroids);
    coverage(&rows, &probes, &book.centroids, &assigned, width)
}

/// Vectors `[n, width]` made of vectors `[n, dim]`, in their place if they are as long: a sample is large, and
/// fresh memory costs more than the work in it.
fn each_into(
    mut rows: Vec<f32>,
    dim: usize,
    width: usize,
    make: impl Fn(&[f32], &mut [f32]) + Sync,
) -> Vec<f32> {
    if dim == width {
        rows.par_chunks_mut(dim).for_each_init(
            || vec![0.0; dim],
            |given, row| {
                given.copy_from_slice(row);
                make(given, row);
            },
        );
        return rows;
    }
    let mut out = vec![0.0; rows.len() / dim.max(1) * width];
    out.par_chunks_mut(width).zip(rows.par_chunks(dim)).for_each(|(out, row)| make(row, out));
    out
}

/// Mean squared distance of vectors `[n, dim]` to their centroids.
pub fn mean_error(book: &Codebook, sample: &[f32]) -> f32 {
    let lists = assign(book, sample);
    let kernels = Kernels::best();
    let mut row = vec![0.0; book.width];
    let sum: f64 = sample
        .chunks_exact(book.dim)
        .zip(&lists)
        .map(|(vector, list)| {
            book.transform(kernels, vector, &mut row);
            f64::from(kernels.l2_squared(&row, book.centroid(*list as usize)))
        })
        .sum();
    (sum / lists.len().max(1) as f64) as f32
}

/// Takes every so-many-th row out: the stand-ins for queries. The others close up.
fn take_probes(rows: &mut Vec<f32>, width: usize) -> Vec<f32> {
    let n = rows.len() / width;
    let step = (n / PROBES).max(8);
    let (mut probes, mut kept) = (Vec::new(), 0);
    for at in 0..n {
        let row = at * width..(at + 1) * width;
        if at % step == step / 2 {
            probes.extend_from_slice(&rows[row]);
        } else {
            rows.copy_within(row, kept * width);
            kept += 1;
        }
    }
    rows.truncate(kept * width);
    probes
}

fn mean_of(sample: &[f32], dim: usize, scale: impl Fn(&[f32]) -> f32) -> Vec<f32> {
    let mut sums = vec![0.0f64; dim];
    for row in sample.chunks_exact(dim) {
        let scale = f64::from(scale(row));
        sums.iter_mut().zip(row).for_each(|(s, v)| *s += scale * f64::from(*v));
    }
    let n = (sample.len() / dim).max(1) as f64;
    sums.into_iter().map(|s| (s / n) as f32).collect()
}

/// Codes for such residuals, and how far their estimates are off.
fn codes_for(residuals: &[f32], dim: usize, width: usize) -> Codes {
    let kernels = Kernels::best();
    let coder =
        if signs(dim) { Coder::Signs { width } } else { Coder::train_pairs(residuals, width, dim) };
    let n = residuals.len() / width;
    let row = |at: usize| &residuals[at * width..(at + 1) * width];
    let (mut nibbles, mut code) = (vec![0; coder.nibbles()], vec![0.0; width]);
    let (mut sum, mut count) = (0.0f64, 0u32);
    // Other residuals stand in for the directions that queries come from.
    for at in (0..n).step_by((n / 512).max(1)) {
        coder.encode(row(at), &mut nibbles, &mut code);
        let factor = kernels.norm_squared(row(at)) / kernels.dot(row(at), &code);
        for other in (at % 7..n).step_by((n / 16).max(1)).filter(|o| *o != at) {
            let length = kernels.norm_squared(row(other)).sqrt();
            let estimate = factor * kernels.dot(row(other), &code);
            let error = (estimate - kernels.dot(row(other), row(at))) / (factor * length);
            if error.is_finite() {
                sum += f64::from(error * error);
                count += 1;
            }
        }
    }
    Codes { coder, error: (sum / f64::from(count.max(1))).sqrt() as f32 }
}

/// Puts centroids in an order in which neighbours tend to be neighbours in space: halved again and again
/// along the line between two far ones. Lists that a query looks at are then often neighbours in the file.
fn neighbourly(centroids: Vec<f32>, width: usize) -> Vec<f32> {
    let mut order: Vec<usize> = (0..centroids.len() / width).collect();
    let row = |at: usize| &centroids[at * width..(at + 1) * width];
    halve(&mut order, &row);
    order.iter().flat_map(|at| row(*at).iter().copied()).collect()
}

fn halve<'a>(order: &mut [usize], row: &impl Fn(usize) -> &'a [f32]) {
    let [first, _, _, ..] = *order else { return };
    let kernels = Kernels::best();
    let farthest = |from: usize| {
        let distance = |at: &&usize| kernels.l2_squared(row(from), row(**at));
        order.iter().max_by(|a, b| distance(a).total_cmp(&distance(b))).copied().unwrap_or(from)
    };
    let one = farthest(first);
    let other = farthest(one);
    let along = |at: usize| kernels.dot(row(at), row(one)) - kernels.dot(row(at), row(other));
    let mut placed: Vec<(f32, usize)> = order.iter().map(|at| (along(*at), *at)).collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    order.iter_mut().zip(placed).for_each(|(to, (_, at))| *to = at);
    let (low, high) = order.split_at_mut(order.len() / 2);
    halve(low, row);
    halve(high, row);
}

/// Measures how many lists hold the neighbours of rows `[probes, width]` that took no part in training.
fn coverage(
    rows: &[f32],
    probes: &[f32],
    centroids: &[f32],
    lists: &Assigned,
    width: usize,
) -> Coverage {
    let kernels = Kernels::best();
    let packed = kmeans::pack(centroids.chunks_exact(width), width);
    // The same kernel that finds the nearest centroid finds the nearest rows.
    let step = (rows.len() / width / NEIGHBOUR_ROWS).max(1);
    let some: Vec<usize> = (0..rows.len() / width).step_by(step).collect();
    let candidates = kmeans::pack(some.iter().map(|at| &rows[at * width..][..width]), width);
    let deepest = RANKS[RANKS.len() - 1].min(some.len());
    let probes = probes
        .par_chunks(width)
        .map(|probe| {
            let codes = ByteRows::of(probe, width);
            let mut scores = vec![0.0; centroids.len() / width];
            kernels.centroid_scores(&packed, &codes.codes, &codes.scales, &mut scores);
            let squared = kernels.norm_squared(probe);
            scores.iter_mut().zip(&lists.spread).for_each(|(s, r)| *s += squared + HALF_SPREAD * r);
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            order.sort_unstable_by(|a, b| scores[*a as usize].total_cmp(&scores[*b as usize]));
            let mut place = vec![0; scores.len()];
            order.iter().enumerate().for_each(|(at, list)| place[*list as usize] = at as u32);
            let mut near = vec![(0, 0.0); deepest];
            kernels.nearest_centroids(&candidates, &codes.codes, &codes.scales, deepest, &mut near);
            let list = |at: u32| lists.of[some[at as usize]] as usize;
            let distance = |at: usize| scores[order[at] as usize];
            let places =
                near.iter().filter(|(at, _)| *at != u32::MAX).map(|(at, _)| place[list(*at)]);
            Probe {
                outlook: Outlook::of(looked_at(order.len()), distance),
                places: places.collect(),
            }
        })
        .collect();
    Coverage::of(some.len(), probes)
}

/// Rows and their lists.
struct Assigned {
    /// List of each row.
    of: Vec<u32>,
    /// Mean squared distance to the centroid, by list.
    spread: Vec<f32>,
}

impl Assigned {
    /// `codes` are those of the rows.
    fn new(rows: &[f32], codes: &ByteRows, centroids: &[f32]) -> Self {
        let width = codes.stride;
        let nearest = kmeans::assign(&kmeans::pack(centroids.chunks_exact(width), width), codes);
        let lists = centroids.len() / width;
        let (mut sums, mut counts) = (vec![0.0f32; lists], vec![0u32; lists]);
        for (row, (list, score)) in rows.chunks_exact(width).zip(&nearest) {
            sums[*list as usize] += (score + Kernels::best().norm_squared(row)).max(0.0);
            counts[*list as usize] += 1;
        }
        let spread = sums.iter().zip(&counts).map(|(s, c)| s / (*c).max(1) as f32).collect();
        Self { of: nearest.into_iter().map(|(list, _)| list).collect(), spread }
    }
}

/// The list of each of some vectors `[n, dim]`, on all threads of the pool that this runs in.
pub fn assign(book: &Codebook, vectors: &[f32]) -> Vec<u32> {
    const PART_ROWS: usize = 512;
    let mut lists = vec![0u32; vectors.len() / book.dim];
    lists.par_chunks_mut(PART_ROWS).zip(vectors.par_chunks(PART_ROWS * book.dim)).for_each(
        |(out, part)| {
            let kernels = Kernels::best();
            let mut rows = vec![0.0; out.len() * book.width];
            for (row, vector) in rows.chunks_exact_mut(book.width).zip(part.chunks_exact(book.dim))
            {
                book.transform(kernels, vector, row);
            }
            let codes = ByteRows::of(&rows, book.width);
            let mut nearest = vec![(0, 0.0); out.len()];
            kernels.nearest_centroid(book.packed(), &codes.codes, &codes.scales, &mut nearest);
            out.iter_mut().zip(nearest).for_each(|(list, (found, _))| *list = found);
        },
    );
    lists
}
