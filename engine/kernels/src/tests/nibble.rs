//! Scans of nibble codes and the tables they use: the same bits on every level.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{bits_of, levels, seed, wild};
use crate::{BLOCK_ROWS, Kernels, Level, MOST_ENTRY, NibbleRows, NibbleTables};

/// Numbers of nibbles around everything that is done in steps.
fn sizes() -> impl Iterator<Item = usize> {
    (0..=72).step_by(4).chain([192, 252, 256, 260, 508, 512, 516, 1024, 2048, 8192])
}

#[test]
fn sums_are_exact_and_blocks_without_rows_are_left_alone() {
    let mut rng = StdRng::seed_from_u64(seed());
    for nibbles in sizes() {
        for blocks in [0, 1, 2, 5] {
            // The largest sums there are, and any.
            let full = rng.random_bool(0.3);
            let mut byte = || if full { MOST_ENTRY } else { rng.random_range(0..=MOST_ENTRY) };
            let tables: Vec<u8> = (0..nibbles * 16).map(|_| byte()).collect();
            let codes: Vec<u8> = (0..blocks * nibbles * 16).map(|_| rng.random()).collect();
            let (add, mul) = (vec![0.0; blocks * 32], vec![1.0; blocks * 32]);
            let rows = NibbleRows { nibbles, codes: &codes, add: &add, mul: &mul, scale: None };
            let tables = NibbleTables { tables: &tables, unit: 1.0, offset: 0.0 };
            let asked: Vec<u32> =
                (0..blocks).map(|b| if b == 1 { 0 } else { rng.random() }).collect();
            let limit = nibbles as f32 * 0.5 * f32::from(MOST_ENTRY);
            for k in levels() {
                let at = format!("seed {} level {} {nibbles} x {blocks}", seed(), k.level());
                let (mut masks, mut out) = (asked.clone(), vec![-7.0; blocks * 32]);
                let left = k.scan_nibbles(&rows, &tables, 0.0, limit, &mut masks, &mut out);
                assert_eq!(left, masks.iter().map(|m| m.count_ones() as usize).sum(), "{at}");
                for (row, got) in out.iter().enumerate() {
                    let (block, i) = (row / BLOCK_ROWS, row % BLOCK_ROWS);
                    let want =
                        if asked[block] == 0 { -7.0 } else { sum(&rows, &tables, block, i) as f32 };
                    assert_eq!(*got, want, "{at} row {row}");
                    let kept = asked[block] >> i & 1 == 1 && want < limit;
                    assert_eq!(masks[block] >> i & 1 == 1, kept, "{at} row {row}");
                }
            }
        }
    }
}

/// By the layout's description, not by the kernels' way.
fn sum(rows: &NibbleRows, tables: &NibbleTables, block: usize, row: usize) -> u32 {
    let nibble = |m: usize| {
        let byte = rows.codes[(block * rows.nibbles + m) * 16 + row % 16];
        if row < 16 { byte & 15 } else { byte >> 4 }
    };
    (0..rows.nibbles).map(|m| u32::from(tables.tables[m * 16 + usize::from(nibble(m))])).sum()
}

#[test]
fn estimates_have_the_same_bits_on_every_level() {
    let Some(scalar) = Kernels::at(Level::Scalar) else { return };
    let mut rng = StdRng::seed_from_u64(seed());
    for turn in 0..400 {
        let (nibbles, blocks) = (4 * rng.random_range(0..70), rng.random_range(1..4usize));
        let tables: Vec<u8> = (0..nibbles * 16).map(|_| rng.random_range(0..=MOST_ENTRY)).collect();
        let codes: Vec<u8> = (0..blocks * nibbles * 16).map(|_| rng.random()).collect();
        let mut floats = || (0..blocks * 32).map(|_| wild(&mut rng, turn)).collect::<Vec<f32>>();
        let (add, mul, scale) = (floats(), floats(), floats());
        let scale = rng.random_bool(0.5).then_some(scale.as_slice());
        let rows = NibbleRows { nibbles, codes: &codes, add: &add, mul: &mul, scale };
        let [unit, offset, base, limit] = [(); 4].map(|()| wild(&mut rng, turn));
        let tables = NibbleTables { tables: &tables, unit, offset };
        let asked: Vec<u32> = (0..blocks).map(|_| rng.random()).collect();
        let run = |k: &Kernels| {
            let (mut masks, mut out) = (asked.clone(), vec![-7.0; blocks * 32]);
            let left = k.scan_nibbles(&rows, &tables, base, limit, &mut masks, &mut out);
            (left, masks, bits_of(&out))
        };
        let want = run(&scalar);
        for k in levels() {
            assert_eq!(run(&k), want, "seed {} turn {turn} level {}", seed(), k.level());
        }
    }
}

#[test]
fn tables_have_the_same_bits_on_every_level() {
    let Some(scalar) = Kernels::at(Level::Scalar) else { return };
    let mut rng = StdRng::seed_from_u64(seed());
    for turn in 0..400 {
        let dims = 4 * if turn < 70 { turn as usize } else { rng.random_range(0..300) };
        let q: Vec<f32> = (0..dims).map(|_| wild(&mut rng, turn)).collect();
        let centers: Vec<f32> = (0..dims * 16).map(|_| wild(&mut rng, turn)).collect();
        let run = |k: &Kernels| {
            let (mut signs, mut pairs) = (vec![-7.0; dims * 4], vec![-7.0; dims * 8]);
            k.sign_tables(&q, &mut signs);
            k.pair_tables(&q, &centers, &mut pairs);
            let (mut a, mut b) = (vec![7; signs.len()], vec![7; pairs.len()]);
            let (x, y) = (k.quantize_tables(&signs, &mut a), k.quantize_tables(&pairs, &mut b));
            (bits_of(&signs), bits_of(&pairs), a, b, bits_of(&[x.0, x.1, y.0, y.1]))
        };
        let want = run(&scalar);
        for k in levels() {
            assert_eq!(run(&k), want, "seed {} turn {turn} level {}", seed(), k.level());
        }
    }
}

#[test]
fn tables_say_what_they_should() {
    let mut rng = StdRng::seed_from_u64(seed());
    let q: Vec<f32> = (0..64).map(|_| rng.random_range(-1.0..1.0)).collect();
    let centers: Vec<f32> = (0..32 * 32).map(|_| rng.random_range(-1.0..1.0)).collect();
    for k in levels() {
        let (mut signs, mut pairs) = (vec![0.0; 16 * 16], vec![0.0; 32 * 16]);
        k.sign_tables(&q, &mut signs);
        k.pair_tables(&q, &centers, &mut pairs);
        for (i, t) in signs.iter().enumerate() {
            let of = |b: usize| q[i / 16 * 4 + b] * if i >> b & 1 == 1 { 1.0 } else { -1.0 };
            assert!((t - (0..4).map(of).sum::<f32>()).abs() < 1e-5, "level {} {i}", k.level());
        }
        for (i, t) in pairs.iter().enumerate() {
            let (q, center) = (&q[i / 16 * 2..], &centers[2 * i..]);
            let want = q[0] * center[0] + q[1] * center[1];
            assert!((t - want).abs() < 1e-5, "level {} {i}", k.level());
        }
        let mut entries = vec![0; signs.len()];
        let (unit, offset) = k.quantize_tables(&signs, &mut entries);
        assert_eq!(entries.iter().max(), Some(&MOST_ENTRY), "level {}", k.level());
        // Any code's sum is right but for half a unit a nibble.
        for code in 0..16 {
            let exact: f32 = (0..16).map(|m| signs[16 * m + code]).sum();
            let sum: u32 = (0..16).map(|m| u32::from(entries[16 * m + code])).sum();
            assert!((unit * sum as f32 + offset - exact).abs() <= 8.1 * unit, "{}", k.level());
        }
    }
}

#[test]
fn tables_without_range_or_without_end() {
    for k in levels() {
        let mut out = vec![9; 32];
        assert_eq!(k.quantize_tables(&[1.5; 32], &mut out), (1.0, 3.0), "level {}", k.level());
        assert_eq!(out, [0; 32]);
        assert_eq!(k.quantize_tables(&[], &mut []), (1.0, 0.0));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for place in 0..32 {
                let mut tables = vec![1.0; 32];
                tables[place] = bad;
                let (unit, offset) = k.quantize_tables(&tables, &mut out);
                assert!(unit == 1.0 && offset.is_nan(), "level {} {bad} {place}", k.level());
                assert_eq!(out, [0; 32]);
            }
        }
        let mut wide = vec![f32::MAX; 16];
        wide[3] = f32::MIN;
        assert!(k.quantize_tables(&wide, &mut out[..16]).1.is_nan(), "level {}", k.level());
    }
}

/// What a release build promises for slices that do not fit.
#[cfg(not(debug_assertions))]
#[test]
fn short_slices_clear_the_masks_of_what_is_missing() {
    let (codes, floats) = (vec![0x11; 4 * 16 * 3 - 1], vec![1.0; 32 * 4]);
    for k in levels() {
        let run = |nibbles: usize, tables: &[u8], floats: &[f32]| {
            let rows = NibbleRows { nibbles, codes: &codes, add: floats, mul: floats, scale: None };
            let tables = NibbleTables { tables, unit: 1.0, offset: 0.0 };
            let (mut masks, mut out) = ([1; 4], [0.0; 32 * 4]);
            let left = k.scan_nibbles(&rows, &tables, 0.0, f32::INFINITY, &mut masks, &mut out);
            (left, masks)
        };
        assert_eq!(run(4, &[1; 64], &floats), (2, [1, 1, 0, 0]), "level {}", k.level());
        assert_eq!(run(4, &[1; 64], &floats[..60]), (1, [1, 0, 0, 0]));
        assert_eq!(run(4, &[1; 63], &floats), (0, [0; 4]));
        assert_eq!(run(6, &[1; 96], &floats), (0, [0; 4]));
        let mut entries = [9; 40];
        assert_eq!(k.quantize_tables(&[2.0; 33], &mut entries), (1.0, 4.0));
        assert_eq!(entries, [0; 40]);
        let mut x = [1.0; 6];
        k.hadamard(&mut x);
        assert_eq!(x, [1.0; 6]);
    }
}
