//! Opening a store: the right to write, the catalog and the bucket brought together, the collections.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use parking_lot::{Mutex, RwLock};

use super::background::Background;
use super::engine::{DEFAULT_DATABASE, Engine, Inner, Names};
use crate::collection::Collection;
use crate::core::budget::Budget;
use crate::core::error::{Error, ErrorKind, Result, Subject};
use crate::core::runtime::{self, Clock, CpuPools, SystemClock};
use crate::core::settings::{ReadSettings, Settings};
use crate::core::time::{self, TimestampOracle};
use crate::lsm::commit;
use crate::lsm::manifest::{FORMAT_VERSION, Manifest};
use crate::segment::files::SegmentFiles;
use crate::shard::context::StoreContext;
use crate::shard::in_use::InUse;
use crate::shard::open::Shard;
use crate::storage::bucket::Bucket;
use crate::storage::catalog::{Catalog, CatalogContent, DatabaseRecord};
use crate::storage::frame;
use crate::storage::generations::CollectionLog;
use crate::storage::lease::WriterLease;
use crate::storage::local::LocalDb;
use crate::storage::log::LogWriter;
use crate::storage::probe::check_put_if_absent;
use crate::storage::space::Space;

/// File that makes a folder or bucket a store.
pub const STORE_FILE: &str = "elanus.json";

/// How to open a store.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Folder, or `s3://bucket/prefix`.
    pub location: String,
    /// Settings.
    pub settings: Settings,
    /// Whether to make the store if there is none.
    pub create: bool,
}

impl OpenOptions {
    /// A folder with default settings, made if it is not there.
    pub fn folder(path: impl AsRef<Path>) -> Self {
        let location = path.as_ref().to_string_lossy().into_owned();
        Self { location, settings: Settings::default(), create: true }
    }
}

impl Engine {
    /// Opens a store for reading and writing: takes the right to write, replays the log, starts the
    /// background work.
    ///
    /// # Errors
    /// [`ErrorKind::Fenced`] while another process has it open; [`ErrorKind::NotFound`] if there is no
    /// store and `create` is off; [`ErrorKind::Corrupted`] naming a damaged file.
    pub async fn open(options: OpenOptions) -> Result<Self> {
        Self::open_with_clock(options, Arc::new(SystemClock)).await
    }

    /// [`Self::open`] with another clock.
    pub async fn open_with_clock(options: OpenOptions, clock: Arc<dyn Clock>) -> Result<Self> {
        options.settings.check()?;
        let bucket = Bucket::open(&options.location, options.create)?;
        let folder = local_folder(&bucket, &options.settings)?;
        if bucket.folder().is_some() {
            // Before the log is opened, so that a second process is told of the store, not of the log.
            drop(WriterLease::take(&bucket, "", clock.clone()).await?);
        }
        if bucket.is_remote() {
            check_put_if_absent(&bucket).await?;
        }
        let local = runtime::blocking(move || LocalDb::open(&folder)).await?;
        // Deep futures go to the heap, or each caller's would be as deep.
        Box::pin(Self::open_over(options, bucket, local, clock)).await
    }

    /// [`Self::open`] over a bucket, a local log and a clock of the caller's; the location is only a name.
    pub async fn open_over(
        options: OpenOptions,
        bucket: Bucket,
        local: LocalDb,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        options.settings.check()?;
        let catalog = Catalog::new(local.clone());
        let content = catalog.load()?;
        let holder = catalog.writer_id()?;
        let lease = WriterLease::take(&bucket, &holder, clock.clone()).await?;
        runtime::gate("open.lease").await;
        bucket.remove_leftovers()?;
        let mut content = bind(&bucket, &catalog, content, options.create, clock.as_ref()).await?;
        runtime::gate("open.bound").await;
        let folders = [local.folder(), bucket.folder()].into_iter().flatten();
        let space = Space::new(
            folders.map(Path::to_path_buf).collect(),
            options.settings.log.min_free_bytes,
        );
        let context = Arc::new(StoreContext {
            files: files(bucket, &options.settings)?,
            log: Arc::new(LogWriter::start(local, &options.settings.log)?),
            oracle: TimestampOracle::default(),
            clock,
            pools: pools(&options.settings.read)?,
            writer_id: Some(holder),
            lease,
            memtable_bytes: AtomicUsize::new(0),
            in_use: InUse::default(),
            space,
            work: Arc::default(),
            settings: options.settings,
        });
        reconcile(&context, &catalog, &mut content).await?;
        let collections = open_collections(&context, &catalog, &content).await?;
        let names = Names { databases: content.databases, collections, records: content.records };
        let engine = Self {
            inner: Arc::new(Inner {
                context,
                catalog,
                names: RwLock::new(names),
                ddl: tokio::sync::Mutex::new(()),
                doubtful: Mutex::default(),
                background: Mutex::new(None),
            }),
        };
        let background = Background::start(&engine);
        *engine.inner.background.lock() = Some(background);
        Ok(engine)
    }
}

/// The bucket with its caches, within the memory that the settings or the machine give.
pub(super) fn files(bucket: Bucket, settings: &Settings) -> Result<Arc<SegmentFiles>> {
    let budget = settings.memory.limit().map_or_else(Budget::unlimited, Budget::new);
    Ok(Arc::new(SegmentFiles::within(bucket, settings.read.cache_bytes, budget)?))
}

pub(super) fn pools(settings: &ReadSettings) -> Result<CpuPools> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let or = |asked: usize, default: usize| if asked == 0 { default } else { asked };
    CpuPools::new(or(settings.search_threads, cores), or(settings.maintenance_threads, cores / 2))
}

fn local_folder(bucket: &Bucket, settings: &Settings) -> Result<PathBuf> {
    if !settings.log.dir.is_empty() {
        return Ok(PathBuf::from(&settings.log.dir));
    }
    match bucket.folder() {
        Some(folder) => Ok(folder.join("local")),
        None if bucket.name() == "memory" => {
            let name = format!("elanus-{:016x}", runtime::random_id());
            Ok(std::env::temp_dir().join(name))
        }
        None => Err(Error::invalid(
            Subject::Setting,
            "setting log.dir: a store in a bucket needs a local folder for its log, as in \
             ELANUS_LOG_DIR=/var/lib/elanus",
        )),
    }
}

/// Brings store and catalog together: makes what is new, and fills an empty catalog from the bucket.
async fn bind(
    bucket: &Bucket,
    catalog: &Catalog,
    mut content: CatalogContent,
    create: bool,
    clock: &dyn Clock,
) -> Result<CatalogContent> {
    let store_id = match read_store_file(bucket).await? {
        Some(id) => id,
        None if content.store_id.is_some() => {
            return Err(Error::corrupted(
                STORE_FILE,
                format!("{} has lost it, while the local log belongs to a store", bucket.name()),
            ));
        }
        None if create => make_store_file(bucket).await?,
        None => {
            return Err(Error::not_found(
                Subject::Store,
                format!("{} is not a store of Elanus: {STORE_FILE} is missing", bucket.name()),
            ));
        }
    };
    match &content.store_id {
        Some(id) if *id == store_id => {}
        Some(_) => {
            return Err(Error::precondition(
                Subject::Store,
                format!("the local log belongs to another store than {}", bucket.name()),
            ));
        }
        None => {
            let now = clock.now_ms();
            add_database(catalog, &mut content, DEFAULT_DATABASE, 1, now)?;
            catalog.set_store_id(&store_id)?;
        }
    }
    Ok(content)
}

/// Adds a database to the catalog, if it is not there.
fn add_database(
    catalog: &Catalog,
    content: &mut CatalogContent,
    name: &str,
    id: u64,
    now_ms: u64,
) -> Result<()> {
    if content.databases.contains_key(name) {
        return Ok(());
    }
    let created_ts = time::from_millis(now_ms);
    let record = DatabaseRecord { id, name: name.into(), created_ts, properties: BTreeMap::new() };
    catalog.put_database(&record)?;
    content.databases.insert(name.into(), record);
    Ok(())
}

/// The store's id, if the bucket is a store.
pub(crate) async fn read_store_file(bucket: &Bucket) -> Result<Option<String>> {
    let Some(bytes) = bucket.get_if_present(STORE_FILE).await? else { return Ok(None) };
    let bad = |why: &str| Error::corrupted(STORE_FILE, why);
    let value: serde_json::Value =
        serde_json::from_slice(&bytes).map_err(|e| bad(&e.to_string()))?;
    let version = value["format_version"].as_u64().ok_or_else(|| bad("no format version"))?;
    if version != u64::from(FORMAT_VERSION) {
        return Err(Error::unsupported(
            Subject::Store,
            format!("the store has format {version}, this version reads {FORMAT_VERSION}"),
        ));
    }
    let id = value["store_id"].as_str().ok_or_else(|| bad("no store id"))?;
    if value["checksum"].as_str() != Some(store_checksum(id).as_str()) {
        return Err(bad("its checksum is wrong"));
    }
    Ok(Some(id.to_string()))
}

fn store_checksum(id: &str) -> String {
    format!("{:016x}", frame::checksum(format!("{FORMAT_VERSION}:{id}").as_bytes()))
}

async fn make_store_file(bucket: &Bucket) -> Result<String> {
    if !bucket.is_remote() {
        // A folder of a network may lie too; of a bucket it is known already.
        check_put_if_absent(bucket).await?;
    }
    let id = format!("{:016x}{:016x}", runtime::random_id(), runtime::random_id());
    let text = serde_json::json!({
        "format_version": FORMAT_VERSION,
        "store_id": id,
        "checksum": store_checksum(&id),
    });
    let text = text.to_string();
    if bucket.put_if_absent(STORE_FILE, text.into()).await? {
        return Ok(id);
    }
    let found = read_store_file(bucket).await?;
    found.ok_or_else(|| Error::internal("the store file was taken and is gone"))
}

/// Collections that the catalog does not know: one that this log's owner began to make was never acknowledged, and
/// is dropped; others were made by another writer since, and are taken over.
async fn reconcile(
    context: &StoreContext,
    catalog: &Catalog,
    content: &mut CatalogContent,
) -> Result<()> {
    let bucket = &context.files.bucket;
    let mut unknown = Vec::new();
    for id in commit::collections(bucket).await? {
        if !content.collections.contains_key(&id)
            && let Some(head) = commit::head(bucket, id).await?.filter(|head| !head.dropped)
        {
            unknown.push(head);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    drop_strays(context, &mut unknown, content).await?;
    for head in unknown {
        let id = head.collection_id;
        add_database(catalog, content, &head.database, id, context.clock.now_ms())?;
        catalog.put_collection(id)?;
        content.collections.insert(id, 0);
    }
    Ok(())
}

/// Drops what was never acknowledged: what a crash cut off, and what a writer made after it had lost the store.
async fn drop_strays(
    context: &StoreContext,
    unknown: &mut Vec<Manifest>,
    content: &CatalogContent,
) -> Result<()> {
    let bucket = &context.files.bucket;
    let mut newest: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut note = |head: &Manifest| {
        let epoch = newest.entry((head.database.clone(), head.name.clone())).or_default();
        *epoch = head.epoch.max(*epoch);
    };
    unknown.iter().for_each(&mut note);
    for id in content.collections.keys() {
        commit::head(bucket, *id).await?.filter(|head| !head.dropped).iter().for_each(&mut note);
    }
    let mut kept = Vec::new();
    for head in std::mem::take(unknown) {
        let own = head.version == 1 && Some(&head.writer) == context.writer_id.as_ref();
        // Who had lost the store has an older epoch than any collection of who has had it since.
        let late = newest.get(&(head.database.clone(), head.name.clone())) > Some(&head.epoch);
        if own || late {
            context.check_lease()?;
            commit::publish(bucket, &head, &head.dropped()).await?;
        } else {
            kept.push(head);
        }
    }
    *unknown = kept;
    Ok(())
}

async fn open_collections(
    context: &Arc<StoreContext>,
    catalog: &Catalog,
    content: &CatalogContent,
) -> Result<BTreeMap<u64, Collection>> {
    let mut collections = BTreeMap::new();
    for (id, published) in &content.collections {
        let head = commit::head(&context.files.bucket, *id).await?.ok_or_else(|| {
            Error::new(
                ErrorKind::Corrupted,
                Subject::Store,
                format!(
                    "collection {id} is in the catalog, but {} has no manifest of it: if it was dropped through \
                     another local log, open the store with that one, or set log.dir to an empty folder",
                    context.files.bucket.name()
                ),
            )
        })?;
        if head.version < *published {
            return Err(Error::corrupted(
                Manifest::path(*id, *published),
                format!("it was published, but the newest in the store is {}", head.version),
            ));
        }
        if head.dropped {
            // A crash came between the last manifest and the catalog; its files go as garbage, so the
            // catalog must not name it any longer.
            CollectionLog::open(context.log.clone(), *id, head.flushed_ts)?.drop_all()?;
            catalog.remove_collection(*id)?;
            continue;
        }
        context.in_use.note_clone(*id, &head.sources);
        let shard = Shard::open(context.clone(), Arc::new(head)).await?;
        collections.insert(*id, Collection::new(Arc::new(shard)));
    }
    Ok(collections)
}
