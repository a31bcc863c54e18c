//! The steps of a random program; each does the same to the store and to the model.

use elanus_engine::api::{CompactMode, Rows};
use elanus_engine::core::error::ErrorKind;
use elanus_engine::core::key::{Key, Keys};
use elanus_engine::core::schema::{DataType, DefaultValue, FieldSchema};
use rand::Rng;

use super::check::all_rows;
use super::world::{World, inside};
use crate::harness::rows::to_batch;

impl World {
    /// One step; says what it was.
    pub fn step(&mut self) -> String {
        let told = match self.rng.random_range(0..100) {
            0..38 => self.write(),
            38..50 => self.delete_keys(),
            50..55 => self.delete_where(),
            55..65 => self.flush(),
            65..72 => self.compact(),
            72..78 => self.collect_garbage(),
            78..84 => self.hold(),
            84..87 => self.change_partitions(),
            87..88 => self.truncate(),
            88..90 => self.add_field(),
            90..94 => self.reopen(),
            94..97 => self.crash(),
            _ => self.crash_amid_work(),
        };
        if self.rng.random_bool(0.4) {
            self.check_now();
        }
        if !self.held.is_empty() && self.rng.random_bool(0.3) {
            let at = self.rng.random_range(0..self.held.len());
            let (snapshot, model, extra) = self.held.swap_remove(at);
            self.check_snapshot(&snapshot, &model, extra);
            if self.rng.random() {
                self.held.push((snapshot, model, extra));
            }
        }
        told
    }

    fn write(&mut self) -> String {
        let (rows, partition) = self.some_rows();
        let told = format!("write {} rows to {partition:?}", rows.len());
        let upsert = self.rng.random();
        let columns = to_batch(&rows);
        let written = self.with(async |c| {
            let rows = Rows { columns, partition };
            if upsert { c.upsert(rows).await } else { c.insert(rows).await }
        });
        assert_eq!(written.expect("a write").count, rows.len() as u64);
        self.model.extend(rows);
        told
    }

    fn delete_keys(&mut self) -> String {
        let count = self.rng.random_range(1..20);
        let keys: Vec<Key> = (0..count).map(|_| self.some_key()).collect();
        let partitions = self.some_partitions();
        let column = Keys::from_keys(&keys).expect("keys");
        let done = self.with(async |c| c.delete_keys(column, &partitions).await);
        let before = self.model.len();
        self.model.retain(|key, row| !(keys.contains(key) && inside(&partitions, row)));
        let told = format!("delete {keys:?} from {partitions:?}");
        assert_eq!(done.expect("a delete").count, (before - self.model.len()) as u64, "{told}");
        told
    }

    fn delete_where(&mut self) -> String {
        let (test, partitions) = (self.some_test(), self.some_partitions());
        let done = self.with(async |c| c.delete_where(test.filter(), &partitions).await);
        let before = self.model.len();
        self.model.retain(|_, row| !(test.holds(row) && inside(&partitions, row)));
        let told = format!("delete where {test:?} from {partitions:?}");
        assert_eq!(done.expect("a delete").count, (before - self.model.len()) as u64, "{told}");
        told
    }

    fn flush(&mut self) -> String {
        self.with(async |c| c.flush().await).expect("a flush");
        assert_eq!(self.life().collection.stats().memtable_rows, 0);
        "flush".into()
    }

    fn compact(&mut self) -> String {
        let mode = if self.rng.random() { CompactMode::Planned } else { CompactMode::All };
        self.with(async |c| c.compact(mode).await).expect("a compaction");
        format!("compact {mode:?}")
    }

    fn collect_garbage(&mut self) -> String {
        let report = self.with(async |c| c.collect_garbage().await).expect("garbage collected");
        format!("collected {} files", report.removed_files)
    }

    fn hold(&mut self) -> String {
        let snapshot = self.life().collection.snapshot();
        self.held.push((snapshot, self.model.clone(), self.extra.len()));
        "hold a snapshot".into()
    }

    fn change_partitions(&mut self) -> String {
        if self.kind.partition_key {
            return "no partitions to change".into();
        }
        let name = format!("p{}", self.rng.random_range(0..3));
        if self.partitions.contains(&name) {
            self.with(async |c| c.drop_partition(&name).await).expect("a partition dropped");
            self.partitions.retain(|p| *p != name);
            self.model.retain(|_, row| row.partition != name);
            return format!("drop partition {name}");
        }
        self.with(async |c| c.create_partition(&name).await).expect("a partition");
        let again = self.with(async |c| c.create_partition(&name).await);
        assert_eq!(again.map_err(|e| e.kind), Err(ErrorKind::AlreadyExists));
        self.partitions.push(name.clone());
        format!("create partition {name}")
    }

    fn truncate(&mut self) -> String {
        self.with(async |c| c.truncate().await).expect("a truncation");
        self.model.clear();
        "truncate".into()
    }

    fn add_field(&mut self) -> String {
        if self.extra.len() >= 4 {
            return "enough fields".into();
        }
        let mut field = FieldSchema::new(format!("x{}", self.extra.len()), DataType::Int64);
        let default = self.rng.random::<bool>().then_some(7);
        field.nullable = default.is_none();
        field.default_value = default.map(DefaultValue::Int);
        self.with(async |c| c.add_field(field).await).expect("a field");
        self.extra.push(default);
        self.model.values_mut().for_each(|row| row.extra.push(default));
        format!("add a field with default {default:?}")
    }

    /// A crash while a flush, a compaction and a write are on their way; the write is there or not, but
    /// never a part of it.
    fn crash_amid_work(&mut self) -> String {
        let (rows, partition) = self.some_rows();
        let columns = to_batch(&rows);
        let life = self.life();
        let collection = || life.collection.clone();
        let (a, b, c) = (collection(), collection(), collection());
        life.runtime.spawn(async move { a.insert(Rows { columns, partition }).await.map(|_| ()) });
        if self.rng.random() {
            self.life().runtime.spawn(async move { b.flush().await.map(|_| ()) });
        }
        if self.rng.random() {
            self.life().runtime.spawn(async move { c.compact(CompactMode::All).await.map(|_| ()) });
        }
        let pause = [0, 1, 3, 10, 30][self.rng.random_range(0..5)];
        std::thread::sleep(std::time::Duration::from_millis(pause));
        self.crash();
        let extra = self.extra.len();
        let found = self.with(async |c| all_rows(&c.snapshot(), extra).await);
        let mut with = self.model.clone();
        with.extend(rows);
        if found == with {
            self.model = with;
            return format!("crash after {pause} ms; the write is there");
        }
        assert!(found == self.model, "a part of a write");
        format!("crash after {pause} ms; the write is not there")
    }
}
