//! Searches of text: the words of the queries, and what a field's index says of their scores.

use std::collections::BTreeMap;

use elanus_engine::api::{CollectionInfo, Queries};
use elanus_engine::core::schema::{CollectionSchema, FieldSchema};
use elanus_engine::core::text::FieldAnalyzer;
use elanus_engine::core::text::bm25::{self, Bm25};
use elanus_proto::service::search_request::SearchInput;
use serde_json::Value;

use super::target::Target;
use crate::convert::{functions, internal, invalid, placeholder};
use crate::proxy::search_effort::RawParams;
use crate::status::Failure;

/// The queries of a search of a field that a BM25 function fills.
///
/// # Errors
/// If they are no texts, or the field's analyzer cannot be made.
pub(super) async fn queries(
    target: &Target,
    field: &FieldSchema,
    input: Option<SearchInput>,
    search: &RawParams,
) -> Result<Queries, Failure> {
    let texts = match input {
        Some(SearchInput::PlaceholderGroup(bytes)) => placeholder::query_texts(&bytes)?,
        Some(SearchInput::Ids(_)) => {
            return Err(invalid(format!("field {} cannot be searched by ids", field.name)));
        }
        None => Vec::new(),
    };
    let analyzer = analyzer_of(target.schema(), field)?;
    let name = search.get("analyzer_name").and_then(Value::as_str);
    let analyzer =
        analyzer.named(name).ok_or_else(|| internal("a field has no default analyzer"))?;
    let asked: Vec<_> = texts.iter().map(|text| bm25::counts(analyzer, text)).collect();
    let knobs = knobs(target.snapshot.info(), field);
    Ok(target.snapshot.text_queries(&field.name, &asked, knobs).await?)
}

/// The analyzer of the text that a function turns into the values of a field.
fn analyzer_of(schema: &CollectionSchema, field: &FieldSchema) -> Result<FieldAnalyzer, Failure> {
    let fills = |f: &&elanus_engine::core::schema::FunctionSchema| f.outputs.contains(&field.name);
    let input = schema.functions.iter().find(fills).and_then(|f| f.inputs.first());
    let input = input.ok_or_else(|| internal("a function's output has no function"))?;
    functions::analyzer(schema.field(input)?)
}

/// The knobs that the field's index sets.
fn knobs(info: &CollectionInfo, field: &FieldSchema) -> Bm25 {
    let index = info.indexes.iter().find(|i| i.field == field.name);
    let none = BTreeMap::new();
    let params = index.map_or(&none, |i| &i.params);
    let number = |key: &str| params.get(key).and_then(|text| text.trim().parse().ok());
    let usual = Bm25::default();
    Bm25 { k1: number("bm25_k1").unwrap_or(usual.k1), b: number("bm25_b").unwrap_or(usual.b) }
}
