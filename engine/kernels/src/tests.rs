//! Every level of this CPU against the f64 forms, over shapes and values that break vector code.

mod at_most;
mod bytes;
mod hadamard;
mod half;
mod nibble;
mod tile;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::{Kernels, Level, dot_f64, exact_score, l2_squared_f64, norm_squared_f64};

/// Override with ELANUS_TEST_SEED; every failure prints it.
fn seed() -> u64 {
    std::env::var("ELANUS_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_251_123)
}

fn levels() -> impl Iterator<Item = Kernels> {
    Level::available().iter().filter_map(|l| Kernels::at(*l))
}

/// Bits for comparison; all NaNs are alike, for which of them an operation gives is not laid down.
fn bits_of(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| if v.is_nan() { f32::NAN.to_bits() } else { v.to_bits() }).collect()
}

/// A float that is ordinary, of any magnitude, a denormal or anything at all, as the turn says.
fn wild(rng: &mut StdRng, turn: u32) -> f32 {
    match turn % 8 {
        0..=3 => rng.random_range(-1.0..1.0),
        4 => rng.random_range(-1.0f32..1.0) * 2f32.powi(rng.random_range(-100..100)),
        5 => f32::from_bits(rng.random_range(0..0x0080_0000)),
        6 if rng.random_bool(0.95) => rng.random_range(-1e38..1e38),
        _ => f32::from_bits(rng.random()),
    }
}

fn dims() -> impl Iterator<Item = usize> {
    (0..=130).chain([255, 256, 257, 384, 768, 1000, 1536, 4096])
}

/// Error bound of any order of summation of n terms in f32, with or without FMA: each term passes
/// through at most n additions and 3 roundings of its own, each of relative size 2^-24; a term that
/// is denormal may lose 2^-149 besides.
fn tolerance(n: usize, terms: f64) -> f64 {
    (n + 3) as f64 * 2f64.powi(-24) * terms + n as f64 * 2f64.powi(-149)
}

fn abs_dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(x, y)| (f64::from(*x) * f64::from(*y)).abs()).sum()
}

/// Checks pairs and batches of one shape; `values` lies anywhere in memory: query first, then the
/// rows.
fn check(k: &Kernels, dim: usize, values: &[f32]) {
    let (query, rows) = values.split_at(dim);
    let n = rows.len().checked_div(dim).unwrap_or(3);
    let (mut dots, mut l2s) = (vec![-7.0; n], vec![-7.0; n]);
    k.dot_rows(query, rows, &mut dots);
    k.l2_rows(query, rows, &mut l2s);
    for i in 0..n {
        let row = &rows[i * dim..(i + 1) * dim];
        let at = format!("seed {} level {} dim {dim} row {i} of {n}", seed(), k.level());
        let (d, l) = (dot_f64(query, row), l2_squared_f64(query, row));
        assert!(
            (f64::from(dots[i]) - d).abs() <= tolerance(dim, abs_dot(query, row)),
            "dot {at}: {} {d}",
            dots[i]
        );
        assert!((f64::from(l2s[i]) - l).abs() <= tolerance(dim, l), "l2 {at}: {} {l}", l2s[i]);
        assert_eq!(
            dots[i].to_bits(),
            k.dot(query, row).to_bits(),
            "dot alone and in a batch, {at}"
        );
        assert_eq!(
            l2s[i].to_bits(),
            k.l2_squared(query, row).to_bits(),
            "l2 alone and in a batch, {at}"
        );
        let (norm, want) = (f64::from(k.norm_squared(row)), norm_squared_f64(row));
        assert!((norm - want).abs() <= tolerance(dim, want), "norm {at}: {norm} {want}");
    }
}

/// Runs `check` for all levels, dims and a few row counts, at odd addresses, between NaNs that must
/// not leak in.
fn check_all(mut value: impl FnMut(&mut StdRng) -> f32) {
    let mut rng = StdRng::seed_from_u64(seed());
    for dim in dims() {
        let most = if dim <= 130 { 9 } else { 5 };
        for n in 0..=most {
            for offset in [0, 1, 3] {
                let len = dim * (n + 1);
                let mut buffer = vec![f32::NAN; offset + len + 16];
                buffer[offset..offset + len].fill_with(|| value(&mut rng));
                for k in levels() {
                    check(&k, dim, &buffer[offset..offset + len]);
                }
            }
        }
    }
}

#[test]
fn ordinary_values_agree_with_f64() {
    check_all(|rng| rng.random_range(-1.0f32..1.0));
}

#[test]
fn mixed_magnitudes_agree_with_f64() {
    check_all(|rng| rng.random_range(-1.0f32..1.0) * 2f32.powi(rng.random_range(-40..40)));
}

#[test]
fn denormals_are_not_flushed() {
    // Products near the bottom of the range, where a flush to zero would show.
    check_all(|rng| rng.random_range(-1.0f32..1.0) * 2f32.powi(rng.random_range(-80..-60)));
    check_all(|rng| f32::from_bits(rng.random_range(0..0x0080_0000)));
    for k in levels() {
        for dim in 1..=130 {
            let (a, b) = (vec![1e-40f32; dim], vec![1.0f32; dim]);
            assert!(k.dot(&a, &b) > 0.9e-40 * dim as f32, "level {} dim {dim}", k.level());
        }
    }
}

#[test]
fn overflow_agrees_in_kind() {
    for k in levels() {
        for dim in dims().filter(|d| *d > 0) {
            for (a, b) in [(1e30f32, 1e30f32), (1e30, -1e30), (f32::MAX, 2.0), (f32::INFINITY, 1.0)]
            {
                let at = format!("level {} dim {dim} {a} {b}", k.level());
                let (x, y) = (vec![a; dim], vec![b; dim]);
                let rows = y.repeat(5);
                let mut out = [0.0; 5];
                k.dot_rows(&x, &rows, &mut out);
                assert_eq!(out, [dot_f64(&x, &y) as f32; 5], "dot {at}");
                assert!(out[0].is_infinite(), "dot {at}");
                k.l2_rows(&x, &rows, &mut out);
                assert_eq!(out, [l2_squared_f64(&x, &y) as f32; 5], "l2 {at}");
                assert!(k.norm_squared(&x).is_infinite(), "norm {at}");
            }
        }
        // Infinity minus infinity, and infinity times zero, are NaN at every level.
        let (inf, zero) = (vec![f32::INFINITY; 37], vec![0.0; 37]);
        assert!(k.l2_squared(&inf, &inf).is_nan() && k.dot(&inf, &zero).is_nan(), "{}", k.level());
    }
}

#[test]
fn nan_propagates_from_every_place_and_only_there() {
    for k in levels() {
        for dim in 1..=130 {
            let query = vec![0.0f32; dim];
            for place in 0..dim {
                let mut rows = vec![1.0f32; dim * 7];
                let bad = place % 7;
                rows[bad * dim + place] = f32::NAN;
                let (mut dots, mut l2s) = ([0.0; 7], [0.0; 7]);
                k.dot_rows(&query, &rows, &mut dots);
                k.l2_rows(&query, &rows, &mut l2s);
                for i in 0..7 {
                    let at = format!("level {} dim {dim} place {place} row {i}", k.level());
                    assert_eq!((dots[i].is_nan(), l2s[i].is_nan()), (i == bad, i == bad), "{at}");
                }
            }
        }
    }
}

#[test]
fn levels_are_listed_and_reachable() {
    assert_eq!(Level::available().first(), Some(&Level::Scalar));
    for level in Level::ALL {
        assert_eq!(Kernels::at(level).map(|k| k.level()), level.is_available().then_some(level));
    }
    assert_eq!(Kernels::best().level(), Level::used());
    let v = [3.0, 4.0];
    assert_eq!(
        (crate::dot(&v, &v), crate::norm_squared(&v), crate::l2_squared(&v, &v)),
        (25.0, 25.0, 0.0)
    );
    assert_eq!(exact_score(crate::Metric::Ip, &v, &v), 25.0);
}

/// Wrong lengths are asserted in debug builds; what a release build does is promised too.
#[cfg(not(debug_assertions))]
#[test]
fn wrong_lengths_shorten_the_work() {
    for k in levels() {
        assert_eq!(k.dot(&[1.0; 40], &[2.0; 33]), 66.0);
        assert_eq!(k.l2_squared(&[1.0; 3], &[2.0; 33]), 3.0);
        let mut out = [0.0; 7];
        k.dot_rows(&[1.0; 10], &[1.0; 59], &mut out);
        assert_eq!(out[..5], [10.0; 5]);
        assert!(out[5].is_nan() && out[6].is_nan());
        let mut few = [0.0; 2];
        k.dot_rows(&[1.0; 10], &[1.0; 59], &mut few);
        assert_eq!(few, [10.0; 2]);
    }
}
