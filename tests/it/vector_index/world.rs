//! A collection with vectors beside a plain model of it, and the check of a search against brute force.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, FixedSizeListArray, Int64Array, RecordBatch};
use arrow::datatypes::{Float32Type, Int64Type};
use elanus_engine::api::{
    Collection, CompactMode, Effort, Engine, Metric, NewCollection, PartitionSet, Rows, ScanCounts,
    ScoreRange, SearchRequest, Selection, vector_score,
};
use elanus_engine::core::filter::RowFilter;
use elanus_engine::core::key::Keys;
use elanus_engine::core::schema::{CollectionSchema, DataType, FieldSchema};
use elanus_engine::core::settings::Settings;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::harness::filter::Test;
use crate::harness::{open, small_settings};

/// A row of the model: its number `n` and the vector of each field.
#[derive(Debug, Clone)]
pub struct Row {
    pub n: i64,
    pub partition: Option<&'static str>,
    pub vectors: Vec<Option<Vec<f32>>>,
}

/// A collection and what it should hold.
pub struct World {
    pub engine: Engine,
    pub c: Collection,
    /// Names and dimensions of the vector fields.
    pub fields: Vec<(String, usize)>,
    pub rows: BTreeMap<i64, Row>,
    pub folder: tempfile::TempDir,
}

/// What to ask.
#[derive(Debug, Clone)]
pub struct Ask {
    pub field: usize,
    pub metric: Metric,
    pub k: usize,
    pub effort: Effort,
    /// Only rows with `n % divisor == rest`.
    pub modulo: Option<(i64, i64)>,
    pub partition: Option<&'static str>,
    pub radius: Option<f64>,
}

impl Ask {
    /// Ten rows of the first field at the default effort.
    pub fn new(metric: Metric) -> Self {
        let effort = Effort::DEFAULT;
        Self { field: 0, metric, k: 10, effort, modulo: None, partition: None, radius: None }
    }
}

/// Settings under which nothing happens by itself and everything fits the cache.
pub fn calm_settings() -> Settings {
    let mut settings = small_settings();
    settings.memtable.max_rows = 1_000_000;
    settings.read.cache_bytes = 256 << 20;
    settings.read.search_threads = 2;
    settings
}

/// Vectors around centres.
pub struct Clusters {
    pub rng: StdRng,
    centers: Vec<Vec<f32>>,
    spread: f32,
}

impl Clusters {
    pub fn new(seed: u64, dim: usize, count: usize, spread: f32) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let center = |rng: &mut StdRng| (0..dim).map(|_| normal(rng)).collect();
        let centers = (0..count).map(|_| center(&mut rng)).collect();
        Self { rng, centers, spread }
    }

    pub fn one(&mut self) -> Vec<f32> {
        let at = self.rng.random_range(0..self.centers.len());
        let spread = self.spread;
        self.centers[at].iter().map(|c| c + spread * normal(&mut self.rng)).collect()
    }

    pub fn many(&mut self, count: usize) -> Vec<Vec<f32>> {
        (0..count).map(|_| self.one()).collect()
    }
}

/// About normally distributed, of variance 1.
pub fn normal(rng: &mut StdRng) -> f32 {
    (0..12).map(|_| rng.random_range(-0.5..0.5f32)).sum()
}

impl World {
    /// Vector fields: name, dimensions, nullable.
    pub async fn new(settings: &Settings, fields: &[(&str, usize, bool)]) -> Self {
        let folder = crate::harness::folder();
        let engine = open(folder.path(), settings).await.expect("a store");
        let mut schema = vec![
            FieldSchema::new("id", DataType::Int64).primary(),
            FieldSchema::new("n", DataType::Int64).nullable(),
        ];
        for (name, dim, nullable) in fields {
            let field = FieldSchema::new(*name, DataType::FloatVector { dim: *dim as u32 });
            schema.push(if *nullable { field.nullable() } else { field });
        }
        let new = NewCollection::new("world", CollectionSchema::new(schema));
        let c = engine.create_collection("default", new).await.expect("a collection");
        let fields = fields.iter().map(|(name, dim, _)| (name.to_string(), *dim)).collect();
        Self { engine, c, fields, rows: BTreeMap::new(), folder }
    }

    /// Closes the store and opens it again.
    pub async fn reopen(self, settings: &Settings) -> Self {
        self.engine.close().await.expect("closed");
        let Self { engine, c, fields, rows, folder } = self;
        drop((engine, c));
        let engine = open(folder.path(), settings).await.expect("a store");
        let c = engine.collection("default", "world").expect("the collection");
        Self { engine, c, fields, rows, folder }
    }

    /// Adds or replaces rows, which must not be of two partitions.
    pub async fn upsert(&mut self, rows: Vec<(i64, Row)>) {
        let Some((_, first)) = rows.first() else { return };
        let partition = first.partition.map(str::to_string);
        let ids = Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id));
        let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, row)| row.n));
        let mut columns: Vec<(String, ArrayRef)> =
            vec![("id".into(), Arc::new(ids)), ("n".into(), Arc::new(numbers))];
        for (at, (name, dim)) in self.fields.iter().enumerate() {
            let vectors = rows.iter().map(|(_, row)| {
                row.vectors[at].as_ref().map(|v| v.iter().copied().map(Some).collect::<Vec<_>>())
            });
            let column = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(
                vectors,
                i32::try_from(*dim).expect("a dimension"),
            );
            columns.push((name.clone(), Arc::new(column)));
        }
        let columns = columns.into_iter().map(|(name, column)| (name, column, true));
        let columns = RecordBatch::try_from_iter_with_nullable(columns).expect("a batch");
        self.c.upsert(Rows { columns, partition }).await.expect("rows");
        self.rows.extend(rows);
    }

    /// [`Self::upsert`] of rows with one vector each, with keys from `from` on and `n` as the key.
    pub async fn add(&mut self, from: i64, vectors: Vec<Vec<f32>>) {
        let row = |(at, vector): (usize, Vec<f32>)| {
            let id = from + at as i64;
            (id, Row { n: id, partition: None, vectors: vec![Some(vector)] })
        };
        self.upsert(vectors.into_iter().enumerate().map(row).collect()).await;
    }

    pub async fn delete(&mut self, ids: &[i64]) {
        let keys = Keys::Int(Int64Array::from(ids.to_vec()));
        self.c.delete_keys(keys, &Default::default()).await.expect("a delete");
        ids.iter().for_each(|id| {
            self.rows.remove(id);
        });
    }

    pub async fn flush(&self) {
        self.c.flush().await.expect("a flush");
    }

    pub async fn compact(&self) {
        self.c.compact(CompactMode::All).await.expect("a compaction");
    }

    /// Searches and checks each answer: `min(k, matches)` rows, each once, alive, matching, with its true
    /// score and in order; in exactly the true order at full effort. Returns the share of answers that are as
    /// near as true ones, and what was touched; or what is wrong.
    pub async fn check(
        &self,
        ask: &Ask,
        queries: &[Vec<f32>],
    ) -> Result<(f64, ScanCounts), String> {
        let snapshot = self.c.snapshot();
        let filter = |(m, r)| -> Arc<dyn RowFilter> { Test::Modulo(m, r).filter() };
        let partitions = match ask.partition {
            Some(name) => PartitionSet::Names(vec![name.into()]),
            None => PartitionSet::All,
        };
        let request = SearchRequest {
            field: self.fields[ask.field].0.clone(),
            queries: Arc::new(queries.to_vec().into()),
            metric: ask.metric,
            top_k: ask.k,
            select: Selection { filter: ask.modulo.map(filter), partitions },
            range: ask.radius.map(|radius| ScoreRange { radius, range_filter: None }),
            effort: ask.effort,
        };
        let answer = snapshot.search(&request).await.map_err(|e| e.to_string())?;
        let (mut found, mut wanted) = (0, 0);
        for (query, hits) in queries.iter().zip(&answer.hits) {
            let truth = self.truth(ask, query);
            let places: Vec<_> = hits.iter().map(|h| h.row).collect();
            let keys = snapshot.fetch(&places, &["id".into()]).await.map_err(|e| e.to_string())?;
            let keys = keys.column(0).as_primitive::<Int64Type>().values().to_vec();
            let scores: HashMap<i64, f32> = truth.iter().map(|(s, id)| (*id, *s)).collect();
            for (hit, key) in hits.iter().zip(&keys) {
                match scores.get(key) {
                    None => return Err(format!("row {key} is no match or not alive")),
                    Some(s) if *s != hit.score => {
                        return Err(format!("row {key} scores {}, not {s}", hit.score));
                    }
                    Some(_) => {}
                }
            }
            let distinct = keys.iter().collect::<BTreeSet<_>>().len();
            let count = ask.k.min(truth.len());
            if distinct < keys.len() || hits.len() != count {
                return Err(format!("{distinct} rows, {} answers of {count}", hits.len()));
            }
            let sign = if ask.metric.higher_is_nearer() { -1.0 } else { 1.0 };
            if !hits.is_sorted_by(|a, b| sign * a.score <= sign * b.score) {
                return Err("the answers are not in order".into());
            }
            if let Some((worst, _)) = count.checked_sub(1).map(|at| truth[at]) {
                found += hits.iter().filter(|h| sign * h.score <= sign * worst).count();
                wanted += count;
            }
            let truth: Vec<i64> = truth[..count].iter().map(|(_, id)| *id).collect();
            if ask.effort.is_exact() && keys != truth {
                return Err(format!("rows {keys:?}, not {truth:?}"));
            }
        }
        Ok((if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 }, answer.counts))
    }

    /// Scores and keys of all rows that may be answered, best first and equal ones by key.
    fn truth(&self, ask: &Ask, query: &[f32]) -> Vec<(f32, i64)> {
        let matches = |row: &Row| {
            ask.modulo.is_none_or(|(m, r)| row.n.rem_euclid(m) == r)
                && ask.partition.is_none_or(|p| row.partition == Some(p))
        };
        let range = ask.radius.map(|radius| ScoreRange { radius, range_filter: None });
        let mut all: Vec<(f32, i64)> = self
            .rows
            .iter()
            .filter(|(_, row)| matches(row))
            .filter_map(|(id, row)| {
                let score = vector_score(ask.metric, query, row.vectors[ask.field].as_ref()?);
                range.is_none_or(|r| r.holds(ask.metric, score)).then_some((score as f32, *id))
            })
            .collect();
        let sign = if ask.metric.higher_is_nearer() { -1.0 } else { 1.0 };
        all.sort_by(|a, b| (sign * a.0).total_cmp(&(sign * b.0)).then(a.1.cmp(&b.1)));
        all
    }
}

/// What a test found wrong; all of it is told at its end.
#[derive(Debug, Default)]
pub struct Faults(Vec<String>);

impl Faults {
    /// Checks an answer, and that its recall is at least this.
    pub async fn check(
        &mut self,
        world: &World,
        ask: &Ask,
        queries: &[Vec<f32>],
        least: f64,
        what: &str,
    ) {
        match world.check(ask, queries).await {
            Err(e) => self.0.push(format!("{what}: {e} ({ask:?})")),
            Ok((recall, _)) if recall < least => {
                self.0.push(format!("{what}: recall {recall:.3} ({ask:?})"));
            }
            Ok(_) => {}
        }
    }

    /// Fails if there is any.
    pub fn end(self) {
        assert!(self.0.is_empty(), "{} faults:\n{}", self.0.len(), self.0.join("\n"));
    }
}
