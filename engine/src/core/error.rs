//! One error type. Its kind says what the caller should do; its subject says about what.

use std::fmt;

/// What the caller of the engine should do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request is wrong: change it.
    InvalidRequest,
    /// The named thing does not exist: create it or correct the name.
    NotFound,
    /// The name is taken: choose another or drop the old one.
    AlreadyExists,
    /// The thing is not in the state that the request needs: bring it there first.
    FailedPrecondition,
    /// A limit of the settings is reached: ask for less or raise the limit.
    LimitExceeded,
    /// Too busy right now: try again later.
    Busy,
    /// Another writer owns the store: stop one of the two.
    Fenced,
    /// Stored bytes are damaged: restore or repair the named file.
    Corrupted,
    /// The disk or object store failed: mend it, then try again.
    Storage,
    /// Not built: use what the message names.
    Unsupported,
    /// Our own mistake: report it.
    Internal,
}

/// What an [`Error`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A database.
    Database,
    /// A collection.
    Collection,
    /// A partition.
    Partition,
    /// An alias.
    Alias,
    /// An index.
    Index,
    /// A moment of the past, or a snapshot by its name.
    Snapshot,
    /// A field of a schema, or a value in it.
    Field,
    /// A collection's schema.
    Schema,
    /// A filter or SQL text.
    Expression,
    /// A setting.
    Setting,
    /// The memory of the process.
    Memory,
    /// The store and its files.
    Store,
    /// Anything else.
    Request,
}

/// An error of the engine.
#[derive(Debug, Clone)]
pub struct Error {
    /// What the caller should do.
    pub kind: ErrorKind,
    /// What it is about.
    pub subject: Subject,
    message: String,
    source: Option<std::sync::Arc<dyn std::error::Error + Send + Sync>>,
}

/// Result with the engine's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident => $kind:ident;)*) => {
        $($(#[$doc])*
        pub fn $name(subject: Subject, message: impl Into<String>) -> Self {
            Self::new(ErrorKind::$kind, subject, message)
        })*
    };
}

impl Error {
    /// An error of any kind.
    pub fn new(kind: ErrorKind, subject: Subject, message: impl Into<String>) -> Self {
        Self { kind, subject, message: message.into(), source: None }
    }

    kinds! {
        /// See [`ErrorKind::InvalidRequest`].
        invalid => InvalidRequest;
        /// See [`ErrorKind::NotFound`].
        not_found => NotFound;
        /// See [`ErrorKind::AlreadyExists`].
        exists => AlreadyExists;
        /// See [`ErrorKind::FailedPrecondition`].
        precondition => FailedPrecondition;
        /// See [`ErrorKind::LimitExceeded`].
        limit => LimitExceeded;
        /// See [`ErrorKind::Unsupported`].
        unsupported => Unsupported;
    }

    /// See [`ErrorKind::Corrupted`]; `what` names the file.
    pub fn corrupted(what: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupted, Subject::Store, format!("{what} is damaged: {why}"))
    }

    /// See [`ErrorKind::Fenced`].
    pub fn fenced(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Fenced, Subject::Store, message)
    }

    /// See [`ErrorKind::Busy`].
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Busy, Subject::Request, message)
    }

    /// See [`ErrorKind::Internal`].
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, Subject::Request, message)
    }

    /// See [`ErrorKind::Storage`].
    pub fn storage(
        what: impl fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        let message = format!("{what}: {source}");
        Self::new(ErrorKind::Storage, Subject::Store, message).with_source(source)
    }

    /// Adds the cause.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(std::sync::Arc::new(source));
        self
    }

    /// Puts what was being done before the message.
    pub fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }

    /// The text for people.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

impl From<arrow::error::ArrowError> for Error {
    fn from(e: arrow::error::ArrowError) -> Self {
        Self::internal(format!("arrow: {e}")).with_source(e)
    }
}

impl From<object_store::Error> for Error {
    fn from(e: object_store::Error) -> Self {
        match e {
            object_store::Error::NotFound { ref path, .. } => {
                Self::not_found(Subject::Store, format!("{path} is not in the store"))
            }
            object_store::Error::AlreadyExists { ref path, .. } => {
                Self::exists(Subject::Store, format!("{path} is in the store already"))
            }
            e => Self::storage("object store", e),
        }
    }
}

impl From<lance_core::Error> for Error {
    fn from(e: lance_core::Error) -> Self {
        Self::storage("lance file", e)
    }
}

impl From<fjall::Error> for Error {
    fn from(e: fjall::Error) -> Self {
        Self::storage("local log", e)
    }
}

/// The name among `known` nearest to `asked`, for "did you mean".
pub fn nearest_name<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let asked = asked.to_lowercase();
    known
        .map(|name| (edit_distance(&asked, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let substitute = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substitute.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_name_finds_a_slip_and_ignores_the_unlike() {
        assert_eq!(nearest_name("vectr", ["id", "vector"].into_iter()), Some("vector"));
        assert_eq!(nearest_name("price", ["id", "vector"].into_iter()), None);
    }
}
