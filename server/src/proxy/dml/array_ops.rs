//! Partial update of arrays: values to be put behind those that are there, or taken out of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MutableArrayData, UInt32Array, make_array, make_comparator,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::SortOptions;
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType};
use elanus_proto::schema::field_data::Field;
use elanus_proto::schema::field_partial_update_op::OpType;
use elanus_proto::schema::scalar_field::Data;
use elanus_proto::schema::{FieldData, FieldPartialUpdateOp};

use crate::convert::schema::wire_type;
use crate::convert::{internal, invalid};
use crate::status::Failure;

/// What to do with a field's array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArrayOp {
    /// Put the given values behind the others.
    Append,
    /// Take out each occurrence of the given values.
    Remove,
}

/// Operations by field; other fields are replaced.
pub(super) type ArrayOps = BTreeMap<String, ArrayOp>;

/// Reads what is to be done with each field.
///
/// # Errors
/// If an operation is not known, given twice, or of a field that is no array or has no values in the request.
pub(super) fn read(
    ops: &[FieldPartialUpdateOp],
    schema: &CollectionSchema,
    columns: &[FieldData],
) -> Result<ArrayOps, Failure> {
    let mut seen = std::collections::BTreeSet::new();
    let mut out = ArrayOps::new();
    for op in ops {
        let name = &op.field_name;
        if name.is_empty() {
            return Err(Failure::missing("FieldPartialUpdateOp.field_name is required"));
        }
        if !seen.insert(name) {
            return Err(invalid(format!("duplicate partial-update op for field {name:?}")));
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
        check(op, kind, schema, columns)?;
        out.insert(name.clone(), kind);
    }
    Ok(out)
}

fn check(
    op: &FieldPartialUpdateOp,
    kind: ArrayOp,
    schema: &CollectionSchema,
    columns: &[FieldData],
) -> Result<(), Failure> {
    let name = &op.field_name;
    let field = schema
        .field(name)
        .map_err(|_| invalid(format!("field {name:?} not found in collection schema")))?;
    if field.is_primary {
        return Err(invalid(format!(
            "field {name:?} is the primary key and cannot carry a partial-update op"
        )));
    }
    let DataType::Array { element, max_capacity } = &field.data_type else {
        return Err(invalid(format!(
            "op {} requires Array field, but field {name:?} is {}",
            op.op().as_str_name(),
            wire_type(&field.data_type).as_str_name()
        )));
    };
    let given = columns.iter().find(|c| c.field_name == *name).ok_or_else(|| {
        invalid(format!("partial-update op targets field {name:?} not present in fields_data"))
    })?;
    let rows = match &given.field {
        Some(Field::Scalars(scalars)) => match &scalars.data {
            Some(Data::ArrayData(rows)) => rows,
            _ => return Err(no_array(name)),
        },
        _ => return Err(no_array(name)),
    };
    let (wanted, got) = (wire_type(element), rows.element_type());
    if got != elanus_proto::schema::DataType::None && got != wanted {
        return Err(invalid(format!(
            "field {name:?} expects element type {} but request provides {}",
            wanted.as_str_name(),
            got.as_str_name()
        )));
    }
    if kind == ArrayOp::Append {
        for (row, values) in rows.data.iter().enumerate() {
            let length = length(values.data.as_ref());
            if length > *max_capacity as usize {
                return Err(invalid(format!(
                    "ARRAY_APPEND payload for field {name:?} row {row} has length {length} exceeding \
                     max_capacity {max_capacity}"
                )));
            }
        }
    }
    Ok(())
}

fn no_array(name: &str) -> Failure {
    invalid(format!("partial-update op field {name:?} payload is not an Array"))
}

fn length(data: Option<&Data>) -> usize {
    match data {
        Some(Data::BoolData(v)) => v.data.len(),
        Some(Data::IntData(v)) => v.data.len(),
        Some(Data::LongData(v)) => v.data.len(),
        Some(Data::FloatData(v)) => v.data.len(),
        Some(Data::DoubleData(v)) => v.data.len(),
        Some(Data::StringData(v)) => v.data.len(),
        _ => 0,
    }
}

/// The arrays after the operation. `source` says where each row was before, or null for a new one: that
/// counts as empty. A null in the request leaves a row as it is.
pub(super) fn apply(
    op: ArrayOp,
    new: &ArrayRef,
    old: &ArrayRef,
    source: &UInt32Array,
) -> Result<ArrayRef, Failure> {
    let wrong = || internal("an array operation is asked of a column that has no arrays");
    let new = new.as_list_opt::<i32>().ok_or_else(wrong)?;
    let old = old.as_list_opt::<i32>().ok_or_else(wrong)?;
    let (before, given) = (old.values(), new.values());
    let equal = make_comparator(before, given, SortOptions::default()).map_err(Error::from)?;
    let (before, given) = (before.to_data(), given.to_data());
    let mut values = MutableArrayData::new(vec![&before, &given], false, given.len());
    let mut lengths = Vec::with_capacity(new.len());
    let mut valid = Vec::with_capacity(new.len());
    for row in 0..new.len() {
        let from = source.is_valid(row).then(|| source.value(row) as usize);
        let kept = from.map_or(0..0, |at| range(old, at));
        let more = range(new, row);
        let start = values.len();
        match op {
            _ if new.is_null(row) => values.extend(0, kept.start, kept.end),
            ArrayOp::Append => {
                values.extend(0, kept.start, kept.end);
                values.extend(1, more.start, more.end);
            }
            ArrayOp::Remove => {
                for at in kept.filter(|at| more.clone().all(|m| equal(*at, m).is_ne())) {
                    values.extend(0, at, at + 1);
                }
            }
        }
        lengths.push(values.len() - start);
        valid.push(new.is_valid(row) || from.is_some_and(|at| old.is_valid(at)));
    }
    let item = match new.data_type() {
        arrow::datatypes::DataType::List(item) => item.clone(),
        _ => return Err(wrong()),
    };
    let offsets = OffsetBuffer::from_lengths(lengths);
    let nulls = NullBuffer::from(valid);
    let list = ListArray::try_new(item, offsets, make_array(values.freeze()), Some(nulls));
    Ok(Arc::new(list.map_err(Error::from)?))
}

/// The values of a row; none of a null one.
fn range(lists: &ListArray, row: usize) -> std::ops::Range<usize> {
    let offsets = lists.value_offsets();
    let at = |row: usize| usize::try_from(offsets[row]).unwrap_or(0);
    if lists.is_null(row) { 0..0 } else { at(row)..at(row + 1) }
}

#[cfg(test)]
mod tests {
    use arrow::array::ListArray;
    use arrow::datatypes::Int64Type;

    use super::*;

    type Rows = Vec<Option<Vec<Option<i64>>>>;

    fn lists(rows: &[Option<&[i64]>]) -> ArrayRef {
        let rows = rows.iter().map(|r| r.map(|r| r.iter().map(|v| Some(*v)).collect::<Vec<_>>()));
        Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(rows))
    }

    #[test]
    fn arrays_grow_and_shrink() {
        let old = lists(&[Some(&[1, 2, 1]), None, Some(&[])]);
        let new = lists(&[Some(&[1, 3]), Some(&[4]), Some(&[5]), None, Some(&[6])]);
        let source = UInt32Array::from(vec![Some(0), Some(1), Some(2), Some(0), None]);
        let rows = |op| -> Rows {
            let array = apply(op, &new, &old, &source).unwrap_or_else(|e| panic!("{}", e.reason));
            let list = array.as_list::<i32>();
            let row =
                |r: Option<ArrayRef>| r.map(|v| v.as_primitive::<Int64Type>().iter().collect());
            list.iter().map(row).collect()
        };
        let some = |v: &[i64]| Some(v.iter().map(|v| Some(*v)).collect::<Vec<_>>());
        let appended =
            vec![some(&[1, 2, 1, 1, 3]), some(&[4]), some(&[5]), some(&[1, 2, 1]), some(&[6])];
        assert_eq!(rows(ArrayOp::Append), appended);
        let removed = vec![some(&[2]), some(&[]), some(&[]), some(&[1, 2, 1]), some(&[])];
        assert_eq!(rows(ArrayOp::Remove), removed);
    }
}
