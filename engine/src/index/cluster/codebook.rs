//! What the segments of a collection share: the space that codes live in and the centroids of its lists.

use elanus_kernels::{Kernels, PackedCentroids};

use super::coder::Coder;
use super::coverage::Coverage;
use super::kmeans;
use super::rotation::Rotation;
use super::wire::{Reader, Writer};
use crate::core::error::Result;

/// Which vectors are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    /// The vectors as they are.
    Raw,
    /// The vectors at unit length: for COSINE.
    Unit,
}

/// Codes of residuals to one set of centres.
#[derive(Debug, Clone, PartialEq)]
pub struct Codes {
    /// How they are made.
    pub coder: Coder,
    /// Standard deviation of the estimate of `<q-c, r>`, as a share of `|q-c| · |r|²/<r,code>`.
    pub error: f32,
}

/// Centroids, rotation and code tables of one vector field, the same for all segments that name its
/// version. Immutable; a new version is trained when the collection has outgrown or drifted from it.
///
/// All centroids and codes live in *its* space: vectors (at unit length for [`Space::Unit`]) less the mean,
/// rotated, padded with zeros to `width`. Distances there are those of the original space.
#[derive(Debug)]
pub struct Codebook {
    /// Number, only grows within a field.
    pub version: u64,
    /// Dimensions of the field.
    pub dim: usize,
    /// Dimensions of the space, a multiple of 32.
    pub width: usize,
    /// Which vectors it encodes.
    pub space: Space,
    /// Rows that the collection had when it was trained.
    pub trained_rows: u64,
    /// Mean squared distance of a row to its centroid, at training.
    pub mean_error: f32,
    /// `[dim]`
    pub mean: Vec<f32>,
    /// `[lists, width]`
    pub centroids: Vec<f32>,
    /// Codes of residuals to the list's centroid.
    pub fine: Codes,
    /// Codes of residuals to the mean, for units too small for lists.
    pub flat: Codes,
    /// Lists to look at for a wanted recall.
    pub coverage: Coverage,
    packed: PackedCentroids,
    rotation: Option<Rotation>,
}

/// What is needed to make a codebook; see the fields of [`Codebook`].
#[derive(Debug, Clone)]
pub struct CodebookParts {
    /// Number.
    pub version: u64,
    /// Dimensions of the field.
    pub dim: usize,
    /// Which vectors it encodes.
    pub space: Space,
    /// Rows of the collection.
    pub trained_rows: u64,
    /// Mean squared distance to the centroid.
    pub mean_error: f32,
    /// `[dim]`
    pub mean: Vec<f32>,
    /// `[lists, width]`
    pub centroids: Vec<f32>,
    /// Codes of residuals to the list's centroid.
    pub fine: Codes,
    /// Codes of residuals to the mean.
    pub flat: Codes,
    /// Lists to look at.
    pub coverage: Coverage,
}

/// Dimensions of the space of a field's codes.
pub fn width_of(dim: usize) -> usize {
    if signs(dim) { dim.next_multiple_of(64) } else { dim.next_multiple_of(32) }
}

/// Whether a field's codes are signs, for which the space is rotated.
pub fn signs(dim: usize) -> bool {
    dim >= super::coder::SIGN_DIMS
}

/// The rotation of a field's space; the version is its seed.
pub fn rotation_of(dim: usize, version: u64) -> Option<Rotation> {
    signs(dim).then(|| Rotation::new(width_of(dim), version))
}

impl Codebook {
    /// Puts parts together.
    pub fn new(parts: CodebookParts) -> Self {
        let width = width_of(parts.dim);
        Self {
            version: parts.version,
            dim: parts.dim,
            width,
            space: parts.space,
            trained_rows: parts.trained_rows,
            mean_error: parts.mean_error,
            mean: parts.mean,
            packed: kmeans::pack(parts.centroids.chunks_exact(width), width),
            rotation: rotation_of(parts.dim, parts.version),
            centroids: parts.centroids,
            fine: parts.fine,
            flat: parts.flat,
            coverage: parts.coverage,
        }
    }

    /// Number of lists.
    pub fn lists(&self) -> usize {
        self.centroids.len() / self.width
    }

    /// The centroid of a list, `[width]`.
    pub fn centroid(&self, list: usize) -> &[f32] {
        &self.centroids[list * self.width..(list + 1) * self.width]
    }

    /// The centroids packed for the tiled kernel.
    pub fn packed(&self) -> &PackedCentroids {
        &self.packed
    }

    /// The rotation of the space, where it has one.
    pub(super) fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    /// Bytes in memory, about.
    pub fn bytes(&self) -> usize {
        4 * self.centroids.len() + self.packed.bytes()
    }

    /// Brings a vector `[dim]` into the space `[width]`; returns its own length (before it was brought to
    /// unit length, where the space asks for that).
    pub fn transform(&self, kernels: Kernels, vector: &[f32], out: &mut [f32]) -> f32 {
        let length = kernels.norm_squared(vector).sqrt();
        let scale = match self.space {
            Space::Raw => 1.0,
            Space::Unit if length > 0.0 => 1.0 / length,
            Space::Unit => 0.0,
        };
        into_space(kernels, vector, scale, &self.mean, self.rotation.as_ref(), out);
        length
    }

    /// The file's bytes, to be sealed in a checked frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        for number in [FORMAT, self.version, self.dim as u64, u64::from(self.space == Space::Unit)]
        {
            w.u64(number);
        }
        w.u64(self.trained_rows);
        w.f32s(&[self.mean_error, self.fine.error, self.flat.error]);
        for list in [&self.mean, &self.centroids, points(&self.fine), points(&self.flat)] {
            w.f32s(list);
        }
        w.f32s(&self.coverage.values());
        w.0
    }

    /// Reads [`Self::encode`]'s bytes; `what` names the file in errors.
    pub fn decode(bytes: &[u8], what: &str) -> Result<Self> {
        let mut r = Reader::new(bytes, what);
        if r.u64()? != FORMAT {
            return Err(r.bad("its format is not known to this version of Elanus"));
        }
        let (version, dim) = (r.u64()?, r.size()?);
        let space = if r.u64()? == 1 { Space::Unit } else { Space::Raw };
        let trained_rows = r.u64()?;
        let [mean_error, fine, flat] = r.f32s()?[..] else {
            return Err(r.bad("its figures are missing"));
        };
        let (mean, centroids) = (r.f32s()?, r.f32s()?);
        let (fine_points, flat_points) = (r.f32s()?, r.f32s()?);
        let coverage =
            Coverage::from_values(&r.f32s()?).ok_or_else(|| r.bad("its coverage is damaged"))?;
        if dim == 0 || dim > 1 << 20 || mean.len() != dim || centroids.is_empty() {
            return Err(r.bad("its lists have the wrong length"));
        }
        let width = width_of(dim);
        let nibbles = dim.div_ceil(2).next_multiple_of(4);
        let codes = |points: Vec<f32>, error: f32| {
            let coder = match (signs(dim), points.len()) {
                (true, 0) => Coder::Signs { width },
                (false, n) if n == nibbles * 32 => Coder::Pairs { points },
                _ => return None,
            };
            Some(Codes { coder, error })
        };
        let (Some(fine), Some(flat)) = (codes(fine_points, fine), codes(flat_points, flat)) else {
            return Err(r.bad("its code tables have the wrong length"));
        };
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if centroids.len() % width != 0 || !finite(&centroids) || !finite(&mean) {
            return Err(r.bad("its centroids are damaged"));
        }
        r.finish()?;
        let parts = CodebookParts {
            version,
            dim,
            space,
            trained_rows,
            mean_error,
            mean,
            centroids,
            fine,
            flat,
            coverage,
        };
        Ok(Self::new(parts))
    }
}

/// Format of the file.
const FORMAT: u64 = 1;

fn points(codes: &Codes) -> &Vec<f32> {
    static NONE: Vec<f32> = Vec::new();
    match &codes.coder {
        Coder::Signs { .. } => &NONE,
        Coder::Pairs { points } => points,
    }
}

/// `out = rotate(scale * vector - mean)`, padded with zeros.
pub(super) fn into_space(
    kernels: Kernels,
    vector: &[f32],
    scale: f32,
    mean: &[f32],
    rotation: Option<&Rotation>,
    out: &mut [f32],
) {
    let (head, pad) = out.split_at_mut(vector.len());
    for ((o, v), m) in head.iter_mut().zip(vector).zip(mean) {
        *o = v * scale - m;
    }
    pad.fill(0.0);
    if let Some(rotation) = rotation {
        rotation.apply(kernels, out);
    }
}
