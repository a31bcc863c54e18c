//! Writes, and what the model is told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use elanus_engine::api::{Collection, PartitionSet, RowOrder, Rows, Selection, Snapshot, Written};
use elanus_engine::core::error::Error;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::runtime::{self, sim};
use elanus_engine::core::schema::DataType;

use crate::actors::Actor;
use crate::check::vector;
use crate::model::{Change, Fate};
use crate::rows::{Row, columns, from_batch, to_batch};
use crate::world::pick;

impl Actor {
    pub async fn write<F>(
        &self,
        collection: &Collection,
        change: Change,
        call: F,
    ) -> Result<Option<(usize, Written)>, Error>
    where
        F: Future<Output = Result<Written, Error>>,
    {
        let at = self.begun(collection, change);
        let outcome = call.await;
        runtime::gate("write.acked").await;
        self.ended(collection, at, outcome.as_ref().ok());
        outcome.map(|written| self.counts().then_some((at, written)))
    }

    /// Notes that a write begins. Also one of a process that has lost the store may be there when it comes back.
    pub fn begun(&self, collection: &Collection, change: Change) -> usize {
        let who = sim::machine().expect("within a run").current();
        self.maybe(collection, |model, counts| {
            let at = model.begin(who, change);
            if !counts {
                model.ops[at].after = 0;
            }
            if self.life.world.looked.get() > self.life.process {
                // Another process has claimed everything: what this one's log holds is refused for ever.
                model.ops[at].fate = Fate::Gone;
            }
            at
        })
    }

    /// Notes what may be there from now on, whoever does it.
    pub fn maybe<T>(
        &self,
        collection: &Collection,
        change: impl FnOnce(&mut crate::model::Collection, bool) -> T,
    ) -> T {
        let world = &self.life.world;
        let mut model = world.model.borrow_mut();
        let counts = self.counts();
        let new =
            || crate::model::Collection { unsure: !counts, ..world.new_model(collection.name()) };
        change(model.entry(collection.id()).or_insert_with(new), counts)
    }

    /// Notes how a write ended. What a process is told that has lost the store does not count.
    pub fn ended(&self, collection: &Collection, at: usize, written: Option<&Written>) {
        let mut model = self.life.world.model.borrow_mut();
        let Some(model) = model.get_mut(&collection.id()) else { return };
        match written {
            Some(written) if self.counts() => model.ack(at, written.timestamp),
            _ => model.fail(at),
        }
    }

    pub fn some_key(&self, text: bool) -> Key {
        let number = pick(40) as i64 - 20;
        if text { Key::Text(format!("k{number}").into()) } else { Key::Int(number) }
    }

    pub async fn put(&self, collection: &Collection, cancelled: bool) -> Result<(), Error> {
        runtime::gate("write.begin").await;
        let info = collection.info();
        let partition = &info.partitions[pick(info.partitions.len() as u64) as usize];
        let text = collection.schema().fields[0].data_type != DataType::Int64;
        let stamp = self.life.world.stamp() as i64 * 100;
        let many = if pick(12) == 0 { 40 } else { 1 + pick(8) };
        let extra: BTreeMap<String, Option<i64>> = info
            .schema
            .fields
            .iter()
            .skip(4)
            .filter(|_| pick(3) > 0)
            .map(|f| (f.name.clone(), Some(stamp)))
            .collect();
        let mut rows: BTreeMap<Key, Row> = BTreeMap::new();
        for n in 0..many as i64 {
            let tag = [None, Some("red"), Some("green")][pick(3) as usize].map(str::to_string);
            let row = Row { n: stamp + n, tag, v: vector(), extra: extra.clone() };
            rows.insert(self.some_key(text), row);
        }
        let rows: Vec<(Key, Row)> = rows.into_iter().collect();
        let columns = to_batch(&rows);
        let change = Change::Put { partition: partition.id, rows };
        let upsert = pick(2) == 0;
        let rows = Rows { columns, partition: Some(partition.name.clone()) };
        if cancelled {
            return self.cancel(collection, change, rows).await;
        }
        let call = async {
            if upsert { collection.upsert(rows).await } else { collection.insert(rows).await }
        };
        self.write(collection, change, call).await.map(drop)
    }

    /// Rows that keep the tags of those that they replace: read and written in one step.
    pub async fn merge(&self, collection: &Collection) -> Result<(), Error> {
        let info = collection.info();
        let partition = info.partitions[pick(info.partitions.len() as u64) as usize].clone();
        let text = collection.schema().fields[0].data_type != DataType::Int64;
        let stamp = self.life.world.stamp() as i64 * 100;
        let rows: BTreeMap<Key, Row> = (0..1 + pick(4) as i64)
            .map(|n| {
                let row = Row { n: stamp + n, tag: None, v: vector(), extra: BTreeMap::new() };
                (self.some_key(text), row)
            })
            .collect();
        let rows: Vec<(Key, Row)> = rows.into_iter().collect();
        let there = Rc::default();
        let change =
            Change::Merge { partition: partition.id, rows: rows.clone(), there: Rc::clone(&there) };
        let complete = |snapshot: Snapshot| async move {
            there.borrow_mut().extend(snapshot.info().partitions.iter().map(|p| p.id));
            let all = snapshot.select(&Selection::default(), RowOrder::Key, 0, None).await?;
            let old: BTreeMap<Key, (Row, u64)> = match all.is_empty() {
                true => BTreeMap::new(),
                false => from_batch(&snapshot.fetch(&all, &columns(snapshot.schema())).await?)
                    .into_iter()
                    .collect(),
            };
            let merged: Vec<(Key, Row)> = rows
                .into_iter()
                .map(|(key, row)| {
                    let tag = old.get(&key).and_then(|(old, _)| old.tag.clone());
                    (key, Row { tag, ..row })
                })
                .collect();
            Ok::<_, Error>(Rows { columns: to_batch(&merged), partition: Some(partition.name) })
        };
        self.write(collection, change, collection.upsert_completed(complete)).await.map(drop)
    }

    /// A write whose caller goes away: done or not, but not half.
    pub async fn cancel(
        &self,
        collection: &Collection,
        change: Change,
        rows: Rows,
    ) -> Result<(), Error> {
        let at = self.begun(collection, change);
        let outcome = {
            let mut call = Box::pin(collection.insert(rows));
            let mut polls = pick(6);
            std::future::poll_fn(move |context| match call.as_mut().poll(context) {
                std::task::Poll::Ready(outcome) => std::task::Poll::Ready(Some(outcome)),
                std::task::Poll::Pending if polls == 0 => std::task::Poll::Ready(None),
                std::task::Poll::Pending => {
                    polls -= 1;
                    std::task::Poll::Pending
                }
            })
            .await
        };
        self.ended(collection, at, outcome.as_ref().and_then(|o| o.as_ref().ok()));
        outcome.map_or(Ok(()), |outcome| outcome.map(drop))
    }

    pub fn some_partitions(&self, collection: &Collection) -> (PartitionSet, Option<Vec<u64>>) {
        if pick(3) > 0 {
            return (PartitionSet::All, None);
        }
        let some: Vec<_> =
            collection.info().partitions.into_iter().filter(|_| pick(2) == 0).collect();
        let names = some.iter().map(|p| p.name.clone()).collect();
        (PartitionSet::Names(names), Some(some.iter().map(|p| p.id).collect()))
    }

    pub async fn delete_keys(&self, collection: &Collection) -> Result<(), Error> {
        let text = collection.schema().fields[0].data_type != DataType::Int64;
        let keys: BTreeSet<Key> = (0..1 + pick(8)).map(|_| self.some_key(text)).collect();
        let keys: Vec<Key> = keys.into_iter().collect();
        let column = Keys::from_keys(&keys)?;
        let (set, partitions) = self.some_partitions(collection);
        let change = Change::Delete { keys, partitions };
        let call = collection.delete_keys(column, &set);
        let Some((at, written)) = self.write(collection, change, call).await? else {
            return Ok(());
        };
        self.judge_delete(collection, at, &written);
        Ok(())
    }

    pub async fn delete_where(&self, collection: &Collection) -> Result<(), Error> {
        let test = self.life.world.some_test();
        let (set, partitions) = self.some_partitions(collection);
        let change = Change::DeleteWhere { test: test.clone(), partitions };
        let call = collection.delete_where(test.filter(), &set);
        let Some((at, written)) = self.write(collection, change, call).await? else {
            return Ok(());
        };
        self.judge_delete(collection, at, &written);
        Ok(())
    }

    /// A delete says which keys it removed: those that were there just before it.
    pub fn judge_delete(&self, collection: &Collection, at: usize, written: &Written) {
        self.model(collection, |model| {
            let op = model.ops[at].clone();
            // Rows of a partition that is being dropped are there or not.
            if !model.dropping.is_empty() || !model.gone.is_empty() {
                return;
            }
            let Some(ts) = op.ts else {
                assert_eq!(written.count, 0, "a delete that was not logged removed rows");
                return;
            };
            let before = model.state(ts - 1);
            let inside = |p: &Option<Vec<u64>>, id: u64| p.as_ref().is_none_or(|p| p.contains(&id));
            let mut wanted: Vec<Key> = before
                .iter()
                .filter(|(key, (row, _, p))| match &op.change {
                    Change::Delete { keys, partitions } => {
                        keys.contains(key) && inside(partitions, *p)
                    }
                    Change::DeleteWhere { test, partitions } => {
                        test.holds(row) && inside(partitions, *p)
                    }
                    Change::Put { .. } | Change::Merge { .. } => false,
                })
                .map(|(key, _)| key.clone())
                .collect();
            let mut found: Vec<Key> =
                (0..written.keys.len()).map(|k| written.keys.get(k)).collect();
            wanted.sort();
            found.sort();
            assert_eq!(found, wanted, "keys deleted: found and expected");
        });
    }
}
