//! Compares every kind of read on a snapshot with the map.

use std::sync::Arc;

use elanus_engine::api::{
    Effort, Metric, PartitionSet, RowAddress, RowOrder, ScoreRange, SearchRequest, Selection,
    Snapshot, vector_score,
};
use elanus_engine::core::key::{Key, Keys};
use rand::Rng;
use rand::rngs::StdRng;

use super::world::{Model, inside};
use crate::harness::filter::Test;
use crate::harness::rows::{Row, columns, from_batch, random_vector};

/// All rows of a snapshot; the partitions are asked for one by one.
pub async fn all_rows(snapshot: &Snapshot, extra: usize) -> Model {
    let mut found = Model::new();
    let with_key = snapshot.schema().partition_key().is_some();
    let names: Vec<String> = snapshot.info().partitions.iter().map(|p| p.name.clone()).collect();
    for name in names {
        let select =
            Selection { partitions: PartitionSet::Names(vec![name.clone()]), filter: None };
        let rows = select_rows(snapshot, &select, RowOrder::Any, 0, None).await;
        for (key, mut row) in fetch(snapshot, &rows, extra).await {
            row.partition = if with_key { String::new() } else { name.clone() };
            assert!(found.insert(key.clone(), row).is_none(), "{key} is there twice");
        }
    }
    found
}

async fn select_rows(
    snapshot: &Snapshot,
    select: &Selection,
    order: RowOrder,
    offset: usize,
    limit: Option<usize>,
) -> Vec<RowAddress> {
    snapshot.select(select, order, offset, limit).await.expect("a selection")
}

async fn fetch(snapshot: &Snapshot, rows: &[RowAddress], extra: usize) -> Vec<(Key, Row)> {
    let batch = snapshot.fetch(rows, &columns(extra)).await.expect("rows");
    from_batch(&batch, extra)
}

async fn fetch_keys(snapshot: &Snapshot, rows: &[RowAddress]) -> Vec<Key> {
    let batch = snapshot.fetch(rows, &["id".to_string()]).await.expect("keys");
    let keys = Keys::from_array(batch.column(0).as_ref()).expect("keys");
    (0..keys.len()).map(|at| keys.get(at)).collect()
}

/// Every kind of read, compared with the map.
pub async fn check(
    snapshot: &Snapshot,
    model: &Model,
    extra: usize,
    test: &Test,
    partitions: &PartitionSet,
    rng: &mut StdRng,
) {
    let rows = all_rows(snapshot, extra).await;
    for (key, row) in &rows {
        assert_eq!(model.get(key), Some(row), "row {key}");
    }
    let missing: Vec<&Key> = model.keys().filter(|key| !rows.contains_key(key)).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let count = snapshot.count(&Selection::default()).await.expect("a count");
    assert_eq!(count, model.len() as u64, "count of all");
    let filter = rng.random_bool(0.8).then(|| test.filter());
    let select = Selection { filter, partitions: partitions.clone() };
    let matches =
        |row: &Row| inside(partitions, row) && (select.filter.is_none() || test.holds(row));
    let expected: Vec<Key> =
        model.iter().filter(|(_, row)| matches(row)).map(|(key, _)| key.clone()).collect();
    let what = format!("{test:?} in {partitions:?}");
    let count = snapshot.count(&select).await.expect("a count");
    assert_eq!(count, expected.len() as u64, "count of {what}");
    check_select(snapshot, &select, &expected, rng, &what).await;
    check_scan(snapshot, &select, &expected, extra, &what).await;
    for _ in 0..3 {
        check_search(snapshot, model, &select, &matches, rng, &what).await;
    }
}

async fn check_select(
    snapshot: &Snapshot,
    select: &Selection,
    expected: &[Key],
    rng: &mut StdRng,
    what: &str,
) {
    let offset = rng.random_range(0..20);
    let limit = rng.random::<bool>().then(|| rng.random_range(0..20));
    let rows = select_rows(snapshot, select, RowOrder::Key, offset, limit).await;
    let page = expected.iter().skip(offset).take(limit.unwrap_or(usize::MAX)).cloned();
    let page: Vec<Key> = page.collect();
    assert_eq!(fetch_keys(snapshot, &rows).await, page, "{what} from {offset}, {limit:?}");
    let any = select_rows(snapshot, select, RowOrder::Any, offset, limit).await;
    assert_eq!(any.len(), page.len(), "any order of {what} from {offset}, {limit:?}");
    // In any order, and one row twice.
    let mut shuffled = rows.clone();
    shuffled.reverse();
    shuffled.extend(rows.first());
    let mut keys: Vec<Key> = page.iter().rev().cloned().collect();
    keys.extend(page.first().cloned());
    assert_eq!(fetch_keys(snapshot, &shuffled).await, keys);
}

async fn check_scan(
    snapshot: &Snapshot,
    select: &Selection,
    expected: &[Key],
    extra: usize,
    what: &str,
) {
    let mut keys = Vec::new();
    let mut count = 0;
    for unit in 0..snapshot.units() {
        let scan = snapshot.scan_unit(unit, select, &columns(extra), None).await;
        for batch in scan.expect("a scan").0 {
            keys.extend(from_batch(&batch, extra).into_iter().map(|(key, _)| key));
        }
        let none = snapshot.scan_unit(unit, select, &[], None).await.expect("a scan");
        count += none.0.iter().map(|b| b.num_rows()).sum::<usize>();
    }
    keys.sort();
    assert_eq!(keys, expected, "scan of {what}");
    assert_eq!(count, expected.len(), "scan without columns of {what}");
}

async fn check_search(
    snapshot: &Snapshot,
    model: &Model,
    select: &Selection,
    matches: &impl Fn(&Row) -> bool,
    rng: &mut StdRng,
    what: &str,
) {
    let metric = [Metric::L2, Metric::Ip, Metric::Cosine][rng.random_range(0..3)];
    let field = if rng.random() { "v" } else { "w" };
    let top_k = [0, 1, 5, 40, 1_000][rng.random_range(0..5)];
    let near: f64 = if metric.higher_is_nearer() { 0.75 } else { 1.5 };
    let far = if metric.higher_is_nearer() { -0.5 } else { 6.0 };
    let range = rng
        .random_bool(0.3)
        .then(|| ScoreRange { radius: far, range_filter: rng.random::<bool>().then_some(near) });
    let queries: Vec<Vec<f32>> = (0..3).map(|_| random_vector(rng)).collect();
    let request = SearchRequest {
        field: field.into(),
        queries: Arc::new(queries.clone().into()),
        metric,
        top_k,
        select: select.clone(),
        range,
        effort: Effort::EXACT,
    };
    let answer = snapshot.search(&request).await.expect("a search");
    for (query, hits) in queries.iter().zip(&answer.hits) {
        let rows: Vec<RowAddress> = hits.iter().map(|h| h.row).collect();
        let keys = fetch_keys(snapshot, &rows).await;
        let found: Vec<(Key, f32)> = keys.into_iter().zip(hits.iter().map(|h| h.score)).collect();
        let mut expected: Vec<(Key, f32)> = model
            .iter()
            .filter(|(_, row)| matches(row))
            .filter_map(|(key, row)| {
                let vector = if field == "v" { Some(&row.v) } else { row.w.as_ref() };
                let score = vector_score(metric, query, vector?);
                range.is_none_or(|r| r.holds(metric, score)).then(|| (key.clone(), score as f32))
            })
            .collect();
        // The map is in the order of keys, and the sort is stable.
        let sign = if metric.higher_is_nearer() { -1.0 } else { 1.0 };
        expected.sort_by(|a, b| (sign * a.1).total_cmp(&(sign * b.1)));
        expected.truncate(top_k);
        let same = found.len() == expected.len()
            && found.iter().zip(&expected).all(|(a, b)| a.0 == b.0 && a.1 == b.1);
        assert!(
            same,
            "{metric:?} of {field} near {query:?}, {top_k}, {range:?}, {what}:\n found    {found:?}\n \
             expected {expected:?}"
        );
    }
}
