//! Runs one statement after the other and prints their answers.

use std::io::Write;
use std::time::Duration;

use elanus_engine::api::Engine;
use elanus_engine::core::runtime::Stopwatch;
use elanus_sql::Sql;
use futures::TryStreamExt;

use crate::args::Format;
use crate::failure::Result;
use crate::format::human;
use crate::format::output::Output;

/// A SQL session with a way to print.
pub struct Runner {
    sql: Sql,
    /// How rows are printed.
    pub format: Format,
}

/// What a statement did.
pub struct Done {
    /// Rows of its answer; `None` for a statement that gives none.
    rows: Option<u64>,
    took: Duration,
}

impl Runner {
    /// A session that starts in a database.
    pub fn new(engine: Engine, database: &str, format: Format) -> Result<Self> {
        Ok(Self { sql: Sql::new(engine, database)?, format })
    }

    /// The engine below.
    pub fn engine(&self) -> &Engine {
        self.sql.engine()
    }

    /// The current database.
    pub fn database(&self) -> String {
        self.sql.database()
    }

    /// Changes to another database.
    pub fn connect(&self, database: &str) -> Result<()> {
        Ok(self.sql.use_database(database)?)
    }

    /// Runs one statement; dropping the future cancels it.
    pub async fn run(&self, statement: &str, out: &mut dyn Write) -> Result<Done> {
        let watch = Stopwatch::start();
        let mut batches = self.sql.stream(statement).await?;
        let has_rows = !batches.schema().fields().is_empty();
        let mut output = Output::begin(out, self.format, batches.schema().clone())?;
        while let Some(batch) = batches.try_next().await? {
            output.write(&batch)?;
        }
        let rows = output.finish()?;
        Ok(Done { rows: has_rows.then_some(rows), took: watch.elapsed() })
    }
}

impl Done {
    /// Row count and time, as in `5 rows (2.1 ms)`.
    pub fn summary(&self, with_time: bool) -> String {
        let what = match self.rows {
            Some(rows) => human::counted(rows, "row"),
            None => "done".to_string(),
        };
        if with_time { format!("{what} ({})", human::duration(self.took)) } else { what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summaries_count_and_time() {
        let done = Done { rows: Some(1), took: Duration::from_micros(2_100) };
        assert_eq!(done.summary(true), "1 row (2.1 ms)");
        assert_eq!(done.summary(false), "1 row");
        let none = Done { rows: None, took: Duration::ZERO };
        assert_eq!(none.summary(false), "done");
    }
}
