//! The data set inside the binary: WordNet entries with vectors. See `tools/data/NOTICE.md`.

use std::io::Cursor;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{Float32Type, Int64Type};
use arrow::ipc::reader::FileReader;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};

use crate::failure::{Failure, Result};

/// Name of the demo's collection.
pub const COLLECTION: &str = "wordnet";
/// Its vector field.
pub const VECTOR: &str = "vector";
/// Numbers in a vector.
const DIM: u32 = 384;

/// One batch in narrow types; `tools/data/convert.py` made it.
const BYTES: &[u8] = include_bytes!("../../data/wordnet5k.arrow");

/// The schema of the demo's collection.
pub fn schema() -> CollectionSchema {
    let text = |name: &str, max_length| FieldSchema::new(name, DataType::VarChar { max_length });
    let mut schema = CollectionSchema::new(vec![
        FieldSchema::new("id", DataType::Int64).primary(),
        text("word", 256),
        text("gloss", 4096),
        text("category", 64),
        FieldSchema::new("synset_size", DataType::Int64),
        FieldSchema::new("length", DataType::Int32),
        FieldSchema::new(VECTOR, DataType::FloatVector { dim: DIM }),
    ]);
    schema.description = "5,000 entries of WordNet 3.1 with vectors of their glosses".into();
    schema
}

/// All rows, in the types of [`schema`].
pub fn rows() -> Result<RecordBatch> {
    let mut batches = FileReader::try_new(Cursor::new(BYTES), None)?;
    let narrow = batches.next().ok_or_else(|| Failure::new("the bundled data set is empty"))??;
    let wide = schema().to_arrow();
    let columns = wide
        .fields()
        .iter()
        .map(|field| cast(&column(&narrow, field.name())?, field.data_type()).map_err(Into::into))
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(wide, columns)?)
}

/// What is asked about one row.
pub struct Example {
    /// Its key.
    pub id: i64,
    /// Its words.
    pub word: String,
    /// Its vector.
    pub vector: Vec<f32>,
}

/// The row with that key.
pub fn example(rows: &RecordBatch, id: i64) -> Result<Example> {
    let ids = column(rows, "id")?;
    let ids = ids.as_primitive::<Int64Type>();
    let row = (0..ids.len())
        .find(|row| ids.value(*row) == id)
        .ok_or_else(|| Failure::new(format!("the bundled data set has no row {id}")))?;
    let word = column(rows, "word")?.as_string::<i32>().value(row).to_string();
    let vector = column(rows, VECTOR)?.as_fixed_size_list().value(row);
    Ok(Example { id, word, vector: vector.as_primitive::<Float32Type>().values().to_vec() })
}

fn column(batch: &RecordBatch, name: &str) -> Result<arrow::array::ArrayRef> {
    let column = batch.column_by_name(name);
    column.cloned().ok_or_else(|| Failure::new(format!("the data has no column {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_rows_fit_the_schema() -> Result<()> {
        let rows = rows()?;
        assert_eq!(rows.num_rows(), 5_000);
        assert_eq!(rows.schema(), schema().to_arrow());
        assert!(rows.columns().iter().all(|c| c.null_count() == 0));
        Ok(())
    }

    #[test]
    fn vectors_have_unit_length() -> Result<()> {
        let rows = rows()?;
        let wolf = example(&rows, 12_259)?;
        assert!(wolf.word.starts_with("timber wolf"), "{}", wolf.word);
        assert_eq!(wolf.vector.len(), DIM as usize);
        let length: f32 = wolf.vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        assert!((length - 1.0).abs() < 1e-3, "{length}");
        assert!(example(&rows, -1).is_err());
        Ok(())
    }
}
