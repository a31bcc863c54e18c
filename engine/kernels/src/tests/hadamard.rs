//! The Walsh–Hadamard transform.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{bits_of, levels, seed, wild};
use crate::{Kernels, Level};

#[test]
fn it_agrees_with_its_definition_and_undoes_itself() {
    let mut rng = StdRng::seed_from_u64(seed());
    for power in 0..=9 {
        let len = 1usize << power;
        let x: Vec<f32> = (0..len).map(|_| rng.random_range(-1.0..1.0)).collect();
        for k in levels() {
            let mut y = x.clone();
            k.hadamard(&mut y);
            for (i, v) in y.iter().enumerate() {
                let sign = |j: usize| if (i & j).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
                let sum: f64 = x.iter().enumerate().map(|(j, v)| f64::from(*v) * sign(j)).sum();
                let want = sum / (len as f64).sqrt();
                assert!((f64::from(*v) - want).abs() < 1e-5, "level {} {len} {i}", k.level());
            }
            k.hadamard(&mut y);
            assert!(x.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-5), "{} {len}", k.level());
        }
    }
}

#[test]
fn it_has_the_same_bits_on_every_level() {
    let Some(scalar) = Kernels::at(Level::Scalar) else { return };
    let mut rng = StdRng::seed_from_u64(seed());
    for turn in 0..20 {
        for power in 0..=16 {
            // At an odd address.
            let x: Vec<f32> = (0..(1 << power) + 1).map(|_| wild(&mut rng, turn)).collect();
            let run = |k: &Kernels| {
                let mut y = x.clone();
                k.hadamard(&mut y[1..]);
                bits_of(&y)
            };
            let want = run(&scalar);
            for k in levels() {
                assert!(run(&k) == want, "seed {} level {} 2^{power} {turn}", seed(), k.level());
            }
        }
    }
}
