//! Steps that cargo does. Always `--workspace`: another selection would unify features differently
//! and build the dependencies a second time.

use crate::context::Context;
use crate::report::Counts;
use crate::run::{run, watch};
use crate::venv::NEWEST;

/// rustfmt changes nothing.
pub fn format(context: &Context) -> Result<Counts, String> {
    Ok(Counts::one(run(&mut context.cargo(&["fmt", "--all", "--", "--check"]))?))
}

/// No warning of rustc or clippy.
pub fn clippy(context: &Context) -> Result<Counts, String> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    Ok(Counts::one(run(&mut context.cargo(&arguments))?))
}

/// The binary that the SDK tests start.
pub fn build(context: &Context) -> Result<Counts, String> {
    Ok(Counts::one(run(&mut context.cargo(&["build", "--workspace", "--locked"]))?))
}

/// Unit, model, integration, layer and documentation tests.
pub fn test(context: &Context) -> Result<Counts, String> {
    let mut command = context.cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    command.env("ELANUS_BIN", context.binary("debug"));
    // The tests of the object store on a real S3 server need one; without it they say so and skip.
    match NEWEST.prepare(context) {
        Ok(()) => {
            command.env("ELANUS_WEED", NEWEST.program(context, "weed"));
            command.env("ELANUS_PYTHON", NEWEST.program(context, "python"));
        }
        Err(error) => println!("no Python environment, so no S3 server: {error}"),
    }
    let mut counts = Counts::default();
    let ended_well = watch(&mut command, |line| {
        if let Some(summary) = summary(line) {
            counts.add(summary);
        }
    })?;
    Ok(counts.of_runner(ended_well))
}

/// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
fn summary(line: &str) -> Option<Counts> {
    let rest = line.trim_start().strip_prefix("test result: ")?;
    let number = |word: &str| {
        rest.split([';', '.'])
            .find_map(|part| part.trim().strip_suffix(word)?.trim().parse::<usize>().ok())
    };
    Some(Counts {
        passed: number("passed")?,
        failed: number("failed")?,
        skipped: number("ignored").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_of_libtest_are_read() {
        let line = "test result: FAILED. 12 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        assert_eq!(summary(line), Some(Counts { passed: 12, failed: 1, skipped: 2 }));
        assert_eq!(summary("test result_of_search ... ok"), None);
    }
}
