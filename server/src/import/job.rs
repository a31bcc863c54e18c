//! What is asked of an import, and how far it is.

use serde::{Deserialize, Serialize};

use super::failed;
use super::source::Format;
use crate::status::Failure;

/// What to import, and into what.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Database.
    pub database: String,
    /// Collection.
    pub collection: String,
    /// Partition; empty: the default one, or by the partition key.
    pub partition: String,
    /// Files: those that end in `.npy` are columns of one set of rows, each other holds rows.
    pub files: Vec<String>,
    /// CSV: what stands between values; empty: a comma.
    #[serde(default)]
    pub separator: String,
    /// CSV: the text that means null.
    #[serde(default)]
    pub null_text: String,
}

/// How far an import is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Stage {
    /// Not begun.
    Pending,
    /// Files are checked or written.
    Running,
    /// All rows are written, and are brought to the store.
    Persisted,
    /// All rows are in segments.
    Done,
    /// Ended badly, and why.
    Failed(String),
}

/// What an import that is begun again must find as it was, so that no row is written twice.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    /// Rows in the files.
    pub rows: u64,
    /// The key of the first row, where keys are made; the others follow it.
    pub first_key: u64,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Number; a timestamp of the store.
    pub id: u64,
    /// The collection's number.
    pub collection_id: u64,
    /// What was asked.
    pub request: Request,
    /// How far it is.
    pub stage: Stage,
    /// Per cent of the work.
    pub progress: u8,
    /// Rows checked so far, or written at the end.
    pub rows: u64,
    /// Once all rows are checked: their number, and the first of their keys if keys are made.
    #[serde(default)]
    pub checked: Option<Checked>,
    /// How often it was begun.
    #[serde(default)]
    pub begun: u32,
}

impl Job {
    /// Whether it is neither done nor failed.
    pub fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Done | Stage::Failed(_))
    }
}

impl Request {
    /// Refuses what cannot be imported whatever the files hold.
    pub fn check(&self, most_files: usize) -> Result<(), Failure> {
        if self.files.is_empty() {
            return Err(Failure::parameter("import request is empty"));
        }
        if self.files.len() > most_files {
            return Err(failed(format!(
                "The max number of import files should not exceed {most_files}, but got {}",
                self.files.len()
            )));
        }
        if self.separator.chars().count() > 1 || !self.separator.is_ascii() {
            return Err(failed(format!("unsupported csv separator: {}", self.separator)));
        }
        let formats: Result<Vec<Format>, _> = self.files.iter().map(|f| Format::of(f)).collect();
        let columns = formats?.iter().filter(|f| **f == Format::Numpy).count();
        if columns != 0 && columns != self.files.len() {
            return Err(failed("files of columns (.npy) and files of rows cannot be mixed"));
        }
        Ok(())
    }
}
