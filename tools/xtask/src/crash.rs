//! `cargo xtask crash`: the real server and real clients, killed again and again.

use std::path::Path;
use std::process::Command;

use crate::context::Context;
use crate::report::Counts;
use crate::run::{run, watch};
use crate::venv::NEWEST;

/// Kills of the step of `cargo xtask test`.
const FEW: &str = "8";

/// Runs `tests/crash/crash.py` against a release build, or against `ELANUS_BIN`.
pub fn crash(context: &Context, arguments: &[String]) -> Result<bool, String> {
    let binary = match std::env::var_os("ELANUS_BIN") {
        Some(binary) => binary.into(),
        None => {
            if !run(&mut context.cargo(&["build", "--workspace", "--locked", "--release"]))? {
                return Err("the release build failed".into());
            }
            context.binary("release")
        }
    };
    run(command(context, &binary)?.args(arguments))
}

/// The step of `cargo xtask test`: some kills, a full disk, a read-only one.
pub fn step(context: &Context) -> Result<Counts, String> {
    let binary = context.binary("debug");
    if !binary.is_file() {
        return Err("there is no binary: the step `build` makes it".into());
    }
    let mut counts = None;
    let mut command = command(context, &binary)?;
    let ended_well = watch(command.args(["--kills", FEW]), |line| {
        counts = summary(line).or(counts);
    })?;
    Ok(counts.unwrap_or_default().of_runner(ended_well))
}

fn command(context: &Context, binary: &Path) -> Result<Command, String> {
    NEWEST.prepare(context)?;
    let mut command = Command::new(NEWEST.program(context, "python"));
    command
        .arg(context.root.join("tests/crash/crash.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ELANUS_BIN", binary);
    Ok(command)
}

/// Reads `crash: 2 passed, 0 failed, 1 skipped`.
fn summary(line: &str) -> Option<Counts> {
    let mut numbers =
        line.strip_prefix("crash: ")?.split(", ").zip(["passed", "failed", "skipped"]);
    let mut next = || {
        let (part, word) = numbers.next()?;
        part.strip_suffix(word)?.trim().parse().ok()
    };
    Some(Counts { passed: next()?, failed: next()?, skipped: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_is_read() {
        let counts = Counts { passed: 2, failed: 0, skipped: 1 };
        assert_eq!(summary("crash: 2 passed, 0 failed, 1 skipped"), Some(counts));
        assert_eq!(summary("full: skipped: no mount"), None);
    }
}
