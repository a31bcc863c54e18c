//! Brings the rows into the collection over gRPC, and knows what must be there.

use std::time::Duration;

use elanus_engine::api::Engine;
use elanus_proto::common::CompactionState;
use elanus_proto::service::*;
use elanus_sql::Sql;
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::question::rows;
use super::things::{COLUMNS, METRICS, Model, PARTITIONS, Row, THINGS};
use super::things::{create, fields_data, key, place, row};
use super::value::{Val, from_wire};
use crate::served::{Client, create_loaded, good};

pub struct Loader {
    pub client: Client,
    text_keys: bool,
    model: Model,
}

impl Loader {
    pub fn new(client: Client, text_keys: bool) -> Self {
        Self { client, text_keys, model: Model::new() }
    }

    /// Rows for every place: two flushes and a compaction of both, two more flushes with replaced
    /// and deleted rows, and a memtable that replaces and deletes rows below it and in itself.
    pub async fn load(&mut self, rng: &mut StdRng) {
        create_loaded(&mut self.client, create(self.text_keys), &METRICS).await;
        for partition in &PARTITIONS[1..] {
            let request = CreatePartitionRequest {
                collection_name: THINGS.into(),
                partition_name: (*partition).into(),
                ..Default::default()
            };
            good(self.client.create_partition(request).await.expect("an answer").into_inner());
        }
        self.write(rng, 0..250).await;
        self.flush().await;
        self.write(rng, 200..420).await;
        self.delete_some(rng).await;
        self.flush().await;
        self.compact().await;
        self.write(rng, 400..600).await;
        self.flush().await;
        self.write(rng, 580..700).await;
        self.delete_where(rng).await;
        self.flush().await;
        self.write(rng, 0..40).await;
        self.write(rng, 700..880).await;
        self.delete_some(rng).await;
        self.delete_where(rng).await;
        self.write(rng, 860..900).await;
    }

    /// Writes rows with these keys, cut into requests, each into a partition.
    async fn write(&mut self, rng: &mut StdRng, numbers: std::ops::Range<i64>) {
        let numbers: Vec<i64> = numbers.collect();
        for numbers in numbers.chunks(60) {
            let partition = *PARTITIONS.choose(rng).expect("one");
            let made: Vec<Row> = numbers.iter().map(|_| row(rng, partition)).collect();
            let keys: Vec<Val> = numbers.iter().map(|n| key(self.text_keys, *n)).collect();
            let fields_data = fields_data(&keys, &made.iter().collect::<Vec<_>>(), rng.random());
            let count = i64::try_from(numbers.len()).expect("few");
            let (collection_name, partition_name) = (THINGS.to_string(), partition.to_string());
            let num_rows = numbers.len() as u32;
            let answer = if rng.random() {
                let request = InsertRequest {
                    collection_name,
                    partition_name,
                    fields_data,
                    num_rows,
                    ..Default::default()
                };
                let answer = self.client.insert(request).await.expect("an answer").into_inner();
                assert_eq!(answer.insert_cnt, count, "{:?}", answer.status);
                answer
            } else {
                let request = UpsertRequest {
                    collection_name,
                    partition_name,
                    fields_data,
                    num_rows,
                    ..Default::default()
                };
                let answer = self.client.upsert(request).await.expect("an answer").into_inner();
                assert_eq!(answer.upsert_cnt, count, "{:?}", answer.status);
                answer
            };
            good(answer.status);
            self.model.extend(numbers.iter().copied().zip(made));
        }
    }

    /// Deletes rows by keys, some of which are not there.
    async fn delete_some(&mut self, rng: &mut StdRng) {
        let doomed: Vec<i64> = (0..30).map(|_| rng.random_range(0..900)).collect();
        let literal = |n: &i64| match key(self.text_keys, *n) {
            Val::Text(text) => format!("\"{text}\""),
            _ => n.to_string(),
        };
        let list: Vec<String> = doomed.iter().map(literal).collect();
        self.delete(format!("id in [{}]", list.join(", "))).await;
        self.model.retain(|n, _| !doomed.contains(n));
    }

    /// Deletes rows by a condition.
    async fn delete_where(&mut self, rng: &mut StdRng) {
        let at = rng.random_range(-15..15);
        self.delete(format!("i8 == {at} or (nb is null and i16 < {})", at * 10)).await;
        let (i8, nb, i16) = (place("i8"), place("nb"), place("i16"));
        let below = |v: &Val| matches!(v, Val::Int(v) if *v < at * 10);
        self.model.retain(|_, r| !(r[i8] == Val::Int(at) || r[nb] == Val::Null && below(&r[i16])));
    }

    async fn delete(&mut self, expr: String) {
        let request = DeleteRequest { collection_name: THINGS.into(), expr, ..Default::default() };
        good(self.client.delete(request).await.expect("an answer").into_inner().status);
    }

    pub async fn flush(&mut self) {
        let request = FlushRequest { collection_names: vec![THINGS.into()], ..Default::default() };
        good(self.client.flush(request).await.expect("an answer").into_inner().status);
    }

    /// Compacts all segments and waits for it.
    pub async fn compact(&mut self) {
        let request =
            ManualCompactionRequest { collection_name: THINGS.into(), ..Default::default() };
        let answer = self.client.manual_compaction(request).await.expect("an answer").into_inner();
        good(answer.status);
        loop {
            let request = GetCompactionStateRequest { compaction_id: answer.compaction_id };
            let state = self.client.get_compaction_state(request).await.expect("an answer");
            let state = state.into_inner();
            if state.state() == CompactionState::Completed {
                assert_eq!((state.completed_plan_no, state.failed_plan_no), (1, 0));
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Fails unless rows lie in several segments and in the memtable, and some are dead.
    pub fn check_layout(&self, engine: &Engine) {
        let stats = engine.collection("default", THINGS).expect("there").stats();
        assert!(stats.segments.len() > 3, "{stats:?}");
        assert!(stats.memtable_rows > 100 && stats.rows_stored > stats.live_rows, "{stats:?}");
        assert_eq!(stats.live_rows, self.model.len() as u64);
    }

    /// Fails unless both faces give exactly the rows that must be there.
    pub async fn check_all(&mut self, engine: &Engine) {
        let expected: Vec<Vec<Val>> = self
            .model
            .iter()
            .map(|(n, row)| std::iter::once(key(self.text_keys, *n)).chain(row.clone()).collect())
            .collect();
        let names: Vec<String> =
            std::iter::once("id").chain(COLUMNS.iter().map(|c| c.name)).map(String::from).collect();
        let sql = Sql::new(engine.clone(), "default").expect("a session");
        let quoted: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
        let statement = format!("SELECT {} FROM {THINGS} ORDER BY id", quoted.join(", "));
        let found = rows(&sql, &statement).await.expect("rows");
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            assert_eq!(found, expected, "a row over SQL");
        }
        let request = QueryRequest {
            collection_name: THINGS.into(),
            expr: "i8 > -100".into(),
            output_fields: vec!["*".into()],
            ..Default::default()
        };
        let answer = self.client.query(request).await.expect("an answer").into_inner();
        good(answer.status.clone());
        for (at, name) in names.iter().enumerate() {
            let data = answer.fields_data.iter().find(|d| d.field_name == *name).expect("it");
            let wanted: Vec<Val> = expected.iter().map(|row| row[at].clone()).collect();
            assert_eq!(from_wire(data, expected.len()), wanted, "column {name} over gRPC");
        }
    }
}
