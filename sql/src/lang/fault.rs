//! What goes wrong between a filter's text and its meaning.

use elanus_engine::core::error::{Error, ErrorKind, Subject};

/// Longest part of a filter that an error repeats; the rest is cut so that a list of many
/// thousand values does not fill the log.
const MAX_QUOTED: usize = 1_000;

/// A mistake in a filter, before it is joined with the filter's text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// Byte position in the text, where it helps.
    pub position: Option<usize>,
    /// What is wrong, and what would be right.
    pub message: String,
    /// Whether the text is right Milvus language that this version does not do.
    pub unsupported: bool,
}

/// Result of reading or translating.
pub(crate) type Outcome<T> = Result<T, Fault>;

impl Fault {
    /// A mistake without a position.
    pub fn new(message: impl Into<String>) -> Self {
        Self { position: None, message: message.into(), unsupported: false }
    }

    /// A mistake at a byte position.
    pub fn at(position: usize, message: impl Into<String>) -> Self {
        Self { position: Some(position), ..Self::new(message) }
    }

    /// Something that Milvus has and this version lacks.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self { unsupported: true, ..Self::new(message) }
    }

    /// The engine's error, in the words that Milvus's clients look for.
    pub fn into_error(self, text: &str) -> Error {
        let kind =
            if self.unsupported { ErrorKind::Unsupported } else { ErrorKind::InvalidRequest };
        let place = self.position.map(|p| place(text, p)).unwrap_or_default();
        let plan = if self.unsupported { "" } else { ": query plan failed" };
        let why = self.message;
        let message = format!("cannot parse expression: {}: {place}{why}{plan}", quote(text));
        Error::new(kind, Subject::Expression, message)
    }
}

/// "line 1:7 " in the manner of ANTLR: lines from 1, columns from 0 in characters.
fn place(text: &str, position: usize) -> String {
    let before = text.get(..position).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count());
    format!("line {line}:{column} ")
}

fn quote(text: &str) -> std::borrow::Cow<'_, str> {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}
