//! Scan of nibble codes by table look-up ("FastScan"): 1-bit codes, four dims to a nibble, and
//! 4-bit product codes alike.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use crate::Kernels;
use crate::level::Level;

/// Rows of a block of nibble codes.
pub const BLOCK_ROWS: usize = 32;

/// The greatest entry of a quantized table: four of them add up within a byte, so that sums are widened a
/// quarter as often. What coarser entries add is little beside the error of the codes; a bound has to count it.
pub const MOST_ENTRY: u8 = 63;

/// Neighbouring blocks of [`BLOCK_ROWS`] rows with the numbers that turn a sum into an estimate.
///
/// A block holds 16 bytes for each nibble: the low half of byte `i` belongs to row `i`, the high
/// half to row `16 + i`.
#[derive(Clone, Copy, Debug)]
pub struct NibbleRows<'a> {
    /// Nibbles of a row, a multiple of 4: callers pad codes and tables with zeros.
    pub nibbles: usize,
    /// Codes, `[blocks, nibbles, 16]`.
    pub codes: &'a [u8],
    /// Summand of each row's estimate, `[blocks * 32]`.
    pub add: &'a [f32],
    /// Factor of each row's sum of table values, `[blocks * 32]`.
    pub mul: &'a [f32],
    /// Factor of each row for the query's `base`, `[blocks * 32]`; `None` stands for ones.
    pub scale: Option<&'a [f32]>,
}

/// What a query gives to a scan: its look-up tables, quantized.
#[derive(Clone, Copy, Debug)]
pub struct NibbleTables<'a> {
    /// One entry for each value of each nibble, `[nibbles, 16]`, at most [`MOST_ENTRY`].
    pub tables: &'a [u8],
    /// Value of one unit of an entry.
    pub unit: f32,
    /// Value of a row whose entries are all zero.
    pub offset: f32,
}

type Scan = unsafe fn(&NibbleRows, &NibbleTables, f32, f32, &mut [u32], &mut [f32]) -> usize;

/// The scans of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    scan: Scan,
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => Ops { scan: avx512::scan },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => Ops { scan: avx2::scan },
            #[cfg(target_arch = "aarch64")]
            Level::Neon => Ops { scan: neon::scan },
            _ => Ops { scan },
        }
    }
}

impl Kernels {
    /// Estimates rows by table look-up and keeps those below a limit:
    ///
    /// `estimate = scale[row] * base + add[row] + mul[row] * (unit * sum of table entries + offset)`
    ///
    /// `masks` has one value a block, bit `i` for its row `i`. In: the rows wanted. Out: the wanted
    /// rows whose estimate is less than `limit`; NaN is not. Blocks without wanted rows are skipped
    /// and their part of `out` (`[blocks * 32]`, estimates) is left as it is. Returns the number of
    /// rows kept.
    ///
    /// Sums are exact up to 8192 nibbles and more, estimates have the same bits on every level.
    ///
    /// Slices of different numbers of blocks are a bug of the caller: a debug build asserts, a
    /// release build scans the whole blocks that are in all of them and clears the masks of others.
    /// So are entries above [`MOST_ENTRY`], of which a release build makes wrong sums.
    pub fn scan_nibbles(
        &self,
        rows: &NibbleRows,
        tables: &NibbleTables,
        base: f32,
        limit: f32,
        masks: &mut [u32],
        out: &mut [f32],
    ) -> usize {
        let blocks = whole_blocks(rows, tables, masks.len(), out.len());
        debug_assert_eq!(blocks, masks.len(), "slices too short, or nibbles not a multiple of 4");
        debug_assert!(tables.tables.iter().all(|entry| *entry <= MOST_ENTRY), "too great an entry");
        let (masks, missing) = masks.split_at_mut(blocks);
        missing.fill(0);
        // SAFETY: this CPU has the level (invariant of Kernels), and whole_blocks has seen that
        // every slice holds as many blocks as there are masks.
        unsafe { (self.0.nibble.scan)(rows, tables, base, limit, masks, out) }
    }
}

/// Blocks that every slice holds; none if the tables do not fit the rows.
fn whole_blocks(rows: &NibbleRows, tables: &NibbleTables, masks: usize, out: usize) -> usize {
    if !rows.nibbles.is_multiple_of(4) || tables.tables.len() / 16 < rows.nibbles {
        return 0;
    }
    let coded = (rows.codes.len() / 16).checked_div(rows.nibbles).unwrap_or(usize::MAX);
    let floats = [rows.add.len(), rows.mul.len(), rows.scale.map_or(usize::MAX, <[f32]>::len), out];
    floats.into_iter().fold(masks.min(coded), |least, len| least.min(len / BLOCK_ROWS))
}

/// The reference. Slices as [`Kernels::scan_nibbles`] has checked them.
fn scan(
    rows: &NibbleRows,
    tables: &NibbleTables,
    base: f32,
    limit: f32,
    masks: &mut [u32],
    out: &mut [f32],
) -> usize {
    let mut left = 0;
    for (block, mask) in masks.iter_mut().enumerate() {
        if *mask == 0 {
            continue;
        }
        let len = 16 * rows.nibbles;
        let mut sums = [0u32; BLOCK_ROWS];
        let codes = rows.codes[block * len..][..len].chunks_exact(16);
        for (code, table) in codes.zip(tables.tables.chunks_exact(16)) {
            for (i, byte) in code.iter().enumerate() {
                sums[i] += u32::from(table[usize::from(byte & 15)]);
                sums[16 + i] += u32::from(table[usize::from(byte >> 4)]);
            }
        }
        let mut kept = 0;
        for (i, sum) in sums.into_iter().enumerate() {
            let row = block * BLOCK_ROWS + i;
            // Without fused operations, so that all levels give the same bits.
            let start = rows.scale.map_or(base, |scale| scale[row] * base) + rows.add[row];
            let value = tables.unit * sum as f32 + tables.offset;
            out[row] = start + rows.mul[row] * value;
            kept |= u32::from(out[row] < limit) << i;
        }
        *mask &= kept;
        left += mask.count_ones() as usize;
    }
    left
}
