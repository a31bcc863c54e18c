//! Scalar indexes of a segment: made from its columns when they are wanted, kept in the cache.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, SchemaRef};
use parking_lot::Mutex;

use super::Segment;
use crate::core::budget::Use;
use crate::core::error::Result;
use crate::core::filter::ColumnView;
use crate::core::runtime::{self, CpuPools};
use crate::index::scalar::ScalarIndex;

/// Bytes of a row's place while an index is made: as sorted, and in its posting.
const PLACE_BYTES: usize = 16;

/// Indexes that are being made, by their keys in the cache.
#[derive(Debug, Default)]
pub(super) struct Coming(Mutex<HashSet<String>>);

/// Which index of a segment.
#[derive(Debug, Clone)]
pub struct ScalarKey {
    /// The column.
    pub column: String,
    /// With an index on a JSON path, the path as the index was given it.
    pub json_path: Option<String>,
}

impl ScalarKey {
    fn name(&self) -> String {
        // No file of codes and no column ends like this.
        format!("{}{}.scalar", self.column, self.json_path.as_deref().unwrap_or_default())
    }
}

impl Segment {
    /// An index of a column; none while there is none, which this call then begins to make.
    pub fn scalar_index(
        self: &Arc<Self>,
        schema: &SchemaRef,
        key: &ScalarKey,
        view: &ColumnView,
        pools: &CpuPools,
    ) -> Option<Arc<ScalarIndex>> {
        let name = key.name();
        let found = self.files.cache.get_index(&(self.identity.folder.clone(), name.clone()));
        if found.is_some() || !self.coming.0.lock().insert(name.clone()) {
            return found;
        }
        let narrow = match view {
            ColumnView::Json(view) => Some(view.clone()),
            _ => None,
        };
        let (segment, schema) = (self.clone(), schema.clone());
        let (key, pools) = (key.clone(), pools.clone());
        runtime::spawn(async move {
            let made = async {
                let column = segment.column(&schema, &key.column).await?;
                let column = match (&narrow, &key.json_path) {
                    (Some(view), Some(path)) => match view.narrow(&key.column, path, &column) {
                        Some(narrow) => narrow?,
                        None => return Ok(false),
                    },
                    _ => column,
                };
                segment.make_scalar(key.name(), column, &pools).await
            };
            match made.await {
                // One that is too large to be kept is not made again and again.
                Ok(false) => return,
                Ok(true) => {}
                Err(e) => {
                    tracing::warn!("{e}; the filter goes on without the index on {}", key.column);
                }
            }
            segment.coming.0.lock().remove(&name);
        });
        None
    }

    /// Makes the index of a column now, unless it is there.
    pub async fn build_scalar_index(
        &self,
        schema: &SchemaRef,
        column: &str,
        pools: &CpuPools,
    ) -> Result<()> {
        let name = ScalarKey { column: column.to_string(), json_path: None }.name();
        let key = (self.identity.folder.clone(), name.clone());
        if self.files.cache.get_index(&key).is_some() {
            return Ok(());
        }
        let values = self.column(schema, column).await?;
        self.make_scalar(name, values, pools).await.map(|_| ())
    }

    async fn make_scalar(&self, name: String, column: ArrayRef, pools: &CpuPools) -> Result<bool> {
        // The column, its values in order, and their places before they are packed.
        let bytes = 2 * column.get_array_memory_size() + PLACE_BYTES * column.len();
        let _memory = self.files.hold(Use::Builds, bytes);
        let index = pools.maintenance(move || build(&column).map(Arc::new)).await?;
        Ok(self.files.cache.put_index((self.identity.folder.clone(), name), index))
    }
}

fn build(column: &ArrayRef) -> Result<ScalarIndex> {
    match column.data_type() {
        DataType::List(_) => ScalarIndex::of_elements(column.as_list::<i32>()),
        _ => ScalarIndex::of_values(column),
    }
}
