//! Progress on standard error: a spinner or bar on a terminal, plain lines or nothing elsewhere.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Shows the steps of a long offline command.
pub struct Steps {
    spinner: Option<ProgressBar>,
}

impl Steps {
    /// Starts; draws only on a terminal.
    pub fn start() -> Self {
        let spinner = std::io::stderr().is_terminal().then(|| {
            let spinner = ProgressBar::new_spinner();
            spinner.enable_steady_tick(Duration::from_millis(100));
            spinner
        });
        Self { spinner }
    }

    /// Tells the step at hand.
    pub fn step(&self, what: &str) {
        match &self.spinner {
            Some(spinner) => spinner.set_message(what.to_string()),
            // Nobody to tell when standard error is closed.
            None => writeln!(std::io::stderr(), "{what}").unwrap_or(()),
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(spinner) = &self.spinner {
            spinner.finish_and_clear();
        }
    }
}

/// A bar over a known number of rows; hidden where standard error is no terminal.
pub fn row_bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:40} {human_pos}/{human_len} rows  {per_sec}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("per_sec", |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            write!(out, "{:.0} rows/s", state.per_sec()).unwrap_or(());
        });
    ProgressBar::new(rows).with_style(style)
}
