//! Every fuzz target on its corpus and on seeded mutations of it; the long form is `cargo fuzz`, see
//! `fuzz/README.md`. A run that fails prints the seed of its round and keeps the input.

use std::fs;
use std::path::Path;

use elanus_tests::fuzz::{TARGETS, mutate, run, seeds};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Mutations of each target. `ELANUS_FUZZ_ROUNDS` asks for more.
const ROUNDS: u64 = 3_000;

fn inputs(target: &str) -> Vec<Vec<u8>> {
    let package = std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let folder = Path::new(&package).join("fuzz/corpus").join(target);
    let mut files: Vec<_> =
        fs::read_dir(&folder).into_iter().flatten().flatten().map(|f| f.path()).collect();
    files.sort();
    let mut inputs = seeds(target);
    if std::env::var_os("ELANUS_FUZZ_WRITE").is_some() {
        fs::create_dir_all(&folder).expect("a folder");
        for (number, input) in inputs.iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), input).expect("a seed is written");
        }
    }
    inputs.extend(files.iter().map(|file| fs::read(file).expect("a file of the corpus")));
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs
}

fn check(target: &str) {
    let rounds = std::env::var("ELANUS_FUZZ_ROUNDS").ok().and_then(|n| n.parse().ok());
    let first = std::env::var("ELANUS_FUZZ_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    // Planning SQL takes a thousand times as long as the others.
    let rounds = rounds.unwrap_or(if target == "sql" { ROUNDS / 10 } else { ROUNDS });
    let inputs = inputs(target);
    for input in &inputs {
        run(target, input);
    }
    for seed in first..first + rounds {
        let mut rng = StdRng::seed_from_u64(seed);
        let pick = |rng: &mut StdRng| rng.random_range(0..inputs.len());
        let (one, other) = (pick(&mut rng), pick(&mut rng));
        let input = mutate(&inputs[one], &inputs[other], &mut rng);
        let outcome = std::panic::catch_unwind(|| run(target, &input));
        if outcome.is_err() {
            let kept = std::env::temp_dir().join(format!("elanus-fuzz-{target}-{seed}"));
            fs::write(&kept, &input).expect("the input is kept");
            panic!("{target}, seed {seed}: see {}", kept.display());
        }
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })*

        #[test]
        fn every_target_is_run() {
            let run = [$(stringify!($name)),*];
            assert!(TARGETS.iter().all(|(name, _)| run.contains(name)));
        }
    };
}

targets! { filter sql requests manifest deletes keys codebook vector_index log_record }
