//! `elanus sql`: one text, a script on standard input, or a shell.

use std::io::{IsTerminal, Read, Write};
use std::process::ExitCode;

use elanus_engine::api::{Engine, OpenOptions};

use crate::args::SqlArgs;
use crate::config;
use crate::failure::{Failure, Result};
use crate::shell::{self, runner::Runner, split};
use crate::signals::Shutdown;

/// Exit code of a script that Ctrl-C ended.
const INTERRUPTED: u8 = 130;

/// Opens the store, runs what was asked, closes it.
pub async fn run(args: SqlArgs) -> Result<ExitCode> {
    let settings = config::load(&args.config)?;
    let location = args.data.to_string();
    let engine = Engine::open(OpenOptions { location, settings, create: false }).await?;
    let done = with_engine(&engine, &args).await;
    let closed = engine.close().await.map_err(Failure::from);
    done.and_then(|code| closed.map(|()| code))
}

async fn with_engine(engine: &Engine, args: &SqlArgs) -> Result<ExitCode> {
    let runner = Runner::new(engine.clone(), &args.database, args.format)?;
    let mut out = std::io::stdout();
    let stdin = std::io::stdin();
    if !args.commands.is_empty() {
        return script(&runner, &args.commands, &mut out).await;
    }
    if stdin.is_terminal() {
        return shell::run(runner, &mut out).await.map(|()| ExitCode::SUCCESS);
    }
    let mut text = String::new();
    stdin.lock().read_to_string(&mut text).map_err(|e| Failure::from(e).context("script"))?;
    script(&runner, &[text], &mut out).await
}

/// Runs texts of several statements each, up to the first that fails.
async fn script(runner: &Runner, texts: &[String], out: &mut dyn Write) -> Result<ExitCode> {
    let shutdown = Shutdown::listen()?;
    let all = async {
        for statement in texts.iter().flat_map(|text| split::statements(text)) {
            let done = runner.run(statement, out).await?;
            // Standard output is for the rows alone; a closed standard error hides only the summary.
            writeln!(std::io::stderr(), "{}", done.summary(true)).ok();
        }
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        done = all => done,
        () = shutdown.wait() => Ok(ExitCode::from(INTERRUPTED)),
    }
}
