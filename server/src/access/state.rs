//! Users, roles and groups of privileges as they are, and their records.

use std::collections::{BTreeMap, BTreeSet};

use elanus_engine::core::error::{Error, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::password::Hashed;

/// Records of ours begin so.
pub const PREFIX: &str = "access/";
const USER: &str = "access/user/";
const ROLE: &str = "access/role/";
const GROUP: &str = "access/group/";

/// The user who may do everything.
pub const ROOT: &str = "root";
/// The role that may do everything.
pub const ADMIN: &str = "admin";
/// The role that every user has.
pub const PUBLIC: &str = "public";
/// Any database, any object, any privilege.
pub const ANY: &str = "*";

/// A user.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The password's hash; none: the password of the settings, which only root may have.
    pub password: Option<Hashed>,
    /// Words about the user.
    #[serde(default)]
    pub description: String,
    /// Roles besides the one that everybody has.
    #[serde(default)]
    pub roles: BTreeSet<String>,
}

/// A role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// Words about the role.
    #[serde(default)]
    pub description: String,
    /// What it may do.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// A privilege on something.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// Kind of the object: Collection, Global or User.
    pub object: String,
    /// Database, or any.
    pub database: String,
    /// Name of the object, or any.
    pub name: String,
    /// A privilege or a group of them, or any; without the word Privilege in front.
    pub privilege: String,
    /// Who gave it.
    pub grantor: String,
}

impl Grant {
    /// Whether it is the same privilege on the same thing, whoever gave it.
    pub fn same(&self, other: &Self) -> bool {
        self.object == other.object
            && self.database == other.database
            && self.name == other.name
            && self.privilege == other.privilege
    }
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Users by name.
    pub users: BTreeMap<String, User>,
    /// Roles by name.
    pub roles: BTreeMap<String, Role>,
    /// Groups of privileges that users made, by name.
    pub groups: BTreeMap<String, BTreeSet<String>>,
}

impl Default for State {
    /// Root, the two roles that are always there, and what everybody may see.
    fn default() -> Self {
        let seen = [
            ("Global", "DescribeCollection"),
            ("Global", "ListAliases"),
            ("Collection", "IndexDetail"),
        ];
        let grants = seen.map(|(object, privilege)| Grant {
            object: object.into(),
            database: ANY.into(),
            name: ANY.into(),
            privilege: privilege.into(),
            grantor: ROOT.into(),
        });
        let public = Role { grants: grants.into(), ..Default::default() };
        Self {
            users: BTreeMap::from([(ROOT.to_string(), User::default())]),
            roles: BTreeMap::from([(ADMIN.into(), Role::default()), (PUBLIC.into(), public)]),
            groups: BTreeMap::new(),
        }
    }
}

impl State {
    /// Reads records over what is there from the start.
    ///
    /// # Errors
    /// Names the record that cannot be read.
    pub fn from_records(records: Vec<(String, Vec<u8>)>) -> Result<Self> {
        let mut state = Self::default();
        for (key, value) in records {
            if let Some(name) = key.strip_prefix(USER) {
                state.users.insert(name.to_string(), read(&key, &value)?);
            } else if let Some(name) = key.strip_prefix(ROLE) {
                state.roles.insert(name.to_string(), read(&key, &value)?);
            } else if let Some(name) = key.strip_prefix(GROUP) {
                state.groups.insert(name.to_string(), read(&key, &value)?);
            }
        }
        Ok(state)
    }

    /// All records.
    pub fn to_records(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let users = self.users.iter().map(|(name, user)| record(USER, name, user));
        let roles = self.roles.iter().map(|(name, role)| record(ROLE, name, role));
        let groups = self.groups.iter().map(|(name, group)| record(GROUP, name, group));
        users.chain(roles).chain(groups).collect()
    }

    /// The roles of a user, with the one that everybody has.
    pub fn roles_of(&self, user: &str) -> Vec<&str> {
        let own = self.users.get(user).into_iter().flat_map(|u| &u.roles);
        own.map(String::as_str).chain([PUBLIC]).collect()
    }
}

fn read<T: DeserializeOwned>(key: &str, value: &[u8]) -> Result<T> {
    serde_json::from_slice(value)
        .map_err(|e| Error::corrupted("the local catalog", format!("record {key}: {e}")))
}

fn record(prefix: &str, name: &str, value: &impl Serialize) -> Result<(String, Vec<u8>)> {
    let value = serde_json::to_vec(value)
        .map_err(|e| Error::internal(format!("a record of {name} cannot be written: {e}")))?;
    Ok((format!("{prefix}{name}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let mut state = State::default();
        state
            .users
            .insert("a.b-c".into(), User { roles: ["admin".into()].into(), ..Default::default() });
        state.groups.insert("g".into(), ["Insert".to_string()].into());
        state.roles.get_mut(PUBLIC).expect("it is there").grants.clear();
        let records = state.to_records().expect("records").into_iter().collect();
        assert_eq!(State::from_records(records).expect("readable"), state);
    }

    #[test]
    fn a_damaged_record_is_told_by_name() {
        let records = vec![("access/user/x".to_string(), b"{".to_vec())];
        let error = State::from_records(records).expect_err("damaged").to_string();
        assert!(error.contains("access/user/x"), "{error}");
    }
}
