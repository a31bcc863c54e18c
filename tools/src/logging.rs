//! Logs go to standard error, filtered by `ELANUS_LOG`.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Result};

/// The environment variable with the filter, as in `ELANUS_LOG=debug` or `ELANUS_LOG=warn,elanus_server=debug`.
const VARIABLE: &str = "ELANUS_LOG";

/// How much a command logs unless [`VARIABLE`] says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// What a service tells its operator.
    Service,
    /// Only what went wrong: the command's own output says the rest.
    Tool,
}

impl Verbosity {
    /// Our own crates share the prefix `elanus`; the libraries below speak up only to warn.
    fn default_filter(self) -> &'static str {
        match self {
            Self::Service => "warn,elanus=info",
            Self::Tool => "error,elanus=warn",
        }
    }
}

/// Starts logging.
pub fn start(verbosity: Verbosity) -> Result<()> {
    let asked = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let filter = parse(asked.as_deref().unwrap_or(verbosity.default_filter()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|e| Failure::new(format!("logging does not start: {e}")))
}

fn parse(text: &str) -> Result<EnvFilter> {
    EnvFilter::builder().parse(text).map_err(|e| {
        Failure::new(format!("{VARIABLE}={text}: {e}"))
            .hint("a level (error, warn, info, debug, trace), or target=level, separated by commas")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked() {
        assert!(parse(Verbosity::Service.default_filter()).is_ok());
        assert!(parse(Verbosity::Tool.default_filter()).is_ok());
        let error = parse("elanus=loud").map(|_| ()).map_err(|e| e.to_string()).err();
        assert!(error.unwrap_or_default().contains("ELANUS_LOG=elanus=loud"));
    }
}
