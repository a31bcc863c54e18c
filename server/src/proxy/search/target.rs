//! What a read is about: one snapshot of a loaded collection, and its partitions.

use std::collections::HashMap;
use std::sync::Arc;

use elanus_engine::api::{CollectionInfo, PartitionSet, Selection, Snapshot};
use elanus_engine::core::schema::CollectionSchema;
use elanus_engine::core::time::Timestamp;
use elanus_proto::common::KeyValuePair;
use elanus_proto::schema::TemplateValue;
use elanus_sql::lang::{Filter, check_isolation};

use crate::context::{Context, signed};
use crate::convert::params::Params;
use crate::convert::timezone::Clock;
use crate::convert::{invalid, template};
use crate::proxy::dml::{e_with, named_partitions_with_key};
use crate::proxy::isolation;
use crate::status::Failure;

/// A collection opened for reading.
pub(crate) struct Target {
    /// Everything is read from here.
    pub snapshot: Snapshot,
    partitions: PartitionSet,
    /// How moments are read and shown.
    pub clock: Clock,
    /// Whether partition keys are isolated.
    isolated: bool,
}

/// How an iterator's call asks for its moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    /// The timestamp that the call names; small ones are words for consistency levels.
    pub at: Timestamp,
    /// Whether it is a page, not a call beside one, such as that which skips rows.
    pub strict: bool,
}

/// Guarantee timestamps up to this one mean consistency levels.
const LEVELS: Timestamp = 2;

impl Target {
    /// Opens an iterator's page: at the moment of its first page, which is held from then on.
    ///
    /// # Errors
    /// As [`Self::open`], and if the moment is not held any more.
    pub fn open_page(
        ctx: &Context,
        database: &str,
        name: &str,
        partitions: &[String],
        page: Page,
    ) -> Result<Self, Failure> {
        let collection = ctx.collection(database, name)?;
        if page.at > LEVELS
            && let Some(snapshot) = ctx.pins.find(collection.id(), page.at)
        {
            return Self::over(snapshot, &collection.info(), partitions);
        }
        let snapshot = collection.snapshot();
        if page.strict {
            // A moment that is still to come was not ours.
            if page.at > LEVELS && page.at < snapshot.timestamp() {
                return Err(gone(ctx, page.at));
            }
            ctx.pins.hold(collection.id(), &snapshot);
        }
        Self::over(snapshot, &collection.info(), partitions)
    }

    /// Opens the named partitions, or all that are loaded.
    ///
    /// # Errors
    /// If the collection or a partition is missing or not loaded.
    pub fn open(
        ctx: &Context,
        database: &str,
        name: &str,
        partitions: &[String],
    ) -> Result<Self, Failure> {
        let collection = ctx.collection(database, name)?;
        Self::over(collection.snapshot(), &collection.info(), partitions)
    }

    fn over(
        snapshot: Snapshot,
        info: &CollectionInfo,
        partitions: &[String],
    ) -> Result<Self, Failure> {
        let partitions = readable(info, partitions)?;
        let clock = Clock::of_properties(&info.properties);
        let isolated = isolation::is_on(&info.properties)?;
        Ok(Self { snapshot, partitions, clock, isolated })
    }

    /// Takes the time zone and the parts of moments that a request asks for.
    pub fn with_clock(mut self, params: &[KeyValuePair]) -> Result<Self, Failure> {
        self.clock = self.clock.with(&Params::new(params)?)?;
        Ok(self)
    }

    /// The schema of the snapshot.
    pub fn schema(&self) -> &CollectionSchema {
        self.snapshot.schema()
    }

    /// The rows of the partitions that a filter matches; no text matches all.
    pub fn select(
        &self,
        filter: &str,
        templates: HashMap<String, TemplateValue>,
    ) -> Result<Selection, Failure> {
        let templates = template::templates(templates)?;
        let filter = Filter::parse_in(self.clock.zone, filter, self.schema(), &templates)
            .map_err(|e| e_with(e.into(), "failed to create query plan"))?;
        let filter = filter.map(|f| Arc::new(f) as _);
        Ok(Selection { filter, partitions: self.partitions.clone() })
    }

    /// Like [`Self::select`], for a vector search: where partition keys are isolated, the filter names one.
    pub fn select_for_search(
        &self,
        filter: &str,
        templates: HashMap<String, TemplateValue>,
    ) -> Result<Selection, Failure> {
        if let Some(key) = self.schema().partition_key().filter(|_| self.isolated) {
            check_isolation(filter, &key.name)
                .map_err(|e| e_with(e.into(), "failed to create query plan"))?;
        }
        self.select(filter, templates)
    }

    /// All rows of the partitions.
    pub fn everything(&self) -> Selection {
        Selection { filter: None, partitions: self.partitions.clone() }
    }

    /// Checks that an iterator still reads the collection with which it began.
    pub fn check_id(&self, id: Option<i64>, changed: &str) -> Result<(), Failure> {
        let own = signed(self.snapshot.info().id);
        match id {
            Some(id) if id != 0 && id != own => Err(invalid(format!(
                "Input collection id is not consistent to collectionID in the context, alias or \
                 database {changed}"
            ))),
            _ => Ok(()),
        }
    }
}

fn gone(ctx: &Context, at: Timestamp) -> Failure {
    invalid(format!(
        "the snapshot of this iterator (timestamp {at}) is gone: it is held for {} s after the last \
         page, and not over a restart; begin a new iterator",
        ctx.pins.idle().as_secs()
    ))
}

fn readable(info: &CollectionInfo, asked: &[String]) -> Result<PartitionSet, Failure> {
    if !asked.is_empty() && info.schema.partition_key().is_some() {
        return Err(named_partitions_with_key());
    }
    for name in asked {
        if info.partitions.iter().all(|p| p.name != *name) {
            return Err(invalid(format!("partition name {name} not found")));
        }
    }
    if info.released {
        return Err(Failure::not_loaded(&info.name));
    }
    let is_loaded =
        |id: u64| info.loaded_partitions.is_empty() || info.loaded_partitions.contains(&id);
    let absent = info.partitions.iter().find(|p| asked.contains(&p.name) && !is_loaded(p.id));
    if let Some(partition) = absent {
        return Err(Failure::partition_not_loaded(&partition.name));
    }
    if !asked.is_empty() {
        return Ok(PartitionSet::Names(asked.to_vec()));
    }
    if info.loaded_partitions.is_empty() {
        return Ok(PartitionSet::All);
    }
    let loaded = info.partitions.iter().filter(|p| is_loaded(p.id));
    Ok(PartitionSet::Names(loaded.map(|p| p.name.clone()).collect()))
}
