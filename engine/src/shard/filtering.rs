//! Which rows of a unit a filter allows: from indexes of columns where there are some, else by evaluating it.

use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute;
use futures::future::BoxFuture;

use super::snapshot::{Snapshot, Unit, UnitSource};
use crate::core::error::Result;
use crate::core::filter::{ColumnTest, ColumnView, FilterKind, FilterNode, RowFilter};
use crate::core::rowset::RowSet;
use crate::index::scalar::{self, ScalarIndex};
use crate::lsm::manifest::IndexInfo;
use crate::segment::keys::SegmentKeys;
use crate::segment::scalar::ScalarKey;

/// Rows that a filter is evaluated for quicker than another thread takes them over.
const HERE_ROWS: usize = 16_384;
/// Units of fewer rows are evaluated as quickly as an index is asked.
const MIN_INDEXED_ROWS: usize = 1_024;
/// A filter is evaluated on single rows if no more than these, and one in so many of the unit, are left.
const FEW_ROWS: usize = 1_024;
const FEW_SHARE: usize = 16;

/// What answers a test of one column.
enum Lookup {
    Keys(Arc<SegmentKeys>),
    Index(Arc<ScalarIndex>),
}

impl Lookup {
    fn values(&self) -> ArrayRef {
        match self {
            Self::Keys(keys) => keys.keys().to_array(),
            Self::Index(index) => index.values().clone(),
        }
    }

    fn rows(&self, places: impl Iterator<Item = usize>, total: usize) -> RowSet {
        match self {
            Self::Keys(keys) => RowSet::from_rows(total, places.map(|at| keys.rows()[at])),
            Self::Index(index) => index.rows(places),
        }
    }
}

/// The index that serves a test, if the collection has one: by Milvus's parameters a JSON field has one a path.
fn serving<'a>(indexes: &'a [IndexInfo], test: &ColumnTest) -> Option<(&'a IndexInfo, ScalarKey)> {
    let json_path = |index: &IndexInfo| index.params.get("json_path").cloned();
    indexes.iter().filter(|index| index.field == test.column).find_map(|index| {
        let path = json_path(index);
        let serves = match (&test.view, &path) {
            (ColumnView::Json(view), Some(path)) => view.is_under(&test.column, path),
            (ColumnView::Json(_), None) | (_, Some(_)) => false,
            _ => true,
        };
        serves.then(|| (index, ScalarKey { column: test.column.clone(), json_path: path }))
    })
}

impl Snapshot {
    /// Those of `rows` for which the filter is true.
    pub(super) async fn filter_rows(
        &self,
        unit: &Unit,
        filter: &Arc<dyn RowFilter>,
        rows: RowSet,
    ) -> Result<RowSet> {
        if rows.count() == 0 {
            return Ok(rows);
        }
        let indexed = matches!(unit.source, UnitSource::Segment(_))
            && unit.rows() >= MIN_INDEXED_ROWS
            && filter.columns().iter().any(|column| self.has_index(column));
        match filter.parts().filter(|_| indexed) {
            Some(node) => self.resolve(unit, &node, rows).await,
            None => self.evaluate(unit, filter, rows).await,
        }
    }

    fn has_index(&self, column: &str) -> bool {
        *column == self.inner.key_column
            || self.inner.manifest.indexes.iter().any(|index| index.field == column)
    }

    /// The names of the indexes that can serve a filter.
    pub fn serving_indexes(&self, filter: &dyn RowFilter) -> Vec<String> {
        let mut names = Vec::new();
        if let Some(node) = filter.parts() {
            self.gather_serving(&node, &mut names);
        }
        names.sort_unstable();
        names.dedup();
        names
    }

    fn gather_serving(&self, node: &FilterNode, names: &mut Vec<String>) {
        match &node.kind {
            FilterKind::All(parts) => parts.iter().for_each(|p| self.gather_serving(p, names)),
            FilterKind::Any(parts) if parts.iter().all(|p| self.is_served(p)) => {
                parts.iter().for_each(|p| self.gather_serving(p, names));
            }
            FilterKind::Column(test) if self.is_key(test) => names.push("primary key".into()),
            FilterKind::Column(test) => {
                let index = serving(&self.inner.manifest.indexes, test).map(|(index, _)| index);
                names.extend(index.map(|index| index.name.clone()));
            }
            FilterKind::Any(_) | FilterKind::Whole => {}
        }
    }

    fn is_key(&self, test: &ColumnTest) -> bool {
        test.column == self.inner.key_column && matches!(test.view, ColumnView::Values)
    }

    /// Whether indexes can answer a part, or at least narrow it down.
    fn is_served(&self, node: &FilterNode) -> bool {
        match &node.kind {
            FilterKind::All(parts) => parts.iter().any(|part| self.is_served(part)),
            FilterKind::Any(parts) => parts.iter().all(|part| self.is_served(part)),
            FilterKind::Column(test) => {
                self.is_key(test) || serving(&self.inner.manifest.indexes, test).is_some()
            }
            FilterKind::Whole => false,
        }
    }

    fn resolve<'a>(
        &'a self,
        unit: &'a Unit,
        node: &'a FilterNode,
        rows: RowSet,
    ) -> BoxFuture<'a, Result<RowSet>> {
        Box::pin(async move {
            if rows.count() == 0 {
                return Ok(rows);
            }
            match &node.kind {
                FilterKind::All(parts) => {
                    let mut rows = rows;
                    let (served, rest): (Vec<_>, Vec<_>) =
                        parts.iter().partition(|part| self.is_served(part));
                    for part in served.into_iter().chain(rest) {
                        rows = self.resolve(unit, part, rows).await?;
                    }
                    Ok(rows)
                }
                FilterKind::Any(parts) if parts.iter().all(|part| self.is_served(part)) => {
                    let mut found = RowSet::none(rows.rows());
                    for part in parts {
                        found = found.or(&self.resolve(unit, part, rows.clone()).await?);
                    }
                    Ok(found)
                }
                FilterKind::Column(test) => match self.lookup(unit, test).await? {
                    Some(lookup) => self.look_up(unit, node, test, &lookup, rows).await,
                    None => self.evaluate(unit, &node.test, rows).await,
                },
                FilterKind::Any(_) | FilterKind::Whole => {
                    self.evaluate(unit, &node.test, rows).await
                }
            }
        })
    }

    async fn lookup(&self, unit: &Unit, test: &ColumnTest) -> Result<Option<Lookup>> {
        let UnitSource::Segment(segment) = &unit.source else { return Ok(None) };
        if self.is_key(test) {
            return segment.keys().await.map(|keys| Some(Lookup::Keys(keys)));
        }
        let Some((_, key)) = serving(&self.inner.manifest.indexes, test) else { return Ok(None) };
        let pools = &self.inner.pools;
        let index = segment.scalar_index(&self.inner.columns, &key, &test.view, pools);
        Ok(index.map(Lookup::Index))
    }

    /// Asks the test of the values that may pass it, and unites the rows of those that do.
    async fn look_up(
        &self,
        unit: &Unit,
        node: &FilterNode,
        test: &ColumnTest,
        lookup: &Lookup,
        rows: RowSet,
    ) -> Result<RowSet> {
        let values = lookup.values();
        let places = scalar::places(&values, &test.candidates)?;
        let tested: usize = places.iter().map(std::ops::Range::len).sum();
        if tested > unit.rows() / 2 {
            return self.evaluate(unit, &node.test, rows).await;
        }
        let places: Vec<usize> = places.into_iter().flatten().collect();
        let indices: UInt32Array = places.iter().map(|place| *place as u32).collect();
        let chosen = compute::take(&values, &indices, None)?;
        let data_type = self.inner.columns.field_with_name(&test.column)?.data_type();
        let chosen = match test.view {
            ColumnView::Elements => scalar::singletons(data_type, chosen)?,
            _ => chosen,
        };
        let batch = self.batch(std::slice::from_ref(&test.column), vec![chosen], tested)?;
        let passed = RowSet::from_filter(&node.test.evaluate(&batch)?);
        Ok(lookup.rows(passed.iter().map(|at| places[at]), unit.rows()).and(&rows))
    }

    /// Evaluates a filter: on whole columns, or on the rows that are left if these are few.
    async fn evaluate(
        &self,
        unit: &Unit,
        filter: &Arc<dyn RowFilter>,
        rows: RowSet,
    ) -> Result<RowSet> {
        let names = filter.columns().to_vec();
        if rows.count() <= FEW_ROWS.min(unit.rows() / FEW_SHARE) {
            let picked: Vec<u32> = rows.iter().map(|row| row as u32).collect();
            let columns = self.take(unit, &names, &picked).await?;
            let batch = self.batch(&names, columns, picked.len())?;
            let passed = RowSet::from_filter(&filter.evaluate(&batch)?);
            return Ok(RowSet::from_rows(unit.rows(), passed.iter().map(|at| picked[at])));
        }
        let columns = self.unit_columns(unit, &names).await?;
        let batch = self.batch(&names, columns, unit.rows())?;
        let filter = filter.clone();
        let rows_here = unit.rows() <= HERE_ROWS;
        let matching = move || Ok(RowSet::from_filter(&filter.evaluate(&batch)?));
        let matching = match rows_here {
            true => matching()?,
            false => self.inner.pools.search(matching).await?,
        };
        Ok(rows.and(&matching))
    }
}
