//! Queries with an element filter: what is counted, skipped and answered are the elements that match.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, RecordBatch};
use elanus_engine::api::{RowAddress, RowOrder, Selection};
use elanus_engine::core::filter::ElementFilter;
use elanus_engine::core::key::Key;
use elanus_proto::schema::LongArray;
use elanus_proto::service::ElementIndices;

use super::super::search::target::Target;
use crate::convert::params::Params;
use crate::convert::{ids, internal, invalid};
use crate::status::Failure;

/// Behind which element of which row an iterator goes on.
const LAST_KEY: &str = "query_iter_last_pk";
const LAST_ELEMENT: &str = "query_iter_last_element_offset";

/// Where an iterator's page begins: behind an element of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct After {
    key: String,
    element: i64,
}

/// Reads where to go on; the filter that comes with it begins at that row.
pub(super) fn after(params: &Params) -> Result<Option<After>, Failure> {
    let Some(element) = params.integer(LAST_ELEMENT)? else { return Ok(None) };
    match params.text(LAST_KEY) {
        Some(key) => Ok(Some(After { key: key.to_string(), element })),
        None => Err(invalid(format!("{LAST_ELEMENT} needs {LAST_KEY}"))),
    }
}

/// What an element filter is asked over.
pub(super) struct Elements<'a> {
    pub filter: Arc<dyn ElementFilter>,
    pub window: Option<(usize, usize)>,
    pub after: Option<&'a After>,
}

/// A row and those of its elements that are answered.
pub(super) type Found = (RowAddress, Vec<i64>);

impl Elements<'_> {
    /// The rows with answered elements, by key or in the order of `rows`, which then are all that match.
    pub async fn found(
        &self,
        target: &Target,
        select: &Selection,
        rows: Option<Vec<RowAddress>>,
    ) -> Result<Vec<Found>, Failure> {
        // Each row has an element at least, but for the one that an iterator has seen in part.
        let most = self.window.map(|(offset, limit)| offset + limit + 1);
        let rows = match rows {
            Some(rows) => rows,
            None => target.snapshot.select(select, RowOrder::Key, 0, most).await?,
        };
        let primary = target.schema().primary()?.name.clone();
        let mut columns = vec![primary.clone()];
        columns.extend(self.filter.columns().iter().cloned());
        let _memory = target.snapshot.answer_memory(rows.len(), &columns).await?;
        let batch = target.snapshot.fetch(&rows, &columns).await?;
        let mut matching = matching(self.filter.as_ref(), &batch)?;
        if let Some(after) = self.after {
            let keys = ids::key_column(&batch, &primary)?;
            for (at, elements) in matching.iter_mut().enumerate() {
                let same = match keys.get(at) {
                    Key::Int(key) => key.to_string() == after.key,
                    Key::Text(key) => *key == *after.key,
                };
                if same {
                    elements.retain(|element| *element > after.element);
                }
            }
        }
        Ok(cut(rows.into_iter().zip(matching).collect(), self.window))
    }
}

/// The elements of the window: after an offset, and a limited number.
fn cut(found: Vec<Found>, window: Option<(usize, usize)>) -> Vec<Found> {
    let (mut skip, mut left) = window.unwrap_or((0, usize::MAX));
    let mut out = Vec::new();
    for (row, elements) in found {
        let skipped = skip.min(elements.len());
        skip -= skipped;
        let part: Vec<i64> = elements.into_iter().skip(skipped).take(left).collect();
        left -= part.len();
        if !part.is_empty() {
            out.push((row, part));
        }
    }
    out
}

/// The places of the matching elements of each row.
fn matching(filter: &dyn ElementFilter, batch: &RecordBatch) -> Result<Vec<Vec<i64>>, Failure> {
    let lists: Option<Vec<&ListArray>> = filter
        .columns()
        .iter()
        .map(|name| batch.column_by_name(name).and_then(|c| c.as_list_opt::<i32>()))
        .collect();
    let lists = lists.ok_or_else(|| internal("a struct array was not fetched"))?;
    let first = *lists.first().ok_or_else(|| internal("an element filter reads no column"))?;
    // A filter that matched a row says that it is not null: its elements lie end to end.
    let bound = |list: &ListArray, at: usize| {
        list.value_offsets().get(at).map_or(0, |o| usize::try_from(*o).unwrap_or(0))
    };
    let laid_out = |list: &&ListArray| -> ArrayRef {
        let (from, to) = (bound(list, 0), bound(list, list.len()));
        list.values().slice(from, to - from)
    };
    let truth = filter.test(lists.iter().map(laid_out).collect())?;
    let from = bound(first, 0);
    let row = |at: usize| {
        let start = bound(first, at);
        let hits = (start..bound(first, at + 1))
            .filter(|e| truth.is_valid(e - from) && truth.value(e - from));
        hits.map(|e| i64::try_from(e - start).unwrap_or(i64::MAX)).collect()
    };
    Ok((0..first.len()).map(row).collect())
}

/// The places of elements as the answer carries them.
pub(super) fn to_wire(found: &[Found]) -> Vec<ElementIndices> {
    let one =
        |(_, data): &Found| ElementIndices { indices: Some(LongArray { data: data.clone() }) };
    found.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_elements() {
        let row = |row| RowAddress { unit: 0, row };
        let found = || vec![(row(1), vec![0, 2, 5]), (row(2), vec![]), (row(3), vec![1, 2])];
        assert_eq!(cut(found(), None), vec![(row(1), vec![0, 2, 5]), (row(3), vec![1, 2])]);
        assert_eq!(cut(found(), Some((1, 3))), vec![(row(1), vec![2, 5]), (row(3), vec![1])]);
        assert_eq!(cut(found(), Some((4, 9))), vec![(row(3), vec![2])]);
        assert_eq!(cut(found(), Some((5, 9))), vec![]);
    }
}
