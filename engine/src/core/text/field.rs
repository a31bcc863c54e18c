//! The analyzers of a field, and the columns that BM25 functions fill.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray};
use serde_json::Value;

use super::bm25::{counts, row};
use super::options::Options;
use super::{Analyzer, AnalyzerFault};
use crate::core::error::{Error, Result, Subject};
use crate::core::schema::{CollectionSchema, FieldSchema, FunctionSchema};

/// Milvus's number of BM25 functions.
pub const BM25: i32 = 1;

const DEFAULT: &str = "default";

/// What analyzes a field: one analyzer, or one by another field's value.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldAnalyzer {
    /// For all rows.
    One(Analyzer),
    /// By the value of another field.
    By {
        /// That field.
        field: String,
        /// By name; one is `default`.
        analyzers: BTreeMap<String, Analyzer>,
        /// Other names of some.
        alias: BTreeMap<String, String>,
    },
}

impl FieldAnalyzer {
    /// That of a field's parameters.
    ///
    /// # Errors
    /// What is wrong in them, or not built.
    pub fn of(field: &FieldSchema) -> std::result::Result<Self, AnalyzerFault> {
        if let Some(text) = field.params.get("multi_analyzer_params") {
            return Self::many(text);
        }
        let params = field.params.get("analyzer_params").map_or("", String::as_str);
        Analyzer::from_json(params).map(Self::One)
    }

    fn many(text: &str) -> std::result::Result<Self, AnalyzerFault> {
        let invalid = |why: String| AnalyzerFault::invalid(why);
        let options: Options = serde_json::from_str(text)
            .map_err(|e| invalid(format!("multi analyzer params are no JSON object: {e}")))?;
        let field = options.get("by_field").and_then(Value::as_str).map(str::to_string);
        let field =
            field.ok_or_else(|| invalid("multi analyzer params now must set by_field".into()))?;
        let mut analyzers = BTreeMap::new();
        for (name, one) in options.get("analyzers").and_then(Value::as_object).into_iter().flatten()
        {
            let one = one.as_object().ok_or_else(|| {
                invalid(format!("multi analyzer params: analyzer {name} is no object"))
            })?;
            analyzers.insert(name.clone(), Analyzer::from_options(one)?);
        }
        if !analyzers.contains_key(DEFAULT) {
            return Err(invalid("multi analyzer must set default analyzer".into()));
        }
        let mut alias = BTreeMap::new();
        for (name, of) in options.get("alias").and_then(Value::as_object).into_iter().flatten() {
            // As in Milvus it may name one that is not there: the default one then stands for it.
            let of = of.as_str().ok_or_else(|| {
                invalid(format!("multi analyzer params: alias {name} is no name: {of}"))
            })?;
            alias.insert(name.clone(), of.to_string());
        }
        Ok(Self::By { field, analyzers, alias })
    }

    /// The analyzer of that name; none: the default one. A field with one analyzer has no names.
    pub fn named(&self, name: Option<&str>) -> Option<&Analyzer> {
        match self {
            Self::One(analyzer) => Some(analyzer),
            Self::By { analyzers, alias, .. } => {
                let name = name.unwrap_or(DEFAULT);
                let name = alias.get(name).map_or(name, String::as_str);
                analyzers.get(name).or_else(|| analyzers.get(DEFAULT))
            }
        }
    }
}

/// Fills the columns of BM25 functions in rows that have all others.
///
/// # Errors
/// If an analyzer cannot be made, or a column is not there.
pub fn fill_outputs(schema: &CollectionSchema, rows: RecordBatch) -> Result<RecordBatch> {
    let mut rows = rows;
    for function in schema.functions.iter().filter(|f| f.kind == BM25) {
        rows = fill(schema, function, rows)?;
    }
    Ok(rows)
}

fn fill(
    schema: &CollectionSchema,
    function: &FunctionSchema,
    rows: RecordBatch,
) -> Result<RecordBatch> {
    let (Some(input), Some(output)) = (function.inputs.first(), function.outputs.first()) else {
        return Err(Error::internal("a BM25 function lacks its fields"));
    };
    let analyzer = FieldAnalyzer::of(schema.field(input)?)
        .map_err(|fault| Error::invalid(Subject::Field, fault.why))?;
    let texts = strings(&rows, input)?;
    let names = match &analyzer {
        FieldAnalyzer::One(_) => None,
        FieldAnalyzer::By { field, .. } => Some(strings(&rows, field)?),
    };
    let vector = |at: usize| {
        let name = names.as_ref().filter(|n| n.is_valid(at)).map(|n| n.value(at));
        let analyzer = analyzer.named(name).filter(|_| texts.is_valid(at));
        analyzer.map(|analyzer| row(&counts(analyzer, texts.value(at))))
    };
    let vectors = BinaryArray::from_iter((0..rows.num_rows()).map(vector));
    let place = rows.schema().index_of(output)?;
    let mut columns: Vec<ArrayRef> = rows.columns().to_vec();
    columns[place] = Arc::new(vectors);
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

fn strings<'a>(rows: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let column = rows.column_by_name(name).and_then(|c| c.as_string_opt::<i32>());
    column.ok_or_else(|| Error::internal(format!("column {name} is not of text")))
}

#[cfg(test)]
mod tests {
    use super::super::bm25::term;
    use super::*;
    use crate::core::schema::DataType;
    use crate::core::sparse::pairs;

    #[test]
    fn outputs_are_filled_by_the_analyzer_of_each_row() {
        let text = || DataType::VarChar { max_length: 99 };
        let mut input = FieldSchema::new("text", text()).nullable();
        input.params.insert(
            "multi_analyzer_params".into(),
            r#"{"by_field": "lang", "analyzers": {"default": {}, "en": {"type": "english"}},
                "alias": {"eng": "en"}}"#
                .into(),
        );
        let output = FieldSchema::new("sparse", DataType::SparseFloatVector);
        let lang = FieldSchema::new("lang", text()).nullable();
        let mut schema = CollectionSchema::new(vec![lang, input, output]);
        schema.functions.push(FunctionSchema {
            kind: BM25,
            inputs: vec!["text".into()],
            outputs: vec!["sparse".into()],
            ..Default::default()
        });
        schema.mark_outputs();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec![Some("eng"), Some("de"), None, None])),
            Arc::new(StringArray::from(vec![Some("cats cats"), Some("cats"), Some("cats"), None])),
            Arc::new(BinaryArray::from(vec![None::<&[u8]>; 4])),
        ];
        let rows = RecordBatch::try_new(schema.to_arrow(), columns).unwrap();
        let filled = fill_outputs(&schema, rows).unwrap();
        let made = filled.column(2).as_binary::<i32>();
        let pair = |at: usize| pairs(made.value(at)).collect::<Vec<_>>();
        assert_eq!(pair(0), [(term("cat"), 2.0)]);
        assert_eq!((pair(1), pair(2)), (vec![(term("cats"), 1.0)], vec![(term("cats"), 1.0)]));
        assert!(made.is_null(3));
    }

    #[test]
    fn wrong_parameters_of_many_analyzers_are_refused() {
        for (params, why) in [
            (r#"{"analyzers": {"default": {}}}"#, "must set by_field"),
            (r#"{"by_field": "l", "analyzers": {"en": {}}}"#, "must set default analyzer"),
            (
                r#"{"by_field": "l", "analyzers": {"default": {}}, "alias": {"a": 1}}"#,
                "alias a is no name",
            ),
        ] {
            let mut field = FieldSchema::new("t", DataType::Text);
            field.params.insert("multi_analyzer_params".into(), params.into());
            assert!(FieldAnalyzer::of(&field).unwrap_err().why.contains(why), "{params}");
        }
    }
}
