//! Half-width floats.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{abs_dot, bits_of, levels, seed, tolerance};
use crate::{bf16_to_f32, dot_f64, f16_to_f32, f32_to_bf16, f32_to_f16, l2_squared_f64};

/// The value of f16 bits by the definition of the format.
fn value(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 0x3ff));
    let size = match exponent {
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        0 => fraction * 2f64.powi(-24),
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

#[test]
fn all_halves_widen_to_their_value_and_come_back() {
    let all: Vec<u16> = (0..=u16::MAX).collect();
    for bits in &all {
        let wide = f16_to_f32(*bits);
        let (want, nan) = (value(*bits), value(*bits).is_nan());
        assert!(f64::from(wide) == want || nan && wide.is_nan(), "{bits:x}");
        assert_eq!(wide.is_sign_negative(), bits >> 15 == 1, "{bits:x}");
        let back = f32_to_f16(wide);
        assert!(back == *bits || nan && value(back).is_nan(), "{bits:x} {back:x}");
        let wide = bf16_to_f32(*bits);
        let back = f32_to_bf16(wide);
        assert!(back == *bits || wide.is_nan() && bf16_to_f32(back).is_nan(), "{bits:x} {back:x}");
    }
    let want: Vec<f32> = all.iter().map(|b| f16_to_f32(*b)).collect();
    let want_b: Vec<f32> = all.iter().map(|b| bf16_to_f32(*b)).collect();
    for k in levels() {
        for start in 0..70 {
            let mut out = vec![0.0; all.len() - start];
            k.widen_f16(&all[start..], &mut out);
            // Not bits_of: which NaN comes out is laid down too.
            assert!(out.iter().zip(&want[start..]).all(|(a, b)| a.to_bits() == b.to_bits()));
            k.widen_bf16(&all[start..], &mut out);
            assert!(out.iter().zip(&want_b[start..]).all(|(a, b)| a.to_bits() == b.to_bits()));
        }
        let mut few = [0.0; 3];
        k.widen_f16(&[0x3c00, 0xc000, 0x7bff], &mut few);
        assert_eq!(bits_of(&few), bits_of(&[1.0, -2.0, 65504.0]));
    }
}

#[test]
fn narrowing_takes_the_nearest_and_ties_to_even() {
    let mut rng = StdRng::seed_from_u64(seed());
    for bits in 0..0x7c00u16 {
        let (low, high) = (value(bits), if bits == 0x7bff { 65536.0 } else { value(bits + 1) });
        let middle = (low + high) / 2.0;
        let (below, above) = ((middle as f32).next_down(), (middle as f32).next_up());
        let even = if bits & 1 == 0 { bits } else { bits + 1 };
        for (x, want) in [(below, bits), (middle as f32, even), (above, bits + 1)] {
            assert_eq!((f32_to_f16(x), f32_to_f16(-x)), (want, want | 0x8000), "{x} {bits:x}");
        }
    }
    for _ in 0..100_000 {
        let x = f32::from_bits(rng.random());
        let bits = f32_to_bf16(x);
        let (got, down) = (f64::from(bf16_to_f32(bits)), f32::from_bits(x.to_bits() >> 16 << 16));
        let up = f64::from(f32::from_bits(down.to_bits().wrapping_add(0x1_0000)));
        let (x, down) = (f64::from(x), f64::from(down));
        let nearest = (got - x).abs() <= (down - x).abs().min((up - x).abs());
        assert!(nearest || x.is_nan() && got.is_nan() || got.is_infinite(), "{x} {got}");
    }
    assert_eq!(f32_to_bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
    assert_eq!(f32_to_bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
    assert_eq!(f32_to_f16(f32::MAX), 0x7c00);
    assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
    assert!(value(f32_to_f16(f32::NAN)).is_nan() && f32_to_f16(f32::NEG_INFINITY) == 0xfc00);
}

#[test]
fn scores_agree_with_f64() {
    let mut rng = StdRng::seed_from_u64(seed());
    for dim in (0..=200).chain([1000, 4096]) {
        let q: Vec<f32> = (0..dim).map(|_| rng.random_range(-1.0..1.0)).collect();
        // Normal and denormal halves.
        let size = if dim % 5 == 0 { 1e-5 } else { 1.0 };
        let v: Vec<f32> = (0..dim).map(|_| rng.random_range(-size..size)).collect();
        let f16: Vec<u16> = v.iter().map(|x| f32_to_f16(*x)).collect();
        let bf16: Vec<u16> = v.iter().map(|x| f32_to_bf16(*x)).collect();
        let f16_wide: Vec<f32> = f16.iter().map(|b| f16_to_f32(*b)).collect();
        let bf16_wide: Vec<f32> = bf16.iter().map(|b| bf16_to_f32(*b)).collect();
        for k in levels() {
            let found = [
                (k.dot_f16(&q, &f16), k.l2_f16(&q, &f16), &f16_wide),
                (k.dot_bf16(&q, &bf16), k.l2_bf16(&q, &bf16), &bf16_wide),
            ];
            for (dot, l2, row) in found {
                let at = format!("seed {} level {} dim {dim}", seed(), k.level());
                let off = (f64::from(dot) - dot_f64(&q, row)).abs();
                assert!(off <= tolerance(dim, abs_dot(&q, row)), "dot {at}");
                let want = l2_squared_f64(&q, row);
                assert!((f64::from(l2) - want).abs() <= tolerance(dim, want), "l2 {at}");
            }
            if dim > 0 {
                let mut spoilt = f16.clone();
                spoilt[dim - 1] = 0x7e00;
                assert!(k.dot_f16(&q, &spoilt).is_nan() && k.l2_f16(&q, &spoilt).is_nan());
            }
        }
    }
}
