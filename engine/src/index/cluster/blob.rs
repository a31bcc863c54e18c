//! The codes of a segment as bytes: a header, then sections, each with its own checksum, so that one can be
//! read and checked without the others.

use std::sync::Arc;

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::codebook::Codebook;
use super::coverage::Coverage;
use super::rows::CodedRows;
use super::view::Factors;
use super::wire::{Reader, Writer};
use crate::core::error::Result;

/// Format of the file.
const FORMAT: u64 = 1;
const MAGIC: u64 = u64::from_le_bytes(*b"ELANUSVX");
const SECTIONS: usize = 11;

/// An array of some codes, as bytes that keep the codes alive.
struct Codes(Arc<CodedRows>, fn(&CodedRows) -> &[u8]);

impl AsRef<[u8]> for Codes {
    fn as_ref(&self) -> &[u8] {
        self.1(&self.0)
    }
}

impl CodedRows {
    /// The bytes of the file in pieces, of which the large ones are the codes themselves.
    pub fn encode(self: &Arc<Self>, codebook_version: u64) -> Vec<Bytes> {
        let floats = |values: &[f32]| bytes_of(values.iter().map(|v| v.to_le_bytes()));
        let words = |values: &[u32]| bytes_of(values.iter().map(|v| v.to_le_bytes()));
        let sections: [Bytes; SECTIONS] = [
            words(&self.starts),
            floats(&self.spread),
            Bytes::from_owner(Codes(self.clone(), |codes| &codes.nibbles)),
            floats(&self.coarse.add),
            floats(&self.coarse.mul),
            Bytes::from_owner(Codes(self.clone(), |codes| &codes.bytes)),
            floats(&self.fine.add),
            floats(&self.fine.mul),
            floats(&self.lengths),
            self.order.as_deref().map(words).unwrap_or_default(),
            self.coverage.as_ref().map(|c| floats(&c.values())).unwrap_or_default(),
        ];
        let mut head = Writer::default();
        for number in [MAGIC, FORMAT, codebook_version, self.rows as u64, SECTIONS as u64] {
            head.u64(number);
        }
        head.u64(u64::from(self.order.is_some()));
        for section in &sections {
            head.u64(section.len() as u64);
            head.u64(xxh3_64(section));
        }
        let sum = xxh3_64(&head.0);
        head.u64(sum);
        std::iter::once(head.0.into()).chain(sections).collect()
    }

    /// Reads [`Self::encode`]'s bytes of a unit of at most `unit_rows` rows and checks them against the
    /// codebook; `what` names the file in errors.
    pub fn decode(bytes: &[u8], book: &Codebook, unit_rows: usize, what: &str) -> Result<Self> {
        let mut r = Reader::new(bytes, what);
        let (magic, format) = (r.u64()?, r.u64()?);
        if magic != MAGIC || format != FORMAT {
            return Err(r.bad("it is not a vector index of this format"));
        }
        let (version, rows, sections) = (r.u64()?, r.size()?, r.size()?);
        if version != book.version || rows > unit_rows || sections != SECTIONS {
            return Err(r.bad("it belongs to another codebook or segment"));
        }
        let ordered = r.u64()? == 1;
        let mut table = [(0, 0); SECTIONS];
        for entry in &mut table {
            *entry = (r.size()?, r.u64()?);
        }
        let head = 8 * (6 + 2 * SECTIONS);
        if r.u64()? != xxh3_64(&bytes[..head]) {
            return Err(r.bad("the checksum of its header is wrong"));
        }
        let mut parts = [&[][..]; SECTIONS];
        let mut at = head + 8;
        for (part, (len, sum)) in parts.iter_mut().zip(table) {
            let end = at.checked_add(len).filter(|e| *e <= bytes.len());
            *part = &bytes[at..end.ok_or_else(|| r.bad("it is cut off"))?];
            if xxh3_64(part) != sum {
                return Err(r.bad("the checksum of a section is wrong"));
            }
            at += len;
        }
        let order = ordered.then(|| words(parts[9]));
        let coverage = match parts[10] {
            [] => None,
            some => match Coverage::from_values(&floats(some)) {
                None => return Err(r.bad("its coverage is damaged")),
                coverage => coverage,
            },
        };
        let out = Self {
            rows,
            starts: words(parts[0]),
            spread: floats(parts[1]),
            nibbles: parts[2].into(),
            coarse: Factors { add: floats(parts[3]), mul: floats(parts[4]) },
            bytes: parts[5].into(),
            fine: Factors { add: floats(parts[6]), mul: floats(parts[7]) },
            lengths: floats(parts[8]),
            order,
            coverage,
            views: Default::default(),
            seen: Default::default(),
            overview: Default::default(),
        };
        match out.fits(book, unit_rows) {
            true => Ok(out),
            false => Err(r.bad("its sections contradict each other")),
        }
    }

    /// Whether all sections have the lengths that the scan relies on.
    fn fits(&self, book: &Codebook, unit_rows: usize) -> bool {
        let codes = if self.is_flat() { &book.flat } else { &book.fine };
        let blocks = self.rows.div_ceil(elanus_kernels::BLOCK_ROWS);
        let padded = blocks * elanus_kernels::BLOCK_ROWS;
        let lists = if self.is_flat() { 0 } else { book.lists() };
        let order = self.order.as_ref();
        (self.is_flat() || self.starts.len() == lists + 1)
            && self.spread.len() == lists
            && self.starts.windows(2).all(|w| w[0] <= w[1])
            && self.starts.last().is_none_or(|end| *end as usize == self.rows)
            && self.nibbles.len() == blocks * codes.coder.nibbles() * 16
            && [&self.coarse.add, &self.coarse.mul].iter().all(|f| f.len() == padded)
            && [&self.fine.add, &self.fine.mul, &self.lengths].iter().all(|f| f.len() == self.rows)
            && self.bytes.len() == self.rows * book.width
            && order.is_none_or(|o| o.len() == self.rows)
            && order.is_none_or(|o| o.iter().all(|row| (*row as usize) < unit_rows))
    }
}

fn bytes_of(values: impl Iterator<Item = [u8; 4]>) -> Bytes {
    values.collect::<Vec<_>>().into_flattened().into()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks::<4>().0.iter().map(|b| u32::from_le_bytes(*b)).collect()
}
