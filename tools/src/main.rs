//! `elanus`: serve, demo, sql, inspect, compact, verify, repair, gc. Data goes to standard output, everything
//! else to standard error; the exit code is 0 only when all went well.

mod allocator;
mod args;
mod commands;
mod config;
mod demo;
mod failure;
mod format;
mod logging;
mod progress;
mod shell;
mod signals;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::{Failure, Result};
use logging::Verbosity;

/// Stack of the async threads. Planning a deeply nested query recurses, and unoptimised builds use much.
const STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are "errors" of exit code 0; a closed terminal changes nothing.
            error.print().ok();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match run(cli.command) {
        Ok(code) => code,
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            writeln!(std::io::stderr(), "{failure}").ok();
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    let verbosity = match command {
        Command::Serve(_) => Verbosity::Service,
        _ => Verbosity::Tool,
    };
    logging::start(verbosity)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|e| Failure::from(e).context("cannot start threads"))?;
    let code = runtime.block_on(commands::run(command));
    // What still runs by now waits for something that no longer matters, such as a key press.
    runtime.shutdown_background();
    code
}
