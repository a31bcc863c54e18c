//! Byte vectors and bit vectors: exact on every level.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::{levels, seed};

/// Any bytes, or mostly the ends of the range, where products are largest.
fn bytes(rng: &mut StdRng, n: usize) -> Vec<u8> {
    let ends = [0, 1, 127, 128, 129, 254, 255];
    let extreme = rng.random_bool(0.5);
    (0..n)
        .map(|_| if extreme { ends.choose(rng).copied().unwrap_or(0) } else { rng.random() })
        .collect()
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|b| *b as i8).collect()
}

#[test]
fn products_with_codes_are_exact() {
    let mut rng = StdRng::seed_from_u64(seed());
    for turn in 0..300 {
        let stride = 32 * if turn < 40 { turn } else { rng.random_range(1..=128) };
        let n = rng.random_range(1..30);
        let query = signed(&bytes(&mut rng, stride));
        let rows = bytes(&mut rng, n * stride);
        let want: Vec<i32> = (0..n)
            .map(|i| {
                let row = &rows[i * stride..][..stride];
                row.iter().zip(&query).map(|(c, q)| (i32::from(*c) - 128) * i32::from(*q)).sum()
            })
            .collect();
        let many = rng.random_range(0..100);
        let picks: Vec<u32> = (0..many).map(|_| rng.random_range(0..n as u32)).collect();
        for k in levels() {
            let at = format!("seed {} level {} {n} x {stride}", seed(), k.level());
            let mut out = vec![7; n];
            k.int8_dot_rows(&query, &rows, &mut out);
            assert_eq!(out, want, "{at}");
            let mut out = vec![7; picks.len()];
            k.int8_dot_picked(&query, &rows, &picks, &mut out);
            let picked: Vec<i32> = picks.iter().map(|p| want[*p as usize]).collect();
            assert_eq!(out, picked, "{at} picked");
        }
    }
}

#[test]
fn signed_pairs_are_exact_at_every_length() {
    let mut rng = StdRng::seed_from_u64(seed());
    for dim in (0..=300).chain([1000, 4095, 4096, 16_384, 16_385, 32_768, 50_000]) {
        let (a, b) = (signed(&bytes(&mut rng, dim)), signed(&bytes(&mut rng, dim)));
        let all = |f: fn(i64, i64) -> i64| -> i64 {
            a.iter().zip(&b).map(|(x, y)| f(i64::from(*x), i64::from(*y))).sum()
        };
        let (dot, l2) = (all(|x, y| x * y), all(|x, y| (x - y) * (x - y)));
        let (low, high) = (vec![-128i8; dim], vec![127i8; dim]);
        for k in levels() {
            let at = format!("seed {} level {} dim {dim}", seed(), k.level());
            assert_eq!(i64::from(k.int8_dot(&a, &b)), dot, "{at}");
            assert_eq!(k.int8_l2(&a, &b), l2, "{at}");
            assert_eq!(k.int8_l2(&low, &high), 255 * 255 * dim as i64, "{at}");
            assert_eq!(i64::from(k.int8_dot(&low, &low)), 128 * 128 * dim as i64, "{at}");
        }
    }
}

#[test]
fn bits_are_counted_at_every_length() {
    let mut rng = StdRng::seed_from_u64(seed());
    for len in (0..=200).chain([255, 256, 1000, 4096]) {
        let n = rng.random_range(0..28);
        let (q, rows) = (bytes(&mut rng, len), bytes(&mut rng, n * len));
        let count = |row: &[u8], f: fn(u8, u8) -> u8| -> u32 {
            q.iter().zip(row).map(|(x, y)| f(*x, *y).count_ones()).sum()
        };
        for k in levels() {
            let at = format!("seed {} level {} len {len}", seed(), k.level());
            let (mut differ, mut both) = (vec![7; n], vec![7; n]);
            k.hamming_rows(&q, &rows, &mut differ);
            k.and_count_rows(&q, &rows, &mut both);
            for i in 0..n {
                let row = &rows[i * len..][..len];
                let want = (count(row, |x, y| x ^ y), count(row, |x, y| x & y));
                assert_eq!((differ[i], both[i]), want, "{at}");
                assert_eq!((k.hamming(&q, row), k.and_count(&q, row)), want, "{at}");
            }
            assert_eq!(k.count_ones(&q), count(&q, |x, _| x), "{at}");
        }
    }
}

/// What a release build promises for wrong arguments.
#[cfg(not(debug_assertions))]
#[test]
fn wrong_lengths_and_picks_are_harmless() {
    for k in levels() {
        let (query, rows) = ([1i8; 64], [129u8; 64 * 5 + 10]);
        let mut out = [7; 7];
        k.int8_dot_picked(&query, &rows, &[0, 4, 5, u32::MAX, 1, 2], &mut out);
        assert_eq!(out, [64, 64, i32::MIN, i32::MIN, 64, 64, i32::MIN], "level {}", k.level());
        k.int8_dot_rows(&query, &rows, &mut out);
        assert_eq!(out, [64, 64, 64, 64, 64, i32::MIN, i32::MIN], "level {}", k.level());
        k.int8_dot_rows(&query[..40], &rows, &mut out);
        assert_eq!(out, [i32::MIN; 7], "level {}", k.level());
        assert_eq!(k.int8_dot(&query, &query[..50]), 50);
        let mut counts = [7; 7];
        k.hamming_rows(&[0; 64], &rows, &mut counts);
        assert_eq!(counts, [128, 128, 128, 128, 128, u32::MAX, u32::MAX]);
    }
}
