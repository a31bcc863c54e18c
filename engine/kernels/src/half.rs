//! Half-width floats as their bits: IEEE f16 and bfloat16.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod skeleton;

use crate::Kernels;
use crate::level::Level;

type Pair = unsafe fn(&[f32], &[u16]) -> f32;
type Widen = unsafe fn(&[u16], &mut [f32]);

/// The half-width kernels of one level.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ops {
    dot_f16: Pair,
    l2_f16: Pair,
    dot_bf16: Pair,
    l2_bf16: Pair,
    widen_f16: Widen,
    widen_bf16: Widen,
}

macro_rules! table {
    ($pair:path, $widen:path) => {{
        use $pair as pair;
        use $widen as widen;
        Ops {
            dot_f16: pair::<false, false>,
            l2_f16: pair::<true, false>,
            dot_bf16: pair::<false, true>,
            l2_bf16: pair::<true, true>,
            widen_f16: widen::<false>,
            widen_bf16: widen::<true>,
        }
    }};
}

impl Ops {
    pub(crate) const fn at(level: Level) -> Ops {
        match level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 | Level::Avx512Vnni => table!(avx512::pair, avx512::widen),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => table!(avx2::pair, avx2::widen),
            #[cfg(target_arch = "aarch64")]
            Level::Neon => table!(neon::pair, neon::widen),
            _ => table!(self::pair, self::widen),
        }
    }
}

macro_rules! pairs {
    ($($(#[$doc:meta])* $name:ident)*) => {
        impl Kernels {
            $($(#[$doc])*
            ///
            /// Quick: f32 arithmetic, the last bits depend on the level. Lengths that differ are a
            /// bug of the caller: a debug build asserts, a release build uses the shorter length.
            #[inline]
            pub fn $name(&self, q: &[f32], row: &[u16]) -> f32 {
                debug_assert_eq!(q.len(), row.len(), "vectors of different lengths");
                let n = q.len().min(row.len());
                // SAFETY: this CPU has the level (invariant of Kernels); the lengths are the same.
                unsafe { (self.0.half.$name)(&q[..n], &row[..n]) }
            })*
        }
    };
}

pairs! {
    /// Inner product of an f32 query with a row of f16.
    dot_f16
    /// Squared Euclidean distance of an f32 query to a row of f16.
    l2_f16
    /// Inner product of an f32 query with a row of bf16.
    dot_bf16
    /// Squared Euclidean distance of an f32 query to a row of bf16.
    l2_bf16
}

impl Kernels {
    /// Widens f16 to f32, exactly. Lengths that differ are a bug of the caller: a debug build
    /// asserts, a release build widens as many as both have.
    pub fn widen_f16(&self, from: &[u16], to: &mut [f32]) {
        debug_assert_eq!(from.len(), to.len(), "slices of different lengths");
        let n = from.len().min(to.len());
        // SAFETY: this CPU has the level (invariant of Kernels); the lengths are the same.
        unsafe { (self.0.half.widen_f16)(&from[..n], &mut to[..n]) }
    }

    /// Widens bf16 to f32, exactly. Lengths as for [`Kernels::widen_f16`].
    pub fn widen_bf16(&self, from: &[u16], to: &mut [f32]) {
        debug_assert_eq!(from.len(), to.len(), "slices of different lengths");
        let n = from.len().min(to.len());
        // SAFETY: this CPU has the level (invariant of Kernels); the lengths are the same.
        unsafe { (self.0.half.widen_bf16)(&from[..n], &mut to[..n]) }
    }
}

/// The f32 of the same value; a NaN stays one of the same sign and comes out quiet.
#[inline]
pub fn f16_to_f32(bits: u16) -> f32 {
    let (sign, magnitude) = (u32::from(bits & 0x8000) << 16, u32::from(bits & 0x7fff) << 13);
    // The exponents differ by 112; the product also makes denormals normal.
    let finite = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let unsigned = match bits & 0x7fff {
        0..0x7c00 => finite.to_bits(),
        0x7c00 => 0x7f80_0000,
        _ => magnitude | 0x7fc0_0000,
    };
    f32::from_bits(sign | unsigned)
}

/// The nearest f16, ties to even; too large values become infinite, a NaN stays one.
#[inline]
pub fn f32_to_f16(value: f32) -> u16 {
    let (sign, bits) = ((value.to_bits() >> 16) as u16 & 0x8000, value.to_bits() & 0x7fff_ffff);
    let unsigned = match bits {
        0x7f80_0001.. => 0x7e00 | (bits >> 13) & 0x3ff,
        // From 65520, half way to the number that would follow the largest.
        0x477f_f000.. => 0x7c00,
        0x3880_0000.. => (bits + 0xfff + (bits >> 13 & 1) - (112 << 23)) >> 13,
        // A denormal: next to 0.5 the last bit of an f32 is the last bit of a denormal f16, so the
        // addition rounds.
        _ => (f32::from_bits(bits) + 0.5).to_bits() - 0.5f32.to_bits(),
    };
    sign | unsigned as u16
}

/// The f32 of the same value.
#[inline]
pub fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The nearest bf16, ties to even; a NaN stays one and comes out quiet.
#[inline]
pub fn f32_to_bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = if value.is_nan() { bits | 0x40_0000 } else { bits + 0x7fff + (bits >> 16 & 1) };
    (rounded >> 16) as u16
}

#[inline(always)]
fn to_f32<const BF16: bool>(bits: u16) -> f32 {
    if BF16 { bf16_to_f32(bits) } else { f16_to_f32(bits) }
}

fn pair<const L2: bool, const BF16: bool>(q: &[f32], row: &[u16]) -> f32 {
    q.iter().zip(row).fold(0.0, |sum, (x, bits)| {
        let y = to_f32::<BF16>(*bits);
        sum + if L2 { (x - y) * (x - y) } else { x * y }
    })
}

fn widen<const BF16: bool>(from: &[u16], to: &mut [f32]) {
    from.iter().zip(to).for_each(|(bits, value)| *value = to_f32::<BF16>(*bits));
}
