//! Privileges by name: what kind of object each is about, on which level it stands, and which belong
//! to the groups that are always there.

use elanus_proto::common::ObjectPrivilege;

/// What kind of object a privilege is about.
pub fn object_of(privilege: &str) -> &'static str {
    const COLLECTION: &[&str] = &[
        "Load",
        "Release",
        "Compaction",
        "Insert",
        "Delete",
        "Upsert",
        "GetStatistics",
        "CreateIndex",
        "IndexDetail",
        "DropIndex",
        "Search",
        "Flush",
        "Query",
        "LoadBalance",
        "Import",
        "GetLoadingProgress",
        "GetLoadState",
        "CreatePartition",
        "DropPartition",
        "ShowPartitions",
        "HasPartition",
        "GetFlushState",
        "ReadOnly",
        "ReadWrite",
        "GetImportProgress",
        "ListImport",
        "AddCollectionField",
        "AlterCollectionSchema",
        "RefreshExternalCollection",
        "CreateSnapshot",
        "DropSnapshot",
        "DescribeSnapshot",
        "RestoreSnapshot",
        "ListSnapshots",
    ];
    match privilege {
        "UpdateUser" | "SelectUser" => "User",
        name if COLLECTION.contains(&name) => "Collection",
        _ => "Global",
    }
}

/// A group's name and its further privileges.
type Group = (&'static str, &'static [&'static str]);

/// The levels of privileges, each with the groups that are always there.
/// A group holds what the groups before it on its level hold.
const LEVELS: [(Level, [Group; 3]); 3] = [
    (
        Level::Cluster,
        [
            (
                "ClusterReadOnly",
                &[
                    "ListDatabases",
                    "SelectOwnership",
                    "SelectUser",
                    "DescribeResourceGroup",
                    "ListResourceGroups",
                    "ListPrivilegeGroups",
                    "GetReplicateConfiguration",
                    "ListFileResources",
                ],
            ),
            (
                "ClusterReadWrite",
                &[
                    "FlushAll",
                    "TransferNode",
                    "TransferReplica",
                    "UpdateResourceGroups",
                    "AddFileResource",
                    "RemoveFileResource",
                    "PinSnapshotData",
                    "UnpinSnapshotData",
                ],
            ),
            (
                "ClusterAdmin",
                &[
                    "BackupRBAC",
                    "RestoreRBAC",
                    "CreateDatabase",
                    "DropDatabase",
                    "CreateOwnership",
                    "DropOwnership",
                    "ManageOwnership",
                    "CreateResourceGroup",
                    "DropResourceGroup",
                    "UpdateUser",
                    "CreatePrivilegeGroup",
                    "DropPrivilegeGroup",
                    "OperatePrivilegeGroup",
                    "UpdateReplicateConfiguration",
                    "RestoreExternalSnapshot",
                    "ExportSnapshot",
                ],
            ),
        ],
    ),
    (
        Level::Database,
        [
            ("DatabaseReadOnly", &["ShowCollections", "DescribeDatabase"]),
            ("DatabaseReadWrite", &["AlterDatabase"]),
            ("DatabaseAdmin", &["CreateCollection", "DropCollection", "RenameCollection"]),
        ],
    ),
    (
        Level::Collection,
        [
            (
                "CollectionReadOnly",
                &[
                    "Query",
                    "Search",
                    "IndexDetail",
                    "GetFlushState",
                    "GetLoadState",
                    "GetLoadingProgress",
                    "HasPartition",
                    "ShowPartitions",
                    "DescribeCollection",
                    "DescribeAlias",
                    "GetStatistics",
                    "ListAliases",
                    "GetImportProgress",
                    "ListImport",
                    "DescribeSnapshot",
                    "ListSnapshots",
                ],
            ),
            (
                "CollectionReadWrite",
                &[
                    "Load",
                    "Release",
                    "Insert",
                    "Delete",
                    "Upsert",
                    "Import",
                    "Flush",
                    "Compaction",
                    "LoadBalance",
                    "CreateIndex",
                    "DropIndex",
                    "CreatePartition",
                    "DropPartition",
                    "AddCollectionField",
                    "AlterCollectionSchema",
                    "RefreshExternalCollection",
                    "CreateSnapshot",
                    "DropSnapshot",
                ],
            ),
            ("CollectionAdmin", &["CreateAlias", "DropAlias", "RestoreSnapshot"]),
        ],
    ),
];

/// How far a privilege reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The whole server.
    Cluster,
    /// A database.
    Database,
    /// A collection.
    Collection,
}

/// The level of a privilege; none for one that stands on no level, as the groups of old do.
pub fn level(privilege: &str) -> Option<Level> {
    let has =
        |groups: &[(&str, &[&str]); 3]| groups.iter().any(|(_, own)| own.contains(&privilege));
    LEVELS.iter().find(|(_, groups)| has(groups)).map(|(level, _)| *level)
}

/// The groups that are always there, with all of their privileges.
pub fn builtin_groups() -> Vec<(&'static str, Vec<&'static str>)> {
    let mut all = Vec::new();
    for (_, groups) in LEVELS {
        let mut privileges = Vec::new();
        for (name, own) in groups {
            privileges.extend_from_slice(own);
            all.push((name, privileges.clone()));
        }
    }
    all
}

/// The privileges of a group that is always there.
pub fn builtin_group(name: &str) -> Option<Vec<&'static str>> {
    builtin_groups().into_iter().find(|(group, _)| *group == name).map(|(_, own)| own)
}

/// Whether a group that is always there is about collections.
pub fn is_collection_group(name: &str) -> bool {
    name.starts_with("Collection") && builtin_group(name).is_some()
}

/// Whether the protocol knows a privilege or group by that name.
pub fn is_defined(name: &str) -> bool {
    ["Privilege", "PrivilegeGroup"]
        .iter()
        .any(|word| ObjectPrivilege::from_str_name(&format!("{word}{name}")).is_some())
}

/// The privileges of a group that is always there, without those of the groups before it on its level.
fn own_of(group: &str) -> &'static [&'static str] {
    let mut groups = LEVELS.iter().flat_map(|(_, groups)| groups);
    groups.find(|(name, _)| *name == group).map_or(&[], |(_, own)| own)
}

/// Whether one of the three groups of before 2.5 holds a privilege; none if it is no such group.
pub fn old_group_holds(group: &str, privilege: &str) -> Option<bool> {
    // The groups of collections came after them, with some more and some less.
    const READ: &[&str] = &["ShowCollections", "ListDatabases", "DescribeDatabase"];
    const NOT_READ: [&str; 2] = ["GetImportProgress", "ListImport"];
    const WRITE: &[&str] = &["CreateAlias", "DropAlias"];
    const NOT_WRITE: [&str; 2] = ["AddCollectionField", "AlterCollectionSchema"];
    const RULE: &[&str] = &[
        "CreateCollection",
        "DropCollection",
        "RenameCollection",
        "CreateOwnership",
        "DropOwnership",
        "SelectOwnership",
        "ManageOwnership",
        "SelectUser",
        "UpdateUser",
        "BackupRBAC",
        "RestoreRBAC",
        "CreateResourceGroup",
        "UpdateResourceGroups",
        "DropResourceGroup",
        "DescribeResourceGroup",
        "ListResourceGroups",
        "TransferReplica",
        "TransferNode",
        "CreateDatabase",
        "DropDatabase",
        "AlterDatabase",
        "UpdateReplicateConfiguration",
        "RestoreSnapshot",
        "ExportSnapshot",
        "RestoreExternalSnapshot",
        "PinSnapshotData",
        "UnpinSnapshotData",
    ];
    let holds = |more: &[&str], new: &str, but: [&str; 2]| {
        more.contains(&privilege) || own_of(new).contains(&privilege) && !but.contains(&privilege)
    };
    let reads = holds(READ, "CollectionReadOnly", NOT_READ);
    let writes = reads || holds(WRITE, "CollectionReadWrite", NOT_WRITE);
    match group {
        "ReadOnly" => Some(reads),
        "ReadWrite" => Some(writes),
        "Admin" => Some(writes || RULE.contains(&privilege)),
        _ => None,
    }
}

/// Privileges that are given and taken together with another.
pub fn related(privilege: &str) -> &'static [&'static str] {
    match privilege {
        "Load" => &["GetLoadState", "GetLoadingProgress"],
        "Flush" => &["GetFlushState"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_of_the_protocol() {
        for (group, privileges) in builtin_groups() {
            assert!(is_defined(group), "{group}");
            for name in privileges {
                let known = ObjectPrivilege::from_str_name(&format!("Privilege{name}"));
                assert!(known.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn levels_and_groups_agree() {
        assert_eq!(level("CreateDatabase"), Some(Level::Cluster));
        assert_eq!(level("RenameCollection"), Some(Level::Database));
        assert_eq!(level("Insert"), Some(Level::Collection));
        assert_eq!(level("ReadOnly"), None);
        let admin = builtin_group("CollectionAdmin").expect("a group");
        assert!(admin.contains(&"Search") && admin.contains(&"DropAlias"));
        assert!(!builtin_group("DatabaseReadOnly").expect("a group").contains(&"DropCollection"));
        assert_eq!(old_group_holds("ReadOnly", "Insert"), Some(false));
        assert_eq!(old_group_holds("Admin", "Insert"), Some(true));
        for (privilege, holds) in [
            ("Query", true),
            ("ListDatabases", true),
            ("ListImport", false),
            ("Import", true),
            ("DropAlias", true),
            ("AddCollectionField", false),
            ("DropCollection", false),
        ] {
            assert_eq!(old_group_holds("ReadWrite", privilege), Some(holds), "{privilege}");
        }
        assert_eq!(old_group_holds("Insert", "Insert"), None);
    }
}
