//! Many seeds, on every core, and the report of them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::course::run;
use crate::world::{GATES, PAIRED, Tally};

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Total {
    pub seeds: u64,
    pub polls: u64,
    pub tally: Tally,
    /// Seed and what was wrong.
    pub violations: Vec<(u64, String)>,
    pub took: Duration,
}

/// Runs seeds until there are enough or the time is over.
pub fn run_many(first: u64, seeds: u64, time: Duration, threads: usize) -> Total {
    let start = Instant::now();
    let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while start.elapsed() < time {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    if at >= seeds {
                        return;
                    }
                    let outcome = run(first + at, None, false);
                    let mut total = total.lock().expect("no panic");
                    total.seeds += 1;
                    total.polls += outcome.polls;
                    total.tally.add(&outcome.tally);
                    if let Some(violation) = outcome.violation {
                        println!("VIOLATION seed {}: {violation}", first + at);
                        total.violations.push((first + at, violation));
                    }
                    if total.seeds.is_multiple_of(500) {
                        println!("{} seeds, {} violations", total.seeds, total.violations.len());
                    }
                }
            });
        }
    });
    let mut total = total.into_inner().expect("no panic");
    total.took = start.elapsed();
    total
}

impl Total {
    /// Gates at which no process was ended.
    pub fn missed(&self) -> Vec<&'static str> {
        let ended = |gate: &&str| self.tally.gates.get(gate).is_some_and(|(_, ended)| *ended > 0);
        GATES.iter().copied().filter(|gate| !ended(gate)).collect()
    }

    /// Pairs of maintenance that did not meet.
    pub fn apart(&self) -> Vec<(&'static str, &'static str)> {
        let pairs = PAIRED.iter().enumerate();
        let pairs = pairs.flat_map(|(at, one)| PAIRED[at..].iter().map(|other| (*one, *other)));
        pairs.filter(|pair| !self.tally.pairs.contains_key(pair)).collect()
    }

    pub fn print(&self) {
        let seconds = self.took.as_secs_f64();
        let operations: u64 = self.tally.operations.values().sum();
        println!("\noperations");
        for (name, n) in &self.tally.operations {
            println!("  {name:<28} {n:>10}");
        }
        println!("faults");
        for (name, n) in &self.tally.faults {
            println!("  {name:<28} {n:>10}");
        }
        println!("crash points: passed, process ended there");
        for (name, (passed, ended)) in &self.tally.gates {
            println!("  {name:<28} {passed:>10} {ended:>8}");
        }
        println!("maintenance on one collection: begun while another was under way");
        for ((one, other), n) in &self.tally.pairs {
            println!("  {:<36} {n:>10}", format!("{one}, {other}"));
        }
        println!(
            "\n{} seeds in {seconds:.0} s, {:.1} seeds/s; {operations} operations, {} polls; \
             crash points hit {} of {}; violations {}",
            self.seeds,
            self.seeds as f64 / seconds,
            self.polls,
            GATES.len() - self.missed().len(),
            GATES.len(),
            self.violations.len()
        );
        if !self.missed().is_empty() {
            println!("crash points missed: {:?}", self.missed());
        }
        if !self.apart().is_empty() {
            println!("maintenance that did not meet: {:?}", self.apart());
        }
    }
}
