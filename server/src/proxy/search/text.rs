//! Searches of text: the words of the queries, and what a field's index says of their scores.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray};
use elanus_engine::api::{CollectionInfo, Queries};
use elanus_engine::core::schema::{CollectionSchema, FieldSchema};
use elanus_engine::core::text::bm25::{self, Bm25};
use elanus_proto::schema::IDs;
use elanus_proto::service::search_request::SearchInput;
use serde_json::Value;

use super::part;
use super::target::Target;
use crate::convert::{functions, internal, placeholder};
use crate::proxy::search_effort::RawParams;
use crate::status::Failure;

/// The queries of a search of a field that a BM25 function fills.
///
/// # Errors
/// If they are no texts, or the field's analyzer cannot be made.
pub(super) async fn queries(
    target: &Target,
    field: &FieldSchema,
    given: Option<SearchInput>,
    search: &RawParams,
) -> Result<Queries, Failure> {
    let input = input_of(target.schema(), field)?;
    let texts = match given {
        Some(SearchInput::PlaceholderGroup(bytes)) => placeholder::query_texts(&bytes)?,
        Some(SearchInput::Ids(ids)) => stored_texts(target, input, ids).await?,
        None => Vec::new(),
    };
    let analyzer = functions::analyzer(input)?;
    let name = search.get("analyzer_name").and_then(Value::as_str);
    let analyzer =
        analyzer.named(name).ok_or_else(|| internal("a field has no default analyzer"))?;
    let asked: Vec<_> = texts.iter().map(|text| bm25::counts(analyzer, text)).collect();
    let knobs = knobs(target.snapshot.info(), field);
    Ok(target.snapshot.text_queries(&field.name, &asked, knobs).await?)
}

/// The field whose text a function turns into the values of a field.
fn input_of<'a>(
    schema: &'a CollectionSchema,
    field: &FieldSchema,
) -> Result<&'a FieldSchema, Failure> {
    let function = schema.functions.iter().find(|f| f.outputs.contains(&field.name));
    let input = function.and_then(|f| f.inputs.first());
    let input = input.ok_or_else(|| internal("a function's output has no function"))?;
    Ok(schema.field(input)?)
}

/// The texts of rows by key; one that is null has no words.
async fn stored_texts(
    target: &Target,
    input: &FieldSchema,
    ids: IDs,
) -> Result<Vec<String>, Failure> {
    let stored = part::stored(target, &input.name, ids).await?;
    let texts = stored.column.as_string_opt::<i32>();
    let texts = texts.ok_or_else(|| internal("a text is not stored as text"))?;
    let text = |row: &usize| match texts.is_valid(*row) {
        true => texts.value(*row).to_string(),
        false => String::new(),
    };
    Ok(stored.rows.iter().map(text).collect())
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
