//! AVX-512 VPOPCNTDQ: 512 bits a step.

use std::arch::x86_64::*;

/// A part of a vector that a step takes: bytes outside it are zero. Not by masked loads, which
/// read memory at a quarter of the speed here.
///
/// # Safety
/// `p` must be readable for BYTES, which is 64, 32 or 16.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
unsafe fn load<const BYTES: usize>(p: *const u8) -> __m512i {
    // SAFETY: as the caller promises; the loads need no alignment.
    unsafe {
        match BYTES {
            64 => _mm512_loadu_si512(p.cast()),
            32 => _mm512_zextsi256_si512(_mm256_loadu_si256(p.cast())),
            _ => _mm512_zextsi128_si512(_mm_loadu_si128(p.cast())),
        }
    }
}

/// Adds the counts of a part of R rows, in eight lanes each.
///
/// # Safety
/// `q` and all rows, which are `stride` apart, must be readable for BYTES.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
unsafe fn step<const IS_XOR: bool, const BYTES: usize, const R: usize>(
    sums: &mut [__m512i; R],
    q: *const u8,
    row: *const u8,
    stride: usize,
) {
    // SAFETY: as the caller promises.
    let x = unsafe { load::<BYTES>(q) };
    for (r, sum) in sums.iter_mut().enumerate() {
        // SAFETY: as the caller promises.
        let y = unsafe { load::<BYTES>(row.add(r * stride)) };
        let both = if IS_XOR { _mm512_xor_si512(x, y) } else { _mm512_and_si512(x, y) };
        *sum = _mm512_add_epi64(*sum, _mm512_popcnt_epi64(both));
    }
}

/// Counts of R neighbouring rows but for their last `len % 16` bytes, in eight lanes each.
///
/// # Safety
/// `q` must be readable for `len` bytes, `row` for `R * len`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
unsafe fn counts<const IS_XOR: bool, const R: usize>(
    q: *const u8,
    row: *const u8,
    len: usize,
) -> [__m512i; R] {
    let mut sums = [_mm512_setzero_si512(); R];
    let mut at = 0;
    // SAFETY: each step is taken only if its bytes are left.
    unsafe {
        while at + 64 <= len {
            step::<IS_XOR, 64, R>(&mut sums, q.add(at), row.add(at), len);
            at += 64;
        }
        if at + 32 <= len {
            step::<IS_XOR, 32, R>(&mut sums, q.add(at), row.add(at), len);
            at += 32;
        }
        if at + 16 <= len {
            step::<IS_XOR, 16, R>(&mut sums, q.add(at), row.add(at), len);
        }
    }
    sums
}

/// One pair of the same length.
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
pub(crate) fn pair<const IS_XOR: bool>(a: &[u8], b: &[u8]) -> u32 {
    let (len, whole) = (a.len().min(b.len()), a.len().min(b.len()) / 16 * 16);
    // SAFETY: both are readable for len bytes.
    let [sum] = unsafe { counts::<IS_XOR, 1>(a.as_ptr(), b.as_ptr(), len) };
    _mm512_reduce_add_epi64(sum) as u32 + super::pair::<IS_XOR>(&a[whole..], &b[whole..])
}

/// Eight registers of eight values each to their eight sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
fn sum8(v: [__m512i; 8]) -> __m512i {
    // Each step adds the halves, quarters, eighths of two registers and leaves them in one.
    let eighths = |a, b| _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    let [a, b, c, d] =
        [eighths(v[0], v[1]), eighths(v[2], v[3]), eighths(v[4], v[5]), eighths(v[6], v[7])];
    let lanes = |a, b| {
        let (even, odd) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0xdd>(a, b));
        _mm512_add_epi64(even, odd)
    };
    lanes(lanes(a, b), lanes(c, d))
}

/// All rows; `q` is not empty.
#[target_feature(enable = "avx512f,avx512bw,avx512vpopcntdq,popcnt")]
pub(crate) fn rows<const IS_XOR: bool>(q: &[u8], rows: &[u8], out: &mut [u32]) {
    let (len, whole) = (q.len(), q.len() / 16 * 16);
    // Eight rows at once share the reduction, which costs more than the counting of short rows.
    let mut eights = out.chunks_exact_mut(8);
    let mut eight_rows = rows.chunks_exact(8 * len);
    for (out, rows) in eights.by_ref().zip(eight_rows.by_ref()) {
        // SAFETY: rows is eight rows as long as q, out is eight values.
        unsafe {
            let sums = sum8(counts::<IS_XOR, 8>(q.as_ptr(), rows.as_ptr(), len));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(sums));
        }
        if whole < len {
            for (count, row) in out.iter_mut().zip(rows.chunks_exact(len)) {
                *count += super::pair::<IS_XOR>(&q[whole..], &row[whole..]);
            }
        }
    }
    let rest = eight_rows.remainder().chunks_exact(len);
    for (count, row) in eights.into_remainder().iter_mut().zip(rest) {
        *count = pair::<IS_XOR>(q, row);
    }
}
