//! Runs SQL text.

mod delete;
mod past;
mod refuse;
mod statement;
mod stream;

use std::sync::{Arc, PoisonError, RwLock};

use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::registry::FunctionRegistry;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::prelude::SessionConfig;
use elanus_engine::api::Engine;
use elanus_engine::core::error::{Error, Result, Subject};

use crate::error::from_datafusion;
use crate::plan::VectorTopK;
use crate::provider::{CATALOG, ElanusCatalog};

pub use crate::plan::SqlOptions;
pub use stream::{Answer, RowStream};

/// Memory that sorts, joins and groupings of all SQL statements may hold before they spill to disk.
const MEMORY_BYTES: usize = 1 << 30;
/// Most rows in a batch.
const BATCH_ROWS: usize = 8_192;
/// Most partitions of a plan.
const MOST_PARTITIONS: usize = 8;

/// A SQL session over an engine: a current database and settings.
///
/// Names are taken as they are written, `Price` and `price` are two columns, because Milvus's
/// names are case-sensitive; only a name that is no identifier, as `"$meta"`, needs quotes.
/// Keywords and functions are not case-sensitive.
///
/// Each statement sees one snapshot of each collection it reads. Besides queries there are
/// `INSERT INTO`, `REPLACE INTO` (an upsert), `DELETE FROM`, `SHOW TABLES`, `SHOW DATABASES`,
/// `DESCRIBE`, `EXPLAIN`, `USE database` and `SET name = value`; collections are made and changed
/// through the Milvus API. `t AS OF VERSION n`, `AS OF TIMESTAMP 't'` and `AS OF SNAPSHOT 's'` read the past;
/// `CREATE SNAPSHOT s ON t`, `DROP SNAPSHOT s ON t`, `SHOW SNAPSHOTS` and `CREATE TABLE new CLONE old` keep
/// it. An inserted row takes the place of one with the same key, as in every
/// API. A write of up to 65,536 rows is one atomic step, a longer one several.
pub struct Sql {
    engine: Engine,
    /// What each statement starts from.
    state: RwLock<SessionState>,
}

impl Sql {
    /// A session that starts in a database.
    ///
    /// # Errors
    /// There is no such database.
    pub fn new(engine: Engine, database: &str) -> Result<Self> {
        let pool = Arc::new(FairSpillPool::new(MEMORY_BYTES));
        let runtime =
            RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc().map_err(from_datafusion)?;
        Self::with_runtime(engine, database, runtime)
    }

    /// Another session over the same engine that shares this one's memory budget, with settings of
    /// its own: one per connection.
    ///
    /// # Errors
    /// There is no such database.
    pub fn session(&self, database: &str) -> Result<Self> {
        Self::with_runtime(self.engine.clone(), database, self.read(|s| s.runtime_env().clone()))
    }

    fn with_runtime(engine: Engine, database: &str, runtime: Arc<RuntimeEnv>) -> Result<Self> {
        engine.database(database)?;
        let mut rules = PhysicalOptimizer::new().rules;
        rules.push(Arc::new(VectorTopK));
        let mut state = SessionStateBuilder::new()
            .with_config(config(database))
            .with_runtime_env(runtime)
            .with_default_features()
            .with_physical_optimizer_rules(rules)
            .build();
        for function in crate::functions::all() {
            state.register_udf(function).map_err(from_datafusion)?;
        }
        Ok(Self { engine, state: RwLock::new(state) })
    }

    /// The engine below.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The current database.
    pub fn database(&self) -> String {
        self.read(|s| s.config_options().catalog.default_schema.clone())
    }

    /// Makes a database the current one, as `USE` does.
    ///
    /// # Errors
    /// There is no such database.
    pub fn use_database(&self, database: &str) -> Result<()> {
        self.engine.database(database)?;
        self.write(|s| {
            s.config_mut().options_mut().catalog.default_schema = database.to_string();
            Ok(())
        })
    }

    /// Changes a setting, as `SET` does: of Elanus (`elanus.…`) or of DataFusion's execution
    /// (`datafusion.execution.…`, `datafusion.optimizer.…`, `datafusion.explain.…`).
    ///
    /// # Errors
    /// There is no such setting or it cannot have that value.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let open =
            ["elanus.", "datafusion.execution.", "datafusion.optimizer.", "datafusion.explain."];
        if !open.iter().any(|prefix| name.starts_with(prefix)) {
            return Err(Error::invalid(
                Subject::Setting,
                format!("setting {name}: SET changes only {}*", open.join("*, ")),
            ));
        }
        self.write(|s| s.config_mut().options_mut().set(name, value).map_err(from_datafusion))
            .map_err(|e| {
                Error::invalid(Subject::Setting, e.message()).context(format!("SET {name}"))
            })
    }

    /// Runs statements that semicolons separate, in order, and gives the answer of each.
    ///
    /// # Errors
    /// The first statement that fails ends it; those before it have happened.
    pub async fn run(&self, text: &str) -> Result<Vec<Answer>> {
        let mut answers = Vec::new();
        for statement in statement::parse(text)? {
            answers.push(self.execute(statement).await?.collect().await?);
        }
        Ok(answers)
    }

    /// Runs one statement and gives its whole answer.
    ///
    /// # Errors
    /// The text is not one statement or the statement fails.
    pub async fn query(&self, text: &str) -> Result<Answer> {
        self.stream(text).await?.collect().await
    }

    /// Runs one statement and gives its answer batch by batch; dropping the stream stops the work.
    ///
    /// # Errors
    /// The text is not one statement or the statement fails before its first row.
    pub async fn stream(&self, text: &str) -> Result<RowStream> {
        self.execute(statement::parse_one(text)?).await
    }

    /// The state for one statement and the catalog that pins its snapshots.
    fn start(&self) -> (SessionState, ElanusCatalog) {
        let catalog = ElanusCatalog::new(self.engine.clone());
        let mut state = self.read(SessionState::clone);
        state.register_catalog_list(Arc::new(catalog.clone()));
        state.mark_start_execution();
        (state, catalog)
    }

    fn read<T>(&self, get: impl FnOnce(&SessionState) -> T) -> T {
        get(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, change: impl FnOnce(&mut SessionState) -> Result<T>) -> Result<T> {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl std::fmt::Debug for Sql {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sql({})", self.database())
    }
}

fn config(database: &str) -> SessionConfig {
    let partitions = std::thread::available_parallelism().map_or(1, usize::from);
    let mut config = SessionConfig::new()
        .with_target_partitions(partitions.min(MOST_PARTITIONS))
        .with_batch_size(BATCH_ROWS)
        .with_information_schema(true)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, database)
        .with_option_extension(SqlOptions::default());
    config.options_mut().sql_parser.enable_ident_normalization = false;
    config
}
