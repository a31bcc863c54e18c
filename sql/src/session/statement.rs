//! From the text of a statement to its answer.

use datafusion::common::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{LogicalPlan, Statement as SessionStatement, WriteOp};
use datafusion::physical_plan::execute_stream;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{Statement as SqlStatement, Use};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use elanus_engine::core::error::{Error, Result, Subject};

use super::stream::RowStream;
use super::{Sql, delete, past, refuse};
use crate::error::from_datafusion;
use crate::provider::{ElanusCatalog, count_batch};

/// Deepest nesting of expressions that is parsed.
const NESTING: usize = 50;

const DATABASES: &str = "SELECT DISTINCT schema_name AS database_name \
     FROM information_schema.schemata WHERE schema_name <> 'information_schema' ORDER BY 1";

/// The statements in a text.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>> {
    let dialect = GenericDialect {};
    let text = past::rewrite(text)?;
    let mut parser = DFParserBuilder::new(text.as_str())
        .with_dialect(&dialect)
        .with_recursion_limit(NESTING)
        .build()
        .map_err(from_datafusion)?;
    Ok(parser.parse_statements().map_err(from_datafusion)?.into())
}

/// The one statement in a text.
pub(super) fn parse_one(text: &str) -> Result<Statement> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => Err(Error::invalid(Subject::Expression, "there is no SQL statement")),
        (_, more) => Err(Error::invalid(
            Subject::Expression,
            format!("one SQL statement is expected, there are {}", more + 1),
        )),
    }
}

impl Sql {
    /// Runs one statement.
    pub(super) async fn execute(&self, statement: Statement) -> Result<RowStream> {
        if let Statement::Statement(sql) = &statement {
            match sql.as_ref() {
                SqlStatement::Use(Use::Object(name) | Use::Database(name) | Use::Schema(name)) => {
                    let name = name.to_string();
                    self.use_database(name.trim_matches(['"', '`']))?;
                    return Ok(RowStream::nothing());
                }
                SqlStatement::ShowDatabases { .. } | SqlStatement::ShowSchemas { .. } => {
                    return self.plan_and_run(parse_one(DATABASES)?).await;
                }
                SqlStatement::Call(function) => {
                    if let Some(answer) = self.call(function).await? {
                        return Ok(answer);
                    }
                }
                _ => {}
            }
        }
        refuse::statement(&statement)?;
        self.plan_and_run(statement).await
    }

    async fn plan_and_run(&self, statement: Statement) -> Result<RowStream> {
        let (state, catalog) = self.start();
        let plan =
            state.statement_to_plan(statement).await.map_err(|e| with_reason(e, &catalog))?;
        match &plan {
            LogicalPlan::Statement(SessionStatement::SetVariable(set)) => {
                self.set(&set.variable, &set.value)?;
                Ok(RowStream::nothing())
            }
            LogicalPlan::Dml(dml) if matches!(dml.op, WriteOp::Delete) => {
                let count = delete::run(&state, dml).await?;
                count_batch(count).map(RowStream::one).map_err(from_datafusion)
            }
            _ => {
                refuse::plan(&plan)?;
                run_plan(&state, &plan).await
            }
        }
    }
}

/// Runs a plan as it is.
pub(super) async fn run_plan(state: &SessionState, plan: &LogicalPlan) -> Result<RowStream> {
    let physical = state.create_physical_plan(plan).await.map_err(from_datafusion)?;
    execute_stream(physical, state.task_ctx()).map(RowStream::new).map_err(from_datafusion)
}

/// An error of planning; where a table is missing, the engine's word on it.
fn with_reason(error: DataFusionError, catalog: &ElanusCatalog) -> Error {
    let text = error.to_string();
    match catalog.missing() {
        Some(reason) if text.contains("table '") && text.contains("' not found") => reason,
        _ => from_datafusion(error),
    }
}
