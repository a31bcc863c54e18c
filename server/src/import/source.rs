//! Where files come from: the folder that a setting allows, or the store's bucket.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes};
use elanus_engine::api::Engine;

use super::failed;
use crate::status::Failure;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"rows": […]}`, `[…]`, or one object on each line.
    Json,
    /// A table.
    Parquet,
    /// Text with a line of names.
    Csv,
    /// One column.
    Numpy,
}

impl Format {
    /// The format that the name's end tells.
    pub fn of(name: &str) -> Result<Self, Failure> {
        let end = name.rsplit_once('.').map(|(_, end)| end.to_ascii_lowercase());
        match end.as_deref() {
            Some("json" | "jsonl" | "ndjson") => Ok(Self::Json),
            Some("parquet") => Ok(Self::Parquet),
            Some("csv") => Ok(Self::Csv),
            Some("npy") => Ok(Self::Numpy),
            _ => Err(failed(format!(
                "unexpected file type, files={name}: expected .json, .parquet, .csv or .npy"
            ))),
        }
    }
}

/// Where a file lies.
#[derive(Debug, Clone)]
pub enum Place {
    /// On this machine.
    File(PathBuf),
    /// In the bucket, by name.
    Bucket(String),
}

impl Place {
    /// Finds a file.
    ///
    /// # Errors
    /// If it is not there, is too large, or lies outside of what may be read.
    pub async fn find(engine: &Engine, name: &str) -> Result<Self, Failure> {
        let settings = &engine.settings().server;
        let most = settings.max_import_file_bytes;
        if !settings.import_dir.is_empty()
            && let Some(path) = inside(Path::new(&settings.import_dir), name)?
        {
            let size = std::fs::metadata(&path).map_err(|e| unreadable(name, &e))?.len();
            check_size(name, size, most)?;
            return Ok(Self::File(path));
        }
        if Path::new(name).is_absolute() {
            return Err(failed(format!(
                "{name} is not in the folder of the setting server.import_dir"
            )));
        }
        let size = engine.file_size(name).await.map_err(|e| unreadable(name, &e))?;
        check_size(name, size, most)?;
        Ok(Self::Bucket(name.to_string()))
    }

    /// The file, to be read. One of a bucket is read into memory.
    pub async fn open(&self, engine: &Engine) -> Result<Source, Failure> {
        Ok(match self {
            Self::File(path) => Source::File(path.clone()),
            Self::Bucket(name) => {
                Source::Memory(engine.read_file(name).await.map_err(|e| unreadable(name, &e))?)
            }
        })
    }
}

/// A file that can be read from the start, more than once.
#[derive(Debug, Clone)]
pub enum Source {
    /// On this machine.
    File(PathBuf),
    /// In memory.
    Memory(Bytes),
}

impl Source {
    /// Its bytes from the start.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        Ok(match self {
            Self::File(path) => Box::new(BufReader::with_capacity(1 << 20, self.file(path)?)),
            Self::Memory(bytes) => Box::new(bytes.clone().reader()),
        })
    }

    /// The file itself.
    pub fn file(&self, path: &Path) -> Result<File, Failure> {
        File::open(path).map_err(|e| unreadable(&path.display().to_string(), &e))
    }

    /// All of it.
    pub fn bytes(&self) -> Result<Bytes, Failure> {
        match self {
            Self::Memory(bytes) => Ok(bytes.clone()),
            Self::File(path) => {
                let read = std::fs::read(path);
                Ok(read.map_err(|e| unreadable(&path.display().to_string(), &e))?.into())
            }
        }
    }
}

/// The file of that name in a folder, if there is one; a name that leads out of it is refused.
fn inside(folder: &Path, name: &str) -> Result<Option<PathBuf>, Failure> {
    let folder = folder.canonicalize().map_err(|e| {
        failed(format!("the folder of the setting server.import_dir cannot be read: {e}"))
    })?;
    let Ok(path) = folder.join(name).canonicalize() else { return Ok(None) };
    if !path.starts_with(&folder) {
        return Err(failed(format!(
            "{name} leads out of the folder of the setting server.import_dir"
        )));
    }
    Ok(path.is_file().then_some(path))
}

fn check_size(name: &str, size: u64, most: u64) -> Result<(), Failure> {
    if size <= most {
        return Ok(());
    }
    Err(failed(format!(
        "{name} has {size} bytes, the most is {most} (setting server.max_import_file_bytes)"
    )))
}

fn unreadable(name: &str, error: &dyn std::fmt::Display) -> Failure {
    failed(format!("{name} cannot be read: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_folder_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let allowed = folder.path().join("allowed");
        std::fs::create_dir(&allowed).expect("a folder");
        std::fs::write(allowed.join("a.json"), "[]").expect("a file");
        std::fs::write(folder.path().join("b.json"), "[]").expect("a file");
        assert!(inside(&allowed, "a.json").expect("allowed").is_some());
        assert!(inside(&allowed, "none.json").expect("nothing there").is_none());
        assert!(inside(&allowed, "../b.json").is_err());
        let absolute = folder.path().join("b.json");
        assert!(inside(&allowed, &absolute.to_string_lossy()).is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&absolute, allowed.join("link.json")).expect("a link");
            assert!(inside(&allowed, "link.json").is_err());
        }
    }

    #[test]
    fn formats_are_told_by_the_end_of_the_name() {
        assert_eq!(Format::of("a/b.JSON"), Ok(Format::Json));
        assert_eq!(Format::of("x.npy"), Ok(Format::Numpy));
        assert!(Format::of("x.txt").is_err() && Format::of("json").is_err());
    }
}
