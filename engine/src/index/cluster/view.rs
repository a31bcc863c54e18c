//! The same codes seen under each metric.
//!
//! Codes estimate the squared distance `L` of a query to the vector as it was coded. What a metric ranks by
//! is linear in it: `scale·L + shift` with a scale and shift of each row. So a metric other than the one the
//! codebook was trained for only needs other factors, which are made when it is first asked for.

use std::sync::{Arc, OnceLock};

use super::codebook::Space;
use super::overview::Overview;
use super::rows::CodedRows;
use crate::index::Metric;

/// `estimate = base + add + mul * <q, code>`, by place.
#[derive(Debug, Clone, Default)]
pub struct Factors {
    /// The part that no query changes.
    pub add: Vec<f32>,
    /// The weight of the code.
    pub mul: Vec<f32>,
}

impl Factors {
    pub(super) fn resize(&mut self, len: usize) {
        self.add.resize(len, 0.0);
        self.mul.resize(len, 0.0);
    }

    fn bytes(&self) -> usize {
        4 * (self.add.len() + self.mul.len())
    }
}

/// Factors for a metric that is not the codebook's own.
#[derive(Debug)]
pub struct View {
    coarse: Factors,
    fine: Factors,
    scale: Option<Vec<f32>>,
    list_add: Vec<f32>,
    list_scale: Vec<f32>,
    overview: OnceLock<Arc<Overview>>,
}

impl View {
    pub(super) fn bytes(&self) -> usize {
        let scale = self.scale.as_ref().map_or(0, Vec::len);
        let overview = self.overview.get().map_or(0, |o| o.bytes());
        let floats = scale + 2 * self.list_add.len();
        self.coarse.bytes() + self.fine.bytes() + 4 * floats + overview
    }
}

/// Factors of a unit under a metric: `estimate = scale·base + add + mul·<q, code>`.
#[derive(Debug, Clone)]
pub enum Lens<'a> {
    /// The codebook's own metric.
    Own(&'a CodedRows),
    /// Another one.
    Other(Arc<View>),
}

impl<'a> Lens<'a> {
    /// The factors of `rows`, coded in that space, under a metric.
    pub fn of(rows: &'a CodedRows, space: Space, metric: Metric) -> Self {
        let slot = match (space, metric) {
            (Space::Raw, Metric::L2) | (Space::Unit, Metric::Cosine) => return Self::Own(rows),
            (_, Metric::L2) => 0,
            (_, Metric::Ip) => 1,
            _ => 2,
        };
        let make = || Arc::new(view(rows, space, metric));
        Self::Other(rows.views[slot].get_or_init(make).clone())
    }

    /// Factors of the nibble codes.
    pub fn coarse(&self) -> &Factors {
        match self {
            Self::Own(rows) => &rows.coarse,
            Self::Other(view) => &view.coarse,
        }
    }

    /// Factors of the byte codes.
    pub fn fine(&self) -> &Factors {
        match self {
            Self::Own(rows) => &rows.fine,
            Self::Other(view) => &view.fine,
        }
    }

    /// Scale of each place, where it is not 1.
    pub fn scale(&self) -> Option<&[f32]> {
        match self {
            Self::Own(_) => None,
            Self::Other(view) => view.scale.as_deref(),
        }
    }

    /// Where the overview of all rows is kept.
    pub(super) fn overview(&self) -> &OnceLock<Arc<Overview>> {
        match self {
            Self::Own(rows) => &rows.overview,
            Self::Other(view) => &view.overview,
        }
    }

    /// Mean of `add` and of `scale` over the rows of a list.
    pub fn list(&self, list: usize) -> (f32, f32) {
        match self {
            Self::Own(rows) => (rows.spread[list], 1.0),
            Self::Other(view) => (view.list_add[list], view.list_scale[list]),
        }
    }
}

/// What is added to `|q-c|²` before it is scaled; `squared` is the query's squared length.
pub fn shift(space: Space, metric: Metric, squared: f32) -> f32 {
    match (space, metric) {
        (Space::Raw, Metric::L2) | (Space::Unit, Metric::Cosine) => 0.0,
        _ => -squared,
    }
}

/// The factors of one row of length `length` under a metric: from `(add, mul)` to `(add, mul, scale)`.
///
/// With `L = |q-y|²` for the coded vector `y` and the shifted base, what is ranked by is
/// * `y = x`, IP: `-2 q·x = L - |q|² - |x|²`
/// * `y = x`, COSINE: `-2 q·x/|x|`
/// * `y = x/|x|`, IP: `-2 q·x = |x|(L - |q|² - 1)`
/// * `y = x/|x|`, L2: `|q-x|² - |q|² = |x|² + |x|(L - |q|² - 1)`
fn row(space: Space, metric: Metric, length: f32, (add, mul): (f32, f32)) -> (f32, f32, f32) {
    let squared = length * length;
    match (space, metric) {
        (Space::Raw, Metric::Cosine) => {
            let inverse = if length > 0.0 { 1.0 / length } else { 0.0 };
            ((add - squared) * inverse, mul * inverse, inverse)
        }
        (Space::Raw, _) => (add - squared, mul, 1.0),
        (Space::Unit, Metric::L2) => (squared + length * (add - 1.0), mul * length, length),
        (Space::Unit, _) => (length * (add - 1.0), mul * length, length),
    }
}

fn view(rows: &CodedRows, space: Space, metric: Metric) -> View {
    let mut view = View {
        coarse: Factors::default(),
        fine: Factors::default(),
        scale: None,
        list_add: Vec::new(),
        list_scale: Vec::new(),
        overview: OnceLock::new(),
    };
    let padded = rows.coarse.add.len();
    view.coarse.resize(padded);
    view.fine.resize(rows.rows);
    let mut scales = vec![1.0; padded];
    for (at, length) in rows.lengths.iter().enumerate() {
        let coarse = (rows.coarse.add[at], rows.coarse.mul[at]);
        let fine = (rows.fine.add[at], rows.fine.mul[at]);
        (view.coarse.add[at], view.coarse.mul[at], scales[at]) =
            row(space, metric, *length, coarse);
        (view.fine.add[at], view.fine.mul[at], _) = row(space, metric, *length, fine);
    }
    for list in 0..rows.starts.len().saturating_sub(1) {
        let (from, to) = rows.list(list);
        let mean =
            |values: &[f32]| values[from..to].iter().sum::<f32>() / (to - from).max(1) as f32;
        view.list_add.push(mean(&view.fine.add));
        view.list_scale.push(mean(&scales));
    }
    let scaled = !(space == Space::Raw && metric == Metric::Ip);
    view.scale = scaled.then_some(scales);
    view
}
