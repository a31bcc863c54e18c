//! Counting, and the closing line.

use std::time::Duration;

/// How many tests or checks ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Right.
    pub passed: usize,
    /// Wrong.
    pub failed: usize,
    /// Left out, for want of something that the machine does not have.
    pub skipped: usize,
}

impl Counts {
    /// A check that counts as one.
    pub fn one(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed), skipped: 0 }
    }

    /// Both together.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// The counts of a test runner that may have failed without saying which test did.
    pub fn of_runner(mut self, ended_well: bool) -> Self {
        if !ended_well && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

/// The outcome of one step.
pub struct Outcome {
    /// Its name.
    pub step: &'static str,
    /// Its counts.
    pub counts: Counts,
    /// Wall time.
    pub took: Duration,
}

/// Prints a line for each step and the closing line; true when nothing failed.
pub fn close(outcomes: &[Outcome]) -> bool {
    let mut all = Counts::default();
    println!();
    for Outcome { step, counts, took } in outcomes {
        let word = if counts.failed == 0 { "ok" } else { "FAILED" };
        println!("{step:<9} {word:<7} {:>7.1} s  {}", took.as_secs_f64(), line(*counts));
        all.add(*counts);
    }
    println!("\n{}", line(all));
    all.failed == 0
}

fn line(counts: Counts) -> String {
    let Counts { passed, failed, skipped } = counts;
    match skipped {
        0 => format!("{passed} passed, {failed} failed"),
        _ => format!("{passed} passed, {failed} failed, {skipped} skipped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_names_skips_only_when_there_are_any() {
        assert_eq!(line(Counts { passed: 3, failed: 0, skipped: 0 }), "3 passed, 0 failed");
        assert_eq!(
            line(Counts { passed: 3, failed: 1, skipped: 2 }),
            "3 passed, 1 failed, 2 skipped"
        );
    }

    #[test]
    fn a_runner_that_dies_without_a_count_has_failed() {
        assert_eq!(Counts::default().of_runner(false).failed, 1);
        assert_eq!(Counts::default().of_runner(true).failed, 0);
    }
}
