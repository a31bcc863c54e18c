//! Codes of the vector fields of rows that are being written, or joined.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};

use super::codebooks;
use crate::core::error::{Error, Result};
use crate::core::schema::{DataType, FieldSchema};
use crate::core::vectors::VectorView;
use crate::index::cluster::coverage::Coverage;
use crate::index::cluster::{self, Codebook, CodedRows, RowCoder};

/// Rows coded at once: a multiple of a code block.
pub const BATCH_ROWS: usize = 8_192;
/// The list of a row without a vector; it sorts last.
pub const NO_LIST: u32 = u32::MAX;

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

impl FieldBook {
    fn view<'a>(&self, column: &'a ArrayRef) -> Result<VectorView<'a>> {
        VectorView::of(column.as_ref(), &self.field.data_type)
    }
}

/// Codes that rows have already: for each batch a unit, and the place in it of each of its rows.
pub type Known = Vec<Option<(Arc<CodedRows>, Vec<u32>)>>;

/// How the rows of a field get their codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// They have them already.
    Copied,
    /// While they are written: they come in the order of its lists, or the unit has no lists.
    Passing,
    /// When all have been written, in an order of their own.
    Apart,
}

/// Codes a field while its rows are written.
#[derive(Debug)]
pub struct Coding {
    field: FieldBook,
    way: Way,
    flat: bool,
    coder: RowCoder,
    /// Those seen, of a field that is coded apart.
    columns: Vec<ArrayRef>,
    sample: Option<Sample>,
}

impl Coding {
    /// For a unit of so many rows.
    pub fn new(field: FieldBook, way: Way, total: usize) -> Self {
        let flat = codebooks::is_flat(total, field.book.lists());
        let sample = (!flat && !field.fresh).then(|| Sample::of(total));
        let coder = match way {
            Way::Apart => RowCoder::new(field.book.clone(), flat, 0),
            _ => RowCoder::new(field.book.clone(), flat, total),
        };
        Self { field, way, flat, coder, columns: Vec::new(), sample }
    }

    /// The next rows, a multiple of a code block unless they are the last, and the list of each; in a flat unit
    /// those are of no account.
    pub fn add(&mut self, batch: &RecordBatch, lists: &[u32]) -> Result<()> {
        let name = &self.field.field.name;
        let column = batch
            .column_by_name(name)
            .ok_or_else(|| Error::internal(format!("a batch to code lacks {name}")))?;
        if let Some(sample) = &mut self.sample {
            sample.add(&self.field, column)?;
        }
        match self.way {
            Way::Copied => {}
            Way::Apart => self.columns.push(column.clone()),
            Way::Passing if self.flat => {
                let view = self.field.view(column)?;
                self.coder.push(view.block(0..view.rows, &mut Vec::new()), &[]);
            }
            Way::Passing => {
                let rows = lists.partition_point(|list| *list != NO_LIST);
                if rows == 0 {
                    return Ok(());
                }
                let view = self.field.view(column)?;
                self.coder.push(view.block(0..rows, &mut Vec::new()), &lists[..rows]);
            }
        }
        Ok(())
    }

    /// The codes; none if values are too large for that. `source` is what rows of [`Way::Copied`] have.
    pub fn finish(mut self, source: &Source) -> Result<(FieldBook, Option<CodedRows>)> {
        let coded = match self.way {
            Way::Apart => code_apart(&self.field, &self.columns, self.flat)?,
            way => {
                if way == Way::Copied {
                    source.copy(&mut self.coder)?;
                }
                self.coder.finish(None).map(|(codes, _)| codes)
            }
        };
        let coverage = self.sample.and_then(|sample| sample.measure(&self.field.book));
        let coded = coded.map(|codes| CodedRows { coverage, ..codes });
        Ok((self.field, coded))
    }
}

/// Rows in their new order, their lists as they came, and codes that are there already.
#[derive(Debug)]
pub struct Source {
    /// `(batch, row)` of each new row.
    pub places: Vec<(usize, usize)>,
    /// By batch; empty where there are no lists.
    pub lists: Vec<Vec<u32>>,
    /// Codes that are there already.
    pub known: Known,
}

impl Source {
    /// The lists of some new rows; empty where there are none.
    pub fn lists_of(&self, part: &[(usize, usize)]) -> Vec<u32> {
        match self.lists.is_empty() {
            true => Vec::new(),
            false => part.iter().map(|(batch, row)| self.lists[*batch][*row]).collect(),
        }
    }

    fn copy(&self, coder: &mut RowCoder) -> Result<()> {
        for (batch, row) in &self.places {
            let list = self.lists[*batch][*row];
            if list == NO_LIST {
                break;
            }
            let (codes, places) = self.known[*batch]
                .as_ref()
                .ok_or_else(|| Error::internal("a batch has no codes to copy"))?;
            coder.copy(codes, places[*row] as usize, list);
        }
        Ok(())
    }
}

/// Rows by which it is measured how many lists hold their neighbours, spread evenly.
#[derive(Debug)]
struct Sample {
    step: usize,
    seen: usize,
    rows: Vec<f32>,
}

impl Sample {
    fn of(total: usize) -> Self {
        let step = (total / cluster::train::MEASURED_ROWS).max(1);
        Self { step, seen: 0, rows: Vec::new() }
    }

    fn add(&mut self, field: &FieldBook, column: &ArrayRef) -> Result<()> {
        let view = field.view(column)?;
        let first = self.seen.next_multiple_of(self.step) - self.seen;
        for at in (first..view.rows).step_by(self.step).filter(|at| column.is_valid(*at)) {
            let end = self.rows.len();
            self.rows.resize(end + field.book.dim, 0.0);
            view.row_f32(at, &mut self.rows[end..]);
        }
        self.seen += view.rows;
        Ok(())
    }

    /// None if they are too few.
    fn measure(self, book: &Codebook) -> Option<Coverage> {
        (self.rows.len() > 64 * book.dim).then(|| cluster::train::measure(book, self.rows))
    }
}

/// Measures on rows of some columns, of so many rows, how many lists hold their neighbours.
pub fn measure(field: &FieldBook, columns: &[ArrayRef], total: usize) -> Result<Option<Coverage>> {
    let mut sample = Sample::of(total);
    columns.iter().try_for_each(|column| sample.add(field, column))?;
    Ok(sample.measure(&field.book))
}

/// The list of each row of a column.
pub fn assign(column: &ArrayRef, data_type: &DataType, book: &Codebook) -> Result<Vec<u32>> {
    let view = VectorView::of(column.as_ref(), data_type)?;
    let mut lists = Vec::with_capacity(view.rows);
    let mut room = Vec::new();
    for from in (0..view.rows).step_by(BATCH_ROWS) {
        let rows = from..view.rows.min(from + BATCH_ROWS);
        lists.extend(cluster::train::assign(book, view.block(rows, &mut room)));
    }
    if let Some(nulls) = column.nulls() {
        lists.iter_mut().enumerate().filter(|(row, _)| nulls.is_null(*row)).for_each(|(_, l)| {
            *l = NO_LIST;
        });
    }
    Ok(lists)
}

/// Codes a column in parts that does not lie in the order of lists; none if its values are too large.
pub fn code_apart(
    field: &FieldBook,
    columns: &[ArrayRef],
    flat: bool,
) -> Result<Option<CodedRows>> {
    let mut lists = Vec::new();
    for column in columns {
        lists.extend(assign(column, &field.field.data_type, &field.book)?);
    }
    let mut order: Vec<u32> =
        (0..lists.len() as u32).filter(|row| lists[*row as usize] != NO_LIST).collect();
    if !flat {
        order.sort_by_key(|row| lists[*row as usize]);
    }
    let mut coder = RowCoder::new(field.book.clone(), flat, order.len());
    push_picked(&mut coder, field, columns, &order, &lists, flat)?;
    Ok(coder.finish(Some(order)).map(|(codes, _)| codes))
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
    let views = columns.iter().map(|c| field.view(c)).collect::<Result<Vec<_>>>()?;
    let mut ends = Vec::with_capacity(views.len());
    for view in &views {
        ends.push(ends.last().copied().unwrap_or(0) + view.rows);
    }
    let mut values = vec![0.0; BATCH_ROWS.min(order.len()) * dim];
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
