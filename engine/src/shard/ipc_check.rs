//! What the reader of Arrow's messages takes for granted, checked before it reads one that may be damaged.

use arrow::datatypes::{DataType, Schema};
use arrow::ipc::{Buffer, FieldNode, RecordBatch};

type Checked = std::result::Result<(), &'static str>;

/// Refuses rows whose buffers or counts cannot be; `body` is the number of bytes that they lie in.
pub(super) fn check(rows: &RecordBatch<'_>, schema: &Schema, body: usize) -> Checked {
    if rows.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("it has columns of another kind");
    }
    for buffer in rows.buffers().into_iter().flatten() {
        let (from, len) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let end = from.ok().zip(len.ok()).and_then(|(from, len)| from.checked_add(len));
        if end.is_none_or(|end| end > body) {
            return Err("a buffer lies outside of it");
        }
    }
    let counts = rows.nodes().into_iter().flatten().map(|n| (n.length(), n.null_count()));
    for (length, nulls) in counts.chain([(rows.length(), 0)]) {
        // A value takes at least a bit.
        if nulls < 0 || nulls > length || length.unsigned_abs() > 8 * body as u64 {
            return Err("a number of its rows makes no sense");
        }
    }
    let mut columns = Columns {
        nodes: rows.nodes().into_iter().flatten(),
        buffers: rows.buffers().into_iter().flatten(),
    };
    schema.fields().iter().try_for_each(|f| columns.check(f.data_type()))
}

/// What is still to be checked: columns lie one after the other, each before what it is made of.
struct Columns<N, B> {
    nodes: N,
    buffers: B,
}

impl<'a, N, B> Columns<N, B>
where
    N: Iterator<Item = &'a FieldNode>,
    B: Iterator<Item = &'a Buffer>,
{
    fn check(&mut self, data_type: &DataType) -> Checked {
        let node = self.nodes.next().ok_or("it lacks columns")?;
        if *data_type == DataType::Null {
            return Ok(());
        }
        let rows = if node.null_count() > 0 { node.length() } else { 0 };
        self.bits(rows)?;
        match data_type {
            DataType::Boolean => self.bits(node.length()),
            DataType::Utf8 | DataType::Binary => self.values(4).and_then(|()| self.values(1)),
            DataType::LargeUtf8 | DataType::LargeBinary => {
                self.values(8).and_then(|()| self.values(1))
            }
            DataType::List(item) => {
                self.values(4)?;
                self.check(item.data_type())
            }
            DataType::LargeList(item) => {
                self.values(8)?;
                self.check(item.data_type())
            }
            DataType::FixedSizeList(item, _) => self.check(item.data_type()),
            DataType::Struct(fields) => fields.iter().try_for_each(|f| self.check(f.data_type())),
            other => self.values(other.primitive_width().unwrap_or(1)),
        }
    }

    fn next_bytes(&mut self) -> std::result::Result<i64, &'static str> {
        self.buffers.next().map(|b| b.length()).ok_or("it lacks columns")
    }

    /// A buffer of bits for at least so many rows.
    fn bits(&mut self, rows: i64) -> Checked {
        match self.next_bytes()?.saturating_mul(8) < rows {
            true => Err("it has fewer bits than rows"),
            false => Ok(()),
        }
    }

    /// A buffer of values of so many bytes each.
    fn values(&mut self, width: usize) -> Checked {
        match self.next_bytes()?.unsigned_abs() % width as u64 {
            0 => Ok(()),
            _ => Err("a buffer ends within a value"),
        }
    }
}
