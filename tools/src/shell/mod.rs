//! The interactive SQL shell.

mod describe;
mod input;
mod meta;
pub mod runner;
pub mod split;

use std::io::Write;

use crate::failure::{Failure, Result};
use input::{Input, Line};
use meta::Meta;
use runner::Runner;

/// Prompt of a statement's further lines, as wide as it needs to be.
const MORE: &str = "   ... ";

/// Reads statements from the terminal and runs them until the person leaves.
pub async fn run(runner: Runner, out: &mut dyn Write) -> Result<()> {
    let input = Input::open()?;
    let mut shell = Shell { runner, timer: true, pending: String::new() };
    writeln!(out, "Elanus {}; a statement ends with ;  \\? explains", env!("CARGO_PKG_VERSION"))?;
    loop {
        let prompt = shell.prompt();
        match input.read(&prompt).await? {
            Line::Text(line) => {
                if shell.take(&line, &input, out).await? == Next::Leave {
                    return Ok(());
                }
            }
            Line::Interrupted => shell.pending.clear(),
            Line::End => return Ok(()),
            Line::Broken(why) => return Err(Failure::new(format!("terminal: {why}"))),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Next {
    Stay,
    Leave,
}

struct Shell {
    runner: Runner,
    timer: bool,
    /// Lines of a statement that has not ended yet.
    pending: String,
}

impl Shell {
    fn prompt(&self) -> String {
        if self.pending.is_empty() {
            format!("{}> ", self.runner.database())
        } else {
            MORE.to_string()
        }
    }

    /// Takes a line: one of the shell's own commands, or a part of a statement.
    async fn take(&mut self, line: &str, input: &Input, out: &mut dyn Write) -> Result<Next> {
        // No line of SQL begins with a backslash, so such a command works inside a statement too.
        if (self.pending.is_empty() || line.trim_start().starts_with('\\'))
            && let Some(command) = meta::parse(line)
        {
            input.remember(line.trim());
            return self.command(command, out);
        }
        if self.pending.is_empty() {
            if !split::has_words(line) {
                return Ok(Next::Stay);
            }
        } else {
            self.pending.push('\n');
        }
        self.pending.push_str(line);
        let text = std::mem::take(&mut self.pending);
        let (statements, rest) = split::split(&text);
        if split::has_words(rest) {
            self.pending = text;
            return Ok(Next::Stay);
        }
        input.remember(text.trim());
        for statement in statements {
            if !self.statement(statement, out).await? {
                break;
            }
        }
        Ok(Next::Stay)
    }

    /// Runs a statement; `false`: it failed or was cancelled, so those after it are not to run.
    async fn statement(&mut self, statement: &str, out: &mut dyn Write) -> Result<bool> {
        let done = tokio::select! {
            done = self.runner.run(statement, out) => done,
            _ = interrupted() => {
                writeln!(out, "cancelled")?;
                return Ok(false);
            }
        };
        match done {
            Ok(done) => {
                writeln!(out, "{}", done.summary(self.timer))?;
                Ok(true)
            }
            Err(failure) if failure.is_broken_pipe() => Err(failure),
            Err(failure) => {
                writeln!(out, "{failure}")?;
                Ok(false)
            }
        }
    }

    fn command(&mut self, command: Result<Meta, String>, out: &mut dyn Write) -> Result<Next> {
        let engine = self.runner.engine().clone();
        let database = self.runner.database().to_string();
        let text = match command {
            Ok(Meta::Quit) => return Ok(Next::Leave),
            Ok(Meta::Help) => Ok(meta::HELP.to_string()),
            Ok(Meta::Databases) => describe::databases(&engine),
            Ok(Meta::Collections) => describe::collections(&engine, &database),
            Ok(Meta::Describe(name)) => describe::collection(&engine, &database, &name),
            Ok(Meta::Connect(name)) => self.runner.connect(&name).map(|()| String::new()),
            Ok(Meta::Timer(on)) => {
                self.timer = on;
                Ok(String::new())
            }
            Ok(Meta::Format(format)) => {
                self.runner.format = format;
                Ok(String::new())
            }
            Err(why) => Err(Failure::new(why)),
        };
        match text {
            Ok(text) if text.is_empty() => {}
            Ok(text) => writeln!(out, "{text}")?,
            Err(failure) => writeln!(out, "{failure}")?,
        }
        Ok(Next::Stay)
    }
}

/// Ends at Ctrl-C. While a line is edited the terminal is raw and Ctrl-C is a key, not a signal.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}
