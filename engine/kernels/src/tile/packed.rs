//! Centroids in the order in which the kernels read them.

/// Centroids of a group.
pub(crate) const GROUP: usize = 16;

/// Four dims of each of the centroids of a group: one cache line, one AVX-512 register.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [i8; 4 * GROUP]);

/// What turns the sums of a group into scores.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Finish {
    /// -128 times the sum of each centroid: sums over codes start here, which takes the 128 of the
    /// codes away again.
    pub(crate) start: [i32; GROUP],
    pub(crate) scale: [f32; GROUP],
    pub(crate) bias: [f32; GROUP],
}

/// A set of centroids, packed for [`Kernels::nearest_centroid`](crate::Kernels::nearest_centroid)
/// and its kin: 16 to a group, interleaved by four dims, the last group padded.
#[derive(Clone, Debug)]
pub struct PackedCentroids {
    len: usize,
    stride: usize,
    /// `[groups, stride / 4]`
    lines: Vec<Line>,
    /// `[groups]`
    finish: Vec<Finish>,
}

impl PackedCentroids {
    /// Packs centroids given as signed codes `[n, stride]`, `stride` a multiple of 32. A row's
    /// score for centroid `c` is `bias[c] - row_scale * scale[c] * dot(row, c)`.
    ///
    /// `n` is the length of `scale`. Other lengths are a bug of the caller: a debug build asserts,
    /// a release build packs the whole centroids that are in all slices, none if the stride is not
    /// a multiple of 32.
    pub fn new(codes: &[i8], stride: usize, scale: &[f32], bias: &[f32]) -> Self {
        debug_assert_eq!(stride % 32, 0, "the stride is not padded");
        debug_assert_eq!(codes.len(), stride * scale.len(), "codes are not [n, stride]");
        debug_assert_eq!(scale.len(), bias.len(), "scale and bias of different lengths");
        let coded = codes.len().checked_div(stride).unwrap_or(usize::MAX);
        let whole = scale.len().min(bias.len()).min(coded);
        let len = if stride.is_multiple_of(32) { whole } else { 0 };
        let (groups, quads) = (len.div_ceil(GROUP), stride / 4);
        let mut lines = vec![Line([0; 4 * GROUP]); groups * quads];
        let padding =
            Finish { start: [0; GROUP], scale: [0.0; GROUP], bias: [f32::INFINITY; GROUP] };
        let mut finish = vec![padding; groups];
        for c in 0..len {
            let (group, lane) = (c / GROUP, c % GROUP);
            let code = &codes[c * stride..][..stride];
            let to = &mut lines[group * quads..][..quads];
            for (line, quad) in to.iter_mut().zip(code.chunks_exact(4)) {
                line.0[4 * lane..][..4].copy_from_slice(quad);
            }
            let sum = code.iter().fold(0i32, |sum, v| sum.wrapping_add(i32::from(*v)));
            finish[group].start[lane] = sum.wrapping_mul(-128);
            finish[group].scale[lane] = scale[c];
            finish[group].bias[lane] = bias[c];
        }
        PackedCentroids { len, stride, lines, finish }
    }

    /// Number of centroids.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Codes of a row, padding included.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes held in memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines.as_slice()) + size_of_val(self.finish.as_slice())
    }

    pub(crate) fn groups(&self) -> usize {
        self.finish.len()
    }

    /// `[groups, stride / 4]`
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// `[groups]`
    pub(crate) fn finish(&self) -> &[Finish] {
        &self.finish
    }
}
