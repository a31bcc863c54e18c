//! The decision: may this user do that? Pure, over a [`State`].

use std::collections::BTreeSet;

use elanus_proto::guards::{Guard, Objects};

use super::privileges::{self, Level};
use super::state::{ADMIN, ANY, Grant, PUBLIC, ROOT, State};

/// What a call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    /// Kind of the object, as in `Collection`.
    pub object: &'static str,
    /// The privilege, as in `Insert`.
    pub privilege: &'static str,
    /// The database, or any where the privilege reaches over all.
    pub database: String,
    /// The names; all of them must be allowed.
    pub names: Vec<String>,
}

impl Demand {
    /// What a request needs in a database; `real` gives a collection's name for an alias.
    pub fn of(guard: &Guard<'_>, database: &str, real: impl Fn(&str) -> String) -> Self {
        let privilege = guard.privilege.trim_start_matches("Privilege");
        let object = guard.kind.as_str_name();
        let name = |given: &&str| match object {
            "Collection" => real(given),
            _ => given.to_string(),
        };
        let names = match &guard.objects {
            Objects::Any => vec![ANY.to_string()],
            Objects::One(one) => vec![name(one)],
            Objects::All(all) => all.iter().map(name).collect(),
        };
        let everywhere = privileges::level(privilege) == Some(Level::Cluster);
        let database = if everywhere { ANY } else { database }.to_string();
        Self { object, privilege, database, names }
    }
}

/// Milvus's words for a call that is not allowed.
pub fn denial(demand: &Demand, user: &str) -> String {
    let Demand { privilege, database, .. } = demand;
    format!("Privilege{privilege}: permission deny to {user} in the `{database}` database")
}

/// Whether a user may do that.
pub fn permits(state: &State, user: &str, demand: &Demand) -> bool {
    if user == ROOT || own(user, demand) {
        return true;
    }
    let allowed = |role: &str| {
        role == ADMIN
            || !demand.names.is_empty()
                && demand.names.iter().all(|name| role_permits(state, role, demand, name))
    };
    state.roles_of(user).into_iter().any(allowed)
}

/// Users may look after themselves.
fn own(user: &str, demand: &Demand) -> bool {
    demand.object == "User" && demand.names == [user]
}

fn role_permits(state: &State, role: &str, demand: &Demand, name: &str) -> bool {
    let grants = state.roles.get(role).into_iter().flat_map(|role| &role.grants);
    grants.flat_map(|grant| expand(state, grant)).any(|grant| covers(&grant, demand, name))
}

/// A grant of a group as grants of its privileges.
fn expand(state: &State, grant: &Grant) -> Vec<Grant> {
    let own = |privilege: &str| {
        let object = privileges::object_of(privilege);
        let name = if object == "Global" { ANY.to_string() } else { grant.name.clone() };
        let (object, privilege) = (object.to_string(), privilege.to_string());
        Grant { object, name, privilege, ..grant.clone() }
    };
    if grant.privilege == ANY {
        return vec![grant.clone()];
    }
    if let Some(group) = state.groups.get(&grant.privilege) {
        return group.iter().map(|privilege| own(privilege)).collect();
    }
    match privileges::builtin_group(&grant.privilege) {
        Some(group) => group.into_iter().map(own).collect(),
        None => vec![own(&grant.privilege)],
    }
}

fn covers(grant: &Grant, demand: &Demand, name: &str) -> bool {
    let fits = |given: &str, asked: &str| given == ANY || given == asked;
    if fits(&grant.privilege, demand.privilege) {
        return grant.object == demand.object
            && fits(&grant.database, &demand.database)
            && fits(&grant.name, name);
    }
    if grant.database != demand.database {
        return false;
    }
    match grant.privilege.as_str() {
        "All" => true,
        group => match privileges::old_group_holds(group, demand.privilege) {
            Some(holds) => holds && (group == "Admin" || name == ANY || fits(&grant.name, name)),
            None => false,
        },
    }
}

/// What of a kind a user may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Visible {
    /// All of it.
    All,
    /// These names.
    Only(BTreeSet<String>),
}

impl Visible {
    /// Whether this name is among them.
    pub fn shows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    fn from(names: Option<BTreeSet<String>>) -> Self {
        match names {
            Some(names) if !names.contains(ANY) => Self::Only(names),
            _ => Self::All,
        }
    }
}

/// The databases that a user may see: those in which a role of his may do anything.
pub fn visible_databases(state: &State, user: &str) -> Visible {
    let names =
        own_grants(state, user).map(|grants| grants.map(|grant| grant.database.clone()).collect());
    Visible::from(names)
}

/// The collections of a database that a user may see.
pub fn visible_collections(state: &State, user: &str, database: &str) -> Visible {
    let names = own_grants(state, user).map(|grants| {
        grants
            .filter(|grant| grant.database == ANY || grant.database == database)
            .filter_map(|grant| {
                let privilege = grant.privilege.as_str();
                let about = grant.object == "Collection"
                    || state.groups.contains_key(privilege)
                    || privileges::is_collection_group(privilege);
                match (grant.object.as_str(), privilege) {
                    ("Global", "All") => Some(ANY.to_string()),
                    _ => about.then(|| grant.name.clone()),
                }
            })
            .collect()
    });
    Visible::from(names)
}

/// The grants of a user's roles but for what everybody has; none: he may do everything.
fn own_grants<'a>(state: &'a State, user: &str) -> Option<impl Iterator<Item = &'a Grant>> {
    let roles: Vec<&'a str> = match state.users.get(user) {
        Some(user) => user.roles.iter().map(String::as_str).collect(),
        None => Vec::new(),
    };
    if user == ROOT || roles.contains(&ADMIN) {
        return None;
    }
    let named = roles.into_iter().filter(|role| *role != PUBLIC);
    Some(named.filter_map(|role| state.roles.get(role)).flat_map(|role| &role.grants))
}

#[cfg(test)]
mod tests {
    use super::super::state::{Role, User};
    use super::*;

    fn state(grants: &[(&str, &str, &str, &str)]) -> State {
        let mut state = State::default();
        let grants = grants.iter().map(|(object, database, name, privilege)| Grant {
            object: object.to_string(),
            database: database.to_string(),
            name: name.to_string(),
            privilege: privilege.to_string(),
            grantor: ROOT.into(),
        });
        state.roles.insert("r".into(), Role { grants: grants.collect(), ..Default::default() });
        state.users.insert("u".into(), User { roles: ["r".into()].into(), ..Default::default() });
        state.groups.insert("mine".into(), ["Insert".to_string(), "CreateAlias".into()].into());
        state
    }

    fn demand(object: &'static str, database: &str, name: &str, privilege: &'static str) -> Demand {
        Demand { object, privilege, database: database.into(), names: vec![name.into()] }
    }

    #[test]
    fn grants_allow_what_they_name_and_no_more() {
        let insert = |db: &str, name: &str| demand("Collection", db, name, "Insert");
        for (grant, asked, allowed) in [
            (("Collection", "default", "c", "Insert"), insert("default", "c"), true),
            (("Collection", "default", "c", "Insert"), insert("default", "d"), false),
            (("Collection", "default", "c", "Insert"), insert("other", "c"), false),
            (("Collection", "default", "c", "Search"), insert("default", "c"), false),
            (("Collection", "default", "*", "Insert"), insert("default", "d"), true),
            (("Collection", "*", "c", "Insert"), insert("other", "c"), true),
            (("Collection", "default", "c", "*"), insert("default", "c"), true),
            (("Global", "default", "*", "*"), insert("default", "c"), false),
            (("Global", "default", "*", "All"), insert("default", "c"), true),
            (("Global", "default", "*", "All"), insert("other", "c"), false),
            (("Collection", "default", "c", "ReadWrite"), insert("default", "c"), true),
            (("Collection", "default", "c", "ReadWrite"), insert("default", "d"), false),
            (("Collection", "default", "c", "ReadOnly"), insert("default", "c"), false),
            (("Global", "default", "c", "CollectionReadWrite"), insert("default", "c"), true),
            (("Global", "default", "c", "CollectionReadOnly"), insert("default", "c"), false),
            (("Global", "default", "c", "mine"), insert("default", "c"), true),
            (("Global", "default", "c", "mine"), insert("default", "d"), false),
            (
                ("Global", "default", "c", "mine"),
                demand("Global", "default", "*", "CreateAlias"),
                true,
            ),
            (
                ("Global", "*", "*", "ClusterAdmin"),
                demand("Global", "*", "*", "CreateDatabase"),
                true,
            ),
            (
                ("Global", "default", "*", "DatabaseAdmin"),
                demand("Global", "*", "*", "CreateDatabase"),
                false,
            ),
        ] {
            assert_eq!(permits(&state(&[grant]), "u", &asked), allowed, "{grant:?} {asked:?}");
            assert!(permits(&state(&[grant]), ROOT, &asked));
            assert!(!permits(&state(&[grant]), "nobody", &asked));
        }
    }

    #[test]
    fn several_names_must_all_be_allowed() {
        let state = state(&[
            ("Collection", "default", "a", "Flush"),
            ("Collection", "default", "b", "Flush"),
        ]);
        let mut asked = demand("Collection", "default", "a", "Flush");
        asked.names.push("b".into());
        assert!(permits(&state, "u", &asked));
        asked.names.push("c".into());
        assert!(!permits(&state, "u", &asked));
        asked.names.clear();
        assert!(!permits(&state, "u", &asked));
    }

    #[test]
    fn users_look_after_themselves_and_everybody_sees_what_is_public() {
        let state = state(&[]);
        assert!(permits(&state, "u", &demand("User", "*", "u", "UpdateUser")));
        assert!(!permits(&state, "u", &demand("User", "*", "v", "UpdateUser")));
        assert!(permits(&state, "u", &demand("Global", "x", "*", "DescribeCollection")));
        assert!(!permits(&state, "u", &demand("Global", "x", "*", "CreateCollection")));
    }

    #[test]
    fn only_what_a_role_reaches_is_visible() {
        let state =
            state(&[("Collection", "a", "c", "Search"), ("Global", "b", "d", "CollectionAdmin")]);
        assert!(visible_databases(&state, "u").shows("a"));
        assert!(!visible_databases(&state, "u").shows("c"));
        assert_eq!(visible_databases(&state, ROOT), Visible::All);
        assert!(visible_collections(&state, "u", "a").shows("c"));
        assert!(!visible_collections(&state, "u", "a").shows("d"));
        assert!(visible_collections(&state, "u", "b").shows("d"));
        assert_eq!(visible_collections(&state, "nobody", "b"), Visible::Only(BTreeSet::new()));
    }
}
