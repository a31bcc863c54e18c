//! Centroid scores and assignment: the same bits on every level.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{bits_of, levels, seed, wild};
use crate::{Kernels, Level, PackedCentroids};

struct Case {
    set: PackedCentroids,
    rows: Vec<u8>,
    row_scale: Vec<f32>,
    /// By the definition, in order of number.
    scores: Vec<f32>,
}

fn case(rng: &mut StdRng, turn: u32) -> Case {
    let stride = 32 * rng.random_range(0..=if turn.is_multiple_of(10) { 128 } else { 9 });
    let (len, n) = (rng.random_range(0..210), rng.random_range(0..140));
    let n = if turn.is_multiple_of(3) { n % 8 } else { n };
    // Few values, so that there are equal scores.
    let few = rng.random_bool(0.3);
    let mut code = || if few { rng.random_range(0..2) } else { rng.random::<u8>() };
    let codes: Vec<i8> = (0..len * stride).map(|_| code() as i8).collect();
    let rows: Vec<u8> = (0..n * stride).map(|_| code()).collect();
    let mut float = |plain: f32| if few { plain } else { wild(rng, turn) };
    let scale: Vec<f32> = (0..len).map(|_| float(1.0)).collect();
    let bias: Vec<f32> = (0..len).map(|_| float(0.0)).collect();
    let row_scale: Vec<f32> = (0..n).map(|_| float(1.0)).collect();
    let mut scores = Vec::new();
    for r in 0..n {
        for c in 0..len {
            let row = rows[r * stride..][..stride].iter();
            let terms = row.zip(&codes[c * stride..][..stride]);
            let dot: i32 = terms.map(|(x, y)| (i32::from(*x) - 128) * i32::from(*y)).sum();
            scores.push(bias[c] - row_scale[r] * scale[c] * dot as f32);
        }
    }
    let set = PackedCentroids::new(&codes, stride, &scale, &bias);
    assert_eq!((set.len(), set.stride()), (len, stride));
    Case { set, rows, row_scale, scores }
}

/// The k least of a row's scores by sorting them all.
fn least(scores: &[f32], k: usize) -> Vec<(u32, u32)> {
    let mut all: Vec<(u32, f32)> = (0..).zip(scores.iter().copied()).collect();
    all.retain(|(_, s)| *s < f32::INFINITY);
    all.sort_by(|a, b| a.1.partial_cmp(&b.1).unwrap().then(a.0.cmp(&b.0)));
    all.resize(k.max(all.len()), (u32::MAX, f32::INFINITY));
    all[..k].iter().map(|(c, s)| (*c, s.to_bits())).collect()
}

fn hits(out: &[(u32, f32)]) -> Vec<(u32, u32)> {
    out.iter().map(|(c, s)| (*c, s.to_bits())).collect()
}

#[test]
fn scores_and_the_best_agree_with_their_definition() {
    let mut rng = StdRng::seed_from_u64(seed());
    for turn in 0..200 {
        let Case { set, rows, row_scale, scores } = case(&mut rng, turn);
        let (n, len) = (row_scale.len(), set.len());
        let row = |r: usize| &scores[r * len..][..len];
        for k in levels() {
            let at = format!("seed {} turn {turn} level {} {n} x {len}", seed(), k.level());
            let mut out = vec![-7.0; n * len];
            k.centroid_scores(&set, &rows, &row_scale, &mut out);
            assert!(bits_of(&out) == bits_of(&scores), "scores {at}");
            let mut out = vec![(7, -7.0); n];
            k.nearest_centroid(&set, &rows, &row_scale, &mut out);
            let want: Vec<_> = (0..n).flat_map(|r| least(row(r), 1)).collect();
            assert_eq!(hits(&out), want, "nearest {at}");
            for best in [0, 1, 3, 40, 250] {
                let mut out = vec![(7, -7.0); n * best];
                k.nearest_centroids(&set, &rows, &row_scale, best, &mut out);
                let want: Vec<_> = (0..n).flat_map(|r| least(row(r), best)).collect();
                assert_eq!(hits(&out), want, "{best} nearest {at}");
            }
        }
    }
}

#[test]
fn a_set_is_shared_between_threads() {
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    let set = PackedCentroids::new(&[], 64, &[], &[]);
    shared(&set);
    assert!(set.is_empty() && set.bytes() == 0);
    for k in levels() {
        let mut out = [(7, 7.0); 2];
        k.nearest_centroid(&set, &[0; 128], &[1.0; 2], &mut out);
        assert_eq!(out, [(u32::MAX, f32::INFINITY); 2]);
        k.centroid_scores(&set, &[0; 128], &[1.0; 2], &mut []);
    }
}

#[test]
fn the_first_of_equals_wins_in_every_lane() {
    let Some(scalar) = Kernels::at(Level::Scalar) else { return };
    let codes = vec![0i8; 100 * 32];
    for first in 0..100 {
        for second in [first, (first + 16) % 100, (first + 1) % 100, (first + 97) % 100] {
            let mut bias = vec![1.0; 100];
            (bias[first], bias[second]) = (-0.0, 0.0);
            let set = PackedCentroids::new(&codes, 32, &[0.0; 100], &bias);
            let run = |k: &Kernels| {
                let mut out = [(7, -7.0); 9];
                k.nearest_centroid(&set, &[128; 32 * 9], &[1.0; 9], &mut out);
                hits(&out)
            };
            let want = run(&scalar);
            assert_eq!(want[0].0 as usize, first.min(second));
            for k in levels() {
                assert_eq!(run(&k), want, "level {} {first} {second}", k.level());
            }
        }
    }
}

/// What a release build promises for wrong lengths.
#[cfg(not(debug_assertions))]
#[test]
fn wrong_lengths_are_harmless() {
    for k in levels() {
        let set = PackedCentroids::new(&[1; 64 * 3 + 9], 64, &[1.0; 4], &[0.0; 5]);
        assert_eq!(set.len(), 3);
        let mut out = [(7, -7.0); 5];
        k.nearest_centroid(&set, &[129; 64 * 2 + 1], &[1.0; 4], &mut out);
        assert_eq!(out[..2], [(0, -64.0); 2], "level {}", k.level());
        assert_eq!(out[2..], [(u32::MAX, f32::INFINITY); 3]);
        let mut scores = [0.0; 11];
        k.centroid_scores(&set, &[129; 64 * 9], &[1.0; 9], &mut scores);
        assert_eq!(scores[..9], [-64.0; 9]);
        assert_eq!(scores[9..], [f32::INFINITY; 2]);
        assert_eq!(PackedCentroids::new(&[1; 90], 30, &[1.0; 3], &[0.0; 3]).len(), 0);
    }
}
