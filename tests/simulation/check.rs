//! Compares reads of a snapshot with the model at the snapshot's timestamp.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use elanus_engine::api::{
    Effort, Metric, PartitionSet, RowAddress, RowOrder, SearchRequest, Selection, Snapshot,
    vector_score,
};
use elanus_engine::core::error::Result;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::schema::DefaultValue;

use crate::model::{Collection, State};
use crate::rows::{DIM, Row, Test, columns, from_batch};
use crate::world::{World, pick};

/// What a snapshot must show, taken from the model when the snapshot was.
pub struct Expected {
    pub rows: State,
    pub at: u64,
}

impl Collection {
    /// What a snapshot that was just taken must show; refuses one that shows too little.
    pub fn expected(&mut self, snapshot: &Snapshot) -> Expected {
        let at = snapshot.timestamp();
        assert!(
            at >= self.acked,
            "a snapshot at {at} misses a write acknowledged at {}",
            self.acked
        );
        assert!(
            at >= self.seen,
            "a snapshot at {at} is older than one before it, at {}",
            self.seen
        );
        self.seen = at;
        let info = snapshot.info();
        let ids: BTreeSet<u64> = info.partitions.iter().map(|p| p.id).collect();
        for (id, name) in &self.partitions {
            let there = ids.contains(id) || self.dropping.contains(name) || self.drop_begun;
            assert!(there, "partition {name} ({id}) is gone without being dropped");
        }
        let back: Vec<&u64> = self.gone.intersection(&ids).collect();
        assert!(back.is_empty(), "partitions {back:?} were dropped and are back");
        let fields: BTreeSet<&str> = info.schema.fields.iter().map(|f| f.name.as_str()).collect();
        let lost: Vec<_> = self.fields.iter().filter(|f| !fields.contains(f.as_str())).collect();
        assert!(lost.is_empty(), "added fields {lost:?} are gone");
        self.expected_then(snapshot)
    }

    /// What a snapshot of any moment must show.
    pub fn expected_then(&self, snapshot: &Snapshot) -> Expected {
        let at = snapshot.timestamp();
        let info = snapshot.info();
        let mut rows = self.state(at);
        rows.retain(|_, (_, _, partition)| info.partitions.iter().any(|p| p.id == *partition));
        complete(&mut rows, snapshot);
        Expected { rows, at }
    }

    /// The model of a clone of that moment.
    pub fn cloned(&self, name: &str, then: &Snapshot) -> Self {
        let info = then.info();
        Self {
            name: name.into(),
            base: self.expected_then(then).rows,
            partitions: info.partitions.iter().map(|p| (p.id, p.name.clone())).collect(),
            fields: info.schema.fields.iter().skip(4).map(|f| f.name.clone()).collect(),
            ..Default::default()
        }
    }
}

/// Gives rows the defaults of fields that they were written without.
fn complete(rows: &mut State, snapshot: &Snapshot) {
    for field in snapshot.schema().fields.iter().skip(4) {
        let default = match &field.default_value {
            Some(DefaultValue::Int(value)) => Some(*value),
            _ => None,
        };
        for (row, ..) in rows.values_mut() {
            let value = row.extra.entry(field.name.clone()).or_insert(default);
            *value = value.or(default);
        }
    }
}

/// Every kind of read, compared with what is expected. An error is the store's, not a wrong answer.
pub async fn check(world: &World, snapshot: &Snapshot, expected: &Expected) -> Result<()> {
    world.count("read");
    all_rows(snapshot, expected).await?;
    let test = world.some_test();
    let filtered = pick(10) < 7;
    let names: Vec<(u64, String)> =
        snapshot.info().partitions.iter().map(|p| (p.id, p.name.clone())).collect();
    let some: Option<Vec<(u64, String)>> =
        (pick(10) < 5).then(|| names.into_iter().filter(|_| pick(2) == 0).collect());
    let partitions = match &some {
        None => PartitionSet::All,
        Some(some) => PartitionSet::Names(some.iter().map(|(_, name)| name.clone()).collect()),
    };
    let select = Selection { filter: filtered.then(|| test.filter()), partitions };
    let matching: BTreeMap<&Key, &Row> = expected
        .rows
        .iter()
        .filter(|(_, (row, _, p))| {
            (!filtered || test.holds(row))
                && some.as_ref().is_none_or(|some| some.iter().any(|(id, _)| id == p))
        })
        .map(|(key, (row, ..))| (key, row))
        .collect();
    let what = format!("{:?} in {some:?} at {}", filtered.then_some(&test), expected.at);
    let count = snapshot.count(&select).await?;
    assert_eq!(count, matching.len() as u64, "count of {what}");
    let rows = snapshot.select(&select, RowOrder::Key, 0, None).await?;
    let keys = keys_of(snapshot, &rows).await?;
    let wanted: Vec<Key> = matching.keys().map(|key| (*key).clone()).collect();
    assert_eq!(keys, wanted, "rows of {what}");
    search(snapshot, &select, &matching, &what).await
}

async fn all_rows(snapshot: &Snapshot, expected: &Expected) -> Result<()> {
    let rows = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await?;
    let mut found: BTreeMap<Key, (Row, u64)> = BTreeMap::new();
    if !rows.is_empty() {
        let batch = snapshot.fetch(&rows, &columns(snapshot.schema())).await?;
        for (key, row) in from_batch(&batch) {
            assert!(found.insert(key.clone(), row).is_none(), "key {key} is there twice");
        }
    }
    for (key, (row, ts)) in &found {
        let wanted = expected.rows.get(key).map(|(row, ts, _)| (row, ts));
        let at = expected.at;
        assert_eq!(Some((row, ts)), wanted, "key {key} at {at}: found and expected");
    }
    let missing: Vec<_> =
        expected.rows.iter().filter(|(key, _)| !found.contains_key(key)).collect();
    assert!(missing.is_empty(), "at {} these rows are missing: {missing:?}", expected.at);
    let count = snapshot.count(&Selection::default()).await?;
    assert_eq!(count, found.len() as u64, "count(*) at {}", expected.at);
    Ok(())
}

async fn keys_of(snapshot: &Snapshot, rows: &[RowAddress]) -> Result<Vec<Key>> {
    let batch = snapshot.fetch(rows, &["id".to_string()]).await?;
    let keys = Keys::from_array(batch.column(0).as_ref())?;
    Ok((0..keys.len()).map(|at| keys.get(at)).collect())
}

/// A search gives min(k, matches) matching rows with their exact scores; an exact one the nearest.
async fn search(
    snapshot: &Snapshot,
    select: &Selection,
    matching: &BTreeMap<&Key, &Row>,
    what: &str,
) -> Result<()> {
    let metric = [Metric::L2, Metric::Ip, Metric::Cosine][pick(3) as usize];
    let exact = pick(3) > 0;
    let top_k = [1, 3, 10, 200][pick(4) as usize];
    let query: Vec<f32> = vector().to_vec();
    let request = SearchRequest {
        field: "v".into(),
        queries: Arc::new(vec![query.clone()].into()),
        metric,
        top_k,
        select: select.clone(),
        range: None,
        effort: if exact { Effort::EXACT } else { Effort::DEFAULT },
    };
    let answer = snapshot.search(&request).await?;
    let rows: Vec<RowAddress> = answer.hits[0].iter().map(|h| h.row).collect();
    let keys = keys_of(snapshot, &rows).await?;
    let found: Vec<(&Key, f32)> = keys.iter().zip(answer.hits[0].iter().map(|h| h.score)).collect();
    let score = |row: &Row| vector_score(metric, &query, &row.v) as f32;
    let sign = if metric.higher_is_nearer() { -1.0 } else { 1.0 };
    let mut best: Vec<(&Key, f32)> = matching.iter().map(|(key, row)| (*key, score(row))).collect();
    best.sort_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
    best.truncate(top_k);
    if exact {
        assert_eq!(found, best, "{metric:?} search of {top_k} of {what}: found and expected");
        return Ok(());
    }
    assert_eq!(found.len(), best.len(), "number of {top_k} results of {what}");
    let distinct: BTreeSet<&Key> = found.iter().map(|(key, _)| *key).collect();
    assert_eq!(distinct.len(), found.len(), "a search of {what} answers a row twice");
    for (key, its) in &found {
        assert_eq!(matching.get(key).map(|row| score(row)), Some(*its), "score of {key}, {what}");
    }
    Ok(())
}

/// A vector: often of small integers, so that there are ties.
pub fn vector() -> [f32; DIM] {
    let whole = pick(2) == 0;
    std::array::from_fn(|_| match whole {
        true => pick(5) as f32 - 2.0,
        false => pick(4_000) as f32 / 1_000.0 - 2.0,
    })
}

impl World {
    pub fn some_test(&self) -> Test {
        match pick(3) {
            0 => Test::Modulo(2 + pick(4) as i64, pick(3) as i64),
            1 => Test::Below((pick(self.stamps.get() + 1) * 100) as i64),
            _ => Test::Tag(["red", "green"][pick(2) as usize]),
        }
    }
}
