//! Numbers to bytes and back, little-endian, for the files of the index.

use crate::core::error::{Error, Result};

/// Appends.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    /// A number.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A list of floats with its length.
    pub fn f32s(&mut self, values: &[f32]) {
        self.u64(values.len() as u64);
        values.iter().for_each(|v| self.0.extend_from_slice(&v.to_le_bytes()));
    }

    /// A list of 32-bit numbers with its length.
    pub fn u32s(&mut self, values: &[u32]) {
        self.u64(values.len() as u64);
        values.iter().for_each(|v| self.0.extend_from_slice(&v.to_le_bytes()));
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, values: &[u8]) {
        self.u64(values.len() as u64);
        self.0.extend_from_slice(values);
    }
}

/// Reads what [`Writer`] wrote; never beyond the end.
#[derive(Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    what: &'a str,
}

impl<'a> Reader<'a> {
    /// Over the bytes of a file that errors call `what`.
    pub fn new(bytes: &'a [u8], what: &'a str) -> Self {
        Self { rest: bytes, what }
    }

    /// The error of a file that contradicts itself.
    pub fn bad(&self, why: &str) -> Error {
        Error::corrupted(self.what, why)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        if len > self.rest.len() {
            return Err(self.bad("it is cut off"));
        }
        let (head, rest) = self.rest.split_at(len);
        self.rest = rest;
        Ok(head)
    }

    /// A number.
    pub fn u64(&mut self) -> Result<u64> {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(self.take(8)?);
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number that fits the machine's word.
    pub fn size(&mut self) -> Result<usize> {
        usize::try_from(self.u64()?).map_err(|_| self.bad("a number is too large"))
    }

    fn list(&mut self, width: usize) -> Result<&'a [u8]> {
        let count = self.size()?;
        let bytes = count.checked_mul(width).ok_or_else(|| self.bad("a list is too long"))?;
        self.take(bytes)
    }

    /// A list of floats.
    pub fn f32s(&mut self) -> Result<Vec<f32>> {
        Ok(self.list(4)?.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// A list of 32-bit numbers.
    pub fn u32s(&mut self) -> Result<Vec<u32>> {
        Ok(self.list(4)?.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect())
    }

    /// Bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8]> {
        self.list(1)
    }

    /// Refuses bytes that are left over.
    pub fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.bad("it is too long")) }
    }
}
