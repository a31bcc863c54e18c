//! The project's own commands: `cargo xtask test`, `bench` and `crash`.

// Steps are timed for the reader of the log; nothing here is ever replayed.
#![allow(clippy::disallowed_methods)]

mod bench;
mod context;
mod crash;
mod report;
mod run;
mod sim;
mod steps;
mod venv;

use std::process::ExitCode;

use context::Context;

const HELP: &str = "\
cargo xtask test [--quick] [STEP …]   all checks and tests, or the named steps; --quick leaves out sdk and crash
cargo xtask test --list               names the steps
cargo xtask bench [NAME [ARGS …]]     runs benches/NAME.py with a release build; without NAME lists them
cargo xtask sim [--seeds N] [--first S] [--minutes M]   the engine in simulation; 10,000 seeds unless told
cargo xtask sim --seed S              replays one seed
cargo xtask crash [--kills N] [--seed S]  kills a real server under load, and checks all that it acknowledged
cargo xtask venv                      makes the Python environments and prints their folders";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let context = match Context::find() {
        Ok(context) => context,
        Err(error) => return fail(&error),
    };
    let (command, rest) = match arguments.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => return fail(HELP),
    };
    let outcome = match command {
        "test" => steps::test(&context, rest),
        "bench" => bench::bench(&context, rest),
        "sim" => sim::sim(&context, rest),
        "crash" => crash::crash(&context, rest),
        "venv" => venv::prepare_all(&context),
        "help" | "--help" | "-h" => {
            println!("{HELP}");
            Ok(true)
        }
        other => Err(format!("no such command: {other}\n{HELP}")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&error),
    }
}

fn fail(error: &str) -> ExitCode {
    eprintln!("{error}");
    ExitCode::FAILURE
}
