//! Functions over the rows of a query, as a whole or by groups: `count`, `sum`, `avg`, `min`, `max`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType as ArrowType, Float64Type, Int64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};
use elanus_engine::api::Selection;
use elanus_engine::core::error::Error;
use elanus_engine::core::schema::{CollectionSchema, DataType};

use crate::convert::{internal, invalid, schema as wire_schema};
use crate::proxy::search::target::Target;
use crate::status::Failure;

/// A function over rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

/// A call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    /// As the client wrote it, which names the column of the answer.
    pub name: String,
    pub function: Function,
    /// The field; none for `count(*)`.
    pub field: Option<String>,
}

impl Call {
    /// Reads an output field; `None`: it is no call of a function.
    pub fn read(schema: &CollectionSchema, name: &str) -> Result<Option<Self>, Failure> {
        let Some((function, over)) = split(name) else { return Ok(None) };
        let text = function.to_ascii_lowercase();
        let function = match text.as_str() {
            "count" => Function::Count,
            "sum" => Function::Sum,
            "avg" => Function::Avg,
            "min" => Function::Min,
            "max" => Function::Max,
            _ => return Ok(None),
        };
        let call = |field| Self { name: name.trim().to_string(), function, field };
        if over == "*" {
            return match function {
                Function::Count => Ok(Some(call(None))),
                _ => Err(invalid(format!("{text}(*) is not supported, only count(*) is allowed"))),
            };
        }
        let field = schema.fields.iter().find(|f| f.name == over).ok_or_else(|| {
            invalid(format!("target field {over} for aggregation:{text} does not exist"))
        })?;
        let number = is_number(&field.data_type);
        let fits = match function {
            Function::Count => true,
            Function::Sum | Function::Avg => number,
            Function::Min | Function::Max => {
                number || matches!(field.data_type, DataType::VarChar { .. })
            }
        };
        if !fits {
            return Err(invalid(format!(
                "aggregation operator {text} does not support data type {}",
                wire_schema::wire_type(&field.data_type).as_str_name()
            )));
        }
        Ok(Some(call(Some(over.to_string()))))
    }
}

fn split(name: &str) -> Option<(&str, &str)> {
    let (function, rest) = name.trim().split_once('(')?;
    Some((function.trim(), rest.trim_end().strip_suffix(')')?.trim()))
}

fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Float | DataType::Double)
}

/// Refuses a field whose values make no groups.
pub(super) fn check_group_field(schema: &CollectionSchema, name: &str) -> Result<(), Failure> {
    let field = schema.fields.iter().find(|f| f.name == name);
    let field = field.ok_or_else(|| invalid(format!("field {name} not exist")))?;
    match field.data_type {
        DataType::Bool
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::VarChar { .. } => Ok(()),
        ref other => match wire_schema::wire_type(other).as_str_name() {
            "Timestamptz" => Ok(()),
            kind => Err(invalid(format!("group by field {name} has unsupported data type {kind}"))),
        },
    }
}

/// One function's state over the groups.
#[derive(Debug)]
enum State {
    Count(Vec<i64>),
    Ints(Vec<Option<i64>>),
    Floats(Vec<Option<f64>>),
    Mean(Vec<(f64, u64)>),
    /// The least or largest value so far.
    Extreme {
        converter: RowConverter,
        best: Vec<Option<OwnedRow>>,
        largest: bool,
    },
}

/// The groups of the selected rows, with what the calls make of each: first the group fields, then the
/// calls, by their names.
pub(super) async fn aggregate(
    target: &Target,
    select: &Selection,
    group_by: &[String],
    calls: &[Call],
) -> Result<RecordBatch, Failure> {
    let mut columns: Vec<String> = group_by.to_vec();
    for field in calls.iter().filter_map(|call| call.field.as_ref()) {
        if !columns.contains(field) {
            columns.push(field.clone());
        }
    }
    let schema = target.schema().to_arrow();
    let kind = |name: &String| -> Result<ArrowType, Failure> {
        let field = schema.field_with_name(name).map_err(Error::from)?;
        Ok(field.data_type().clone())
    };
    let mut group_kinds = Vec::with_capacity(group_by.len());
    for name in group_by {
        group_kinds.push(SortField::new(kind(name)?));
    }
    let mut gathering = Gathering {
        converter: RowConverter::new(group_kinds).map_err(Error::from)?,
        places: HashMap::new(),
        keys: Vec::new(),
        states: Vec::with_capacity(calls.len()),
    };
    for call in calls {
        let kind = call.field.as_ref().map(kind).transpose()?;
        gathering.states.push(State::new(call.function, kind)?);
    }
    if group_by.is_empty() {
        gathering.one_group();
    }
    for unit in 0..target.snapshot.units() {
        let (batches, _) = target.snapshot.scan_unit(unit, select, &columns, None).await?;
        for batch in &batches {
            gathering.add(batch, group_by, calls)?;
        }
    }
    gathering.finish(group_by, calls)
}

/// The groups so far.
struct Gathering {
    converter: RowConverter,
    places: HashMap<OwnedRow, usize>,
    keys: Vec<OwnedRow>,
    states: Vec<State>,
}

impl Gathering {
    /// Without group fields there is one group, even of no rows.
    fn one_group(&mut self) {
        for state in &mut self.states {
            state.grow(1);
        }
    }

    fn add(
        &mut self,
        batch: &RecordBatch,
        group_by: &[String],
        calls: &[Call],
    ) -> Result<(), Failure> {
        let groups = match group_by {
            [] => vec![0; batch.num_rows()],
            _ => self.groups_of(batch, group_by)?,
        };
        let count = self.keys.len().max(usize::from(group_by.is_empty()));
        for (state, call) in self.states.iter_mut().zip(calls) {
            state.grow(count);
            let column = match &call.field {
                Some(name) => Some(column(batch, name)?),
                None => None,
            };
            state.add(&groups, column)?;
        }
        Ok(())
    }

    /// The group of each row.
    fn groups_of(
        &mut self,
        batch: &RecordBatch,
        group_by: &[String],
    ) -> Result<Vec<usize>, Failure> {
        let columns: Vec<ArrayRef> =
            group_by.iter().map(|n| column(batch, n).cloned()).collect::<Result<_, _>>()?;
        let rows = self.converter.convert_columns(&columns).map_err(Error::from)?;
        let mut groups = Vec::with_capacity(batch.num_rows());
        for row in &rows {
            let row = row.owned();
            let next = self.keys.len();
            let at = *self.places.entry(row.clone()).or_insert(next);
            if at == next {
                self.keys.push(row);
            }
            groups.push(at);
        }
        Ok(groups)
    }

    fn finish(self, group_by: &[String], calls: &[Call]) -> Result<RecordBatch, Failure> {
        let keys = self.keys.iter().map(OwnedRow::row);
        let arrays = match group_by {
            [] => Vec::new(),
            _ => self.converter.convert_rows(keys).map_err(Error::from)?,
        };
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        columns.extend(group_by.iter().cloned().zip(arrays));
        for (state, call) in self.states.into_iter().zip(calls) {
            columns.push((call.name.clone(), state.finish()?));
        }
        let columns = columns.into_iter().map(|(name, array)| (name, array, true));
        RecordBatch::try_from_iter_with_nullable(columns).map_err(|e| Error::from(e).into())
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, Failure> {
    batch.column_by_name(name).ok_or_else(|| internal(format!("field {name} was not scanned")))
}

impl State {
    fn new(function: Function, kind: Option<ArrowType>) -> Result<Self, Failure> {
        let kind = kind.unwrap_or(ArrowType::Null);
        Ok(match function {
            Function::Count => Self::Count(Vec::new()),
            Function::Sum if kind.is_integer() => Self::Ints(Vec::new()),
            Function::Sum => Self::Floats(Vec::new()),
            Function::Avg => Self::Mean(Vec::new()),
            Function::Min | Function::Max => Self::Extreme {
                converter: RowConverter::new(vec![SortField::new(kind)]).map_err(Error::from)?,
                best: Vec::new(),
                largest: function == Function::Max,
            },
        })
    }

    fn grow(&mut self, groups: usize) {
        match self {
            Self::Count(v) => v.resize(groups.max(v.len()), 0),
            Self::Ints(v) => v.resize(groups.max(v.len()), None),
            Self::Floats(v) => v.resize(groups.max(v.len()), None),
            Self::Mean(v) => v.resize(groups.max(v.len()), (0.0, 0)),
            Self::Extreme { best, .. } => best.resize(groups.max(best.len()), None),
        }
    }

    /// Adds rows; nulls count for nothing.
    fn add(&mut self, groups: &[usize], column: Option<&ArrayRef>) -> Result<(), Failure> {
        let floats = |column: Option<&ArrayRef>| -> Result<Float64Array, Failure> {
            let column = column.ok_or_else(|| internal("a function lacks its column"))?;
            let column = cast(column, &ArrowType::Float64).map_err(Error::from)?;
            Ok(column.as_primitive::<Float64Type>().clone())
        };
        match self {
            Self::Count(counts) => {
                for (row, group) in groups.iter().enumerate() {
                    counts[*group] += i64::from(column.is_none_or(|c| c.is_valid(row)));
                }
            }
            Self::Ints(sums) => {
                let column = column.ok_or_else(|| internal("a function lacks its column"))?;
                let ints = cast(column, &ArrowType::Int64).map_err(Error::from)?;
                for (group, value) in groups.iter().zip(ints.as_primitive::<Int64Type>()) {
                    let Some(value) = value else { continue };
                    let sum = sums[*group].unwrap_or(0).checked_add(value);
                    sums[*group] = Some(sum.ok_or_else(|| {
                        invalid("a sum is too large for 64 bits: group further or filter rows")
                    })?);
                }
            }
            Self::Floats(sums) => {
                for (group, value) in groups.iter().zip(&floats(column)?) {
                    if let Some(value) = value {
                        *sums[*group].get_or_insert(0.0) += value;
                    }
                }
            }
            Self::Mean(means) => {
                for (group, value) in groups.iter().zip(&floats(column)?) {
                    if let Some(value) = value {
                        means[*group].0 += value;
                        means[*group].1 += 1;
                    }
                }
            }
            Self::Extreme { converter, best, largest } => {
                let column = column.ok_or_else(|| internal("a function lacks its column"))?;
                let rows =
                    converter.convert_columns(std::slice::from_ref(column)).map_err(Error::from)?;
                for (row, group) in groups.iter().enumerate().filter(|(r, _)| column.is_valid(*r)) {
                    let value = rows.row(row);
                    let better = best[*group].as_ref().is_none_or(|known| match largest {
                        true => value > known.row(),
                        false => value < known.row(),
                    });
                    if better {
                        best[*group] = Some(value.owned());
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<ArrayRef, Failure> {
        Ok(match self {
            Self::Count(counts) => Arc::new(Int64Array::from(counts)),
            Self::Ints(sums) => Arc::new(Int64Array::from(sums)),
            Self::Floats(sums) => Arc::new(Float64Array::from(sums)),
            Self::Mean(means) => {
                let mean = |(sum, count): (f64, u64)| (count > 0).then(|| sum / count as f64);
                Arc::new(means.into_iter().map(mean).collect::<Float64Array>())
            }
            Self::Extreme { converter, best, .. } => {
                let mut next = 0;
                let places: UInt32Array = best
                    .iter()
                    .map(|known| {
                        next += u32::from(known.is_some());
                        known.as_ref().map(|_| next - 1)
                    })
                    .collect();
                let known = best.iter().flatten().map(OwnedRow::row);
                let values = converter.convert_rows(known).map_err(Error::from)?;
                let values = values.first().ok_or_else(|| internal("an extreme has no values"))?;
                take(values, &places, None).map_err(Error::from)?
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::StringArray;
    use elanus_engine::core::schema::FieldSchema;

    fn schema() -> CollectionSchema {
        CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("s", DataType::VarChar { max_length: 9 }),
            FieldSchema::new("j", DataType::Json),
            FieldSchema::new("f", DataType::Float),
        ])
    }

    #[test]
    fn calls_are_read_and_wrong_ones_refused() {
        let read = |name| Call::read(&schema(), name).map_err(|f| f.reason);
        let call = read(" Max ( s ) ").ok().flatten();
        let expected =
            Call { name: "Max ( s )".into(), function: Function::Max, field: Some("s".into()) };
        assert_eq!(call, Some(expected));
        assert_eq!(read("id"), Ok(None));
        assert_eq!(read("median(id)"), Ok(None));
        for (name, words) in [
            ("sum(*)", "sum(*) is not supported"),
            ("min(x)", "target field x for aggregation:min does not exist"),
            ("sum(s)", "aggregation operator sum does not support data type VarChar"),
            ("max(j)", "aggregation operator max does not support data type JSON"),
        ] {
            assert!(read(name).is_err_and(|e| e.contains(words)), "{name}");
        }
        for (name, fits) in [("s", true), ("j", false), ("f", false), ("x", false)] {
            assert_eq!(check_group_field(&schema(), name).is_ok(), fits, "{name}");
        }
    }

    fn state(function: Function, column: ArrayRef) -> Result<ArrayRef, String> {
        let mut state =
            State::new(function, Some(column.data_type().clone())).map_err(|f| f.reason)?;
        state.grow(3);
        // Twice, as two batches: groups 0 and 1 have values, 2 has none.
        state.add(&[0, 1, 0, 2], Some(&column)).map_err(|f| f.reason)?;
        state.add(&[0, 1, 1, 2], Some(&column)).map_err(|f| f.reason)?;
        state.finish().map_err(|f| f.reason)
    }

    #[test]
    fn functions_ignore_nulls_and_span_batches() -> Result<(), String> {
        let ints = || Arc::new(Int64Array::from(vec![Some(5), Some(2), None, None])) as ArrayRef;
        let int = |v: &[Option<i64>]| Arc::new(Int64Array::from(v.to_vec())) as ArrayRef;
        assert_eq!(&state(Function::Count, ints())?, &int(&[Some(2), Some(2), Some(0)]));
        assert_eq!(&state(Function::Sum, ints())?, &int(&[Some(10), Some(4), None]));
        assert_eq!(&state(Function::Max, ints())?, &int(&[Some(5), Some(2), None]));
        let means = Float64Array::from(vec![Some(5.0), Some(2.0), None]);
        assert_eq!(&state(Function::Avg, ints())?, &(Arc::new(means) as ArrayRef));
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("a"), None, None]));
        let least: ArrayRef = Arc::new(StringArray::from(vec![Some("b"), Some("a"), None]));
        assert_eq!(&state(Function::Min, texts)?, &least);
        Ok(())
    }

    #[test]
    fn a_sum_that_overflows_is_refused() {
        let large: ArrayRef = Arc::new(Int64Array::from(vec![i64::MAX, 0, 1, 0]));
        assert!(state(Function::Sum, large).is_err_and(|e| e.contains("too large")));
    }
}
