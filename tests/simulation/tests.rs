//! Tests over the simulation.

use std::time::Duration;

use crate::course::run;
use crate::long::run_many;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// One seed is one run: the same trace twice, also in another process.
#[test]
fn a_seed_replays_its_run_exactly() {
    if let Some(seed) = number("ELANUS_SIM_TRACE_OF") {
        println!("trace {:016x}", run(seed, None, false).trace);
        return;
    }
    for seed in [3, 14, 159] {
        let first = run(seed, None, false);
        let again = run(seed, None, false);
        assert_eq!((first.trace, first.polls), (again.trace, again.polls), "seed {seed}");
        let own = std::env::current_exe().expect("this program");
        let output = std::process::Command::new(own)
            .args(["a_seed_replays_its_run_exactly", "--nocapture"])
            .env("ELANUS_SIM_TRACE_OF", seed.to_string())
            .output()
            .expect("another process");
        let text = String::from_utf8_lossy(&output.stdout);
        let trace = format!("trace {:016x}", first.trace);
        assert!(text.contains(&trace), "seed {seed}: {trace} is not in\n{text}");
    }
}

/// `ELANUS_SIM_SEED` replays one seed.
#[test]
fn some_seeds() {
    if let Some(seed) = number("ELANUS_SIM_SEED") {
        let events = std::env::var("ELANUS_SIM_EVENTS").ok();
        let outcome = run(seed, None, events.is_some());
        if let Some(file) = events {
            std::fs::write(file, outcome.events.join("\n")).expect("a file of events");
        }
        println!("seed {seed}: {} polls, trace {:016x}", outcome.polls, outcome.trace);
        assert_eq!(outcome.violation, None, "seed {seed}");
        return;
    }
    let total = run_many(1, 150, Duration::from_secs(60), 2);
    total.print();
    assert!(total.violations.is_empty(), "{:?}", total.violations);
}

/// Mistakes that the engine makes on purpose when a run asks for them (`runtime::planted`).
const MISTAKES: [&str; 4] = [
    "the log is cut before the manifest",
    "deletes are not carried",
    "an fsync is skipped",
    "an epoch is reused",
];

/// The checks are worth something only if they find what is wrong.
#[test]
fn each_planted_mistake_is_found_within_500_seeds() {
    for mistake in MISTAKES {
        let found =
            (1..=500).find_map(|seed| Some((seed, run(seed, Some(mistake), false).violation?)));
        let (seed, violation) = found.unwrap_or_else(|| panic!("not found: {mistake}"));
        let violation: String = violation.lines().take(2).collect::<Vec<_>>().join(" ");
        println!("{mistake}: seed {seed}: {violation:.200}");
    }
}

/// The long run, which `cargo xtask sim` starts.
#[test]
#[ignore = "long: cargo xtask sim"]
fn many_seeds() {
    let seeds = number("ELANUS_SIM_SEEDS").unwrap_or(10_000);
    let first = number("ELANUS_SIM_FIRST").unwrap_or(1);
    let minutes = number("ELANUS_SIM_MINUTES").unwrap_or(24 * 60);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let total = run_many(first, seeds, Duration::from_secs(60 * minutes), threads);
    total.print();
    assert!(total.violations.is_empty(), "{} violations", total.violations.len());
    assert!(total.seeds < 1_000 || total.missed().is_empty(), "missed: {:?}", total.missed());
    assert!(total.seeds < 1_000 || total.apart().is_empty(), "did not meet: {:?}", total.apart());
}
