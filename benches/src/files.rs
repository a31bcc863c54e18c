//! Raw little-endian files of numbers: what scripts and this crate exchange.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::Failure;

/// A file of rows of equal width, read in ranges so that it need not fit in memory.
#[derive(Debug)]
pub struct RowFile {
    path: PathBuf,
    file: File,
    width: usize,
    /// Number of rows.
    pub rows: usize,
}

impl RowFile {
    /// Opens a file whose rows are `width` bytes.
    ///
    /// # Errors
    /// The file cannot be read or is not a whole number of rows.
    pub fn open(path: &Path, width: usize) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let bytes = usize::try_from(file.metadata()?.len())?;
        if width == 0 || bytes % width != 0 {
            let path = path.display();
            return Err(format!("{path}: {bytes} bytes are no whole rows of {width} bytes").into());
        }
        Ok(Self { path: path.into(), file, width, rows: bytes / width })
    }

    fn bytes(&mut self, from: usize, to: usize) -> Result<Vec<u8>, Failure> {
        if from > to || to > self.rows {
            let (path, rows) = (self.path.display(), self.rows);
            return Err(format!("{path}: rows {from}..{to} asked, but there are {rows}").into());
        }
        let mut bytes = vec![0; (to - from) * self.width];
        self.file.seek(SeekFrom::Start((from * self.width) as u64))?;
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Rows `from..to` as 32-bit floats, row after row.
    pub fn floats(&mut self, from: usize, to: usize) -> Result<Vec<f32>, Failure> {
        Ok(numbers(&self.bytes(from, to)?, f32::from_le_bytes))
    }

    /// Rows `from..to` as 64-bit integers.
    pub fn integers(&mut self, from: usize, to: usize) -> Result<Vec<i64>, Failure> {
        Ok(numbers(&self.bytes(from, to)?, i64::from_le_bytes))
    }
}

fn numbers<const N: usize, T>(bytes: &[u8], make: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| make(*chunk)).collect()
}

/// Writes 32-bit integers.
pub fn write_ids(path: &Path, ids: &[i32]) -> Result<(), Failure> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    let mut file = File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(file.write_all(&bytes)?)
}
