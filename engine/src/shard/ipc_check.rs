//! What the reader of Arrow's messages takes for granted, checked before it reads one that may be damaged.

use arrow::datatypes::{DataType, Schema};
use arrow::ipc::RecordBatch;

/// Refuses rows whose buffers or counts cannot be; `body` is the number of bytes that they lie in.
pub(super) fn check(
    rows: &RecordBatch<'_>,
    schema: &Schema,
    body: usize,
) -> std::result::Result<(), &'static str> {
    let (mut nodes, mut widths) = (0, Vec::new());
    schema.fields().iter().for_each(|f| parts(f.data_type(), &mut nodes, &mut widths));
    let buffers = rows.buffers().map_or(0, |b| b.len());
    if rows.nodes().map_or(0, |n| n.len()) < nodes || buffers < widths.len() {
        return Err("it lacks columns");
    }
    if rows.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("it has columns of another kind");
    }
    for (at, buffer) in rows.buffers().into_iter().flatten().enumerate() {
        let (from, len) = (usize::try_from(buffer.offset()), usize::try_from(buffer.length()));
        let end = from.ok().zip(len.ok()).and_then(|(from, len)| from.checked_add(len));
        if end.is_none_or(|end| end > body) {
            return Err("a buffer lies outside of it");
        }
        let width = widths.get(at).copied().unwrap_or(1);
        if len.is_ok_and(|len| len % width != 0) {
            return Err("a buffer ends within a value");
        }
    }
    let counts = rows.nodes().into_iter().flatten().map(|n| (n.length(), n.null_count()));
    for (length, nulls) in counts.chain([(rows.length(), 0)]) {
        // A value takes at least a bit.
        if nulls < 0 || nulls > length || length.unsigned_abs() > 8 * body as u64 {
            return Err("a number of its rows makes no sense");
        }
    }
    Ok(())
}

/// Counts the nodes of a column and adds the width of a value of each of its buffers, the first of which are bits.
fn parts(data_type: &DataType, nodes: &mut usize, widths: &mut Vec<usize>) {
    *nodes += 1;
    match data_type {
        DataType::Null => {}
        DataType::Utf8 | DataType::Binary => widths.extend([1, 4, 1]),
        DataType::LargeUtf8 | DataType::LargeBinary => widths.extend([1, 8, 1]),
        DataType::List(item) => {
            widths.extend([1, 4]);
            parts(item.data_type(), nodes, widths);
        }
        DataType::LargeList(item) => {
            widths.extend([1, 8]);
            parts(item.data_type(), nodes, widths);
        }
        DataType::FixedSizeList(item, _) => {
            widths.push(1);
            parts(item.data_type(), nodes, widths);
        }
        DataType::Struct(fields) => {
            widths.push(1);
            fields.iter().for_each(|f| parts(f.data_type(), nodes, widths));
        }
        other => widths.extend([1, other.primitive_width().unwrap_or(1)]),
    }
}
