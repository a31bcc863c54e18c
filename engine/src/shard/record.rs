//! One record of the write-ahead log: a small header, then the rows as one Arrow IPC message.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType as ArrowType, SchemaRef};
use arrow::ipc;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{
    CompressionContext, DictionaryTracker, IpcDataGenerator, IpcWriteOptions,
};
use bytes::Bytes;
use elanus_proto::disk;
use prost::Message;

use super::ipc_check;
use crate::core::error::{Error, Result};
use crate::core::key::Keys;
use crate::core::time::Timestamp;

/// Where the rows of a record begin, from its start: a multiple of this, bytes.
const ALIGNMENT: usize = 16;
/// Records below this keep no vectors for the memtable.
const SHARED_BYTES: usize = 64 << 10;

/// A change as the log keeps it. Its timestamp is the record's key.
#[derive(Debug)]
pub enum Change {
    /// Rows that replace older ones of the same keys, grouped by partition.
    Rows {
        /// Complete rows.
        batch: RecordBatch,
        /// `(partition, rows)` in the order of the rows.
        groups: Vec<(u64, usize)>,
    },
    /// Keys that go.
    Delete {
        /// The keys.
        keys: Keys,
        /// Only from these partitions; none: all.
        partitions: Vec<u64>,
    },
}

/// Bytes of a record.
pub fn encode(change: &Change, schema_ts: Timestamp) -> Result<Bytes> {
    match change {
        Change::Rows { batch, groups } => encode_rows(batch, groups, schema_ts),
        Change::Delete { keys, partitions } => {
            let mut message =
                disk::Keys { partition_ids: partitions.clone(), ..Default::default() };
            match keys {
                Keys::Int(a) => message.int_keys = a.values().to_vec(),
                Keys::Text(a) => {
                    message.text_keys = a.iter().flatten().map(str::to_string).collect();
                }
            }
            let header = disk::LogRecord { schema_ts, delete: Some(message), ..Default::default() };
            Ok(header.encode_length_delimited_to_vec().into())
        }
    }
}

fn encode_rows(
    batch: &RecordBatch,
    groups: &[(u64, usize)],
    schema_ts: Timestamp,
) -> Result<Bytes> {
    let options = IpcWriteOptions::default();
    let mut dictionaries = DictionaryTracker::new(false);
    let (_, encoded) = IpcDataGenerator::default().encode(
        batch,
        &mut dictionaries,
        &options,
        &mut CompressionContext::default(),
    )?;
    let mut header = disk::LogRecord {
        schema_ts,
        groups: groups
            .iter()
            .map(|(id, rows)| disk::RowGroup { partition_id: *id, rows: *rows as u64 })
            .collect(),
        message_size_bytes: u32::try_from(encoded.ipc_message.len())
            .ok()
            .and_then(|size| size.checked_add(2 * ALIGNMENT as u32))
            .ok_or_else(|| Error::internal("an IPC header of more than 4 GiB"))?,
        delete: None,
    };
    // The message is padded, so that the rows begin where their numbers are aligned.
    let beyond = header.message_size_bytes as usize + delimited_len(&header);
    header.message_size_bytes -= (beyond % ALIGNMENT) as u32;
    let body = delimited_len(&header) + header.message_size_bytes as usize;
    let mut out = Vec::with_capacity(body + encoded.arrow_data.len());
    out.extend_from_slice(&header.encode_length_delimited_to_vec());
    out.extend_from_slice(&encoded.ipc_message);
    out.resize(body, 0);
    out.extend_from_slice(&encoded.arrow_data);
    Ok(out.into())
}

fn delimited_len(header: &disk::LogRecord) -> usize {
    let len = header.encoded_len();
    prost::length_delimiter_len(len) + len
}

/// The same change, its dense vectors in the memory of its record: rows wait in the log and in the memtable for
/// their flush, and once is enough. Of small changes a copy is kept, which costs less than to look for them.
pub fn share_vectors(change: Change, record: &Bytes) -> Result<Change> {
    let Change::Rows { batch, groups } = change else { return Ok(change) };
    let dense = |at: &usize| matches!(batch.column(*at).data_type(), ArrowType::FixedSizeList(..));
    let shared: Vec<usize> = (0..batch.num_columns()).filter(dense).collect();
    if record.len() < SHARED_BYTES || shared.is_empty() {
        return Ok(Change::Rows { batch, groups });
    }
    let (_, message, body) = parts(record)?;
    let (message, rows) = rows_of(message)?;
    let body = Buffer::from(record.slice_ref(body));
    let found = read_record_batch(
        &body,
        rows,
        batch.schema(),
        &HashMap::new(),
        Some(&shared),
        &message.version(),
    )?;
    let mut columns = batch.columns().to_vec();
    shared.iter().zip(found.columns()).for_each(|(at, column)| columns[*at] = column.clone());
    Ok(Change::Rows { batch: RecordBatch::try_new(batch.schema(), columns)?, groups })
}

/// Header, IPC message and rows of a record.
fn parts(record: &[u8]) -> Result<(disk::LogRecord, &[u8], &[u8])> {
    let mut rest = record;
    let header =
        disk::LogRecord::decode_length_delimited(&mut rest).map_err(|e| bad(e.to_string()))?;
    let (message, body) = rest
        .split_at_checked(header.message_size_bytes as usize)
        .ok_or_else(|| bad("it is cut off".into()))?;
    Ok((header, message, body))
}

fn rows_of(message: &[u8]) -> Result<(ipc::Message<'_>, ipc::RecordBatch<'_>)> {
    let message =
        arrow::ipc::root_as_message(message).map_err(|e| bad(format!("its rows: {e}")))?;
    let rows = message.header_as_record_batch().ok_or_else(|| bad("it holds no rows".into()))?;
    Ok((message, rows))
}

fn bad(why: String) -> Error {
    Error::corrupted("a log record", why)
}

/// Reads a record. `schema_at` gives the columns of the schema that was in force at a timestamp.
pub fn decode(
    bytes: &[u8],
    schema_at: impl Fn(Timestamp) -> Result<SchemaRef>,
) -> Result<(Change, Timestamp)> {
    let (header, message, body) = parts(bytes)?;
    let schema_ts = header.schema_ts;
    if let Some(delete) = header.delete {
        let keys = if delete.text_keys.is_empty() {
            Keys::Int(Int64Array::from(delete.int_keys))
        } else {
            Keys::Text(StringArray::from(delete.text_keys))
        };
        return Ok((Change::Delete { keys, partitions: delete.partition_ids }, schema_ts));
    }
    let (message, rows) = rows_of(message)?;
    let schema = schema_at(schema_ts)?;
    ipc_check::check(&rows, &schema, body.len()).map_err(|why| bad(why.into()))?;
    let batch = read_record_batch(
        &Buffer::from(body),
        rows,
        schema,
        &HashMap::new(),
        None,
        &message.version(),
    )
    .map_err(|e| bad(format!("its rows: {e}")))?;
    let groups: Vec<(u64, usize)> =
        header.groups.iter().map(|g| (g.partition_id, g.rows as usize)).collect();
    let grouped = groups.iter().try_fold(0usize, |sum, (_, rows)| sum.checked_add(*rows));
    if grouped != Some(batch.num_rows()) {
        return Err(bad("its partitions do not add up to its rows".into()));
    }
    Ok((Change::Rows { batch, groups }, schema_ts))
}

/// Reorders rows so that those of one partition are together; `partition_of` tells each row's. Of rows with
/// one key in several partitions only the last stays: the order between partitions is lost.
pub fn group_by_partition(
    batch: RecordBatch,
    keys: &Keys,
    partition_of: &[u64],
) -> Result<(RecordBatch, Vec<(u64, usize)>)> {
    let uniform = partition_of.windows(2).all(|w| w[0] == w[1]);
    if uniform {
        let groups = partition_of.first().map(|p| (*p, batch.num_rows())).into_iter().collect();
        return Ok((batch, groups));
    }
    let mut seen = HashSet::new();
    let mut order: Vec<u32> = (0..partition_of.len() as u32)
        .rev()
        .filter(|row| seen.insert(keys.get(*row as usize)))
        .collect();
    order.reverse();
    order.sort_by_key(|row| partition_of[*row as usize]);
    let mut groups: Vec<(u64, usize)> = Vec::new();
    for row in &order {
        let partition = partition_of[*row as usize];
        match groups.last_mut() {
            Some((last, rows)) if *last == partition => *rows += 1,
            _ => groups.push((partition, 1)),
        }
    }
    let indices = arrow::array::UInt32Array::from(order);
    Ok((arrow::compute::take_record_batch(&batch, &indices)?, groups))
}

/// A key column without nulls as keys.
pub fn keys_of(batch: &RecordBatch, key_column: usize) -> Result<Keys> {
    let column: &Arc<dyn Array> = batch.column(key_column);
    Keys::from_array(column.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::schema::{CollectionSchema, DataType, FieldSchema};
    use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Float32Array};
    use arrow::datatypes::Int64Type;

    #[test]
    fn records_survive_a_round_trip_and_refuse_damage() {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("v", DataType::FloatVector { dim: 2 }).nullable(),
        ])
        .to_arrow();
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
        let values = Arc::new(Float32Array::from(vec![0.5; 6]));
        let field =
            Arc::new(arrow::datatypes::Field::new("item", values.data_type().clone(), true));
        let nulls = Some(vec![true, false, true].into());
        let vectors: ArrayRef = Arc::new(FixedSizeListArray::new(field, 2, values, nulls));
        let batch = RecordBatch::try_new(schema.clone(), vec![ids, vectors]).unwrap();
        let keys = keys_of(&batch, 0).unwrap();
        let (batch, groups) = group_by_partition(batch, &keys, &[8, 7, 8]).unwrap();
        assert_eq!(groups, vec![(7, 1), (8, 2)]);
        let bytes = encode(&Change::Rows { batch: batch.clone(), groups }, 5).unwrap();
        let read = |bytes: &[u8]| decode(bytes, |_| Ok(schema.clone()));
        let Ok((Change::Rows { batch: back, .. }, 5)) = read(&bytes) else { panic!() };
        assert_eq!(back, batch);
        assert_eq!(back.column(0).as_primitive::<Int64Type>().values(), &[1, 3, 2]);
        for cut in [0, 1, 5, 60] {
            assert!(read(&bytes[..cut]).is_err(), "cut {cut}");
        }
    }

    #[test]
    fn vectors_of_a_large_record_lie_in_its_memory() {
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("v", DataType::FloatVector { dim: 32 }).nullable(),
            FieldSchema::new("text", DataType::VarChar { max_length: 20 }),
        ])
        .to_arrow();
        for (rows, shared) in [(3usize, false), (1_000, true), (1_001, true)] {
            let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows as i64));
            let values = Float32Array::from_iter_values((0..rows * 32).map(|n| n as f32));
            let field =
                Arc::new(arrow::datatypes::Field::new("item", values.data_type().clone(), true));
            let nulls = Some((0..rows).map(|row| row % 7 != 3).collect());
            let vectors: ArrayRef =
                Arc::new(FixedSizeListArray::new(field, 32, Arc::new(values), nulls));
            let texts: ArrayRef =
                Arc::new(StringArray::from_iter_values((0..rows).map(|n| n.to_string())));
            let batch = RecordBatch::try_new(schema.clone(), vec![ids, vectors, texts]).unwrap();
            let groups = vec![(7, rows)];
            let record = encode(&Change::Rows { batch: batch.clone(), groups: groups.clone() }, 5);
            let record = record.unwrap();
            let (_, _, body) = parts(&record).unwrap();
            assert_eq!((body.as_ptr() as usize - record.as_ptr() as usize) % ALIGNMENT, 0);
            let change = share_vectors(Change::Rows { batch: batch.clone(), groups }, &record);
            let Change::Rows { batch: same, .. } = change.unwrap() else { panic!() };
            assert_eq!(same, batch);
            let values = same.column(1).as_fixed_size_list().values().to_data();
            let within = record.as_ptr_range().contains(&values.buffers()[0].as_ptr());
            assert_eq!(within, shared, "{rows} rows");
        }
    }

    #[test]
    fn records_whose_numbers_lie_are_refused() {
        let fields = vec![FieldSchema::new("id", DataType::Int64).primary()];
        let schema = CollectionSchema::new(fields).to_arrow();
        let ids: ArrayRef = Arc::new(Int64Array::from(vec![3, 1, 2]));
        let batch = RecordBatch::try_new(schema.clone(), vec![ids]).unwrap();
        let bytes = encode(&Change::Rows { batch, groups: vec![(7, 3)] }, 5).unwrap();
        let lies = [1u64 << 33, u64::MAX, 1 << 63, u64::MAX / 2];
        let mut refused = 0;
        // Whatever number of it is wrong: where a buffer begins, how long it is, how many rows there are.
        for at in 0..bytes.len() - 8 {
            for lie in lies {
                let mut bad = bytes.to_vec();
                bad[at..at + 8].copy_from_slice(&lie.to_le_bytes());
                refused += usize::from(decode(&bad, |_| Ok(schema.clone())).is_err());
            }
        }
        assert!(refused > bytes.len());
    }
}
