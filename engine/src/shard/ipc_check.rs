//! What the reader of Arrow's messages takes for granted, checked before it reads one that may be damaged.

use arrow::datatypes::{DataType, Schema};
use arrow::ipc::RecordBatch;

/// Refuses rows whose buffers or counts cannot be; `body` is the number of bytes that they lie in.
pub(super) fn check(
    rows: &RecordBatch<'_>,
    schema: &Schema,
    body: usize,
) -> std::result::Result<(), &'static str> {
    let wanted = schema.fields().iter().map(|f| parts(f.data_type()));
    let (nodes, buffers) = wanted.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    if rows.nodes().map_or(0, |n| n.len()) < nodes
        || rows.buffers().map_or(0, |b| b.len()) < buffers
    {
        return Err("it lacks columns");
    }
    if rows.variadicBufferCounts().is_some_and(|counts| !counts.is_empty()) {
        return Err("it has columns of another kind");
    }
    for buffer in rows.buffers().iter().flatten() {
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
    Ok(())
}

/// Nodes and buffers of a column.
fn parts(data_type: &DataType) -> (usize, usize) {
    let with = |own: usize, item: &DataType| {
        let (nodes, buffers) = parts(item);
        (1 + nodes, own + buffers)
    };
    match data_type {
        DataType::Null => (1, 0),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => (1, 3),
        DataType::List(item) | DataType::LargeList(item) => with(2, item.data_type()),
        DataType::FixedSizeList(item, _) => with(1, item.data_type()),
        DataType::Struct(fields) => fields
            .iter()
            .map(|f| parts(f.data_type()))
            .fold((1, 1), |sum, one| (sum.0 + one.0, sum.1 + one.1)),
        _ => (1, 2),
    }
}
