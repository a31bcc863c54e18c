//! Errors as Milvus's clients know them: a code, an old code and words, carried inside the answer.
#![allow(deprecated, reason = "older clients and pymilvus read `error_code`")]

use elanus_engine::core::error::{Error, ErrorKind, Subject};
use elanus_proto::common::{ErrorCode, Status};

/// Milvus's error codes that this server gives.
pub mod code {
    /// The store is owned by another process.
    pub const UNAVAILABLE: i32 = 2;
    /// More memory than there is.
    pub const MEMORY_LIMIT: i32 = 3;
    /// Too busy; clients try again.
    pub const RATE_LIMIT: i32 = 8;
    /// More than the operator allows.
    pub const QUOTA_EXCEEDED: i32 = 9;
    /// Not built.
    pub const UNIMPLEMENTED: i32 = 10;
    /// More replicas asked than there are nodes.
    pub const RESOURCE_INSUFFICIENT: i32 = 12;
    /// A disk has too little room.
    pub const DISK_QUOTA: i32 = 7;
    /// No such collection.
    pub const COLLECTION_NOT_FOUND: i32 = 100;
    /// The collection is not loaded.
    pub const COLLECTION_NOT_LOADED: i32 = 101;
    /// Too many collections.
    pub const COLLECTION_LIMIT: i32 = 102;
    /// The collection is loaded, and must not be.
    pub const COLLECTION_LOADED: i32 = 104;
    /// No such partition.
    pub const PARTITION_NOT_FOUND: i32 = 200;
    /// The partition is not loaded.
    pub const PARTITION_NOT_LOADED: i32 = 201;
    /// No such resource group.
    pub const RESOURCE_GROUP_NOT_FOUND: i32 = 300;
    /// The resource group is there already, and is another.
    pub const RESOURCE_GROUP_EXISTS: i32 = 301;
    /// Too many resource groups.
    pub const RESOURCE_GROUP_LIMIT: i32 = 302;
    /// What is asked of the resource group cannot be.
    pub const RESOURCE_GROUP_CONFIG: i32 = 303;
    /// The resource group has too few nodes.
    pub const RESOURCE_GROUP_NODES: i32 = 304;
    /// No such index.
    pub const INDEX_NOT_FOUND: i32 = 700;
    /// The index is there already.
    pub const INDEX_DUPLICATE: i32 = 702;
    /// No such database.
    pub const DATABASE_NOT_FOUND: i32 = 800;
    /// Too many databases.
    pub const DATABASE_LIMIT: i32 = 801;
    /// Not a name for a database.
    pub const DATABASE_NAME: i32 = 802;
    /// No such node.
    pub const NODE_NOT_FOUND: i32 = 901;
    /// Reading or writing the store failed.
    pub const IO_FAILED: i32 = 1001;
    /// Stored bytes are damaged.
    pub const DATA_INTEGRITY: i32 = 1009;
    /// The request is wrong.
    pub const PARAMETER_INVALID: i32 = 1100;
    /// The request lacks something.
    pub const PARAMETER_MISSING: i32 = 1101;
    /// No such metric.
    pub const METRIC_NOT_FOUND: i32 = 1200;
    /// Not who he says he is.
    pub const NOT_AUTHENTICATED: i32 = 1400;
    /// Nobody may do that.
    pub const PRIVILEGE_NOT_PERMITTED: i32 = 1401;
    /// Not a name for a group of privileges.
    pub const PRIVILEGE_GROUP_NAME: i32 = 1402;
    /// No such alias.
    pub const ALIAS_NOT_FOUND: i32 = 1600;
    /// An alias and a collection cannot share a name.
    pub const ALIAS_CONFLICT: i32 = 1601;
    /// The alias is taken.
    pub const ALIAS_EXISTS: i32 = 1602;
    /// No such field.
    pub const FIELD_NOT_FOUND: i32 = 1700;
    /// Not a name for a field.
    pub const FIELD_NAME: i32 = 1701;
    /// No such snapshot.
    pub const SNAPSHOT_NOT_FOUND: i32 = 2600;
    /// The snapshot must not be dropped.
    pub const SNAPSHOT_PINNED: i32 = 2601;
    /// Files cannot be imported.
    pub const IMPORT_FAILED: i32 = 2100;
    /// Anything else.
    pub const UNEXPECTED: i32 = 65535;
}

/// Why a call failed, in Milvus's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of [`code`].
    pub code: i32,
    /// Words for people. Milvus's phrases are part of its interface: clients compare them.
    pub reason: String,
}

impl Failure {
    /// Any failure.
    pub fn new(code: i32, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Code 1100; Milvus ends the words with its name of the code, so that is added where missing.
    pub fn parameter(reason: impl Into<String>) -> Self {
        Self::new(code::PARAMETER_INVALID, with_name(reason.into(), "invalid parameter"))
    }

    /// Code 1100 in Milvus's other form: what was expected and what came.
    pub fn expected(expected: &str, actual: &str, why: &str) -> Self {
        let fields = format!("invalid parameter[expected={expected}][actual={actual}]");
        let reason = if why.is_empty() { fields } else { format!("{why}: {fields}") };
        Self::new(code::PARAMETER_INVALID, reason)
    }

    /// Code 1101.
    pub fn missing(reason: impl Into<String>) -> Self {
        Self::new(code::PARAMETER_MISSING, with_name(reason.into(), "missing parameter"))
    }

    /// Code 10: this server does not do it, and says so.
    pub fn unsupported(reason: impl Into<String>) -> Self {
        Self::new(code::UNIMPLEMENTED, reason)
    }

    /// Code 100.
    pub fn collection_not_found(database: &str, collection: &str) -> Self {
        let reason = format!("collection not found[database={database}][collection={collection}]");
        Self::new(code::COLLECTION_NOT_FOUND, reason)
    }

    /// Code 101.
    pub fn not_loaded(collection: &str) -> Self {
        let reason = format!("collection not loaded[collection={collection}]");
        Self::new(code::COLLECTION_NOT_LOADED, reason)
    }

    /// Code 104: `why` says what a loaded collection does not allow.
    pub fn loaded(collection: &str, why: &str) -> Self {
        let reason = format!("{why}: collection already loaded[collection={collection}]");
        Self::new(code::COLLECTION_LOADED, reason)
    }

    /// Code 200.
    pub fn partition_not_found(partition: &str) -> Self {
        Self::new(code::PARTITION_NOT_FOUND, format!("partition not found[partition={partition}]"))
    }

    /// Code 201.
    pub fn partition_not_loaded(partition: &str) -> Self {
        Self::new(
            code::PARTITION_NOT_LOADED,
            format!("partition not loaded[partition={partition}]"),
        )
    }

    /// Code 700, about a collection.
    pub fn no_index(collection: &str) -> Self {
        Self::new(code::INDEX_NOT_FOUND, format!("index not found[collection={collection}]"))
    }

    /// Code 700, about an index.
    pub fn index_not_found(index: &str) -> Self {
        Self::new(code::INDEX_NOT_FOUND, format!("index not found[indexName={index}]"))
    }

    /// Code 800.
    pub fn database_not_found(database: &str) -> Self {
        Self::new(code::DATABASE_NOT_FOUND, format!("database not found[database={database}]"))
    }

    /// Code 1600.
    pub fn alias_not_found(database: &str, alias: &str) -> Self {
        let reason = format!("alias not found[database={database}][alias={alias}]");
        Self::new(code::ALIAS_NOT_FOUND, reason)
    }

    /// Code 1601.
    pub fn alias_conflict(database: &str, alias: &str) -> Self {
        let reason =
            format!("alias and collection name conflict[database={database}][alias={alias}]");
        Self::new(code::ALIAS_CONFLICT, reason)
    }

    /// The wire form, with everything that old and new clients look at.
    pub fn status(&self) -> Status {
        Status {
            error_code: old_code(self.code).into(),
            reason: self.reason.clone(),
            code: self.code,
            retriable: retriable(self.code),
            detail: self.reason.clone(),
            ..Default::default()
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (code {})", self.reason, self.code)
    }
}

impl std::error::Error for Failure {}

/// The status of a call that worked.
pub fn ok_status() -> Status {
    Status::default()
}

fn with_name(reason: String, name: &str) -> String {
    if reason.contains(name) { reason } else { format!("{reason}: {name}") }
}

/// What clients of before 2.3 look at.
fn old_code(code: i32) -> ErrorCode {
    match code {
        0 => ErrorCode::Success,
        1 => ErrorCode::NotReadyServe,
        code::MEMORY_LIMIT => ErrorCode::InsufficientMemoryToLoad,
        7 => ErrorCode::DiskQuotaExhausted,
        code::RATE_LIMIT => ErrorCode::RateLimit,
        9 => ErrorCode::ForceDeny,
        code::COLLECTION_NOT_FOUND => ErrorCode::CollectionNotExists,
        109 => ErrorCode::SchemaMismatch,
        code::PARTITION_NOT_FOUND | 400 => ErrorCode::MetaFailed,
        401 => ErrorCode::NoReplicaAvailable,
        code::INDEX_NOT_FOUND => ErrorCode::IndexNotExist,
        1100..=1102 => ErrorCode::IllegalArgument,
        _ => ErrorCode::UnexpectedError,
    }
}

fn retriable(code: i32) -> bool {
    matches!(code, 1 | 2 | 8 | 12 | 103 | 106 | 110 | 202 | 2200)
}

impl From<Error> for Failure {
    /// The only place that turns the engine's errors into Milvus's. A new kind or subject must be
    /// given its code here before this compiles.
    fn from(error: Error) -> Self {
        use ErrorKind as K;
        use Subject as S;
        let reason = error.message().to_string();
        match (error.kind, error.subject) {
            (K::NotFound, S::Database) => Self::new(code::DATABASE_NOT_FOUND, reason),
            (K::NotFound, S::Collection) => Self::new(code::COLLECTION_NOT_FOUND, reason),
            (K::NotFound, S::Partition) => Self::new(code::PARTITION_NOT_FOUND, reason),
            (K::NotFound, S::Alias) => Self::new(code::ALIAS_NOT_FOUND, reason),
            (K::NotFound, S::Index) => Self::new(code::INDEX_NOT_FOUND, reason),
            (K::NotFound, S::Snapshot) => Self::new(code::SNAPSHOT_NOT_FOUND, reason),
            (K::NotFound, S::Field) => Self::new(code::FIELD_NOT_FOUND, reason),
            (K::NotFound, S::Store) => Self::new(code::IO_FAILED, reason),
            (K::LimitExceeded, S::Memory) => Self::new(code::MEMORY_LIMIT, reason),
            (K::LimitExceeded, S::Database) => Self::new(code::DATABASE_LIMIT, reason),
            (K::LimitExceeded, S::Store) => Self::new(code::DISK_QUOTA, reason),
            (K::LimitExceeded, S::Collection) => Self::new(code::COLLECTION_LIMIT, reason),
            (K::InvalidRequest, S::Database) => Self::new(code::DATABASE_NAME, reason),
            (K::AlreadyExists, S::Alias) => Self::new(code::ALIAS_EXISTS, reason),
            (K::AlreadyExists, S::Index) => Self::new(code::INDEX_DUPLICATE, reason),
            (K::NotFound, S::Schema | S::Expression | S::Setting | S::Memory | S::Request)
            | (
                K::InvalidRequest,
                S::Collection
                | S::Partition
                | S::Alias
                | S::Index
                | S::Field
                | S::Schema
                | S::Expression
                | S::Setting
                | S::Store
                | S::Memory
                | S::Snapshot
                | S::Request,
            )
            | (
                K::AlreadyExists,
                S::Database
                | S::Collection
                | S::Partition
                | S::Field
                | S::Schema
                | S::Expression
                | S::Setting
                | S::Store
                | S::Memory
                | S::Snapshot
                | S::Request,
            )
            | (
                K::LimitExceeded,
                S::Partition
                | S::Alias
                | S::Index
                | S::Field
                | S::Schema
                | S::Expression
                | S::Setting
                | S::Snapshot
                | S::Request,
            )
            | (K::FailedPrecondition, _) => Self::parameter(reason),
            // For these kinds the subject changes nothing.
            (K::Busy, _) => Self::new(code::RATE_LIMIT, reason),
            (K::Fenced, _) => Self::new(code::UNAVAILABLE, reason),
            (K::Corrupted, _) => Self::new(code::DATA_INTEGRITY, reason),
            (K::Storage, _) => Self::new(code::IO_FAILED, reason),
            (K::Unsupported, _) => Self::unsupported(reason),
            (K::Internal, _) => Self::new(code::UNEXPECTED, reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_errors_get_milvus_codes() {
        for (error, code, old) in [
            (Error::not_found(Subject::Collection, "x"), 100, ErrorCode::CollectionNotExists),
            (Error::not_found(Subject::Partition, "x"), 200, ErrorCode::MetaFailed),
            (Error::not_found(Subject::Index, "x"), 700, ErrorCode::IndexNotExist),
            (Error::limit(Subject::Store, "x"), 7, ErrorCode::DiskQuotaExhausted),
            (Error::not_found(Subject::Snapshot, "x"), 2600, ErrorCode::UnexpectedError),
            (Error::not_found(Subject::Database, "x"), 800, ErrorCode::UnexpectedError),
            (Error::not_found(Subject::Alias, "x"), 1600, ErrorCode::UnexpectedError),
            (Error::invalid(Subject::Expression, "x"), 1100, ErrorCode::IllegalArgument),
            (Error::precondition(Subject::Database, "x"), 1100, ErrorCode::IllegalArgument),
            (Error::limit(Subject::Collection, "x"), 102, ErrorCode::UnexpectedError),
            (Error::limit(Subject::Memory, "x"), 3, ErrorCode::InsufficientMemoryToLoad),
            (Error::busy("x"), 8, ErrorCode::RateLimit),
            (Error::fenced("x"), 2, ErrorCode::UnexpectedError),
            (Error::corrupted("x", "y"), 1009, ErrorCode::UnexpectedError),
            (Error::unsupported(Subject::Field, "x"), 10, ErrorCode::UnexpectedError),
            (Error::internal("x"), 65535, ErrorCode::UnexpectedError),
        ] {
            let status = Failure::from(error.clone()).status();
            assert_eq!((status.code, status.error_code), (code, i32::from(old)), "{error:?}");
            assert!(!status.reason.is_empty());
        }
    }

    #[test]
    fn parameter_names_its_code_once() {
        assert_eq!(Failure::parameter("bad dim").reason, "bad dim: invalid parameter");
        let again = Failure::parameter("bad dim: invalid parameter[expected=2]");
        assert_eq!(again.reason, "bad dim: invalid parameter[expected=2]");
        let both = Failure::expected("valid index", "invalid index type: X", "");
        assert_eq!(
            both.reason,
            "invalid parameter[expected=valid index][actual=invalid index type: X]"
        );
    }

    #[test]
    fn only_passing_troubles_are_retriable() {
        assert!(Failure::new(code::RATE_LIMIT, "later").status().retriable);
        assert!(!Failure::parameter("wrong").status().retriable);
        assert_eq!(ok_status().code, 0);
    }
}
