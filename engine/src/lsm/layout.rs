//! Writes the rows of a flush or compaction in the order of lists, with their codes.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::compute;
use arrow::datatypes::SchemaRef;
use rayon::prelude::*;

use super::codebooks;
use super::manifest::{FileMeta, VectorIndexMeta};
use crate::core::error::{Error, Result};
use crate::core::runtime::CpuPools;
use crate::core::schema::{DataType, FieldSchema};
use crate::core::vectors::VectorView;
use crate::index::cluster::coverage::Coverage;
use crate::index::cluster::{self, Codebook, CodedRows, RowCoder};
use crate::segment::files::SegmentFiles;
use crate::segment::writer::{SegmentWriter, Written};

/// Rows of a written batch: a multiple of a code block.
const BATCH_ROWS: usize = 8_192;
/// The list of a row without a vector; it sorts last.
const NO_LIST: u32 = u32::MAX;

/// A vector field to be coded.
#[derive(Debug, Clone)]
pub struct FieldBook {
    /// The field.
    pub field: FieldSchema,
    /// Its codebook.
    pub book: Arc<Codebook>,
    /// Whether it was trained on the very rows that are written: its own measure then holds for them.
    pub fresh: bool,
}

/// Rows in memory, in the order in which they came.
#[derive(Debug, Default)]
pub struct Rows {
    /// Batches of the storage schema.
    pub batches: Vec<RecordBatch>,
    /// Codes that some batches' rows have already, under the codebook of the first field of the order: a
    /// unit for each batch, and the place in it of each row. Used only if every batch has them.
    pub known: Vec<Option<(Arc<CodedRows>, Vec<u32>)>>,
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
    let first = order.fields.first().cloned();
    let Rows { batches, known } = rows;
    let clustering_key = order.clustering_key.map(str::to_string);
    let sort = move || {
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
        Ok((sorted(&batches, &lists, &ranks), lists, batches, known))
    };
    let (places, lists, batches, known) = order.pools.maintenance(sort).await?;
    let mut writer = SegmentWriter::create(
        order.files,
        order.folder.clone(),
        order.storage_schema,
        order.key_column,
    )
    .await?;
    let mut columns: Vec<Vec<ArrayRef>> = vec![Vec::new(); order.fields.len()];
    for part in places.chunks(BATCH_ROWS) {
        let written = write_part(&order, &mut writer, &batches, part, &mut columns).await;
        if let Err(e) = written {
            writer.abort().await;
            return Err(e);
        }
    }
    let written = writer
        .finish()
        .await?
        .ok_or_else(|| Error::internal("a segment of rows was written without rows"))?;
    let mut new_rows: Vec<Vec<u32>> = batches.iter().map(|b| vec![0; b.num_rows()]).collect();
    for (new, (batch, row)) in places.iter().enumerate() {
        new_rows[*batch][*row] = new as u32;
    }
    drop(batches);
    let fields = order.fields.clone();
    let code = move || {
        let source = Source { places, lists, known };
        let coded = fields.iter().zip(&columns).enumerate().map(|(at, (field, columns))| {
            let source = (at == 0).then_some(&source);
            let mut coded = code_field(field, columns, total, source)?;
            if let Some(codes) = coded.as_mut().filter(|c| !c.is_flat() && !field.fresh) {
                codes.coverage = measure(field, columns, total)?;
            }
            Ok((field.clone(), coded))
        });
        coded.collect::<Result<Vec<_>>>()
    };
    let coded = order.pools.maintenance(code).await?;
    let (indexes, coded) = put_codes(&order, coded).await?;
    Ok(Some(Laid { written, indexes, coded, rows: new_rows }))
}

/// Rows in their new order, their lists as they came, and codes that are there already.
struct Source {
    places: Vec<(usize, usize)>,
    lists: Vec<Vec<u32>>,
    known: Vec<Option<(Arc<CodedRows>, Vec<u32>)>>,
}

async fn write_part(
    order: &LayoutOrder<'_>,
    writer: &mut SegmentWriter<'_>,
    batches: &[RecordBatch],
    part: &[(usize, usize)],
    columns: &mut [Vec<ArrayRef>],
) -> Result<()> {
    let arrays = (0..order.storage_schema.fields().len())
        .map(|at| {
            let parts: Vec<&dyn Array> = batches.iter().map(|b| b.column(at).as_ref()).collect();
            Ok(compute::interleave(&parts, part)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let batch = RecordBatch::try_new(order.storage_schema.clone(), arrays)?;
    for (field, columns) in order.fields.iter().zip(columns) {
        columns.extend(batch.column_by_name(&field.field.name).cloned());
    }
    writer.write(&batch).await
}

/// Makes the codes durable.
async fn put_codes(
    order: &LayoutOrder<'_>,
    coded: Vec<(FieldBook, Option<CodedRows>)>,
) -> Result<(Vec<VectorIndexMeta>, Vec<(String, Arc<CodedRows>)>)> {
    let (mut indexes, mut kept) = (Vec::new(), Vec::new());
    for (field, codes) in coded {
        let Some(codes) = codes else { continue };
        let bytes = codes.encode(field.book.version);
        let name = codes_file(&field.field);
        let file = FileMeta::of(name, &bytes);
        order
            .files
            .bucket
            .put_fresh(&format!("{}/{}", order.folder, file.name), bytes.into())
            .await?;
        indexes.push(VectorIndexMeta {
            field: field.field.name.clone(),
            codebook_version: field.book.version,
            file,
        });
        kept.push((field.field.name.clone(), Arc::new(codes)));
    }
    Ok((indexes, kept))
}

/// The list of each row of each batch.
fn lists_of(
    batches: &[RecordBatch],
    known: &[Option<(Arc<CodedRows>, Vec<u32>)>],
    field: &FieldBook,
) -> Result<Vec<Vec<u32>>> {
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

/// The list of each row of a column.
fn assign(column: &ArrayRef, data_type: &DataType, book: &Codebook) -> Result<Vec<u32>> {
    let view = VectorView::of(column.as_ref(), data_type)?;
    let mut lists = Vec::with_capacity(view.rows);
    let mut values = vec![0.0; BATCH_ROWS.min(view.rows) * book.dim];
    for from in (0..view.rows).step_by(BATCH_ROWS) {
        let to = view.rows.min(from + BATCH_ROWS);
        view.rows_f32(from..to, &mut values);
        lists.extend(cluster::train::assign(book, &values[..(to - from) * book.dim]));
    }
    if let Some(nulls) = column.nulls() {
        lists.iter_mut().enumerate().filter(|(row, _)| nulls.is_null(*row)).for_each(|(_, l)| {
            *l = NO_LIST;
        });
    }
    Ok(lists)
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

/// Codes a field's written columns; none if its values are too large for that. With a source the rows lie
/// in the order of its lists, else an order of their own is made.
fn code_field(
    field: &FieldBook,
    columns: &[ArrayRef],
    total: usize,
    source: Option<&Source>,
) -> Result<Option<CodedRows>> {
    let flat = codebooks::is_flat(total, field.book.lists());
    let mut coder = RowCoder::new(field.book.clone(), flat);
    let nulls = columns.iter().any(|c| c.null_count() > 0);
    let order = match source {
        Some(source) if !flat => {
            let in_lists = source.lists.iter().flatten().filter(|l| **l != NO_LIST).count();
            if source.known.len() == source.lists.len() && source.known.iter().all(Option::is_some)
            {
                copy_codes(&mut coder, source, in_lists)?;
                return Ok(coder.finish(None).map(|(codes, _)| codes));
            }
            let lists: Vec<u32> =
                source.places[..in_lists].iter().map(|(b, r)| source.lists[*b][*r]).collect();
            push_in_order(&mut coder, field, columns, Some(&lists))?;
            None
        }
        _ if flat && !nulls => {
            push_in_order(&mut coder, field, columns, None)?;
            None
        }
        _ => return code_apart(field, columns, flat),
    };
    Ok(coder.finish(order).map(|(codes, _)| codes))
}

/// Codes a column in parts that does not lie in the order of lists; none if its values are too large.
pub fn code_apart(
    field: &FieldBook,
    columns: &[ArrayRef],
    flat: bool,
) -> Result<Option<CodedRows>> {
    let mut coder = RowCoder::new(field.book.clone(), flat);
    let mut lists = Vec::new();
    for column in columns {
        lists.extend(assign(column, &field.field.data_type, &field.book)?);
    }
    let mut order: Vec<u32> =
        (0..lists.len() as u32).filter(|row| lists[*row as usize] != NO_LIST).collect();
    if !flat {
        order.sort_by_key(|row| lists[*row as usize]);
    }
    push_picked(&mut coder, field, columns, &order, &lists, flat)?;
    Ok(coder.finish(Some(order)).map(|(codes, _)| codes))
}

/// Measures on a sample of so many rows how many lists hold their neighbours.
pub fn measure(field: &FieldBook, columns: &[ArrayRef], total: usize) -> Result<Option<Coverage>> {
    let step = (total / cluster::train::MEASURED_ROWS).max(1);
    let dim = field.book.dim;
    let mut sample = Vec::with_capacity(total / step * dim);
    let mut row = vec![0.0; dim];
    let mut start = 0;
    for column in columns {
        let view = VectorView::of(column.as_ref(), &field.field.data_type)?;
        for at in (0..view.rows).filter(|at| (start + at) % step == 0 && column.is_valid(*at)) {
            view.row_f32(at, &mut row);
            sample.extend_from_slice(&row);
        }
        start += view.rows;
    }
    Ok((sample.len() > 64 * dim).then(|| cluster::train::measure(&field.book, &sample)))
}

fn copy_codes(coder: &mut RowCoder, source: &Source, in_lists: usize) -> Result<()> {
    for (batch, row) in &source.places[..in_lists] {
        let (codes, places) = source.known[*batch]
            .as_ref()
            .ok_or_else(|| Error::internal("a batch has no codes to copy"))?;
        coder.copy(codes, places[*row] as usize, source.lists[*batch][*row]);
    }
    Ok(())
}

/// Codes the first `lists.len()` rows as they lie; all of them where there are no lists.
fn push_in_order(
    coder: &mut RowCoder,
    field: &FieldBook,
    columns: &[ArrayRef],
    lists: Option<&[u32]>,
) -> Result<()> {
    let dim = field.book.dim;
    let mut done = 0;
    let mut values = vec![0.0; BATCH_ROWS * dim];
    for column in columns {
        let view = VectorView::of(column.as_ref(), &field.field.data_type)?;
        let rows = lists.map_or(view.rows, |lists| view.rows.min(lists.len() - done));
        if rows == 0 {
            break;
        }
        view.rows_f32(0..rows, &mut values);
        let of = lists.map_or(&[][..], |lists| &lists[done..done + rows]);
        coder.push(&values[..rows * dim], of);
        done += rows;
    }
    Ok(())
}

/// Codes some rows in an order of their own.
fn push_picked(
    coder: &mut RowCoder,
    field: &FieldBook,
    columns: &[ArrayRef],
    order: &[u32],
    lists: &[u32],
    flat: bool,
) -> Result<()> {
    let dim = field.book.dim;
    let views = columns
        .iter()
        .map(|c| VectorView::of(c.as_ref(), &field.field.data_type))
        .collect::<Result<Vec<_>>>()?;
    let mut ends = Vec::with_capacity(views.len());
    for view in &views {
        ends.push(ends.last().copied().unwrap_or(0) + view.rows);
    }
    let mut values = vec![0.0; BATCH_ROWS * dim];
    for part in order.chunks(BATCH_ROWS) {
        for (row, out) in part.iter().zip(values.chunks_exact_mut(dim)) {
            let row = *row as usize;
            let column = ends.partition_point(|end| *end <= row);
            let start = if column == 0 { 0 } else { ends[column - 1] };
            views[column].row_f32(row - start, out);
        }
        let of: Vec<u32> =
            if flat { Vec::new() } else { part.iter().map(|row| lists[*row as usize]).collect() };
        coder.push(&values[..part.len() * dim], &of);
    }
    Ok(())
}
