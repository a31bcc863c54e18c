//! How hard a query is: what the distances of its lists say, before any is scanned, of the places at which the
//! lists of its neighbours will come. Least squares over stand-ins for queries tell how much each sign counts.

/// Places in the order of lists whose distances are compared with the nearest.
const AT: [usize; SIGNS] = [4, 16, 64];
/// Signs of a query's difficulty.
pub const SIGNS: usize = 3;
/// So few lists are looked at as if all queries were alike.
pub const FEW_LISTS: usize = 16;
/// Signs say less than the whole truth, so that a regression makes hard queries too easy and easy ones too hard.
const SHARPNESS: f32 = 1.3;
/// A sign farther from its mean, in standard deviations, counts as one so far: beyond that nothing was seen.
const FARTHEST: f32 = 2.5;
/// Stand-ins below which nothing is learned.
const FEWEST: usize = 64;

/// Of so many lists, the nearest whose distances an outlook is made of. More than an eighth of few would be the
/// work of sorting all of them.
pub fn looked_at(lists: usize) -> usize {
    (AT[SIGNS - 1] + 1).min(lists / 8).max(FEW_LISTS + 1).min(lists)
}

/// What the order of lists says of a query before any is scanned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Distance of the nearest list.
    pub nearest: f32,
    /// Logarithms of how many times farther other lists are: small ones mean that many lists look alike, and
    /// the neighbours may be in any of them.
    signs: [f32; SIGNS],
}

impl Outlook {
    /// From distances in order, `[0, lists)`.
    pub fn of(lists: usize, distance: impl Fn(usize) -> f32) -> Self {
        let nearest = distance(0);
        let times = |at: usize| distance(at.min(lists.saturating_sub(1))) / nearest;
        let signs = AT.map(|at| Some(times(at).ln()).filter(|s| s.is_finite()).unwrap_or(0.0));
        Self { nearest, signs }
    }
}

/// What the signs are worth for the vectors of one codebook.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Difficulty {
    means: [f32; SIGNS],
    spreads: [f32; SIGNS],
    weights: [f32; SIGNS],
}

impl Difficulty {
    /// Learns from stand-ins and the logarithms of the lists that they need.
    pub fn learn(seen: &[(Outlook, f32)]) -> Self {
        if seen.len() < FEWEST {
            return Self::default();
        }
        let mean = |of: &dyn Fn(&(Outlook, f32)) -> f32| {
            (seen.iter().map(|s| f64::from(of(s))).sum::<f64>() / seen.len() as f64) as f32
        };
        let means = std::array::from_fn(|i| mean(&|s| s.0.signs[i]));
        let spreads = std::array::from_fn(|i| mean(&|s| (s.0.signs[i] - means[i]).powi(2)).sqrt());
        let mut learned = Self { means, spreads, weights: [0.0; SIGNS] };
        let needed = mean(&|s| s.1);
        // The normal equations. Signs resemble each other: a little is added to the diagonal.
        let mut products = [[0.0f64; SIGNS + 1]; SIGNS];
        for (outlook, lists) in seen {
            let signs = learned.standing(outlook);
            for (row, sign) in products.iter_mut().zip(signs) {
                for (sum, other) in row.iter_mut().zip(signs) {
                    *sum += f64::from(sign * other);
                }
                row[SIGNS] += f64::from(sign * (lists - needed));
            }
        }
        for (at, row) in products.iter_mut().enumerate() {
            row[at] += 1e-3 * seen.len() as f64;
        }
        learned.weights = solve(products).map(|w| w as f32);
        learned
    }

    /// By how much a query takes more lists than most.
    pub fn factor(&self, outlook: &Outlook) -> f32 {
        let signs = self.standing(outlook);
        let sum: f32 = signs.iter().zip(&self.weights).map(|(sign, weight)| sign * weight).sum();
        (SHARPNESS * sum).exp()
    }

    /// The signs in standard deviations from their means.
    fn standing(&self, outlook: &Outlook) -> [f32; SIGNS] {
        std::array::from_fn(|i| match self.spreads[i] > 0.0 {
            true => {
                ((outlook.signs[i] - self.means[i]) / self.spreads[i]).clamp(-FARTHEST, FARTHEST)
            }
            false => 0.0,
        })
    }

    /// The numbers, for the file.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        [self.means, self.spreads, self.weights].into_iter().flatten()
    }

    /// Reads [`Self::values`].
    pub fn from_values(values: &[f32; 3 * SIGNS]) -> Self {
        let part = |from: usize| std::array::from_fn(|i| values[from * SIGNS + i]);
        Self { means: part(0), spreads: part(1), weights: part(2) }
    }
}

/// Gaussian elimination of equations whose matrix is positive definite: no row needs to change its place.
fn solve(mut rows: [[f64; SIGNS + 1]; SIGNS]) -> [f64; SIGNS] {
    for at in 0..SIGNS {
        let pivot = rows[at];
        for (_, row) in rows.iter_mut().enumerate().filter(|(other, _)| *other != at) {
            let factor = row[at] / pivot[at];
            row.iter_mut().zip(pivot).for_each(|(value, own)| *value -= factor * own);
        }
    }
    std::array::from_fn(|at| {
        let weight = rows[at][SIGNS] / rows[at][at];
        if weight.is_finite() { weight } else { 0.0 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lists at distances that grow by these factors up to the places looked at.
    fn outlook(nearest: f32, times: [f32; SIGNS]) -> Outlook {
        Outlook::of(100, |at| match AT.iter().position(|p| *p == at) {
            Some(sign) => nearest * times[sign],
            None => nearest,
        })
    }

    fn stand_ins() -> Vec<(Outlook, f32)> {
        let noise = |i: usize, n: usize| (i * 7_919 % n) as f32 / n as f32;
        (0..500)
            .map(|i| {
                let times = [1.0 + noise(i, 13), 1.5 + noise(i, 29), 2.0 + 3.0 * noise(i, 101)];
                (outlook(1.0, times), 3.0 - 2.0 * times[2].ln() + 0.1 * noise(i, 7))
            })
            .collect()
    }

    #[test]
    fn what_makes_queries_hard_is_learned() {
        let learned = Difficulty::learn(&stand_ins());
        let (flat, steep) = (outlook(1.0, [1.5, 2.0, 2.1]), outlook(1.0, [1.5, 2.0, 4.9]));
        let ratio = learned.factor(&flat).ln() - learned.factor(&steep).ln();
        let truth = SHARPNESS * 2.0 * (4.9f32 / 2.1).ln();
        assert!((ratio - truth).abs() < 0.1, "{ratio} {truth}");
        // The distance itself counts for nothing, and what was never seen for no more than the farthest seen.
        assert!(
            (learned.factor(&outlook(7.0, [1.5, 2.0, 2.1])) / learned.factor(&flat) - 1.0).abs()
                < 1e-3
        );
        assert!(learned.factor(&outlook(1.0, [1.0, 1.0, 1.0])).is_finite());
        assert!(learned.factor(&outlook(1.0, [1e30, 1e30, 1e30])) > 1e-4);
    }

    #[test]
    fn few_or_equal_stand_ins_teach_nothing_and_odd_distances_do_no_harm() {
        assert_eq!(Difficulty::learn(&stand_ins()[..10]), Difficulty::default());
        let same = vec![(outlook(1.0, [2.0; SIGNS]), 1.0); 200];
        let learned = Difficulty::learn(&same);
        assert!((learned.factor(&outlook(1.0, [3.0; SIGNS])) - 1.0).abs() < 1e-3);
        let learned = Difficulty::learn(&stand_ins());
        for odd in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
            assert!(learned.factor(&Outlook::of(5, |_| odd)).is_finite(), "{odd}");
        }
        let values: Vec<f32> = learned.values().collect();
        assert_eq!(Difficulty::from_values(values.first_chunk().unwrap()), learned);
    }
}
