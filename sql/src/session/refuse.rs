//! Statements that are not for SQL here, and what to do instead.

use datafusion::logical_expr::{LogicalPlan, WriteOp};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::Statement as SqlStatement;
use elanus_engine::core::error::{Error, Result, Subject};

const DDL: &str = "is not part of SQL here: databases, collections, partitions, indexes, aliases \
     and users are made and changed through the Milvus API (as create_collection, create_index)";

/// Refuses a statement by its kind.
pub(super) fn statement(statement: &Statement) -> Result<()> {
    match statement {
        Statement::Statement(sql) => {
            let long = matches!(
                sql.as_ref(),
                SqlStatement::Query(_) | SqlStatement::Insert(_) | SqlStatement::Delete(_)
            );
            if long { Ok(()) } else { by_first_word(&sql.to_string()) }
        }
        Statement::CreateExternalTable(_) => Err(unsupported(format!("CREATE {DDL}"))),
        Statement::CopyTo(_) => by_first_word("COPY"),
        Statement::Explain(_) => Ok(()),
        Statement::Reset(_) => by_first_word("RESET"),
    }
}

fn by_first_word(text: &str) -> Result<()> {
    let word = text.split_whitespace().next().unwrap_or_default().to_uppercase();
    let instead = match word.as_str() {
        "CREATE" | "DROP" | "ALTER" | "GRANT" | "REVOKE" | "COMMENT" | "RENAME" => {
            return Err(unsupported(format!("{word} {DDL}")));
        }
        "UPDATE" | "MERGE" => {
            "write the whole new rows with REPLACE INTO t (…) SELECT … FROM t WHERE …"
        }
        "TRUNCATE" => "use DELETE FROM t, or the Milvus API's truncate_collection",
        "COPY" => "run the query and save its answer with the client",
        "RESET" => "use SET name = value",
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "send the statement with its values",
        "START" | "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" => {
            "each statement is a transaction of its own"
        }
        _ => return Ok(()),
    };
    Err(unsupported(format!("{word} is not supported: {instead}")))
}

/// Refuses a plan that would do what [`statement`] could not see.
pub(super) fn plan(plan: &LogicalPlan) -> Result<()> {
    match plan {
        LogicalPlan::Ddl(_) => Err(unsupported(format!("the statement {DDL}"))),
        LogicalPlan::Copy(_) => by_first_word("COPY"),
        LogicalPlan::Statement(s) => {
            Err(unsupported(format!("{} is not supported in SQL here", s.name())))
        }
        LogicalPlan::Dml(dml) => match dml.op {
            WriteOp::Insert(_) => Ok(()),
            WriteOp::Delete | WriteOp::Update => by_first_word("UPDATE"),
            WriteOp::Ctas => Err(unsupported(format!("CREATE {DDL}"))),
            WriteOp::Truncate => by_first_word("TRUNCATE"),
        },
        LogicalPlan::Explain(explain) => read_only(&explain.plan),
        LogicalPlan::Analyze(analyze) => read_only(&analyze.input),
        _ => Ok(()),
    }
}

fn read_only(inner: &LogicalPlan) -> Result<()> {
    match inner {
        LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) | LogicalPlan::Copy(_) => Err(unsupported(
            "EXPLAIN is for queries: explain the SELECT with the same WHERE".into(),
        )),
        _ => Ok(()),
    }
}

fn unsupported(text: String) -> Error {
    Error::unsupported(Subject::Expression, text)
}
