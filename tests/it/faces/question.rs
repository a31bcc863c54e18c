//! One question to both faces.

use std::fmt::Write;

use elanus_proto::common::{
    KeyValuePair, PlaceholderGroup, PlaceholderType, PlaceholderValue, Status,
};
use elanus_proto::service::search_request::SearchInput;
use elanus_proto::service::{QueryRequest, SearchRequest};
use elanus_sql::Sql;
use prost::Message;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::condition::{Condition, condition, on_key};
use super::things::{COLUMNS, METRICS, PARTITIONS, THINGS, place, random_vector};
use super::value::{Val, from_arrow, from_ids, from_wire};
use crate::served::{Client, good, pairs};

/// Rows of an answer; a search has a list for each query vector, each row with its score first.
pub type Answer = Vec<Vec<Vec<Val>>>;

/// An answer or the words of a failure.
pub type Outcome = Result<Answer, String>;

#[derive(Debug, Clone)]
pub struct Question {
    /// Which rows; none: all.
    condition: Option<Condition>,
    /// Names of partitions; none: all.
    partitions: Vec<&'static str>,
    /// Columns of the answer beside the key.
    fields: Vec<&'static str>,
    limit: Option<usize>,
    offset: usize,
    pub what: What,
}

#[derive(Debug, Clone)]
pub enum What {
    Count,
    Rows,
    Search {
        field: &'static str,
        metric: &'static str,
        queries: Vec<Vec<f32>>,
        /// Asks SQL for `cosine_distance`, which is one less the score.
        as_distance: bool,
    },
}

impl Question {
    /// A random question.
    pub fn random(rng: &mut StdRng, text_keys: bool) -> Self {
        let depth = rng.random_range(0..4);
        let condition = rng.random_bool(0.95).then(|| on_key(condition(rng, depth), text_keys));
        let mut partitions: Vec<_> = PARTITIONS.into();
        partitions.retain(|_| rng.random());
        if rng.random_bool(0.75) {
            partitions.clear();
        }
        let fields = COLUMNS.iter().map(|c| c.name).filter(|_| rng.random_bool(0.2)).collect();
        let roll = rng.random_range(0..10);
        let what = match roll {
            0..2 => What::Count,
            2..5 => What::Rows,
            _ => search(rng),
        };
        let small = rng.random_range(1..40);
        let limit = *[small, small, 200, 3_000].choose(rng).expect("one");
        let unlimited = match what {
            What::Count => true,
            What::Rows => condition.is_some() && rng.random(),
            What::Search { .. } => false,
        };
        let offset = if unlimited || rng.random() { 0 } else { rng.random_range(0..30) };
        let limit = (!unlimited).then_some(limit);
        Self { condition, partitions, fields, limit, offset, what }
    }

    /// All rows that a condition matches.
    pub fn rows_where(condition: Condition) -> Self {
        Self {
            condition: Some(condition),
            partitions: Vec::new(),
            fields: Vec::new(),
            limit: None,
            offset: 0,
            what: What::Rows,
        }
    }

    /// The filter in Milvus's language.
    pub fn milvus(&self) -> &str {
        self.condition.as_ref().map_or("", |c| &c.milvus)
    }

    pub fn is_search(&self) -> bool {
        matches!(self.what, What::Search { .. })
    }

    /// How many lists the answer has.
    pub fn lists(&self) -> usize {
        if let What::Search { queries, .. } = &self.what { queries.len() } else { 1 }
    }

    /// The answer over gRPC.
    pub async fn over_grpc(&self, client: &mut Client) -> Outcome {
        match &self.what {
            What::Search { field, metric, queries, .. } => {
                self.search(client, field, metric, queries).await
            }
            _ => self.query(client).await,
        }
    }

    fn window(&self, limit_name: &str) -> Vec<KeyValuePair> {
        let Some(limit) = self.limit else { return Vec::new() };
        pairs(&[(limit_name, &limit.to_string()), ("offset", &self.offset.to_string())])
    }

    async fn query(&self, client: &mut Client) -> Outcome {
        let count = matches!(self.what, What::Count);
        let condition = self.condition.clone().unwrap_or_default();
        let fields: &[&str] = if count { &["count(*)"] } else { &self.fields };
        let request = QueryRequest {
            collection_name: THINGS.into(),
            expr: condition.milvus,
            expr_template_values: condition.templates,
            output_fields: fields.iter().map(|f| f.to_string()).collect(),
            partition_names: self.partitions.iter().map(|p| p.to_string()).collect(),
            query_params: self.window("limit"),
            ..Default::default()
        };
        let answer = client.query(request).await.expect("an answer").into_inner();
        if let Some(Status { code: 1.., reason, .. }) = answer.status {
            return Err(reason);
        }
        good(answer.status);
        let column = |name: &str| {
            let found = answer.fields_data.iter().find(|d| d.field_name == name);
            found.unwrap_or_else(|| panic!("no column {name}"))
        };
        if count {
            return Ok(vec![vec![from_wire(column("count(*)"), 1)]]);
        }
        use elanus_proto::schema::{field_data::Field, scalar_field::Data};
        let rows = match column("id").field.as_ref() {
            Some(Field::Scalars(s)) => match &s.data {
                Some(Data::LongData(v)) => v.data.len(),
                Some(Data::StringData(v)) => v.data.len(),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        };
        let names = std::iter::once("id").chain(self.fields.iter().copied());
        Ok(vec![transposed(names.map(|name| from_wire(column(name), rows)).collect(), rows)])
    }

    async fn search(
        &self,
        client: &mut Client,
        field: &str,
        metric: &str,
        queries: &[Vec<f32>],
    ) -> Outcome {
        let condition = self.condition.clone().unwrap_or_default();
        let mut search_params = self.window("topk");
        search_params.extend(pairs(&[("anns_field", field), ("metric_type", metric)]));
        let request = SearchRequest {
            collection_name: THINGS.into(),
            dsl: condition.milvus,
            expr_template_values: condition.templates,
            output_fields: self.fields.iter().map(|f| f.to_string()).collect(),
            partition_names: self.partitions.iter().map(|p| p.to_string()).collect(),
            search_params,
            nq: queries.len() as i64,
            search_input: Some(SearchInput::PlaceholderGroup(placeholders(queries))),
            ..Default::default()
        };
        let answer = client.search(request).await.expect("an answer").into_inner();
        if let Some(Status { code: 1.., reason, .. }) = answer.status {
            return Err(reason);
        }
        good(answer.status);
        let data = answer.results.expect("results");
        assert_eq!((data.num_queries, data.topks.len()), (queries.len() as i64, queries.len()));
        assert_eq!(data.top_k, data.topks.iter().copied().max().unwrap_or(0));
        let scores: Vec<Val> = data.scores.iter().map(|s| Val::Float(s.to_bits())).collect();
        let rows = scores.len();
        let mut columns = vec![scores, from_ids(data.ids.as_ref().expect("ids"))];
        for name in &self.fields {
            let found = data.fields_data.iter().find(|d| d.field_name == *name);
            columns.push(from_wire(found.expect("a column"), rows));
        }
        let mut flat = transposed(columns, rows).into_iter();
        let lists = data.topks.iter().map(|k| flat.by_ref().take(*k as usize).collect()).collect();
        assert_eq!(flat.next(), None);
        Ok(lists)
    }

    /// The statements that ask the same in SQL.
    pub fn statements(&self) -> Vec<String> {
        let mut head = vec!["id".to_string()];
        head.extend(self.fields.iter().map(|f| format!("\"{f}\"")));
        let head = head.join(", ");
        let tail = match self.limit {
            Some(limit) => format!(" LIMIT {limit} OFFSET {}", self.offset),
            None => String::new(),
        };
        let filter = self.filter();
        match &self.what {
            What::Count => vec![format!("SELECT count(*) FROM {THINGS} WHERE {filter}")],
            What::Rows => {
                vec![format!("SELECT {head} FROM {THINGS} WHERE {filter} ORDER BY id{tail}")]
            }
            What::Search { field, metric, queries, as_distance } => {
                let (function, order) = match (*metric, as_distance) {
                    ("L2", _) => ("l2_distance", "ASC"),
                    ("IP", _) => ("inner_product", "DESC"),
                    (_, false) => ("cosine_similarity", "DESC"),
                    (_, true) => ("cosine_distance", "ASC"),
                };
                // A search leaves out rows without a vector.
                let there = if *field == "w" { " AND w IS NOT NULL" } else { "" };
                let one = |q: &Vec<f32>| {
                    format!(
                        "SELECT {function}({field}, {q:?}) AS score, {head} FROM {THINGS} \
                         WHERE {filter}{there} ORDER BY score {order}{tail}"
                    )
                };
                queries.iter().map(one).collect()
            }
        }
    }

    fn filter(&self) -> String {
        let mut filter =
            self.condition.as_ref().map_or("true".to_string(), |c| format!("({})", c.sql));
        if !self.partitions.is_empty() {
            let names: Vec<String> = self.partitions.iter().map(|p| format!("'{p}'")).collect();
            write!(filter, " AND part IN ({})", names.join(", ")).expect("text");
        }
        filter
    }

    /// The answer of SQL.
    pub async fn over_sql(&self, sql: &Sql) -> Outcome {
        let mut lists = Vec::new();
        for statement in self.statements() {
            lists.push(rows(sql, &statement).await?);
        }
        Ok(lists)
    }

    /// By a full scan and a sort, without the search.
    pub async fn by_scan(&self, plain: &Sql) -> Outcome {
        let mut lists = Vec::new();
        for statement in self.statements() {
            let statement = statement.replace("SC LIMIT", "SC, id LIMIT");
            lists.push(rows(plain, &statement).await?);
        }
        Ok(lists)
    }

    /// gRPC's answer as SQL words it.
    pub fn in_sql_words(&self, mut answer: Answer) -> Answer {
        if let What::Search { metric: "COSINE", as_distance: true, .. } = self.what {
            for row in answer.iter_mut().flatten() {
                let Val::Float(score) = row[0] else { panic!("a score") };
                row[0] = Val::Float((1.0 - f32::from_bits(score)).to_bits());
            }
        }
        answer
    }

    /// Whether two rows may have one distance and two scores, which SQL's scan cannot tell apart.
    pub fn may_tie(&self) -> bool {
        matches!(self.what, What::Search { metric: "COSINE", as_distance: true, .. })
    }

    /// Fails unless each list is in order: best first, ties in the order of keys.
    pub fn check_order(&self, answer: &Answer) {
        let What::Search { metric, .. } = &self.what else { return };
        let rank = |row: &Vec<Val>| match &row[0] {
            Val::Float(bits) if *metric == "L2" => f32::from_bits(*bits),
            Val::Float(bits) => -f32::from_bits(*bits),
            other => panic!("{other:?}"),
        };
        for pair in answer.iter().flat_map(|list| list.windows(2)) {
            let (a, b) = (rank(&pair[0]), rank(&pair[1]));
            let keys_rise = match (&pair[0][1], &pair[1][1]) {
                (Val::Int(a), Val::Int(b)) => a < b,
                (Val::Text(a), Val::Text(b)) => a < b,
                other => panic!("{other:?}"),
            };
            assert!(a < b || a == b && keys_rise, "{self:?}: {pair:?}");
        }
    }
}

fn search(rng: &mut StdRng) -> What {
    let (field, metric) = *METRICS.choose(rng).expect("a field");
    let dim = COLUMNS[place(field)].dim;
    let count = if rng.random_bool(0.7) { 1 } else { 3 };
    let queries = (0..count).map(|_| random_vector(rng, dim)).collect();
    What::Search { field, metric, queries, as_distance: rng.random_bool(0.3) }
}

fn placeholders(queries: &[Vec<f32>]) -> Vec<u8> {
    let bytes = |q: &Vec<f32>| q.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>().into();
    let value = PlaceholderValue {
        tag: "$0".into(),
        r#type: PlaceholderType::FloatVector.into(),
        values: queries.iter().map(bytes).collect(),
        ..Default::default()
    };
    PlaceholderGroup { placeholders: vec![value] }.encode_to_vec()
}

fn transposed(columns: Vec<Vec<Val>>, rows: usize) -> Vec<Vec<Val>> {
    columns.iter().for_each(|c| assert_eq!(c.len(), rows));
    (0..rows).map(|row| columns.iter().map(|c| c[row].clone()).collect()).collect()
}

/// Rows of one statement.
pub async fn rows(sql: &Sql, statement: &str) -> Result<Vec<Vec<Val>>, String> {
    let answer = sql.query(statement).await.map_err(|e| e.to_string())?;
    let batch = |batch: &arrow::array::RecordBatch| {
        let columns = batch.columns().iter().map(|c| from_arrow(c.as_ref())).collect();
        transposed(columns, batch.num_rows())
    };
    Ok(answer.batches.iter().flat_map(batch).collect())
}
