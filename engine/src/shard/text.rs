//! Searches by words: what their scores depend on is counted over all living rows of the snapshot.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};

use super::snapshot::Snapshot;
use crate::core::error::{Error, Result};
use crate::core::text::bm25::{Bm25, Spread, TextQuery};
use crate::index::Queries;

impl Snapshot {
    /// Queries of counted words, for a field that a BM25 function fills. Reads the whole field.
    pub async fn text_queries(
        &self,
        field: &str,
        asked: &[BTreeMap<u32, u32>],
        knobs: Bm25,
    ) -> Result<Queries> {
        let mut spread = Spread::of(asked.iter().flat_map(BTreeMap::keys));
        for unit in &self.inner.units {
            let alive = self.unit_rows(unit, None).await?;
            let parts = self.unit_column_parts(unit, field).await?;
            let count = move || {
                let mut begin = 0;
                for part in parts.iter() {
                    let rows = part
                        .as_binary_opt::<i32>()
                        .ok_or_else(|| Error::internal("a column of words is not of bytes"))?;
                    for row in (0..rows.len()).filter(|row| rows.is_valid(*row)) {
                        if alive.contains(begin + row) {
                            spread.add(rows.value(row));
                        }
                    }
                    begin += rows.len();
                }
                Ok(spread)
            };
            spread = self.inner.pools.search(count).await?;
        }
        let query = |counts| TextQuery::new(counts, &spread, knobs);
        Ok(Queries::Text(asked.iter().map(query).collect()))
    }
}
