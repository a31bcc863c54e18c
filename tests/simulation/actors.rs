//! What the processes of a run do: writers, readers and maintenance at once, each on a task of its own.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use elanus_engine::api::{
    Collection, CompactMode, NewCollection, PartitionSet, Rows, Snapshot, Written,
};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::runtime::{self, sim};
use elanus_engine::core::schema::{DataType, DefaultValue, FieldSchema};

use crate::check::{Expected, check, vector};
use crate::model::Change;
use crate::rows::{Row, schema, to_batch};
use crate::world::{Life, pick};

/// Most collections at once.
const COLLECTIONS: usize = 2;

/// Opens the store, looks at everything, lets maintenance loose on it, then works.
pub async fn live(life: &Rc<Life>, lossless: bool) {
    life.world.count("open");
    if let Err(e) = life.open().await {
        return life.explain("open", &e);
    }
    if life.replaced.get() {
        return;
    }
    if let Err(e) = life.recovered(lossless).await {
        return life.explain("the first reads", &e);
    }
    life.recovered.set(true);
    life.disturbed.set(false);
    if pick(2) == 0 {
        let pair = (0..2).map(|_| task(life, 1, MAINTENANCE)).collect::<Vec<_>>();
        futures::future::join_all(pair).await;
    }
    let steps = 2 + pick(9);
    let mut tasks: Vec<_> = (0..1 + pick(3)).map(|_| task(life, steps, WRITER)).collect();
    tasks.push(task(life, steps, READER));
    tasks.push(task(life, 1 + pick(5), MAINTENANCE));
    if pick(3) == 0 {
        tasks.push(task(life, 1 + pick(4), CHAOS));
    }
    futures::future::join_all(tasks).await;
}

type Step = (u64, &'static str);

const WRITER: &[Step] = &[
    (40, "put"),
    (10, "delete keys"),
    (6, "delete where"),
    (4, "cancelled put"),
    (4, "create collection"),
    (1, "drop collection"),
    (3, "create partition"),
    (2, "drop partition"),
    (2, "add field"),
];
const READER: &[Step] = &[(8, "look"), (4, "hold"), (5, "look at a held one"), (3, "wait")];
const MAINTENANCE: &[Step] = &[
    (6, "flush"),
    (4, "compact"),
    (4, "compact all"),
    (5, "collect garbage"),
    (1, "drop collection"),
    (2, "drop partition"),
    (3, "retrain"),
    (3, "hold"),
    (2, "wait"),
];
const CHAOS: &[Step] =
    &[(2, "jump"), (2, "store full"), (1, "disk full"), (2, "pause"), (2, "wait")];

/// Starts a task of so many steps.
fn task(life: &Rc<Life>, steps: u64, kinds: &'static [Step]) -> tokio::sync::oneshot::Receiver<()> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let actor = Actor { life: life.clone(), held: RefCell::default() };
    let work = async move {
        for _ in 0..steps {
            actor.step(kinds).await;
        }
        sender.send(()).ok();
    };
    let machine = sim::machine().expect("within a run");
    machine.start(life.process, Box::pin(work));
    receiver
}

struct Actor {
    life: Rc<Life>,
    held: RefCell<Vec<(Snapshot, Expected)>>,
}

impl Actor {
    async fn step(&self, kinds: &[Step]) {
        let mut dice = pick(kinds.iter().map(|(weight, _)| weight).sum());
        let mut what = "wait";
        for (weight, kind) in kinds {
            if dice < *weight {
                what = kind;
                break;
            }
            dice -= weight;
        }
        self.life.world.count(what);
        if let Some(machine) = sim::machine() {
            machine.tell(what, 0);
        }
        let done = match what {
            "wait" => {
                runtime::sleep(Duration::from_millis(pick(300))).await;
                Ok(())
            }
            "create collection" => self.create_collection().await,
            "drop collection" => self.drop_collection().await,
            "jump" | "store full" | "disk full" | "pause" => self.trouble(what).await,
            "look at a held one" => self.look_at_held().await,
            _ => match self.some_collection() {
                Some(collection) => self.work(what, &collection).await,
                None => self.create_collection().await,
            },
        };
        if let Err(e) = done {
            self.life.explain(what, &e);
            // Who is refused waits a little.
            runtime::sleep(Duration::from_millis(pick(100))).await;
        }
    }

    async fn work(&self, what: &str, collection: &Collection) -> Result<(), Error> {
        match what {
            "put" => self.put(collection, false).await,
            "cancelled put" => self.put(collection, true).await,
            "delete keys" => self.delete_keys(collection).await,
            "delete where" => self.delete_where(collection).await,
            "look" => self.look(collection).await,
            "hold" => {
                self.hold(collection);
                runtime::gate("snapshot.held").await;
                Ok(())
            }
            "flush" => collection.flush().await.map(drop),
            "compact" => collection.compact(CompactMode::Planned).await.map(drop),
            "compact all" => collection.compact(CompactMode::All).await.map(drop),
            "collect garbage" => collection.collect_garbage().await.map(drop),
            "retrain" => self.retrain(collection).await,
            "create partition" => self.create_partition(collection).await,
            "drop partition" => self.drop_partition(collection).await,
            "add field" => self.add_field(collection).await,
            other => panic!("no step {other}"),
        }
    }

    fn some_collection(&self) -> Option<Collection> {
        let all = self.life.engine().all_collections();
        (!all.is_empty()).then(|| all[pick(all.len() as u64) as usize].clone())
    }

    /// Whether what this process does counts.
    fn counts(&self) -> bool {
        !self.life.replaced.get()
    }

    /// Changes the model of a collection, unless it is none of ours any more.
    fn model<T>(
        &self,
        collection: &Collection,
        change: impl FnOnce(&mut crate::model::Collection) -> T,
    ) -> Option<T> {
        // Others may find a new collection before the one who made it goes on.
        self.counts().then(|| self.maybe(collection, |model, _| change(model)))
    }

    // ---- writes

    async fn write<F>(
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
    fn begun(&self, collection: &Collection, change: Change) -> usize {
        let who = sim::machine().expect("within a run").current();
        self.maybe(collection, |model, counts| {
            let at = model.begin(who, change);
            if !counts {
                model.ops[at].after = 0;
            }
            at
        })
    }

    /// Notes what may be there from now on, whoever does it.
    fn maybe<T>(
        &self,
        collection: &Collection,
        change: impl FnOnce(&mut crate::model::Collection, bool) -> T,
    ) -> T {
        let mut model = self.life.world.model.borrow_mut();
        let counts = self.counts();
        let new = || crate::model::Collection {
            name: collection.name(),
            unsure: !counts,
            ..Default::default()
        };
        change(model.entry(collection.id()).or_insert_with(new), counts)
    }

    /// Notes how a write ended. What a process is told that has lost the store does not count.
    fn ended(&self, collection: &Collection, at: usize, written: Option<&Written>) {
        let mut model = self.life.world.model.borrow_mut();
        let Some(model) = model.get_mut(&collection.id()) else { return };
        match written {
            Some(written) if self.counts() => model.ack(at, written.timestamp),
            _ => model.fail(at),
        }
    }

    fn some_key(&self, text: bool) -> Key {
        let number = pick(40) as i64 - 20;
        if text { Key::Text(format!("k{number}").into()) } else { Key::Int(number) }
    }

    async fn put(&self, collection: &Collection, cancelled: bool) -> Result<(), Error> {
        runtime::gate("write.begin").await;
        let info = collection.info();
        let partition = &info.partitions[pick(info.partitions.len() as u64) as usize];
        let text = collection.schema().fields[0].data_type != DataType::Int64;
        let stamps = &self.life.world.stamps;
        stamps.set(stamps.get() + 1);
        let stamp = stamps.get() as i64 * 100;
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

    /// A write whose caller goes away: done or not, but not half.
    async fn cancel(
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

    fn some_partitions(&self, collection: &Collection) -> (PartitionSet, Option<Vec<u64>>) {
        if pick(3) > 0 {
            return (PartitionSet::All, None);
        }
        let some: Vec<_> =
            collection.info().partitions.into_iter().filter(|_| pick(2) == 0).collect();
        let names = some.iter().map(|p| p.name.clone()).collect();
        (PartitionSet::Names(names), Some(some.iter().map(|p| p.id).collect()))
    }

    async fn delete_keys(&self, collection: &Collection) -> Result<(), Error> {
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

    async fn delete_where(&self, collection: &Collection) -> Result<(), Error> {
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
    fn judge_delete(&self, collection: &Collection, at: usize, written: &Written) {
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
                    Change::Put { .. } => false,
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

    // ---- reads

    fn snapshot(&self, collection: &Collection) -> Option<(Snapshot, Expected)> {
        let snapshot = collection.snapshot();
        let expected = self.model(collection, |model| model.expected(&snapshot))?;
        Some((snapshot, expected))
    }

    async fn look(&self, collection: &Collection) -> Result<(), Error> {
        match self.snapshot(collection) {
            Some((snapshot, expected)) => check(&self.life.world, &snapshot, &expected).await,
            None => Ok(()),
        }
    }

    fn hold(&self, collection: &Collection) {
        self.held.borrow_mut().extend(self.snapshot(collection));
    }

    async fn look_at_held(&self) -> Result<(), Error> {
        let held = {
            let mut held = self.held.borrow_mut();
            let at = pick(held.len() as u64) as usize;
            (at < held.len()).then(|| held.swap_remove(at))
        };
        let Some((snapshot, expected)) = held else { return Ok(()) };
        let outcome = check(&self.life.world, &snapshot, &expected).await;
        if pick(2) == 0 {
            self.held.borrow_mut().push((snapshot, expected));
        }
        outcome
    }

    // ---- collections, partitions, fields

    async fn create_collection(&self) -> Result<(), Error> {
        let engine = self.life.engine();
        let name = format!("c{}", pick(COLLECTIONS as u64));
        let text_keys = pick(3) == 0;
        self.life.world.making.borrow_mut().insert(name.clone());
        let new = NewCollection::new(&name, schema(text_keys));
        let made = engine.create_collection("default", new).await;
        if !self.counts() {
            return Ok(());
        }
        match made {
            Ok(collection) => {
                self.model(&collection, |_| ());
                Ok(())
            }
            Err(e) if e.kind == ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
        }
    }

    async fn drop_collection(&self) -> Result<(), Error> {
        let Some(collection) = self.some_collection() else { return Ok(()) };
        let engine = self.life.engine();
        let name = collection.name();
        self.maybe(&collection, |model, _| model.drop_begun = true);
        engine.drop_collection("default", &name).await
    }

    async fn create_partition(&self, collection: &Collection) -> Result<(), Error> {
        let name = format!("p{}", pick(3));
        collection.create_partition(&name).await?;
        let info = collection.info();
        self.model(collection, |model| {
            let made = info.partitions.iter().find(|p| p.name == name);
            if let Some(made) = made.filter(|_| !model.dropping.contains(&name)) {
                model.partitions.insert(made.id, name);
            }
        });
        Ok(())
    }

    async fn drop_partition(&self, collection: &Collection) -> Result<(), Error> {
        let name = format!("p{}", pick(3));
        let before = collection.info();
        self.maybe(collection, |model, _| model.dropping.insert(name.clone()));
        collection.drop_partition(&name).await?;
        self.model(collection, |model| {
            for p in before.partitions.iter().filter(|p| p.name == name) {
                model.partitions.remove(&p.id);
                model.gone.insert(p.id);
            }
        });
        Ok(())
    }

    async fn add_field(&self, collection: &Collection) -> Result<(), Error> {
        let schema = collection.schema();
        let name = format!("x{}", schema.fields.len() - 4);
        if schema.fields.len() > 6 {
            return Ok(());
        }
        let mut field = FieldSchema::new(&name, DataType::Int64);
        let default = (pick(2) == 0).then_some(7);
        field.nullable = default.is_none();
        field.default_value = default.map(DefaultValue::Int);
        match collection.add_field(field).await {
            // Somebody else added it first.
            Err(e)
                if e.kind == ErrorKind::InvalidRequest && collection.schema().has_field(&name) =>
            {
                Ok(())
            }
            Err(e) => Err(e),
            Ok(()) => {
                self.model(collection, |model| model.fields.insert(name));
                Ok(())
            }
        }
    }

    /// Another metric asks for codes of another space at the next flush or merge.
    async fn retrain(&self, collection: &Collection) -> Result<(), Error> {
        let metric = ["L2", "COSINE"][pick(2) as usize];
        let params = [("index_type", "AUTOINDEX"), ("metric_type", metric)];
        let params = params.map(|(k, v)| (k.to_string(), v.to_string())).into();
        if !collection.info().indexes.is_empty() {
            match collection.drop_index("v").await {
                Err(e) if e.kind != ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        collection.create_index("v", "v", params).await?;
        collection.compact(CompactMode::All).await.map(drop)
    }

    // ---- trouble

    async fn trouble(&self, what: &str) -> Result<(), Error> {
        let faults = &self.life.world.faults;
        let machine = sim::machine().expect("within a run");
        let time = Duration::from_millis(pick(400));
        match what {
            "jump" => {
                let by = [-20_000, -500, 300, 4_000, 40_000][pick(5) as usize];
                self.life.disturbed.set(true);
                self.life.clock.jump(by);
            }
            "store full" => {
                faults.set_full(true);
                runtime::sleep(time).await;
                faults.set_full(false);
            }
            "disk full" => {
                faults.set_disk_full(true);
                runtime::sleep(time).await;
                faults.set_disk_full(false);
            }
            _ => {
                self.life.disturbed.set(true);
                machine.pause(self.life.process, Duration::from_millis(pick(20_000)));
                sim::give_way().await;
            }
        }
        Ok(())
    }
}
