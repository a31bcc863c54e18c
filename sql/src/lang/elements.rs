//! Functions that ask each element of a struct array: `element_filter` and the `match` family.
//!
//! The condition is a filter of its own over the sub-fields' elements laid end to end; each row then
//! counts the elements for which it is true.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, ListArray, RecordBatch, RecordBatchOptions, UInt32Array,
};
use datafusion::arrow::compute;
use datafusion::arrow::datatypes::{DataType as ArrowType, Field, Schema};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::ident;
use elanus_engine::core::error::{Error, Result as Checked};
use elanus_engine::core::filter::{ElementFilter, RowFilter};
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::structs::sub_name;

use super::ast::{CompareOp, Kind, Node};
use super::fault::{Fault, Outcome};
use super::filter::Filter;
use super::translate::{Meaning, Translator};
use super::udf::{self, Kernel};
use super::value::Value;

/// The function whose elements a search over elements is held to.
pub(super) const FILTER: &str = "element_filter";
/// The functions' names.
pub(super) const NAMES: [&str; 6] =
    [FILTER, "match_any", "match_all", "match_least", "match_most", "match_exact"];
/// An element of an array of scalars.
pub(super) const ELEMENT: &str = "$";
/// The name of what some of them take third.
const THRESHOLD: &str = "threshold";

/// How many elements must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    All,
    Least(u64),
    Most(u64),
    Exact(u64),
}

impl Count {
    fn holds(self, matching: u64, all: u64) -> bool {
        match self {
            Self::All => matching == all,
            Self::Least(n) => matching >= n,
            Self::Most(n) => matching <= n,
            Self::Exact(n) => matching == n,
        }
    }
}

/// A condition on the elements of one struct.
#[derive(Debug, Clone)]
pub(super) struct Elements {
    /// The struct's name.
    of: String,
    /// Columns: those that the condition reads, or any sub-field if it reads none.
    columns: Vec<String>,
    condition: Arc<Filter>,
}

impl Translator<'_> {
    /// `name(struct, condition)`, `name(struct, condition, threshold=n)`.
    pub(super) fn element_call(&self, node: &Node, name: &str, args: &[Node]) -> Outcome<Meaning> {
        let (asked, count) = match (name, args) {
            (FILTER | "match_any", [of, condition]) => ((of, condition), Count::Least(1)),
            ("match_all", [of, condition]) => ((of, condition), Count::All),
            ("match_least", [of, condition, n]) => match self.threshold(n)? {
                0 => return Err(Fault::at(n.start, "threshold of match_least must be above 0")),
                least => ((of, condition), Count::Least(least)),
            },
            ("match_most", [of, condition, n]) => {
                ((of, condition), Count::Most(self.threshold(n)?))
            }
            ("match_exact", [of, condition, n]) => {
                ((of, condition), Count::Exact(self.threshold(n)?))
            }
            ("match_least" | "match_most" | "match_exact", _) => {
                return Err(Fault::at(
                    node.start,
                    format!("{name} takes a struct array, a condition and threshold=n"),
                ));
            }
            _ => {
                return Err(Fault::at(
                    node.start,
                    format!("{name} takes a struct array and a condition"),
                ));
            }
        };
        let elements = self.elements(asked.0, asked.1, name != FILTER)?;
        let label = format!("{name}({}, {}, {count:?})", elements.of, elements.condition.expr());
        let columns = elements.columns.iter().map(ident).collect();
        Ok(Meaning::Truth(udf::call(label, Counting { count, elements }, columns)))
    }

    /// The element filter that a filter is held to: it, or the last of its parts that are joined by `and`.
    pub(super) fn element_filter(&self, node: &Node) -> Outcome<Option<Elements>> {
        if let Some(start) = misplaced(node, true) {
            return Err(Fault::at(
                start,
                "element_filter expression can only be the last expression in the logical and \
                 expression; to ask for rows, use match_any",
            ));
        }
        let mut last = node;
        while let Kind::And(parts) = &last.kind {
            let Some(part) = parts.last() else { break };
            last = part;
        }
        match &last.kind {
            Kind::Call(name, args)
                if name == FILTER
                    && let [of, condition] = args.as_slice() =>
            {
                self.elements(of, condition, false).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The condition on elements of a struct, or of an array of scalars where `arrays` are taken.
    fn elements(&self, of: &Node, condition: &Node, arrays: bool) -> Outcome<Elements> {
        let name = match &of.kind {
            Kind::Field(name, path) if path.is_empty() => name,
            _ => return Err(no_struct_field(self.source(of))),
        };
        let fields = element_fields(self.schema, name, arrays);
        let own = self.schema.struct_named(name);
        let counted = own.and_then(|own| self.schema.counted_field(own)).map(|f| &f.name);
        // What tells how many elements there are, if the condition reads nothing.
        let Some(first) = counted.or(fields.first().map(|(column, _)| column)).cloned() else {
            return Err(no_struct_field(name));
        };
        let schema = CollectionSchema::new(fields.iter().map(|(_, f)| f.clone()).collect());
        let inner = Translator { schema: &schema, ..*self };
        let filter = inner.filter(condition)?;
        let text = self.source(condition).to_owned();
        let condition = Filter::compile(text, filter, &schema)
            .map_err(|why| Fault::new(super::filter::short(&why)))?;
        let column = |read: &String| {
            fields.iter().find(|(_, f)| f.name == *read).map(|(column, _)| column.clone())
        };
        let mut columns: Vec<String> = condition.columns().iter().filter_map(column).collect();
        if columns.is_empty() {
            columns.push(first);
        }
        Ok(Elements { of: name.clone(), columns, condition: Arc::new(condition) })
    }

    fn threshold(&self, node: &Node) -> Outcome<u64> {
        let wrong = || {
            Fault::at(
                node.start,
                format!("threshold must be a whole number from 0, as in {THRESHOLD}=2"),
            )
        };
        // `=` reads as a comparison.
        let Kind::Compare(CompareOp::Eq, key, value) = &node.kind else { return Err(wrong()) };
        if !matches!(&key.kind, Kind::Field(name, path) if name == THRESHOLD && path.is_empty()) {
            return Err(wrong());
        }
        match self.meaning(value)? {
            Meaning::Const(Value::Int(n)) => u64::try_from(n).map_err(|_| wrong()),
            _ => Err(wrong()),
        }
    }
}

/// Where an element filter stands that is not the last of what is joined by `and`.
fn misplaced(node: &Node, last: bool) -> Option<usize> {
    match &node.kind {
        Kind::And(parts) => {
            let end = parts.len();
            (1..).zip(parts).find_map(|(at, part)| misplaced(part, last && at == end))
        }
        Kind::Or(parts) => parts.iter().find_map(|part| misplaced(part, false)),
        Kind::Unary(_, value) => misplaced(value, false),
        Kind::Call(name, _) if name == FILTER && !last => Some(node.start),
        _ => None,
    }
}

/// The fault of naming a struct or a sub-field that is not there.
pub(super) fn no_struct_field(name: &str) -> Fault {
    Fault::new(format!("struct field not found: {name}"))
}

/// The name of an element's value as a field of the inner filter, as it is written.
pub(super) fn element_name(sub: &str) -> String {
    sub_name(ELEMENT, sub)
}

/// The columns of a struct, or of an array where these are taken, each with what an element's value is.
fn element_fields(schema: &CollectionSchema, of: &str, arrays: bool) -> Vec<(String, FieldSchema)> {
    let one = |column: &FieldSchema, name: String| match &column.data_type {
        DataType::Array { element, .. } => {
            let field = FieldSchema::new(name, element.as_ref().clone()).nullable();
            Some((column.name.clone(), field))
        }
        _ => None,
    };
    let Some(own) = schema.struct_named(of) else {
        let array = schema.fields.iter().find(|f| arrays && f.name == of);
        return array.and_then(|f| one(f, ELEMENT.into())).into_iter().collect();
    };
    let sub = |f: &FieldSchema| one(f, element_name(own.sub_of(&f.name)?));
    schema.sub_fields(own).filter_map(sub).collect()
}

/// Counts elements.
#[derive(Debug)]
struct Counting {
    count: Count,
    elements: Elements,
}

impl Kernel for Counting {
    fn output(&self) -> ArrowType {
        ArrowType::Boolean
    }

    fn run(&self, args: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        let lists = args.iter().map(|a| a.as_list_opt::<i32>()).collect::<Option<Vec<_>>>();
        let wrong = || DataFusionError::Execution("a struct array has no elements".into());
        let lists = lists.ok_or_else(wrong)?;
        let first = lists.first().ok_or_else(wrong)?;
        let fail = |e: Error| DataFusionError::External(Box::new(e));
        let elements = lists.iter().map(|list| laid_out(list)).collect::<Result<_>>()?;
        let truth = self.elements.test(elements).map_err(fail)?;
        let matches = |at: usize| truth.is_valid(at) && truth.value(at);
        let mut next = 0;
        let answer: BooleanArray = (0..rows)
            .map(|row| {
                // As in Milvus, what is null has no elements.
                if first.is_null(row) {
                    return Some(self.count.holds(0, 0));
                }
                let length = usize::try_from(first.value_length(row)).unwrap_or(0);
                let matching = (next..next + length).filter(|at| matches(*at)).count();
                next += length;
                Some(self.count.holds(matching as u64, length as u64))
            })
            .collect();
        Ok(Arc::new(answer))
    }
}

/// The elements of the lists that are not null, end to end.
fn laid_out(list: &ListArray) -> Result<ArrayRef> {
    let offsets = list.value_offsets();
    let bound = |at: usize| usize::try_from(offsets.get(at).copied().unwrap_or(0)).unwrap_or(0);
    let (from, to) = (bound(0), bound(list.len()));
    if list.null_count() == 0 {
        return Ok(list.values().slice(from, to - from));
    }
    let kept = (0..list.len()).filter(|row| list.is_valid(*row));
    let places: Vec<u32> = kept.flat_map(|row| bound(row) as u32..bound(row + 1) as u32).collect();
    let places = UInt32Array::from(places);
    Ok(compute::take(list.values(), &places, None)?)
}

impl ElementFilter for Elements {
    fn of(&self) -> &str {
        &self.of
    }

    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn test(&self, elements: Vec<ArrayRef>) -> Checked<BooleanArray> {
        let rows = elements.first().map_or(0, |e| e.len());
        let read = self.condition.columns();
        let fields: Vec<_> = read
            .iter()
            .zip(&elements)
            .map(|(name, e)| Field::new(name, e.data_type().clone(), true))
            .collect();
        let columns = elements.into_iter().take(read.len()).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch =
            RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        self.condition.evaluate(&batch)
    }
}
