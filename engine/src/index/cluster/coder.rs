//! Four-bit codes of residuals, scanned by one nibble-table kernel.
//!
//! * **Signs** (256 dimensions and more): one bit a dimension, RaBitQ (Gao and Long, SIGMOD 2024). The
//!   residual is rotated before, so its sign vector `b` points near it, and `|r|²/<r,b> · <v,b>` is an
//!   unbiased estimate of `<v,r>` with a known error.
//! * **Pairs** (fewer dimensions): a learned table of sixteen points for each pair of dimensions, product
//!   quantisation (Jégou, Douze and Schmid, PAMI 2011) in the nibble layout of André, Kermarrec and
//!   Le Scouarnec (VLDB 2015). With few dimensions one bit is too coarse.
//!
//! Both give a vector `code` in place of the residual `r` and the same estimate
//! `<v,r> ≈ |r|²/<r,code> · <v,code>`.

use elanus_kernels::Kernels;

/// Points of a table of [`Coder::Pairs`].
pub const POINTS: usize = 16;
/// From this many dimensions on, one bit a dimension is enough.
pub const SIGN_DIMS: usize = 256;
/// Rounds of k-means for the tables.
const ROUNDS: usize = 6;

/// How residuals become nibbles.
#[derive(Debug, Clone, PartialEq)]
pub enum Coder {
    /// The sign of each dimension.
    Signs {
        /// Dimensions, a multiple of 16.
        width: usize,
    },
    /// The nearest point of each pair of dimensions.
    Pairs {
        /// `[nibbles, 16, 2]`.
        points: Vec<f32>,
    },
}

impl Coder {
    /// Nibbles of a row: a multiple of 4.
    pub fn nibbles(&self) -> usize {
        match self {
            Self::Signs { width } => width / 4,
            Self::Pairs { points } => points.len() / (2 * POINTS),
        }
    }

    /// Learns the tables of pairs from residuals `[n, width]` of vectors of `dim` dimensions.
    pub fn train_pairs(residuals: &[f32], width: usize, dim: usize) -> Self {
        use rayon::prelude::*;
        let pairs = dim.div_ceil(2);
        let mut points: Vec<f32> = (0..pairs)
            .into_par_iter()
            .flat_map_iter(|pair| {
                let samples: Vec<[f32; 2]> = residuals
                    .chunks_exact(width)
                    .map(|row| [row[2 * pair], row[2 * pair + 1]])
                    .collect();
                train_points(&samples).into_iter().flatten()
            })
            .collect();
        points.resize(pairs.next_multiple_of(4) * 2 * POINTS, 0.0);
        Self::Pairs { points }
    }

    /// Encodes a residual: one nibble a byte in `nibbles`, the vector that it stands for in `code`
    /// (as long as `residual`).
    pub fn encode(&self, residual: &[f32], nibbles: &mut [u8], code: &mut [f32]) {
        match self {
            Self::Signs { .. } => {
                for (c, r) in code.iter_mut().zip(residual) {
                    *c = if *r > 0.0 { 1.0 } else { -1.0 };
                }
                for (nibble, four) in nibbles.iter_mut().zip(residual.chunks_exact(4)) {
                    let bit = |k: usize| u8::from(four[k] > 0.0) << k;
                    *nibble = bit(0) | bit(1) | bit(2) | bit(3);
                }
            }
            Self::Pairs { points } => {
                code.fill(0.0);
                let pairs = points.as_chunks::<{ 2 * POINTS }>().0;
                for (m, (nibble, table)) in nibbles.iter_mut().zip(pairs).enumerate() {
                    let at = nearest_point(table, residual[2 * m], residual[2 * m + 1]);
                    *nibble = at as u8;
                    code[2 * m] = table[2 * at];
                    code[2 * m + 1] = table[2 * at + 1];
                }
            }
        }
    }

    /// Tables `[nibbles, 16]` of `<v, code>` for the scan.
    pub fn tables(&self, kernels: Kernels, vector: &[f32], out: &mut [f32]) {
        match self {
            Self::Signs { width } => kernels.sign_tables(&vector[..*width], out),
            Self::Pairs { points } => {
                kernels.pair_tables(&vector[..2 * self.nibbles()], points, out);
            }
        }
    }
}

fn nearest_point(table: &[f32; 2 * POINTS], x: f32, y: f32) -> usize {
    let mut distances = [0.0f32; POINTS];
    for (d, point) in distances.iter_mut().zip(table.as_chunks::<2>().0) {
        let (dx, dy) = (point[0] - x, point[1] - y);
        *d = dx * dx + dy * dy;
    }
    let mut best = 0;
    for at in 1..POINTS {
        if distances[at] < distances[best] {
            best = at;
        }
    }
    best
}

/// Sixteen points for the values of one pair.
fn train_points(samples: &[[f32; 2]]) -> [[f32; 2]; POINTS] {
    let mut points = [[0.0; 2]; POINTS];
    if samples.is_empty() {
        return points;
    }
    // Seeds spread over the distribution: every n-th of the samples in order of angle and length.
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_unstable_by(|a, b| {
        let key = |s: &[f32; 2]| (s[0].total_cmp(&0.0), s[1].total_cmp(&0.0));
        let length = |s: &[f32; 2]| s[0] * s[0] + s[1] * s[1];
        key(&samples[*a])
            .cmp(&key(&samples[*b]))
            .then(length(&samples[*a]).total_cmp(&length(&samples[*b])))
    });
    for (at, point) in points.iter_mut().enumerate() {
        *point = samples[order[(2 * at + 1) * samples.len() / (2 * POINTS)]];
    }
    for _ in 0..ROUNDS {
        let table: [f32; 2 * POINTS] = std::array::from_fn(|i| points[i / 2][i % 2]);
        let mut sums = [[0.0f32; 3]; POINTS];
        for sample in samples {
            let sum = &mut sums[nearest_point(&table, sample[0], sample[1])];
            sum[0] += sample[0];
            sum[1] += sample[1];
            sum[2] += 1.0;
        }
        for (point, sum) in points.iter_mut().zip(&sums) {
            if sum[2] > 0.0 {
                *point = [sum[0] / sum[2], sum[1] / sum[2]];
            }
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(i: usize) -> f32 {
        ((i * 7919 % 1009) as f32 / 1009.0 - 0.5) * 2.0
    }

    #[test]
    fn tables_give_the_product_with_the_code() {
        let rows: Vec<f32> = (0..64 * 500).map(value).collect();
        for coder in [Coder::Signs { width: 64 }, Coder::train_pairs(&rows, 64, 63)] {
            let kernels = Kernels::best();
            let n = coder.nibbles();
            let (mut nibbles, mut code) = (vec![0; n], vec![0.0; 64]);
            coder.encode(&rows[640..704], &mut nibbles, &mut code);
            let query: Vec<f32> = (0..64).map(|i| value(i + 5)).collect();
            let mut tables = vec![0.0; n * POINTS];
            coder.tables(kernels, &query, &mut tables);
            let sum: f32 =
                nibbles.iter().enumerate().map(|(m, c)| tables[m * POINTS + *c as usize]).sum();
            assert!((sum - kernels.dot(&query, &code)).abs() < 1e-3);
        }
    }

    #[test]
    fn pair_codes_lie_near_what_they_stand_for() {
        let rows: Vec<f32> = (0..32 * 2_000).map(value).collect();
        let coder = Coder::train_pairs(&rows, 32, 32);
        let kernels = Kernels::best();
        let (mut nibbles, mut code) = (vec![0; coder.nibbles()], vec![0.0; 32]);
        let (mut error, mut all) = (0.0, 0.0);
        for row in rows.chunks_exact(32) {
            coder.encode(row, &mut nibbles, &mut code);
            error += kernels.l2_squared(row, &code);
            all += kernels.norm_squared(row);
        }
        assert!(error < 0.09 * all, "{}", error / all);
    }
}
