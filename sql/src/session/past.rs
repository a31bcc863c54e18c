//! The past in SQL: `t AS OF …` in a query, and statements about snapshots and clones.
//!
//! The parser knows none of this, so the words are rewritten before it sees them: a table as of a moment to
//! a name with the moment in it, a statement to a `CALL`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMillisecondArray, UInt64Array};
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use elanus_engine::api::{AsOf, CloneOrder, Collection};
use elanus_engine::core::error::{Error, Result, Subject};
use elanus_engine::core::time;

use super::Sql;
use super::stream::RowStream;
use crate::provider::past;

/// A text in which the parser understands everything.
pub(super) fn rewrite(text: &str) -> Result<String> {
    let upper = text.to_uppercase();
    if !["OF", "SNAPSHOT", "CLONE"].iter().any(|word| upper.contains(word)) {
        return Ok(text.to_string());
    }
    let dialect = GenericDialect {};
    let mut tokenizer = Tokenizer::new(&dialect, text).with_unescape(false);
    // A text that is no SQL is told of by the parser.
    let Ok(tokens) = tokenizer.tokenize() else { return Ok(text.to_string()) };
    let mut out = String::with_capacity(text.len());
    for statement in tokens.split_inclusive(|t| *t == Token::SemiColon) {
        let words: Vec<&Token> =
            statement.iter().filter(|t| !matches!(t, Token::Whitespace(_))).collect();
        match own_statement(&words)? {
            Some(call) => {
                out += &call;
                out += if statement.ends_with(&[Token::SemiColon]) { ";" } else { "" };
            }
            None => out += &with_moments(statement),
        }
    }
    Ok(out)
}

fn is(token: Option<&&Token>, word: &str) -> bool {
    matches!(token, Some(Token::Word(w)) if w.quote_style.is_none() && w.value.eq_ignore_ascii_case(word))
}

/// A literal, or a name, as text.
fn text_of(token: Option<&&Token>) -> Option<String> {
    match token? {
        Token::Word(w) => Some(w.value.clone()),
        Token::Number(n, _) => Some(n.clone()),
        Token::SingleQuotedString(s) => Some(s.replace("''", "'")),
        _ => None,
    }
}

/// `name` or `database.name` at a place; with the place behind it.
fn name_at(words: &[&Token], at: usize) -> Option<(String, usize)> {
    let Some(Token::Word(first)) = words.get(at) else { return None };
    match (words.get(at + 1), words.get(at + 2)) {
        (Some(Token::Period), Some(Token::Word(second))) => {
            Some((format!("{}.{}", first.value, second.value), at + 3))
        }
        _ => Some((first.value.clone(), at + 1)),
    }
}

/// The moment at a place, `AS OF kind value`: the kind, the value and the place behind it.
fn moment_at(words: &[&Token], at: usize) -> Option<(&'static str, String, usize)> {
    let at = match is(words.get(at), "FOR") && is(words.get(at + 1), "SYSTEM_TIME") {
        true => at + 2,
        false => at,
    };
    if !is(words.get(at), "AS") || !is(words.get(at + 1), "OF") {
        return None;
    }
    let kind = past::KINDS.into_iter().find(|kind| is(words.get(at + 2), kind))?;
    Some((kind, text_of(words.get(at + 3))?, at + 4))
}

/// The `CALL` that a statement of ours means; none if it is an ordinary one.
fn own_statement(words: &[&Token]) -> Result<Option<String>> {
    let words = match words {
        [rest @ .., Token::SemiColon] => rest,
        all => all,
    };
    let (verb, what) = (words.first(), words.get(1));
    let usage = |text: &str| Err(Error::invalid(Subject::Expression, format!("expected: {text}")));
    if (is(verb, "CREATE") || is(verb, "DROP")) && is(what, "SNAPSHOT") {
        let create = is(verb, "CREATE");
        let name = text_of(words.get(2));
        let table = is(words.get(3), "ON").then(|| name_at(words, 4)).flatten();
        return match (name, table, create) {
            (Some(name), Some((table, end)), true) if end == words.len() => {
                Ok(Some(call("create_snapshot", &[&table, &name, ""])))
            }
            (Some(name), Some((table, end)), true)
                if end + 2 == words.len() && is(words.get(end), "COMMENT") =>
            {
                let comment = text_of(words.get(end + 1)).unwrap_or_default();
                Ok(Some(call("create_snapshot", &[&table, &name, &comment])))
            }
            (Some(name), Some((table, end)), false) if end == words.len() => {
                Ok(Some(call("drop_snapshot", &[&table, &name])))
            }
            (.., true) => usage("CREATE SNAPSHOT name ON table [COMMENT 'text']"),
            (.., false) => usage("DROP SNAPSHOT name ON table"),
        };
    }
    if is(verb, "SHOW") && is(what, "SNAPSHOTS") {
        let on = is(words.get(2), "ON") || is(words.get(2), "FROM");
        return match on.then(|| name_at(words, 3)).flatten() {
            Some((table, end)) if end == words.len() => Ok(Some(call("show_snapshots", &[&table]))),
            None if words.len() == 2 => Ok(Some(call("show_snapshots", &[""]))),
            _ => usage("SHOW SNAPSHOTS [ON table]"),
        };
    }
    if is(verb, "CREATE") && is(what, "TABLE") {
        let Some((to, at)) = name_at(words, 2) else { return Ok(None) };
        if !is(words.get(at), "CLONE") {
            return Ok(None);
        }
        let from = name_at(words, at + 1);
        return match from {
            Some((from, end)) if end == words.len() => Ok(Some(call("clone", &[&to, &from, ""]))),
            Some((from, end)) => match moment_at(words, end) {
                Some((kind, value, end)) if end == words.len() => {
                    let when = format!("{} {value}", kind.to_lowercase());
                    Ok(Some(call("clone", &[&to, &from, &when])))
                }
                _ => usage("CREATE TABLE new CLONE old [AS OF VERSION n | AS OF SNAPSHOT 's']"),
            },
            None => usage("CREATE TABLE new CLONE old [AS OF VERSION n | AS OF SNAPSHOT 's']"),
        };
    }
    Ok(None)
}

fn call(function: &str, arguments: &[&str]) -> String {
    let quoted: Vec<String> =
        arguments.iter().map(|a| format!("'{}'", a.replace('\'', "''"))).collect();
    format!("CALL elanus_{function}({})", quoted.join(", "))
}

/// The text of a statement, each `t AS OF …` as one name.
fn with_moments(statement: &[Token]) -> String {
    let places: Vec<usize> =
        (0..statement.len()).filter(|at| !matches!(statement[*at], Token::Whitespace(_))).collect();
    let words: Vec<&Token> = places.iter().map(|at| &statement[*at]).collect();
    let (mut out, mut next) = (String::new(), 0);
    for at in 0..words.len() {
        let Token::Word(table) = words[at] else { continue };
        let Some((kind, value, end)) = moment_at(&words, at + 1) else { continue };
        if places[at] < next {
            continue;
        }
        statement[next..places[at]].iter().for_each(|t| out += &t.to_string());
        out += &quoted(&past::join(&table.value, kind, &value));
        // Columns are then found as `t.column`, as without a moment.
        if !is_alias(words.get(end)) {
            out += &format!(" AS {}", quoted(&table.value));
        }
        next = places.get(end).copied().unwrap_or(statement.len());
        if next < statement.len() {
            out.push(' ');
        }
    }
    statement[next..].iter().for_each(|t| out += &t.to_string());
    out
}

fn is_alias(token: Option<&&Token>) -> bool {
    matches!(token, Some(Token::Word(Word { keyword: Keyword::AS | Keyword::NoKeyword, .. })))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Sql {
    /// Runs one of our calls; none if it is not ours.
    pub(super) async fn call(&self, function: &Function) -> Result<Option<RowStream>> {
        let name = function.name.to_string().to_lowercase();
        let Some(name) = name.strip_prefix("elanus_") else { return Ok(None) };
        let arguments = texts(function)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match (name, arguments.as_slice()) {
            ("create_snapshot", [table, name, comment]) => {
                let (_, collection) = self.table(table)?;
                collection.create_snapshot(name, comment).await?;
            }
            ("drop_snapshot", [table, name]) => self.table(table)?.1.drop_snapshot(name).await?,
            ("show_snapshots", [""]) => {
                let all = self.engine().collections(&self.database())?;
                return snapshots(&all).map(|batch| Some(RowStream::one(batch)));
            }
            ("show_snapshots", [table]) => {
                let one = [self.table(table)?.1];
                return snapshots(&one).map(|batch| Some(RowStream::one(batch)));
            }
            ("clone", [to, from, when]) => self.clone_table(to, from, when).await?,
            _ => {
                let why = format!("there is no procedure elanus_{name} of these arguments");
                return Err(Error::invalid(Subject::Expression, why));
            }
        }
        Ok(Some(RowStream::nothing()))
    }

    fn split(&self, name: &str) -> (String, String) {
        match name.split_once('.') {
            Some((database, name)) => (database.to_string(), name.to_string()),
            None => (self.database(), name.to_string()),
        }
    }

    fn table(&self, name: &str) -> Result<(String, Collection)> {
        let (database, name) = self.split(name);
        let collection = self.engine().collection(&database, &name)?;
        Ok((database, collection))
    }

    async fn clone_table(&self, to: &str, from: &str, when: &str) -> Result<()> {
        let (database, collection) = self.split(from);
        let (to_database, to_name) = self.split(to);
        let when: Option<AsOf> = (!when.is_empty()).then(|| past::parse(when)).transpose()?;
        let order = CloneOrder { database, collection, when, to_database, to_name };
        self.engine().clone_collection(order).await.map(|_| ())
    }
}

/// The arguments of a call, which are texts.
fn texts(function: &Function) -> Result<Vec<String>> {
    let bad = || {
        let why = format!("the arguments of {} are texts", function.name);
        Error::invalid(Subject::Expression, why)
    };
    let FunctionArguments::List(list) = &function.args else { return Err(bad()) };
    let text = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))) => match &value.value {
            Value::SingleQuotedString(text) => Ok(text.clone()),
            _ => Err(bad()),
        },
        _ => Err(bad()),
    };
    list.args.iter().map(text).collect()
}

/// Snapshots of collections as rows.
fn snapshots(collections: &[Collection]) -> Result<RecordBatch> {
    let all: Vec<_> =
        collections.iter().flat_map(|c| c.snapshots().into_iter().map(|s| (c.name(), s))).collect();
    let texts = |text: fn(&(String, elanus_engine::api::NamedSnapshot)) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(all.iter().map(text)))
    };
    let versions = UInt64Array::from_iter_values(all.iter().map(|(_, s)| s.version));
    let created = all.iter().map(|(_, s)| time::to_millis(s.created_ts) as i64);
    Ok(RecordBatch::try_from_iter([
        ("collection", texts(|(collection, _)| collection)),
        ("snapshot", texts(|(_, s)| &s.name)),
        ("comment", texts(|(_, s)| &s.description)),
        ("version", Arc::new(versions) as ArrayRef),
        ("created", Arc::new(TimestampMillisecondArray::from_iter_values(created)) as ArrayRef),
    ])?)
}

#[cfg(test)]
mod tests {
    use super::rewrite;

    #[test]
    fn words_of_the_past_become_names_and_calls() {
        for (text, wanted) in [
            ("SELECT of FROM t", "SELECT of FROM t"),
            ("SELECT 'it''s AS OF' FROM t", "SELECT 'it''s AS OF' FROM t"),
            ("SELECT * FROM t AS OF VERSION 5", "SELECT * FROM \"t@version 5\" AS \"t\""),
            (
                "SELECT a.id FROM d.t AS OF TIMESTAMP '2026-01-31 12:00:00' a, u WHERE x = 'y'",
                "SELECT a.id FROM d.\"t@timestamp 2026-01-31 12:00:00\" a, u WHERE x = 'y'",
            ),
            (
                "select id from t for system_time as of snapshot s where id > 1",
                "select id from \"t@snapshot s\" AS \"t\" where id > 1",
            ),
            ("CREATE SNAPSHOT s ON t;", "CALL elanus_create_snapshot('t', 's', '');"),
            (
                "create snapshot 's' on d.t comment 'it''s'",
                "CALL elanus_create_snapshot('d.t', 's', 'it''s')",
            ),
            ("DROP SNAPSHOT s ON t", "CALL elanus_drop_snapshot('t', 's')"),
            (
                "SHOW SNAPSHOTS; SHOW SNAPSHOTS ON t",
                "CALL elanus_show_snapshots('');CALL elanus_show_snapshots('t')",
            ),
            (
                "CREATE TABLE b CLONE a AS OF SNAPSHOT 's'",
                "CALL elanus_clone('b', 'a', 'snapshot s')",
            ),
            ("CREATE TABLE b CLONE a", "CALL elanus_clone('b', 'a', '')"),
        ] {
            assert_eq!(rewrite(text).as_deref().ok(), Some(wanted), "{text}");
        }
        for text in ["CREATE SNAPSHOT s", "DROP SNAPSHOT ON t", "SHOW SNAPSHOTS OF t"] {
            assert!(rewrite(text).is_err_and(|e| e.message().contains("expected: ")), "{text}");
        }
    }
}
