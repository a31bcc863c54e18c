//! One file per command.

mod compact;
mod demo;
mod gc;
mod inspect;
mod repair;
mod serve;
mod settings;
mod sql;
mod verify;

use std::process::ExitCode;

use crate::args::Command;
use crate::failure::Result;

/// Runs a command to its end.
pub async fn run(command: Command) -> Result<ExitCode> {
    let done = match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Sql(args) => return sql::run(args).await,
        Command::Inspect(args) => inspect::run(args).await,
        Command::Compact(args) => compact::run(args).await,
        Command::Verify(args) => return verify::run(args).await,
        Command::Repair(args) => return repair::run(args).await,
        Command::Gc(args) => gc::run(args).await,
        Command::Settings(args) => settings::run(args),
    };
    done.map(|()| ExitCode::SUCCESS)
}
