//! Changes of collections, partitions, fields and indexes, and trouble.

use std::time::Duration;

use elanus_engine::api::{Collection, CompactMode, NewCollection};
use elanus_engine::core::error::{Error, ErrorKind};
use elanus_engine::core::runtime::{self, sim};
use elanus_engine::core::schema::{DataType, DefaultValue, FieldSchema};

use crate::actors::{Actor, COLLECTIONS};
use crate::rows::schema;
use crate::world::pick;

impl Actor {
    pub async fn create_collection(&self) -> Result<(), Error> {
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

    pub async fn drop_collection(&self, collection: &Collection) -> Result<(), Error> {
        let engine = self.life.engine();
        let world = &self.life.world;
        let name = collection.name();
        // Another one may have the name by the time.
        let call = (name.clone(), self.life.process);
        *world.dropping.borrow_mut().entry(call.clone()).or_default() += 1;
        self.maybe(collection, |model, _| model.drop_begun = true);
        engine.drop_collection("default", &name).await?;
        let left: Vec<u64> = engine.all_collections().iter().map(Collection::id).collect();
        for (id, model) in world.model.borrow_mut().iter_mut().filter(|(_, m)| m.name == name) {
            model.drop_begun |= !left.contains(id);
        }
        // Who has taken the store since has counted it as done.
        let mut dropping = world.dropping.borrow_mut();
        dropping.entry(call).and_modify(|calls| *calls = calls.saturating_sub(1));
        Ok(())
    }

    pub async fn create_partition(&self, collection: &Collection) -> Result<(), Error> {
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

    pub async fn drop_partition(&self, collection: &Collection) -> Result<(), Error> {
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

    pub async fn add_field(&self, collection: &Collection) -> Result<(), Error> {
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
    pub async fn retrain(&self, collection: &Collection) -> Result<(), Error> {
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

    pub async fn trouble(&self, what: &str) -> Result<(), Error> {
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
