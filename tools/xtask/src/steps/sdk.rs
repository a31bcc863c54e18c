//! The tests in Python: unmodified clients against the built binary, which they start themselves.

use std::process::Command;

use crate::context::Context;
use crate::report::Counts;
use crate::run::watch;
use crate::venv::{NEWEST, OLDER, Venv};

/// Everything with the newest client, the quick start with the older one, too.
pub fn test(context: &Context) -> Result<Counts, String> {
    if !context.binary("debug").is_file() {
        return Err("there is no binary: the step `build` makes it".into());
    }
    let mut counts = pytest(context, &NEWEST, &["tests/sdk"])?;
    counts.add(pytest(context, &OLDER, &["tests/sdk/test_quickstart.py"])?);
    Ok(counts)
}

fn pytest(context: &Context, venv: &Venv, what: &[&str]) -> Result<Counts, String> {
    venv.prepare(context)?;
    let mut command = Command::new(venv.program(context, "python"));
    command
        .args(["-m", "pytest", "-p", "no:cacheprovider", "-rfEs", "--color=no"])
        .args(what)
        .current_dir(&context.root)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ELANUS_BIN", context.binary("debug"))
        .env("ELANUS_WEED", NEWEST.program(context, "weed"));
    let mut counts = None;
    let ended_well = watch(&mut command, |line| counts = summary(line).or(counts))?;
    Ok(counts.unwrap_or_default().of_runner(ended_well))
}

/// Reads `===== 1 failed, 12 passed, 2 skipped in 3.21s =====`.
fn summary(line: &str) -> Option<Counts> {
    let (numbers, _) = line.strip_prefix('=')?.trim_matches(['=', ' ']).rsplit_once(" in ")?;
    let mut counts = Counts::default();
    for part in numbers.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: usize = number.parse().ok()?;
        match word {
            "passed" | "xpassed" => counts.passed += number,
            "failed" | "error" | "errors" => counts.failed += number,
            "skipped" | "xfailed" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_pytest_are_read() {
        let line =
            "=== 1 failed, 12 passed, 2 skipped, 3 warnings, 1 error in 63.21s (0:01:03) ===";
        assert_eq!(summary(line), Some(Counts { passed: 12, failed: 2, skipped: 2 }));
        assert_eq!(summary("== short test summary info =="), None);
        assert_eq!(summary("tests/sdk/test_errors.py ....."), None);
    }
}
