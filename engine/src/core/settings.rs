//! Settings as data: every value has a unit in its name, is checked once, and is refused by name.

use serde::{Deserialize, Serialize};

use super::error::{Error, Result, Subject};
pub use super::server_settings::{AuthSettings, ServerSettings};

/// The least that `memory.limit_bytes` may say: the program alone takes half of it.
const LEAST_MEMORY_BYTES: usize = 128 << 20;

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// After its log record is on stable storage (`fdatasync`). Loses nothing to a crash of the
    /// process, the operating system or the power supply.
    Sync,
    /// After its log record is in the operating system's hands. Loses nothing to a crash of the
    /// process; loses up to `log.os_sync_interval_ms` of acknowledged writes to a power failure or a
    /// crash of the operating system. Faster for single-row writers on slow disks.
    Os,
}

/// All settings of the engine. Read from a TOML file, then from the environment
/// (`ELANUS_<SECTION>_<NAME>`, as in `ELANUS_MEMTABLE_MAX_SIZE_BYTES`), then checked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The write-ahead log.
    pub log: LogSettings,
    /// The memtable.
    pub memtable: MemtableSettings,
    /// Compaction.
    pub compaction: CompactionSettings,
    /// Removal of files that nothing names any more.
    pub gc: GcSettings,
    /// Reading.
    pub read: ReadSettings,
    /// Memory of the process.
    pub memory: MemorySettings,
    /// Limits on requests.
    pub limits: LimitSettings,
    /// Who may do what.
    pub auth: AuthSettings,
    /// The server's own conduct.
    pub server: ServerSettings,
}

/// The write-ahead log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// When a write is acknowledged.
    pub durability: Durability,
    /// With `durability = "os"`: the log is synced at least this often. More: fewer syncs, more to lose.
    pub os_sync_interval_ms: u64,
    /// Most bytes that one group commit writes at once. More: fewer syncs under load, longer waits.
    pub group_max_bytes: usize,
    /// Writes are refused and merges wait while a disk of the store has less room, so that neither the log nor
    /// a flush meets a full one. Of a small disk an eighth is enough. 0: it is not looked at.
    pub min_free_bytes: u64,
    /// The log's table of a memtable is emptied and used again if its records had less bytes, else dropped. More:
    /// fewer tables are made, of which the log's library keeps a list that grows while it runs; flushed records
    /// leave the disk later. 0: every one is dropped.
    pub reuse_max_bytes: u64,
    /// Folder of the local log and catalog. Empty: `local` inside a local data folder; a store in a
    /// bucket needs it.
    pub dir: String,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            durability: Durability::Sync,
            os_sync_interval_ms: 200,
            group_max_bytes: 16 << 20,
            min_free_bytes: 256 << 20,
            reuse_max_bytes: 8 << 20,
            dir: String::new(),
        }
    }
}

/// The memtable of each collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemtableSettings {
    /// A memtable of this size is frozen and flushed. More: fewer, larger segments; more memory and a
    /// longer replay after a crash.
    pub max_size_bytes: usize,
    /// A memtable with this many rows is frozen and flushed.
    pub max_rows: usize,
    /// A memtable whose oldest row is this old is frozen and flushed. 0: never by age.
    pub max_age_ms: u64,
    /// From this many frozen memtables on, writers are slowed down.
    pub slowdown_frozen: usize,
    /// At this many frozen memtables, writers wait for a flush.
    pub stop_frozen: usize,
    /// How long a writer waits for a flush before it is told to try again later.
    pub stop_timeout_ms: u64,
    /// Memory that all memtables of the store may hold; at it, the largest is flushed and writers wait.
    pub budget_bytes: usize,
}

impl Default for MemtableSettings {
    fn default() -> Self {
        Self {
            max_size_bytes: 256 << 20,
            max_rows: 1 << 20,
            max_age_ms: 600_000,
            slowdown_frozen: 2,
            stop_frozen: 4,
            stop_timeout_ms: 60_000,
            budget_bytes: 2 << 30,
        }
    }
}

/// Compaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompactionSettings {
    /// Whether the background does it; the offline tool and the compact call work in any case.
    pub enabled: bool,
    /// This many segments of one tier are merged into one of the next. Less: fewer segments, more
    /// bytes rewritten.
    pub fan_in: usize,
    /// Segments smaller than this are one tier.
    pub min_tier_bytes: u64,
    /// A merge never makes a segment larger than this; larger ones are rewritten only for their deletes.
    pub max_segment_bytes: u64,
    /// A segment with this share of deleted rows, in percent, is rewritten.
    pub deleted_percent: u32,
    /// From this many rows on, a collection's vectors get codes; fewer are scanned. Less: quicker searches
    /// of small collections, more work at each flush.
    pub codes_min_rows: usize,
    /// How often the background looks for work.
    pub interval_ms: u64,
    /// Most jobs at once in the store.
    pub max_jobs: usize,
}

impl Default for CompactionSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            fan_in: 4,
            min_tier_bytes: 4 << 20,
            max_segment_bytes: 2 << 30,
            deleted_percent: 20,
            codes_min_rows: 2_048,
            interval_ms: 1_000,
            max_jobs: 1,
        }
    }
}

/// Removal of files that nothing names any more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GcSettings {
    /// How often the background looks for them. 0: never.
    pub interval_ms: u64,
    /// A file is removed when it has been useless for this long.
    pub grace_ms: u64,
    /// Versions of a collection can be read `AS OF` a time for this long after they were replaced, at least
    /// for `grace_ms`. More: deleted and merged rows keep their disk for longer.
    pub retention_ms: u64,
    /// Manifest versions that are kept besides the newest.
    pub keep_manifests: usize,
}

impl Default for GcSettings {
    fn default() -> Self {
        Self { interval_ms: 30_000, grace_ms: 60_000, retention_ms: 0, keep_manifests: 8 }
    }
}

impl GcSettings {
    /// How long a version protects its files after it was replaced.
    pub fn kept_ms(&self) -> u64 {
        self.grace_ms.max(self.retention_ms)
    }
}

/// Reading.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReadSettings {
    /// Memory for columns of segments. More: fewer reads from disk.
    pub cache_bytes: usize,
    /// Threads for searches. 0: as many as the machine has cores.
    pub search_threads: usize,
    /// Threads for flushes and compactions. 0: half the cores, at least one.
    pub maintenance_threads: usize,
    /// Milliseconds that the snapshot of an iterator is held after its last page. Held snapshots keep
    /// their files on the store and their memtables in memory.
    pub iterator_idle_ms: u64,
    /// Most snapshots held for iterators; with more, the one that was not used for longest goes.
    pub max_iterators: usize,
}

impl Default for ReadSettings {
    fn default() -> Self {
        Self {
            cache_bytes: 4 << 30,
            search_threads: 0,
            maintenance_threads: 0,
            iterator_idle_ms: 600_000,
            max_iterators: 1_000,
        }
    }
}

/// Memory of the process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MemorySettings {
    /// Memory that the process may take for everything together: memtables, caches, flushes and compactions, requests.
    /// At it, caches shrink, then work waits. 0: three quarters of what the machine or its control group has. Less than
    /// about 200 MB makes everything slow.
    pub limit_bytes: usize,
}

impl MemorySettings {
    /// The limit, with the machine's asked for where none is set; none where the machine does not say.
    pub fn limit(&self) -> Option<usize> {
        match self.limit_bytes {
            0 => super::machine::memory_bytes().map(|bytes| bytes / 4 * 3),
            bytes => Some(bytes),
        }
    }
}

/// Limits on requests; the defaults are Milvus's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitSettings {
    /// Most results of one query vector, and of `offset + limit`.
    pub max_top_k: usize,
    /// Most query vectors of one search.
    pub max_queries: usize,
    /// Most dimensions of a vector; one of bits may have eight times as many.
    pub max_dim: u32,
    /// Most fields of a collection.
    pub max_fields: usize,
    /// Most vector fields of a collection.
    pub max_vector_fields: usize,
    /// Most partitions of a collection.
    pub max_partitions: usize,
    /// Most bytes of a VarChar field's `max_length`.
    pub max_varchar_bytes: u32,
    /// Most elements of an Array field's `max_capacity`.
    pub max_array_capacity: u32,
    /// Most bytes of a JSON value.
    pub max_json_bytes: usize,
    /// Most shards of a collection.
    pub max_shards: u32,
    /// Most databases.
    pub max_databases: usize,
    /// Most collections of the store.
    pub max_collections: usize,
    /// Most bytes of a name.
    pub max_name_bytes: usize,
    /// Most resource groups.
    pub max_resource_groups: usize,
    /// Most bytes of the answer to a search or query.
    pub max_result_bytes: usize,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_top_k: 16_384,
            max_queries: 16_384,
            max_dim: 32_768,
            max_fields: 64,
            max_vector_fields: 10,
            max_partitions: 1_024,
            max_varchar_bytes: 65_535,
            max_array_capacity: 4_096,
            max_json_bytes: 65_536,
            max_shards: 16,
            max_databases: 64,
            max_collections: 65_536,
            max_name_bytes: 255,
            max_resource_groups: 1_024,
            max_result_bytes: 100 << 20,
        }
    }
}

impl Settings {
    /// Reads settings from TOML text, lays the environment over it and checks the result.
    ///
    /// # Errors
    /// Names the setting that is unknown, of the wrong type or out of range.
    ///
    /// ```
    /// use elanus_engine::core::settings::Settings;
    /// let settings = Settings::load("[memtable]\nmax_rows = 5000\n", &[])?;
    /// assert_eq!(settings.memtable.max_rows, 5000);
    /// assert!(Settings::load("[memtable]\nmax_rows = 0\n", &[]).is_err());
    /// # Ok::<(), elanus_engine::core::error::Error>(())
    /// ```
    pub fn load(toml_text: &str, environment: &[(String, String)]) -> Result<Self> {
        let bad = |e: toml::de::Error| {
            Error::invalid(Subject::Setting, format!("settings: {}", e.to_string().trim()))
                .with_source(e)
        };
        let mut table: toml::Table = toml_text.parse().map_err(bad)?;
        for (name, value) in environment {
            let mut alone = toml::Table::new();
            overlay(&mut alone, name, value)?;
            alone.try_into::<Self>().map_err(|e| bad(e).context(format!("{name}={value}")))?;
            overlay(&mut table, name, value)?;
        }
        let settings: Self = table.try_into().map_err(bad)?;
        settings.check()?;
        Ok(settings)
    }

    /// Refuses values out of range, by name.
    pub fn check(&self) -> Result<()> {
        let ranges: [(&str, u64, u64, u64); 21] = [
            ("log.group_max_bytes", self.log.group_max_bytes as u64, 1 << 10, 1 << 30),
            ("log.os_sync_interval_ms", self.log.os_sync_interval_ms, 1, 60_000),
            ("log.reuse_max_bytes", self.log.reuse_max_bytes, 0, 1 << 30),
            ("memtable.max_size_bytes", self.memtable.max_size_bytes as u64, 1 << 10, 1 << 36),
            ("memtable.max_rows", self.memtable.max_rows as u64, 1, 1 << 31),
            ("memtable.slowdown_frozen", self.memtable.slowdown_frozen as u64, 1, 1_000),
            ("memtable.stop_frozen", self.memtable.stop_frozen as u64, 1, 1_000),
            ("memtable.budget_bytes", self.memtable.budget_bytes as u64, 1 << 20, 1 << 44),
            ("compaction.fan_in", self.compaction.fan_in as u64, 2, 64),
            ("compaction.min_tier_bytes", self.compaction.min_tier_bytes, 1, 1 << 40),
            ("compaction.max_segment_bytes", self.compaction.max_segment_bytes, 1 << 10, 1 << 44),
            ("compaction.deleted_percent", self.compaction.deleted_percent.into(), 1, 100),
            ("compaction.codes_min_rows", self.compaction.codes_min_rows as u64, 32, 1 << 31),
            ("compaction.interval_ms", self.compaction.interval_ms, 1, 86_400_000),
            ("compaction.max_jobs", self.compaction.max_jobs as u64, 1, 64),
            ("read.cache_bytes", self.read.cache_bytes as u64, 1 << 20, 1 << 44),
            ("read.iterator_idle_ms", self.read.iterator_idle_ms, 1, 86_400_000),
            ("read.max_iterators", self.read.max_iterators as u64, 1, 1_000_000),
            ("limits.max_top_k", self.limits.max_top_k as u64, 1, 10_000_000),
            ("limits.max_queries", self.limits.max_queries as u64, 1, 1_000_000),
            ("limits.max_dim", self.limits.max_dim.into(), 1, 1 << 20),
        ];
        for (name, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                return Err(Error::invalid(
                    Subject::Setting,
                    format!("setting {name} = {value}: must be from {least} to {most}"),
                ));
            }
        }
        if self.memory.limit_bytes != 0 && self.memory.limit_bytes < LEAST_MEMORY_BYTES {
            let (value, least) = (self.memory.limit_bytes, LEAST_MEMORY_BYTES);
            return Err(Error::invalid(
                Subject::Setting,
                format!("setting memory.limit_bytes = {value}: must be 0 or at least {least}"),
            ));
        }
        if self.memtable.slowdown_frozen > self.memtable.stop_frozen {
            return Err(Error::invalid(
                Subject::Setting,
                "setting memtable.slowdown_frozen: must not exceed memtable.stop_frozen",
            ));
        }
        self.auth.check()
    }
}

/// Lays `ELANUS_SECTION_NAME=value` over a table; other names are not ours and are left alone.
fn overlay(table: &mut toml::Table, name: &str, value: &str) -> Result<()> {
    let Some(rest) = name.strip_prefix("ELANUS_") else { return Ok(()) };
    let lower = rest.to_lowercase();
    let Some((section, key)) = lower.split_once('_') else { return Ok(()) };
    const SECTIONS: [&str; 9] =
        ["log", "memtable", "compaction", "gc", "read", "memory", "limits", "auth", "server"];
    if !SECTIONS.contains(&section) {
        return Ok(());
    }
    let parsed = match value {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        text => {
            text.parse().map_or_else(|_| toml::Value::String(text.into()), toml::Value::Integer)
        }
    };
    table
        .entry(section)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .ok_or_else(|| {
            Error::invalid(Subject::Setting, format!("setting {section}: must be a table"))
        })?
        .insert(key.to_string(), parsed);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_are_refused_by_name() {
        for (text, name) in [
            ("[memtable]\nmax_rows = 0", "memtable.max_rows"),
            ("[memtable]\nmax_roows = 1", "max_roows"),
            ("[compaction]\nfan_in = 1", "compaction.fan_in"),
            ("[log]\ndurability = \"maybe\"", "maybe"),
            ("[memtable]\nslowdown_frozen = 9\nstop_frozen = 3", "slowdown_frozen"),
            ("[memory]\nlimit_bytes = 1000", "memory.limit_bytes"),
            ("nonsense", "settings"),
        ] {
            let error = Settings::load(text, &[]).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(name), "{text}: {error}");
        }
    }

    #[test]
    fn environment_wins_over_the_file() {
        let env = [
            ("ELANUS_MEMTABLE_MAX_ROWS".to_string(), "7".to_string()),
            ("ELANUS_LOG_DURABILITY".to_string(), "os".to_string()),
            ("ELANUS_OTHER".to_string(), "x".to_string()),
        ];
        let settings = Settings::load("[memtable]\nmax_rows = 5", &env);
        let settings = settings.unwrap_or_default();
        assert_eq!(settings.memtable.max_rows, 7);
        assert_eq!(settings.log.durability, Durability::Os);
    }
}
