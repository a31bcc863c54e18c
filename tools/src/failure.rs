//! What goes wrong in a command, for people: a message and, where there is one, a hint.

use std::fmt;
use std::io;

use elanus_engine::core::error::{Error as EngineError, ErrorKind, Subject};

/// Result of a command.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    broken_pipe: bool,
}

impl Failure {
    /// A failure that needs no hint.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None, broken_pipe: false }
    }

    /// Says what to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Puts what was being done before the message.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// Whether the reader of our output went away, as in `elanus … | head`: nothing to report.
    pub fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let failure = Self::new(error.message());
        match hint_for(error.kind, error.subject) {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
        Self { message: error.to_string(), hint: None, broken_pipe }
    }
}

impl From<arrow::error::ArrowError> for Failure {
    fn from(error: arrow::error::ArrowError) -> Self {
        match error {
            arrow::error::ArrowError::IoError(_, error) => error.into(),
            other => Self::new(other.to_string()),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}

/// What a person at a terminal can do about an error of the engine.
fn hint_for(kind: ErrorKind, subject: Subject) -> Option<&'static str> {
    match (kind, subject) {
        (ErrorKind::Fenced, _) => Some(
            "one process at a time may write to a store: stop the other one, or ask it over gRPC",
        ),
        (ErrorKind::NotFound, Subject::Store) => Some(
            "check the path; `elanus serve --data DIR` makes a new store, `elanus demo` one with data",
        ),
        (_, Subject::Setting) => Some("`elanus settings` prints every setting and what it means"),
        (ErrorKind::Corrupted, _) => Some("`elanus verify DATA` lists everything that is damaged"),
        (ErrorKind::Internal, _) => {
            Some("this is a mistake in elanus: please report it with what you did")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_errors_keep_their_text_and_gain_a_hint() {
        let failure = Failure::from(EngineError::fenced("the store is in use"));
        let text = failure.to_string();
        assert!(text.starts_with("error: the store is in use\nhint: "), "{text}");
        let plain = Failure::from(EngineError::busy("later")).context("insert");
        assert_eq!(plain.to_string(), "error: insert: later");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error() {
        let gone = io::Error::new(io::ErrorKind::BrokenPipe, "gone");
        assert!(Failure::from(gone).is_broken_pipe());
        assert!(!Failure::new("x").is_broken_pipe());
    }
}
