//! Array operations of a partial upsert: elements added to, or taken out of, the array that is there.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, UInt32Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::interleave;
use arrow::datatypes::DataType as ArrowType;
use arrow::row::{Row, RowConverter, SortField};
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::FieldPartialUpdateOp;
use elanus_proto::schema::field_partial_update_op::OpType;

use crate::convert::{internal, invalid, schema as wire_schema};
use crate::status::{Failure, code};

/// What is done with a field's array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrayOp {
    /// The given elements come behind those that are there.
    Append,
    /// Every element equal to a given one goes.
    Remove,
}

/// The array operations of a request, by field.
pub(super) type ArrayOps = BTreeMap<String, ArrayOp>;

/// Reads them; `given` are the fields that carry data. Replacing needs no operation.
pub(super) fn read(
    schema: &CollectionSchema,
    ops: &[FieldPartialUpdateOp],
    given: &HashSet<String>,
) -> Result<ArrayOps, Failure> {
    let mut found = BTreeMap::new();
    let mut seen = HashSet::new();
    for op in ops {
        let name = op.field_name.as_str();
        if name.is_empty() {
            return Err(Failure::missing("FieldPartialUpdateOp.field_name is required"));
        }
        if !seen.insert(name) {
            return Err(invalid(format!("duplicate partial-update op for field \"{name}\"")));
        }
        let kind = match op.op() {
            OpType::Replace => continue,
            OpType::ArrayAppend => ArrayOp::Append,
            OpType::ArrayRemove => ArrayOp::Remove,
            OpType::PathReplace => {
                return Err(invalid(format!(
                    "unsupported partial update op: {}",
                    op.op().as_str_name()
                )));
            }
        };
        let field = schema.fields.iter().find(|f| f.name == name);
        let field = field
            .ok_or_else(|| invalid(format!("field \"{name}\" not found in collection schema")))?;
        if field.is_primary {
            return Err(invalid(format!(
                "field \"{name}\" is the primary key and cannot carry a partial-update op"
            )));
        }
        if !matches!(field.data_type, DataType::Array { .. }) {
            return Err(invalid(format!(
                "op {} requires Array field, but field \"{name}\" is {}",
                op.op().as_str_name(),
                wire_schema::wire_type(&field.data_type).as_str_name()
            )));
        }
        if !given.contains(name) {
            return Err(invalid(format!(
                "partial-update op targets field \"{name}\" not present in fields_data"
            )));
        }
        found.insert(name.to_string(), kind);
    }
    Ok(found)
}

/// The arrays after the operation. `before` has for each row the array that is there, or null; a row
/// whose given array is null keeps what it has.
pub(super) fn apply(
    op: ArrayOp,
    before: &ArrayRef,
    given: &ArrayRef,
    max_capacity: u32,
) -> Result<ArrayRef, Failure> {
    let old = lists(before)?;
    let new = lists(given)?;
    let ArrowType::List(item) = old.data_type() else {
        return Err(internal("an array column is no list"));
    };
    let elements = [old.values().as_ref(), new.values().as_ref()];
    let equal = match op {
        ArrayOp::Append => None,
        ArrayOp::Remove => Some(Equal::new(&old, &new)?),
    };
    let mut taken: Vec<(usize, usize)> = Vec::new();
    let mut lengths = Vec::with_capacity(old.len());
    let mut valid = Vec::with_capacity(old.len());
    for row in 0..old.len() {
        let start = taken.len();
        let there = elements_of(&old, row);
        match &equal {
            None => {
                taken.extend(there.map(|at| (0, at)));
                taken.extend(elements_of(&new, row).map(|at| (1, at)));
            }
            Some(equal) => {
                let gone = equal.given(elements_of(&new, row));
                taken.extend(
                    there.filter(|at| !gone.contains(&equal.old.row(*at))).map(|at| (0, at)),
                );
            }
        }
        let length = taken.len() - start;
        if op == ArrayOp::Append && length > max_capacity as usize {
            return Err(Failure::new(
                code::UNEXPECTED,
                format!("array length {length} exceeds max_capacity {max_capacity}"),
            ));
        }
        lengths.push(length);
        valid.push(old.is_valid(row) || new.is_valid(row));
    }
    let values = interleave(&elements, &taken).map_err(Error::from)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = Some(NullBuffer::from(valid)).filter(|n| n.null_count() > 0);
    let list = ListArray::try_new(item.clone(), offsets, values, nulls).map_err(Error::from)?;
    Ok(Arc::new(list))
}

fn lists(array: &ArrayRef) -> Result<ListArray, Failure> {
    let list = array.as_list_opt::<i32>();
    Ok(list.ok_or_else(|| internal("an array column is no list"))?.clone())
}

/// The places of a row's elements among all elements; none of a null.
fn elements_of(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    if lists.is_null(row) {
        return 0..0;
    }
    let offsets = lists.value_offsets();
    let at = |i: usize| offsets.get(i).and_then(|o| usize::try_from(*o).ok()).unwrap_or(0);
    at(row)..at(row + 1)
}

/// Elements made comparable.
struct Equal {
    old: arrow::row::Rows,
    new: arrow::row::Rows,
}

impl Equal {
    fn new(old: &ListArray, new: &ListArray) -> Result<Self, Failure> {
        let kind = vec![SortField::new(old.values().data_type().clone())];
        let converter = RowConverter::new(kind).map_err(Error::from)?;
        let rows = |list: &ListArray| -> Result<_, Failure> {
            let column = std::slice::from_ref(list.values());
            Ok(converter.convert_columns(column).map_err(Error::from)?)
        };
        Ok(Self { old: rows(old)?, new: rows(new)? })
    }

    fn given(&self, places: std::ops::Range<usize>) -> HashSet<Row<'_>> {
        places.map(|at| self.new.row(at)).collect()
    }
}

/// The old arrays in the order of the given rows; null where a row is new.
pub(super) fn in_order(old: &ArrayRef, source: &UInt32Array) -> Result<ArrayRef, Failure> {
    arrow::compute::take(old, source, None).map_err(|e| Error::from(e).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Int64Type;
    use elanus_engine::core::schema::FieldSchema;

    fn list(rows: &[Option<&[i64]>]) -> ArrayRef {
        let rows = rows.iter().map(|r| r.map(|r| r.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    }

    #[test]
    fn elements_are_added_and_taken_out() -> Result<(), Failure> {
        let before = list(&[Some(&[1, 2, 1]), None, Some(&[5]), Some(&[7])]);
        let given = list(&[Some(&[1, 3]), Some(&[4]), None, Some(&[])]);
        let added = apply(ArrayOp::Append, &before, &given, 8)?;
        let wanted = list(&[Some(&[1, 2, 1, 1, 3]), Some(&[4]), Some(&[5]), Some(&[7])]);
        assert_eq!(&added, &wanted);
        let taken = apply(ArrayOp::Remove, &before, &given, 8)?;
        assert_eq!(&taken, &list(&[Some(&[2]), Some(&[]), Some(&[5]), Some(&[7])]));
        let full = apply(ArrayOp::Append, &before, &given, 4).err();
        assert!(full.is_some_and(|f| f.reason == "array length 5 exceeds max_capacity 4"));
        Ok(())
    }

    #[test]
    fn wrong_operations_are_refused_in_milvus_words() {
        let array = DataType::Array { element: Box::new(DataType::Int64), max_capacity: 4 };
        let schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("name", DataType::VarChar { max_length: 9 }),
            FieldSchema::new("tags", array),
        ]);
        let given: HashSet<String> = ["id", "name"].map(str::to_string).into();
        let op = |name: &str, op: OpType| {
            let op = FieldPartialUpdateOp {
                field_name: name.into(),
                op: op.into(),
                path: String::new(),
            };
            read(&schema, &[op], &given).err().map(|f| f.reason).unwrap_or_default()
        };
        for (name, kind, words) in [
            (
                "name",
                OpType::ArrayAppend,
                "op ARRAY_APPEND requires Array field, but field \"name\" is VarChar",
            ),
            ("id", OpType::ArrayRemove, "is the primary key and cannot carry a partial-update op"),
            ("x", OpType::ArrayAppend, "field \"x\" not found in collection schema"),
            (
                "tags",
                OpType::ArrayAppend,
                "partial-update op targets field \"tags\" not present in fields_data",
            ),
            ("tags", OpType::PathReplace, "unsupported partial update op: PATH_REPLACE"),
        ] {
            let reason = op(name, kind);
            assert!(reason.contains(words), "{name}: {reason}");
        }
        assert_eq!(op("tags", OpType::Replace), "");
    }
}
