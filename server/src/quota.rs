//! What the administrator has forbidden: calls by the properties of a database, and answers that are too large.

use std::any::Any;

use elanus_proto::service::{QueryResults, SearchResults};
use prost::Message;

use crate::context::Context;
use crate::status::{Failure, code};

/// Calls by the property that forbids them.
const FORBIDDEN: [(&str, &[&str]); 7] = [
    ("database.force.deny.writing", &["insert", "upsert", "delete", "import"]),
    ("database.force.deny.reading", &["search", "hybrid_search", "query"]),
    (
        "database.force.deny.collectionDDL",
        &["create_collection", "drop_collection", "load_collection", "release_collection"],
    ),
    (
        "database.force.deny.partitionDDL",
        &["create_partition", "drop_partition", "load_partitions", "release_partitions"],
    ),
    ("database.force.deny.index", &["create_index", "drop_index"]),
    ("database.force.deny.flush", &["flush"]),
    ("database.force.deny.compaction", &["manual_compaction"]),
];
/// Forbids all but writing and reading.
const ALL_DDL: &str = "database.force.deny.ddl";

/// Refuses a call that the database's properties forbid.
pub fn check(ctx: &Context, database: &str, method: &str) -> Result<(), Failure> {
    let Some((key, _)) = FORBIDDEN.iter().find(|(_, calls)| calls.contains(&method)) else {
        return Ok(());
    };
    let Ok(info) = ctx.engine.database(database) else { return Ok(()) };
    let on = |key: &str| info.properties.get(key).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let data = key.ends_with("writing") || key.ends_with("reading");
    if on(key) || !data && on(ALL_DDL) {
        let reason = "quota exceeded[reason=access has been disabled by the administrator]";
        return Err(Failure::new(code::QUOTA_EXCEEDED, reason));
    }
    Ok(())
}

/// Refuses an answer larger than the setting allows.
pub fn check_size(ctx: &Context, answer: &dyn Any) -> Result<(), Failure> {
    let (kind, bytes) = if let Some(found) = answer.downcast_ref::<SearchResults>() {
        ("search", found.encoded_len())
    } else if let Some(found) = answer.downcast_ref::<QueryResults>() {
        ("query", found.encoded_len())
    } else {
        return Ok(());
    };
    let most = ctx.engine.settings().limits.max_result_bytes;
    if bytes <= most {
        return Ok(());
    }
    let reason = format!(
        "{kind} results exceed the maxOutputSize Limit {most} with {bytes} bytes: ask for fewer rows or \
         fields, or raise the setting limits.max_result_bytes"
    );
    Err(Failure::new(code::UNEXPECTED, reason))
}
