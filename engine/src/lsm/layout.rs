//! Writes the rows of a flush or compaction in the order of lists, with their codes.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use super::codebooks;
use super::coding::{BATCH_ROWS, Coding, FieldBook, Known, NO_LIST, Source, Way, assign};
use super::manifest::{FileMeta, VectorIndexMeta};
use crate::core::error::{Error, Result};
use crate::core::runtime::CpuPools;
use crate::core::schema::FieldSchema;
use crate::index::cluster::CodedRows;
use crate::segment::files::SegmentFiles;
use crate::segment::writer::{SegmentWriter, Written};

/// Rows in memory, in the order in which they came.
#[derive(Debug, Default)]
pub struct Rows {
    /// Batches of the storage schema.
    pub batches: Vec<RecordBatch>,
    /// Codes that some batches' rows have already, under the codebook of the first field of the order. Used
    /// only if every batch has them.
    pub known: Known,
}

/// Where and how to write.
pub struct LayoutOrder<'a> {
    /// Files of the store.
    pub files: &'a SegmentFiles,
    /// Fresh folder of the segment.
    pub folder: String,
    /// Columns of the segment.
    pub storage_schema: &'a SchemaRef,
    /// Primary key column.
    pub key_column: &'a str,
    /// Column by which rows of one list are ordered; all rows where there are no lists.
    pub clustering_key: Option<&'a str>,
    /// Fields to be coded; rows lie in the order of the first.
    pub fields: Vec<FieldBook>,
    /// Threads.
    pub pools: &'a CpuPools,
}

/// What was written.
#[derive(Debug)]
pub struct Laid {
    /// The segment's files.
    pub written: Written,
    /// Its indexes.
    pub indexes: Vec<VectorIndexMeta>,
    /// The codes in memory, by field.
    pub coded: Vec<(String, Arc<CodedRows>)>,
    /// New row of each row of each batch.
    pub rows: Vec<Vec<u32>>,
}

/// Name of the file with a field's codes, in a segment's folder.
pub fn codes_file(field: &FieldSchema) -> String {
    // A field's name may be as long as a file's, and may differ from another's only by case.
    format!("{}.vec.idx", field.id)
}

/// Writes rows; none if there are none.
pub async fn write(order: LayoutOrder<'_>, rows: Rows) -> Result<Option<Laid>> {
    let total: usize = rows.batches.iter().map(RecordBatch::num_rows).sum();
    if total == 0 {
        return Ok(None);
    }
    let (batches, source) = in_order(&order, rows, total).await?;
    let mut codings = codings(&order, &batches, &source, total);
    let (batches, source) = (Arc::new(batches), Arc::new(source));
    let mut writer = SegmentWriter::create(
        order.files,
        order.folder.clone(),
        order.storage_schema,
        order.key_column,
    )
    .await?;
    for from in (0..total).step_by(BATCH_ROWS) {
        let part = from..total.min(from + BATCH_ROWS);
        let written = write_part(&order, &mut writer, &batches, &source, part, codings).await;
        codings = match written {
            Ok(codings) => codings,
            Err(e) => {
                writer.abort().await;
                return Err(e);
            }
        };
    }
    let written = writer
        .finish()
        .await?
        .ok_or_else(|| Error::internal("a segment of rows was written without rows"))?;
    let mut new_rows: Vec<Vec<u32>> = batches.iter().map(|b| vec![0; b.num_rows()]).collect();
    for (new, (batch, row)) in source.places.iter().enumerate() {
        new_rows[*batch][*row] = new as u32;
    }
    drop(batches);
    let code = move || codings.into_iter().map(|coding| coding.finish(&source)).collect();
    let coded = order.pools.maintenance(code).await?;
    let (indexes, coded) = put_codes(&order, coded).await?;
    Ok(Some(Laid { written, indexes, coded, rows: new_rows }))
}

/// The batches, and the order in which their rows are to lie.
async fn in_order(
    order: &LayoutOrder<'_>,
    rows: Rows,
    total: usize,
) -> Result<(Vec<RecordBatch>, Source)> {
    let first = order.fields.first().cloned();
    let clustering_key = order.clustering_key.map(str::to_string);
    let sort = move || {
        let Rows { batches, known } = rows;
        let lists = match &first {
            Some(first) if !codebooks::is_flat(total, first.book.lists()) => {
                lists_of(&batches, &known, first)?
            }
            _ => Vec::new(),
        };
        let ranks = match &clustering_key {
            Some(key) => ranks_of(&batches, key)?,
            None => Vec::new(),
        };
        let places = sorted(&batches, &lists, &ranks);
        Ok((batches, Source { places, lists, known }))
    };
    order.pools.maintenance(sort).await
}

/// The fields' ways to their codes. The rows lie in the order of the first field's lists.
fn codings(
    order: &LayoutOrder<'_>,
    batches: &[RecordBatch],
    source: &Source,
    total: usize,
) -> Vec<Coding> {
    let known = source.known.len() == batches.len() && source.known.iter().all(Option::is_some);
    let coding = |(at, field): (usize, &FieldBook)| {
        let flat = codebooks::is_flat(total, field.book.lists());
        let nulls = |b: &RecordBatch| {
            b.column_by_name(&field.field.name).is_some_and(|c| c.null_count() > 0)
        };
        let way = if at == 0 && !flat {
            if known { Way::Copied } else { Way::Passing }
        } else if flat && !batches.iter().any(nulls) {
            Way::Passing
        } else {
            Way::Apart
        };
        Coding::new(field.clone(), way, total)
    };
    order.fields.iter().enumerate().map(coding).collect()
}

/// Writes the next rows and codes them. What they were gathered into is free again before the next are.
async fn write_part(
    order: &LayoutOrder<'_>,
    writer: &mut SegmentWriter<'_>,
    batches: &Arc<Vec<RecordBatch>>,
    source: &Arc<Source>,
    part: Range<usize>,
    mut codings: Vec<Coding>,
) -> Result<Vec<Coding>> {
    let (batches, source) = (batches.clone(), source.clone());
    let schema = order.storage_schema.clone();
    let gather = move || {
        let places = &source.places[part];
        let column = |at: usize| {
            let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(at).as_ref()).collect();
            Ok(compute::interleave(&parts, places)?)
        };
        let columns = (0..schema.fields().len()).map(column).collect::<Result<Vec<_>>>()?;
        let batch = RecordBatch::try_new(schema, columns)?;
        let lists = source.lists_of(places);
        codings.iter_mut().try_for_each(|coding| coding.add(&batch, &lists))?;
        Ok((batch, codings))
    };
    let (batch, codings) = order.pools.maintenance(gather).await?;
    writer.write(&batch).await?;
    Ok(codings)
}

/// Makes the codes durable.
async fn put_codes(
    order: &LayoutOrder<'_>,
    coded: Vec<(FieldBook, Option<CodedRows>)>,
) -> Result<(Vec<VectorIndexMeta>, Vec<(String, Arc<CodedRows>)>)> {
    let (mut indexes, mut kept) = (Vec::new(), Vec::new());
    for (field, codes) in coded {
        let Some(codes) = codes else { continue };
        let codes = Arc::new(codes);
        let pieces = codes.encode(field.book.version);
        let file = FileMeta::of_pieces(codes_file(&field.field), &pieces);
        let path = format!("{}/{}", order.folder, file.name);
        order.files.bucket.put_pieces(&path, pieces).await?;
        indexes.push(VectorIndexMeta {
            field: field.field.name.clone(),
            codebook_version: field.book.version,
            file,
        });
        kept.push((field.field.name.clone(), codes));
    }
    Ok((indexes, kept))
}

/// The list of each row of each batch.
fn lists_of(batches: &[RecordBatch], known: &Known, field: &FieldBook) -> Result<Vec<Vec<u32>>> {
    if known.len() == batches.len() && known.iter().all(Option::is_some) {
        let mut of_unit: Vec<(*const CodedRows, Vec<u32>)> = Vec::new();
        let mut lists = Vec::with_capacity(batches.len());
        for (codes, places) in known.iter().flatten() {
            let id = Arc::as_ptr(codes);
            if of_unit.last().is_none_or(|(known, _)| *known != id) {
                of_unit.push((id, codes.lists_of_places()));
            }
            let unit = of_unit.last().map_or(&[][..], |(_, lists)| lists);
            let list = |p: &u32| unit.get(*p as usize).copied().unwrap_or(NO_LIST);
            lists.push(places.iter().map(list).collect());
        }
        return Ok(lists);
    }
    batches
        .par_iter()
        .map(|batch| {
            let column = batch
                .column_by_name(&field.field.name)
                .ok_or_else(|| Error::internal(format!("a batch lacks {}", field.field.name)))?;
            assign(column, &field.field.data_type, &field.book)
        })
        .collect()
}

/// Where the value of each row of each batch stands among all values of the column, nulls first.
fn ranks_of(batches: &[RecordBatch], key: &str) -> Result<Vec<Vec<u32>>> {
    let columns: Vec<&dyn Array> =
        batches.iter().filter_map(|b| b.column_by_name(key)).map(AsRef::as_ref).collect();
    if columns.len() != batches.len() {
        return Err(Error::internal(format!("a batch lacks the clustering key {key}")));
    }
    let ranks = compute::rank(compute::concat(&columns)?.as_ref(), None)?;
    let mut rest = ranks.as_slice();
    let mut of_batches = Vec::with_capacity(batches.len());
    for batch in batches {
        let (own, more) = rest.split_at(batch.num_rows());
        of_batches.push(own.to_vec());
        rest = more;
    }
    Ok(of_batches)
}

/// `(batch, row)` of all rows in the order of their lists, within a list by rank, then older ones first.
fn sorted(batches: &[RecordBatch], lists: &[Vec<u32>], ranks: &[Vec<u32>]) -> Vec<(usize, usize)> {
    let mut places: Vec<(usize, usize)> = batches
        .iter()
        .enumerate()
        .flat_map(|(at, batch)| (0..batch.num_rows()).map(move |row| (at, row)))
        .collect();
    let of = |all: &[Vec<u32>], batch: usize, row: usize| all.get(batch).map_or(0, |b| b[row]);
    if !lists.is_empty() || !ranks.is_empty() {
        places.sort_by_key(|(batch, row)| (of(lists, *batch, *row), of(ranks, *batch, *row)));
    }
    places
}
