//! One vector search, read from its request and ready to run.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use elanus_engine::api::{
    CollectionInfo, Effort, Hit, Metric, Queries, RowOrder, ScoreRange, SearchRequest, Selection,
};
use elanus_engine::core::key::Key;
use elanus_engine::core::schema::{CollectionSchema, FieldSchema};
use elanus_engine::core::settings::LimitSettings;
use elanus_proto::schema::{FunctionSchema, FunctionScore, IDs};
use elanus_proto::service::search_request::SearchInput;
use elanus_proto::service::{self};

use super::boost::Boosts;
use super::lists;
use super::rank::reranker;
use super::scope::Collapse;
use super::target::Target;
use super::text;
use crate::convert::params::{Params, SearchParams, Window, metric};
use crate::convert::vectors::{default_metric, queries_of_rows};
use crate::convert::{ids, internal, invalid, mismatch, placeholder};
use crate::proxy::index_params::kinds::Vectors;
use crate::proxy::search_effort::{self, Asked, Mode};
use crate::status::{Failure, code};

/// A vector search.
pub(super) struct Part {
    /// Limit, grouping, iterator page.
    pub params: SearchParams,
    /// How scores are made.
    pub metric: Metric,
    /// The query vectors.
    queries: Arc<Queries>,
    /// Places, ascending, of queries by the key of a row that has no vector: they find nothing.
    without: Vec<usize>,
    field: String,
    select: Selection,
    range: Option<ScoreRange>,
    effort: Effort,
    boosts: Option<Boosts>,
    /// The number of vectors of each query, where arrays are compared with arrays.
    lengths: Option<Vec<usize>>,
    /// How elements make rows of a hybrid search; none: they stay elements.
    pub collapse: Option<Collapse>,
    /// Whether elements are searched, not rows.
    elements: bool,
}

/// The hybrid search around a part.
#[derive(Clone, Copy)]
pub(super) struct Outer<'a> {
    /// Its window.
    pub window: Window,
    /// Whether it groups what the parts find.
    pub grouped: bool,
    /// Its function score, whose boosts are for every part.
    pub boosts: Option<&'a FunctionScore>,
}

impl Part {
    /// Reads a request; `outer` is the hybrid search that it is a part of.
    pub async fn read(
        target: &Target,
        request: service::SearchRequest,
        outer: Option<Outer<'_>>,
        limits: &LimitSettings,
    ) -> Result<Self, Failure> {
        let window = outer.map(|o| o.window);
        let params = SearchParams::new(&request.search_params, window, limits.max_top_k)?;
        target.check_id(params.collection_id, "may have been changed")?;
        let field = vector_field(target.schema(), params.anns_field.as_deref())?;
        let info = target.snapshot.info();
        let element = field.data_type.vector_element();
        let list = match element {
            Some(_) => Some(lists::how(info, field, params.metric.as_deref())?),
            None => None,
        };
        let metric = match list {
            Some(how) => how.metric,
            None => field_metric(info, field, params.metric.as_deref())?,
        };
        let boosts = boosts(target, &request, outer)?;
        let select = target.select_for_search(&request.dsl, request.expr_template_values)?;
        let grouped = outer.is_some_and(|o| o.grouped);
        let elements = select.filter.as_ref().is_some_and(|f| f.elements().is_some());
        if elements && list.is_none() {
            return Err(lists::no_elements());
        }
        if let Some(how) = list {
            let (primary, filter) = (&target.schema().primary()?.name, select.filter.as_deref());
            lists::check(how, &params, filter, primary, outer.is_some(), grouped)?;
        }
        let mut lengths = None;
        let mut without = Vec::new();
        let queries = match request.search_input {
            input if field.is_function_output => {
                text::queries(target, field, input, &params.raw).await?
            }
            Some(SearchInput::PlaceholderGroup(bytes))
                if let (Some(how), Some(e)) = (list, element) =>
            {
                let own = FieldSchema::new(field.name.as_str(), e.clone());
                let (queries, arrays) = placeholder::array_queries(&bytes, &own, how.arrays)?;
                lengths = arrays;
                queries
            }
            Some(SearchInput::Ids(_)) if list.is_some() => {
                return Err(invalid("array of vector is not supported for search by IDs"));
            }
            Some(SearchInput::PlaceholderGroup(bytes)) => {
                placeholder::query_vectors(&bytes, field)?
            }
            Some(SearchInput::Ids(ids)) => {
                let (queries, nulls) = stored_vectors(target, field, ids).await?;
                without = nulls;
                queries
            }
            None => Queries::Dense(Vec::new()),
        };
        let count = lengths.as_ref().map_or(queries.len(), Vec::len);
        check_query_count(count + without.len(), limits.max_queries)?;
        let range = range(&params, metric)?;
        let paged = params.page.is_some() || params.grouping.is_some();
        let paged = paged || grouped;
        let effort = effort(target, field, &params, paged)?;
        let field = field.name.clone();
        Ok(Self {
            params,
            metric,
            queries: Arc::new(queries),
            without,
            field,
            select,
            range,
            effort,
            boosts,
            lengths,
            collapse: None,
            elements: list.is_some_and(|how| !how.arrays),
        })
    }

    /// Number of queries.
    pub fn query_count(&self) -> usize {
        let queries = self.lengths.as_ref().map_or(self.queries.len(), Vec::len);
        queries + self.without.len()
    }

    /// Whether it finds elements of arrays.
    pub fn is_of_elements(&self) -> bool {
        self.elements
    }

    /// The field that is searched.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// Whether scores are changed after the search.
    pub fn is_boosted(&self) -> bool {
        self.boosts.is_some()
    }

    /// The best `top_k` rows of each query.
    pub async fn run(&self, target: &Target, top_k: usize) -> Result<Vec<Vec<Hit>>, Failure> {
        self.run_in(target, top_k, self.range).await
    }

    /// The best `top_k` rows of each query whose scores lie in a range.
    pub async fn run_in(
        &self,
        target: &Target,
        top_k: usize,
        range: Option<ScoreRange>,
    ) -> Result<Vec<Vec<Hit>>, Failure> {
        let request = SearchRequest {
            field: self.field.clone(),
            queries: self.queries.clone(),
            metric: self.metric,
            top_k,
            select: self.select.clone(),
            range,
            effort: self.effort,
        };
        let mut hits = match self.queries.len() {
            0 => Vec::new(),
            _ => match &self.lengths {
                Some(lengths) => target.snapshot.search_arrays(&request, lengths).await?.hits,
                None => target.snapshot.search(&request).await?.hits,
            },
        };
        if let Some(collapse) = self.collapse {
            hits = collapse.rows(hits, self.metric.higher_is_nearer());
        }
        if let Some(boosts) = &self.boosts {
            boosts.apply(&target.snapshot, self.metric, &mut hits).await?;
        }
        for place in &self.without {
            hits.insert(*place, Vec::new());
        }
        Ok(hits)
    }

    /// The range of scores strictly behind one, within the asked range.
    pub fn range_behind(&self, bound: f32) -> ScoreRange {
        behind(self.metric, bound, self.range)
    }
}

/// The boosts of a search and of the hybrid search around it.
fn boosts(
    target: &Target,
    request: &service::SearchRequest,
    outer: Option<Outer<'_>>,
) -> Result<Option<Boosts>, Failure> {
    let scores = [request.function_score.as_ref(), outer.and_then(|o| o.boosts)];
    let functions: Vec<&FunctionSchema> = scores
        .iter()
        .flatten()
        .flat_map(|score| &score.functions)
        .filter(|function| reranker(function) == "boost")
        .collect();
    let modes = scores.iter().flatten().flat_map(|s| s.params.clone()).collect::<Vec<_>>();
    Boosts::read(&functions, &Params::new(&modes)?, target.schema(), &request.expr_template_values)
}

/// The engine compares scores before they are rounded to 32 bits, and `bound` is a rounded one: the
/// limit is half-way to the next 32-bit number, so that no row is seen twice and none is missed.
fn behind(metric: Metric, bound: f32, asked: Option<ScoreRange>) -> ScoreRange {
    let up = metric.higher_is_nearer();
    let next = if up { bound.next_down() } else { bound.next_up() };
    let half = f64::midpoint(f64::from(bound), f64::from(next));
    let near = match half as f32 == bound {
        true if up => half.next_down(),
        true => half.next_up(),
        false => half,
    };
    let far = if up { f64::NEG_INFINITY } else { f64::INFINITY };
    let asked_near = asked.and_then(|r| r.range_filter).unwrap_or(near);
    let near = if up { near.min(asked_near) } else { near.max(asked_near) };
    ScoreRange { radius: asked.map_or(far, |r| r.radius), range_filter: Some(near) }
}

/// How hard to try, from what the field's index reads of the parameters.
fn effort(
    target: &Target,
    field: &FieldSchema,
    params: &SearchParams,
    paged: bool,
) -> Result<Effort, Failure> {
    let info = target.snapshot.info();
    let mode = match params.radius {
        _ if paged => Mode::Pages,
        Some(_) => Mode::Range,
        None => Mode::Plain,
    };
    search_effort::effort(&Asked {
        index: info.indexes.iter().find(|i| i.field == field.name).map(|i| &i.params),
        vectors: Vectors::of(field.data_type.vector_element().unwrap_or(&field.data_type)),
        search: &params.raw,
        top_k: params.window.limit + params.window.offset,
        mode,
        rows: &|| target.snapshot.describe_units().iter().map(|u| u.live_rows).sum(),
    })
}

fn check_query_count(count: usize, most: usize) -> Result<(), Failure> {
    if (1..=most).contains(&count) {
        return Ok(());
    }
    Err(invalid(format!(
        "nq [{count}] is invalid, nq (number of search vector per search request) should be in \
         range [1, {most}], but got {count}"
    )))
}

/// The vector field that is searched.
fn vector_field<'a>(
    schema: &'a CollectionSchema,
    asked: Option<&str>,
) -> Result<&'a FieldSchema, Failure> {
    let field = match asked {
        Some(name) => schema.fields.iter().find(|f| f.name == name).ok_or_else(|| {
            invalid(format!(
                "failed to create query plan: failed to get field schema by name: \
                 fieldName({name}) not found"
            ))
        })?,
        None => {
            let mut fields = schema.vector_fields();
            let first = fields.next().ok_or_else(|| invalid("anns_field not found in schema"))?;
            if fields.next().is_some() {
                return Err(invalid(
                    "multiple anns_fields exist, please specify a anns_field in search_params",
                ));
            }
            first
        }
    };
    match field.data_type.is_vector() || field.data_type.vector_element().is_some() {
        true => Ok(field),
        false => Err(invalid(format!(
            "failed to create query plan: field ({}) to search is not of vector data type",
            field.name
        ))),
    }
}

/// The metric of the field's index, which the one that is asked for must be.
fn field_metric(
    info: &CollectionInfo,
    field: &FieldSchema,
    asked: Option<&str>,
) -> Result<Metric, Failure> {
    let Some(own) = index_metric(info, field)? else {
        let usual = match field.is_function_output {
            true => Metric::Bm25,
            false => default_metric(&field.data_type),
        };
        return asked.map_or(Ok(usual), |name| metric(name, &field.data_type));
    };
    let own = metric(own, &field.data_type)?;
    match asked {
        Some(name) if !name.eq_ignore_ascii_case(own.name()) => Err(not_matching(own.name(), name)),
        _ => Ok(own),
    }
}

/// The failure of asking for another metric than the index's.
pub(super) fn not_matching(own: &str, asked: &str) -> Failure {
    mismatch("fail to search: metric type not match", own, asked)
}

/// The metric that a field's index names.
pub(super) fn index_metric<'a>(
    info: &'a CollectionInfo,
    field: &FieldSchema,
) -> Result<Option<&'a str>, Failure> {
    let index = info.indexes.iter().find(|i| i.field == field.name);
    // All vector fields had an index when the collection was loaded: this one came later.
    if info.loaded && index.is_none() {
        let name = &field.name;
        return Err(Failure::new(
            code::UNEXPECTED,
            format!("field index of the field: {name} is not loaded, please reload the collection"),
        ));
    }
    let own = index.and_then(|i| i.params.get("metric_type")).filter(|m| !m.is_empty());
    Ok(own.map(String::as_str))
}

fn range(params: &SearchParams, metric: Metric) -> Result<Option<ScoreRange>, Failure> {
    let Some(radius) = params.radius else { return Ok(None) };
    if let Some(near) = params.range_filter {
        let up = metric.higher_is_nearer();
        if (up && near <= radius) || (!up && near >= radius) {
            let relation = if up { "greater" } else { "less" };
            return Err(invalid(format!(
                "metric type ({}), range_filter({near}) must be {relation} than radius({radius})",
                metric.name()
            )));
        }
    }
    Ok(Some(ScoreRange { radius, range_filter: params.range_filter }))
}

/// The vectors of rows that are in the collection already, by key, and the places of those that have none.
async fn stored_vectors(
    target: &Target,
    field: &FieldSchema,
    ids: IDs,
) -> Result<(Queries, Vec<usize>), Failure> {
    let stored = stored(target, &field.name, ids).await?;
    let (mut rows, mut nulls) = (Vec::new(), Vec::new());
    for (place, row) in stored.rows.iter().enumerate() {
        if stored.column.is_null(*row) { nulls.push(place) } else { rows.push(*row) }
    }
    Ok((queries_of_rows(&field.data_type, stored.column.as_ref(), &rows)?, nulls))
}

/// A column of rows that are in the collection already.
pub(super) struct Stored {
    /// The values, in any order.
    pub column: ArrayRef,
    /// The row of each key in the column.
    pub rows: Vec<usize>,
}

/// The values of a field in rows by key.
pub(super) async fn stored(target: &Target, name: &str, ids: IDs) -> Result<Stored, Failure> {
    let keys = ids::from_wire(ids, target.schema())?;
    let primary = target.schema().primary()?.name.clone();
    let Some(filter) = ids::KeyFilter::new(&primary, &keys) else {
        return Err(invalid("ids must not be empty"));
    };
    let select = Selection { filter: Some(Arc::new(filter)), ..target.everything() };
    let rows = target.snapshot.select(&select, RowOrder::Any, 0, None).await?;
    let columns = [primary.clone(), name.to_string()];
    let batch = target.snapshot.fetch(&rows, &columns).await?;
    let found = ids::key_column(&batch, &primary)?;
    let at: HashMap<Key, usize> = (0..found.len()).map(|i| (found.get(i), i)).collect();
    let keys: Vec<Key> = (0..keys.len()).map(|i| keys.get(i)).collect();
    let missing: Vec<String> =
        keys.iter().filter(|key| !at.contains_key(key)).map(Key::to_string).collect();
    if !missing.is_empty() {
        return Err(invalid(format!(
            "some of the provided primary key IDs do not exist: missing IDs = [{}]",
            missing.join(" ")
        )));
    }
    let column = batch.column_by_name(name).cloned();
    let column = column.ok_or_else(|| internal(format!("field {name} was not fetched")))?;
    let rows = keys.iter().filter_map(|key| at.get(key).copied()).collect();
    Ok(Stored { column, rows })
}

#[cfg(test)]
mod tests {
    use super::*;
    use elanus_engine::core::schema::DataType;

    #[test]
    fn the_only_vector_field_need_not_be_named() {
        let vector = || DataType::FloatVector { dim: 3 };
        let mut schema = CollectionSchema::new(vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("v", vector()),
        ]);
        let name = |asked| vector_field(&schema, asked).map(|f| f.name.as_str()).ok();
        assert_eq!(name(None), Some("v"));
        assert!(vector_field(&schema, Some("id")).is_err());
        assert!(vector_field(&schema, Some("x")).is_err());
        schema.fields.push(FieldSchema::new("w", vector()));
        assert!(vector_field(&schema, None).is_err());
        let name = |asked| vector_field(&schema, asked).map(|f| f.name.as_str()).ok();
        assert_eq!(name(Some("w")), Some("w"));
    }

    #[test]
    fn behind_a_bound_are_all_scores_that_round_behind_it() {
        for bound in [0.1f32, 1.0, 3.0, 1e-30, -0.5] {
            for (metric, next) in [(Metric::L2, bound.next_up()), (Metric::Ip, bound.next_down())] {
                let near = behind(metric, bound, None).range_filter.unwrap_or_default();
                assert_eq!(near as f32, next, "{bound}");
                let before =
                    if metric.higher_is_nearer() { near.next_up() } else { near.next_down() };
                assert_eq!(before as f32, bound, "{bound}");
            }
        }
        let asked = ScoreRange { radius: 9.0, range_filter: Some(4.0) };
        let within = behind(Metric::L2, 1.0, Some(asked));
        assert_eq!((within.radius, within.range_filter), (9.0, Some(4.0)));
    }
}
