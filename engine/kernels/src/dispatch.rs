//! From a level to its kernels: one table of function pointers, chosen once.

use std::sync::OnceLock;

use crate::level::Level;
#[cfg(target_arch = "aarch64")]
use crate::neon;
use crate::scalar;
#[cfg(target_arch = "x86_64")]
use crate::x86::{avx2, avx512};
use crate::{at_most, bits, hadamard, half, int8, nibble, tables, tile};

type Pair = unsafe fn(&[f32], &[f32]) -> f32;
type Rows = unsafe fn(&[f32], &[f32], &mut [f32]);

/// The kernels of one level. Small and `Copy`: take it once per scan and keep it in a local.
///
/// For a scan use the `_rows` forms: they go through the function pointer once per batch, not once
/// per row.
#[derive(Clone, Copy, Debug)]
pub struct Kernels(
    // Invariant, on which every call below rests: this CPU has the table's level, and the pointers
    // belong to it.
    pub(crate) &'static Table,
);

/// The functions of one level.
#[derive(Debug)]
pub(crate) struct Table {
    level: Level,
    dot: Pair,
    l2: Pair,
    dot_rows: Rows,
    l2_rows: Rows,
    pub(crate) at_most: at_most::Ops,
    pub(crate) nibble: nibble::Ops,
    pub(crate) tables: tables::Ops,
    pub(crate) hadamard: hadamard::Ops,
    pub(crate) int8: int8::Ops,
    pub(crate) tile: tile::Ops,
    pub(crate) half: half::Ops,
    pub(crate) bits: bits::Ops,
}

macro_rules! table {
    ($level:expr, $module:ident) => {
        Table {
            level: $level,
            dot: $module::pair::<false>,
            l2: $module::pair::<true>,
            dot_rows: $module::rows::<false>,
            l2_rows: $module::rows::<true>,
            at_most: at_most::Ops::at($level),
            nibble: nibble::Ops::at($level),
            tables: tables::Ops::at($level),
            hadamard: hadamard::Ops::at($level),
            int8: int8::Ops::at($level),
            tile: tile::Ops::at($level),
            half: half::Ops::at($level),
            bits: bits::Ops::at($level),
        }
    };
}

static SCALAR: Table = table!(Level::Scalar, scalar);
#[cfg(target_arch = "x86_64")]
static AVX2: Table = table!(Level::Avx2, avx2);
#[cfg(target_arch = "x86_64")]
static AVX512: Table = table!(Level::Avx512, avx512);
#[cfg(target_arch = "x86_64")]
static AVX512_VNNI: Table = table!(Level::Avx512Vnni, avx512);
#[cfg(target_arch = "aarch64")]
static NEON: Table = table!(Level::Neon, neon);

impl Kernels {
    /// The kernels of [`Level::used`]: the widest level of this CPU unless the environment forces
    /// another.
    #[inline]
    pub fn best() -> Kernels {
        static BEST: OnceLock<Kernels> = OnceLock::new();
        *BEST.get_or_init(|| Kernels::at(Level::used()).unwrap_or(Kernels(&SCALAR)))
    }

    /// The kernels of one level, or `None` if this CPU does not have it.
    pub fn at(level: Level) -> Option<Kernels> {
        if !level.is_available() {
            return None;
        }
        match level {
            Level::Scalar => Some(Kernels(&SCALAR)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Some(Kernels(&AVX2)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => Some(Kernels(&AVX512)),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => Some(Kernels(&AVX512_VNNI)),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Some(Kernels(&NEON)),
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }

    /// The level these kernels are of.
    pub fn level(&self) -> Level {
        self.0.level
    }

    /// Inner product of two vectors of the same length; higher is nearer. Lengths that differ are a
    /// bug of the caller: a debug build asserts, a release build uses the shorter length. Empty
    /// vectors give 0.
    #[inline]
    pub fn dot(&self, a: &[f32], b: &[f32]) -> f32 {
        debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
        // SAFETY: this CPU has the level (invariant of Kernels).
        unsafe { (self.0.dot)(a, b) }
    }

    /// Squared Euclidean distance of two vectors; lower is nearer. Lengths as for [`Kernels::dot`].
    #[inline]
    pub fn l2_squared(&self, a: &[f32], b: &[f32]) -> f32 {
        debug_assert_eq!(a.len(), b.len(), "vectors of different lengths");
        // SAFETY: this CPU has the level (invariant of Kernels).
        unsafe { (self.0.l2)(a, b) }
    }

    /// Squared Euclidean norm.
    #[inline]
    pub fn norm_squared(&self, a: &[f32]) -> f32 {
        self.dot(a, a)
    }

    /// Inner product of `query` with each of `n` rows: `rows` is row-major `[n, dim]`, `dim =
    /// query.len()`, `n = out.len()`; `out[i]` has the same bits as `dot(query, row i)`. No
    /// alignment is needed.
    ///
    /// `rows.len() != n * dim` is a bug of the caller: a debug build asserts; a release build
    /// scores the whole rows that are there, at most `n`, and sets the rest of `out` to NaN. An
    /// empty query scores 0 everywhere.
    #[inline]
    pub fn dot_rows(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        self.batch(self.0.dot_rows, query, rows, out);
    }

    /// Squared Euclidean distance of `query` to each of `n` rows. Shapes as for
    /// [`Kernels::dot_rows`].
    #[inline]
    pub fn l2_rows(&self, query: &[f32], rows: &[f32], out: &mut [f32]) {
        self.batch(self.0.l2_rows, query, rows, out);
    }

    fn batch(&self, kernel: Rows, query: &[f32], rows: &[f32], out: &mut [f32]) {
        let dim = query.len();
        debug_assert_eq!(rows.len(), dim * out.len(), "rows are not [out.len(), query.len()]");
        if dim == 0 {
            out.fill(0.0);
            return;
        }
        let n = out.len().min(rows.len() / dim);
        let (scores, missing) = out.split_at_mut(n);
        // SAFETY: this CPU has the level (`kernel` is one of the pointers of self).
        unsafe { kernel(query, &rows[..n * dim], scores) };
        missing.fill(f32::NAN);
    }
}

/// Inner product at the best level; see [`Kernels::dot`]. For many rows use [`Kernels::dot_rows`].
#[inline]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    Kernels::best().dot(a, b)
}

/// Squared Euclidean distance at the best level; see [`Kernels::l2_squared`].
#[inline]
pub fn l2_squared(a: &[f32], b: &[f32]) -> f32 {
    Kernels::best().l2_squared(a, b)
}

/// Squared Euclidean norm at the best level; see [`Kernels::norm_squared`].
#[inline]
pub fn norm_squared(a: &[f32]) -> f32 {
    Kernels::best().norm_squared(a)
}
