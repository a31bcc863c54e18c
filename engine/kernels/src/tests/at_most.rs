//! Selection by a bound.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::{levels, seed, wild};

#[test]
fn every_level_finds_the_same_places() {
    let mut rng = StdRng::seed_from_u64(seed());
    for len in (0..=70).chain([767, 768, 1_000]) {
        for bound in [0.0, 0.3, f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let values: Vec<f32> = (0..len).map(|turn| wild(&mut rng, turn)).collect();
            let places = 0..values.len() as u32;
            let truth: Vec<u32> = places.filter(|at| values[*at as usize] <= bound).collect();
            for k in levels() {
                let mut places = vec![u32::MAX; values.len()];
                let found = k.at_most(&values, bound, &mut places);
                assert_eq!(places[..found], truth, "{:?} {len} {bound} seed {}", k.level(), seed());
            }
        }
    }
}
