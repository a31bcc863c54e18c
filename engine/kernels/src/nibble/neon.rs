//! NEON: one nibble of 32 rows a step.

use std::arch::aarch64::*;

use super::{BLOCK_ROWS, NibbleRows, NibbleTables};

/// Nibbles whose entries cannot overflow 16 bits: 63 * 256 < 65,536.
const CHUNK: usize = 256;

/// Sums of up to CHUNK nibbles, a 16-bit value a row.
///
/// # Safety
/// `codes` and `tables` must be readable for `16 * nibbles` bytes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn chunk(codes: *const u8, tables: *const u8, nibbles: usize) -> [uint16x8_t; 4] {
    let low = vdupq_n_u8(15);
    let mut sums = [vdupq_n_u16(0); 4];
    for nibble in 0..nibbles {
        // SAFETY: the 16 bytes of this nibble are readable.
        let (code, table) =
            unsafe { (vld1q_u8(codes.add(16 * nibble)), vld1q_u8(tables.add(16 * nibble))) };
        let l = vqtbl1q_u8(table, vandq_u8(code, low));
        let h = vqtbl1q_u8(table, vshrq_n_u8::<4>(code));
        sums[0] = vaddw_u8(sums[0], vget_low_u8(l));
        sums[1] = vaddw_high_u8(sums[1], l);
        sums[2] = vaddw_u8(sums[2], vget_low_u8(h));
        sums[3] = vaddw_high_u8(sums[3], h);
    }
    sums
}

/// As [`Kernels::scan_nibbles`](crate::Kernels::scan_nibbles).
///
/// # Safety
/// Every slice must hold as many blocks as there are masks, the tables all nibbles.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn scan(
    rows: &NibbleRows,
    tables: &NibbleTables,
    base: f32,
    limit: f32,
    masks: &mut [u32],
    out: &mut [f32],
) -> usize {
    let bytes = 16 * rows.nibbles;
    let bit = [1u32, 2, 4, 8];
    // SAFETY: bit is four values.
    let bit = unsafe { vld1q_u32(bit.as_ptr()) };
    let (unit, offset) = (vdupq_n_f32(tables.unit), vdupq_n_f32(tables.offset));
    let (base, limit) = (vdupq_n_f32(base), vdupq_n_f32(limit));
    let mut left = 0;
    for (block, mask) in masks.iter_mut().enumerate() {
        if *mask == 0 {
            continue;
        }
        let mut sums = [vdupq_n_u32(0); 8];
        let mut done = 0;
        while done < rows.nibbles {
            let n = CHUNK.min(rows.nibbles - done);
            // SAFETY: the codes hold this block, the tables all nibbles; done + n <= nibbles.
            let parts = unsafe {
                let codes = rows.codes.as_ptr().add(block * bytes + 16 * done);
                chunk(codes, tables.tables.as_ptr().add(16 * done), n)
            };
            for (i, part) in parts.into_iter().enumerate() {
                sums[2 * i] = vaddw_u16(sums[2 * i], vget_low_u16(part));
                sums[2 * i + 1] = vaddw_high_u16(sums[2 * i + 1], part);
            }
            done += n;
        }
        let mut kept = 0;
        for (part, sum) in sums.into_iter().enumerate() {
            let at = block * BLOCK_ROWS + 4 * part;
            // SAFETY: add, mul, scale and out hold this block, at + 4 values.
            unsafe {
                let start = match rows.scale {
                    Some(scale) => vmulq_f32(vld1q_f32(scale.as_ptr().add(at)), base),
                    None => base,
                };
                let start = vaddq_f32(start, vld1q_f32(rows.add.as_ptr().add(at)));
                let value = vaddq_f32(vmulq_f32(unit, vcvtq_f32_u32(sum)), offset);
                let grown = vmulq_f32(vld1q_f32(rows.mul.as_ptr().add(at)), value);
                let estimate = vaddq_f32(start, grown);
                vst1q_f32(out.as_mut_ptr().add(at), estimate);
                let less = vaddvq_u32(vandq_u32(vcltq_f32(estimate, limit), bit));
                kept |= less << (4 * part);
            }
        }
        *mask &= kept;
        left += mask.count_ones() as usize;
    }
    left
}
