//! The past: reads as of a moment, versions that are kept by name, clones.

use elanus_engine::api::{AsOf, CloneOrder, Collection};
use elanus_engine::core::error::{Error, ErrorKind};

use crate::actors::Actor;
use crate::check::check;
use crate::model;
use crate::world::pick;

/// Most clones at once.
const CLONES: usize = 2;

impl Actor {
    /// A read of some moment, which may not be kept any more.
    pub async fn look_back(&self, collection: &Collection) -> Result<(), Error> {
        let when = match pick(3) {
            0 => AsOf::Version(collection.stats().version.saturating_sub(pick(4)).max(1)),
            1 => match self.some_name(collection) {
                Some(name) => AsOf::Snapshot(name),
                None => return Ok(()),
            },
            _ => AsOf::Timestamp(self.some_timestamp(collection)),
        };
        let kept = |model: &mut model::Collection| match &when {
            AsOf::Snapshot(name) => model.named.contains_key(name) && !model.dropping(name),
            _ => false,
        };
        match collection.as_of(&when).await {
            Ok(snapshot) => {
                let expected = self.model(collection, |model| model.expected_then(&snapshot));
                let Some(expected) = expected else { return Ok(()) };
                self.life.world.count("read of the past");
                check(&self.life.world, &snapshot, &expected).await
            }
            Err(e) if e.kind == ErrorKind::NotFound || e.kind == ErrorKind::InvalidRequest => {
                let wrong = self.model(collection, |model| kept(model) && !model.drop_begun);
                assert_ne!(wrong, Some(true), "{when:?} is kept, but: {e}");
                self.life.world.count("a past that is gone");
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn some_name(&self, collection: &Collection) -> Option<String> {
        let names = collection.snapshots();
        (!names.is_empty()).then(|| names[pick(names.len() as u64) as usize].name.clone())
    }

    /// Of a write, or one before or after it.
    fn some_timestamp(&self, collection: &Collection) -> u64 {
        let times = self.model(collection, |model| {
            model.ops.iter().filter_map(|op| op.ts).collect::<Vec<u64>>()
        });
        let times = times.unwrap_or_default();
        match times.len() {
            0 => collection.snapshot().timestamp(),
            // Mostly of the newest: old ones are gone soon.
            n => times[n - 1 - pick(n.min(30) as u64) as usize] + pick(3) - 1,
        }
    }

    pub async fn name_version(&self, collection: &Collection) -> Result<(), Error> {
        let name = format!("s{}", pick(3));
        // Also of a process that was thought to be replaced: perhaps nobody could take the store.
        let before = self.maybe(collection, |model, counts| {
            model.naming.insert(name.clone());
            counts.then_some(model.acked)
        });
        let made = match collection.create_snapshot(&name, "").await {
            Err(e) if e.kind == ErrorKind::AlreadyExists => return Ok(()),
            made => made?,
        };
        let there = collection.snapshots().iter().any(|s| s.version == made.version);
        self.model(collection, |model| {
            if there && !model.dropping(&name) {
                model.named.insert(name.clone(), made.version);
            }
        });
        let snapshot = match collection.as_of(&AsOf::Version(made.version)).await {
            // Dropped meanwhile.
            Err(e) if e.kind == ErrorKind::NotFound => return Ok(()),
            snapshot => snapshot?,
        };
        let at = snapshot.timestamp();
        assert!(before.is_none_or(|ts| ts <= at), "a named version at {at} lacks older writes");
        Ok(())
    }

    pub async fn drop_name(&self, collection: &Collection) -> Result<(), Error> {
        let Some(name) = self.some_name(collection) else { return Ok(()) };
        self.maybe(collection, |model, _| model.unnaming.insert(name.clone()));
        match collection.drop_snapshot(&name).await {
            Err(e) if e.kind != ErrorKind::NotFound => Err(e),
            _ => {
                self.model(collection, |model| {
                    model.named.remove(&name);
                    model.unnaming.remove(&name);
                });
                Ok(())
            }
        }
    }

    /// A clone of a version, which the model knows before anybody can meet it.
    pub async fn clone_collection(&self, source: &Collection) -> Result<(), Error> {
        let engine = self.life.engine();
        let clones = engine.all_collections().iter().filter(|c| c.name().starts_with('k')).count();
        if clones >= CLONES || !self.counts() {
            return Ok(());
        }
        source.flush().await?;
        let when = AsOf::Version(source.stats().version);
        let then = source.as_of(&when).await?;
        let world = &self.life.world;
        let name = format!("k{}", world.stamp());
        let model = self.model(source, |model| model.cloned(&name, &then));
        drop(then);
        world.making.borrow_mut().insert(name.clone());
        world.cloning.borrow_mut().extend(model.map(|model| (name.clone(), model)));
        let order = CloneOrder {
            database: "default".into(),
            collection: source.name(),
            when: Some(when),
            to_database: "default".into(),
            to_name: name,
        };
        // By its name another one may be meant by now.
        let same = |model: &mut model::Collection| !model.drop_begun;
        if self.model(source, same) != Some(true) {
            return Ok(());
        }
        let clone = engine.clone_collection(order).await?;
        self.model(&clone, |_| ());
        Ok(())
    }
}
