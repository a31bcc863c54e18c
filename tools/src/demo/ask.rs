//! One question asked two ways: as a Milvus client's search is answered, and in SQL.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use elanus_engine::api::{
    Collection, Effort, Engine, Metric, ScanCounts, SearchRequest, Selection,
};
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::runtime::Stopwatch;
use elanus_sql::Sql;
use elanus_sql::lang::Filter;

use super::data::{self, Example};
use crate::failure::{Failure, Result};
use crate::format::human::count;

/// Answers asked for.
pub const TOP: usize = 5;

/// One row that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its key.
    pub id: i64,
    /// Its words.
    pub word: String,
    /// Cosine of the angle to the query.
    pub similarity: f32,
}

/// What one way of asking found, best first, and what it took.
pub struct Answer {
    /// Rows, best first.
    pub rows: Vec<Found>,
    /// Time from the question to the last row, asked for the first time.
    pub first: Duration,
    /// The same, asked again.
    pub again: Duration,
    /// Rows read, in words.
    pub counts: String,
}

/// The rows asked about, in Milvus's filter language.
pub fn filter_text(example: &Example) -> String {
    format!("category == \"noun.animal\" and length < 80 and id != {}", example.id)
}

/// The same question in SQL, with `vector` in the place of the query vector.
pub fn sql_text(example: &Example, vector: &str) -> String {
    format!(
        "SELECT id, word, cosine_similarity({}, {vector}) AS similarity\nFROM {}\n\
         WHERE category = 'noun.animal' AND length < 80 AND id <> {}\n\
         ORDER BY similarity DESC LIMIT {TOP}",
        data::VECTOR,
        data::COLLECTION,
        example.id,
    )
}

/// Asks as a Milvus client's search is answered.
pub async fn search(collection: &Collection, example: &Example) -> Result<Answer> {
    let watch = Stopwatch::start();
    search_once(collection, example).await?;
    let first = watch.elapsed();
    let watch = Stopwatch::start();
    let (rows, counts) = search_once(collection, example).await?;
    let (considered, scanned) = (count(counts.rows_considered), count(counts.rows_scanned));
    let counts = format!("{considered} rows considered, {scanned} rows scanned");
    Ok(Answer { rows, first, again: watch.elapsed(), counts })
}

async fn search_once(
    collection: &Collection,
    example: &Example,
) -> Result<(Vec<Found>, ScanCounts)> {
    let snapshot = collection.snapshot();
    let text = filter_text(example);
    let filter = Filter::parse_optional(&text, snapshot.schema(), &HashMap::new())?;
    let filter = filter.map(|filter| Arc::new(filter) as Arc<dyn RowFilter>);
    let request = SearchRequest {
        field: data::VECTOR.into(),
        queries: Arc::new(vec![example.vector.clone()].into()),
        metric: Metric::Cosine,
        top_k: TOP,
        select: Selection { filter, ..Selection::default() },
        range: None,
        effort: Effort::DEFAULT,
    };
    let result = snapshot.search(&request).await?;
    let hits = result.hits.into_iter().next().unwrap_or_default();
    let rows: Vec<_> = hits.iter().map(|hit| hit.row).collect();
    let batch = snapshot.fetch(&rows, &["id", "word"].map(String::from)).await?;
    let scores: Vec<f32> = hits.iter().map(|hit| hit.score).collect();
    Ok((found(&batch, &scores)?, result.counts))
}

/// Asks in SQL.
pub async fn select(engine: &Engine, example: &Example) -> Result<Answer> {
    let sql = Sql::new(engine.clone(), "default")?;
    let numbers: Vec<String> = example.vector.iter().map(f32::to_string).collect();
    let text = sql_text(example, &format!("[{}]", numbers.join(", ")));
    let watch = Stopwatch::start();
    select_once(&sql, &text).await?;
    let first = watch.elapsed();
    let watch = Stopwatch::start();
    let rows = select_once(&sql, &text).await?;
    let again = watch.elapsed();
    let explained = sql.query(&format!("EXPLAIN ANALYZE {text}")).await?;
    let counts = counters(&crate::format::table::render(&explained.batches)?);
    Ok(Answer { rows, first, again, counts })
}

async fn select_once(sql: &Sql, text: &str) -> Result<Vec<Found>> {
    let answer = sql.query(text).await?;
    let mut rows = Vec::new();
    for batch in &answer.batches {
        let scores = column(batch, "similarity")?;
        let scores = scores.as_primitive_opt::<Float32Type>().ok_or_else(|| odd("similarity"))?;
        rows.extend(found(batch, scores.values())?);
    }
    Ok(rows)
}

fn found(batch: &RecordBatch, scores: &[f32]) -> Result<Vec<Found>> {
    let ids = column(batch, "id")?;
    let ids = ids.as_primitive_opt::<Int64Type>().ok_or_else(|| odd("id"))?;
    let words = column(batch, "word")?.as_string_opt::<i32>().ok_or_else(|| odd("word"))?;
    let row = |(row, similarity): (usize, &f32)| Found {
        id: ids.value(row),
        word: words.value(row).to_string(),
        similarity: *similarity,
    };
    Ok(scores.iter().take(batch.num_rows()).enumerate().map(row).collect())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a arrow::array::ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| odd(name))
}

fn odd(name: &str) -> Failure {
    Failure::new(format!("the answer has no column {name} of the expected type"))
}

/// The counters of the search in the text of a plan, as EXPLAIN ANALYZE gives them.
fn counters(plan: &str) -> String {
    let counter = |name: &str| {
        let (_, after) = plan.split_once(&format!("{name}="))?;
        let value = after.split([',', ']']).next()?;
        Some(format!("{value} {}", name.replace('_', " ")))
    };
    let counters = ["rows_considered", "rows_scanned"];
    counters.into_iter().filter_map(counter).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_from_a_plan() {
        let plan =
            "| VectorTopKExec: k=5, metrics=[units=1, rows_considered=5.00 K, rows_scanned=76] |";
        assert_eq!(counters(plan), "5.00 K rows considered, 76 rows scanned");
        assert_eq!(counters("nothing"), "");
    }

    #[test]
    fn both_texts_ask_the_same() {
        let example = Example { id: 7, word: "w".into(), vector: vec![0.5] };
        assert!(filter_text(&example).contains("length < 80 and id != 7"));
        let sql = sql_text(&example, "[0.5]");
        assert!(sql.contains("length < 80 AND id <> 7") && sql.ends_with("LIMIT 5"), "{sql}");
    }
}
