//! Roles, who has them, and what they may do.

use super::names;
use super::privileges::{self, Level};
use super::state::{ADMIN, ANY, Grant, PUBLIC, Role, State};
use super::users::{not_permitted, quota};
use crate::status::{Failure, code};

const NO_ROLE: &str = "not found the role, maybe the role isn't existed or internal system error";

/// A role's name.
pub fn check_name(name: &str, most: usize) -> Result<(), Failure> {
    names::plain("role name", name, most)
}

/// A role's words.
pub fn check_description(text: &str) -> Result<(), Failure> {
    names::description("role", text)
}

/// The names in a request for a privilege; any may stand for all.
pub fn check_object(what: &str, name: &str, most: usize) -> Result<(), Failure> {
    if name == ANY { Ok(()) } else { names::plain(what, name, most) }
}

/// Whether privileges of a kind can be given on that kind of object by name.
pub fn check_kind(kind: &str) -> Result<(), Failure> {
    match kind {
        "Collection" | "Global" | "User" => Ok(()),
        _ => Err(Failure::parameter("the object entity in the request is nil or invalid")),
    }
}

fn builtin(name: &str, doing: &str) -> Result<(), Failure> {
    match name {
        ADMIN | PUBLIC => Err(not_permitted(&format!(
            "the role[{name}] is a default role, which can't be {doing}"
        ))),
        _ => Ok(()),
    }
}

impl State {
    /// Adds a role.
    pub fn create_role(
        &mut self,
        name: &str,
        description: String,
        most: usize,
    ) -> Result<(), Failure> {
        if self.roles.contains_key(name) {
            return Err(Failure::parameter(format!("role [name:\"{name}\"] already exists")));
        }
        if self.roles.len() >= most {
            return Err(quota(
                "unable to create role because the number of roles has reached the limit",
            ));
        }
        self.roles.insert(name.to_string(), Role { description, ..Default::default() });
        Ok(())
    }

    /// Gives a role another description.
    pub fn alter_role(&mut self, name: &str, description: String) -> Result<(), Failure> {
        builtin(name, "altered")?;
        let role = self.roles.get_mut(name);
        role.ok_or_else(|| Failure::new(code::UNEXPECTED, "role not exists"))?.description =
            description;
        Ok(())
    }

    /// Removes a role; one that may do something only when forced.
    pub fn drop_role(&mut self, name: &str, force: bool) -> Result<(), Failure> {
        builtin(name, "dropped")?;
        let role = self.roles.get(name).ok_or_else(|| Failure::parameter(NO_ROLE))?;
        if !force && !role.grants.is_empty() {
            return Err(Failure::parameter(
                "fail to drop the role that it has privileges. Use REVOKE API to revoke privileges",
            ));
        }
        self.roles.remove(name);
        for user in self.users.values_mut() {
            user.roles.remove(name);
        }
        Ok(())
    }

    /// Gives a user a role.
    pub fn bind(&mut self, user: &str, role: &str) -> Result<(), Failure> {
        if !self.roles.contains_key(role) {
            return Err(Failure::parameter(NO_ROLE));
        }
        let found = self.users.get_mut(user);
        let found = found.ok_or_else(|| Failure::parameter(format!("user {user:?} not found")))?;
        found.roles.insert(role.to_string());
        Ok(())
    }

    /// Takes a role from a user; one that he does not have is no error.
    pub fn unbind(&mut self, user: &str, role: &str) -> Result<(), Failure> {
        if !self.roles.contains_key(role) {
            return Err(Failure::parameter(NO_ROLE));
        }
        if let Some(user) = self.users.get_mut(user) {
            user.roles.remove(role);
        }
        Ok(())
    }

    /// The role of a request about privileges.
    pub fn role(&self, name: &str) -> Result<&Role, Failure> {
        self.roles.get(name).ok_or_else(|| missing(name))
    }

    fn role_mut(&mut self, name: &str) -> Result<&mut Role, Failure> {
        self.roles.get_mut(name).ok_or_else(|| missing(name))
    }

    /// Gives a role a privilege; one that it has is no error.
    pub fn grant(&mut self, role: &str, grant: &Grant) -> Result<(), Failure> {
        let grants = &mut self.role_mut(role)?.grants;
        for grant in with_related(grant) {
            if !grants.iter().any(|known| known.same(&grant)) {
                grants.push(grant);
            }
        }
        Ok(())
    }

    /// Takes a privilege from a role; one that it does not have is no error.
    pub fn revoke(&mut self, role: &str, grant: &Grant) -> Result<(), Failure> {
        let grants = &mut self.role_mut(role)?.grants;
        for grant in with_related(grant) {
            grants.retain(|known| !known.same(&grant));
        }
        Ok(())
    }

    /// What a role may do in a database, on one object or on all.
    pub fn grants(
        &self,
        role: &str,
        database: &str,
        object: Option<(&str, &str)>,
    ) -> Result<Vec<Grant>, Failure> {
        let fits = |grant: &&Grant| {
            let there = [ANY, database].contains(&grant.database.as_str()) || database == ANY;
            let named = object.is_none_or(|(kind, name)| {
                name.is_empty() || grant.object == kind && grant.name == name
            });
            there && named
        };
        Ok(self.role(role)?.grants.iter().filter(fits).cloned().collect())
    }

    /// Whether the older call may give that privilege on that kind of object.
    pub fn check_old(&self, privilege: &str, object: &str) -> Result<(), Failure> {
        let bad = |why: String| Err(Failure::parameter(why));
        if privilege == ANY {
            return Ok(());
        }
        if self.groups.contains_key(privilege) {
            return bad(format!("can not operate the custom privilege group [{privilege}]"));
        }
        if privileges::builtin_group(privilege).is_some() {
            return bad(format!("can not operate the built-in privilege group [{privilege}]"));
        }
        if privileges::is_defined(privilege) && privileges::object_of(privilege) == object {
            return Ok(());
        }
        bad(format!("not found the privilege name[{privilege}] in object[{object}]"))
    }

    /// Whether the newer call may give that privilege there.
    pub fn check_new(
        &self,
        privilege: &str,
        database: &str,
        collection: &str,
    ) -> Result<(), Failure> {
        let bad = |why: String| Err(Failure::parameter(why));
        if privilege == ANY {
            return Ok(());
        }
        let own = match self.groups.get(privilege) {
            Some(group) => group.iter().next().map(String::as_str),
            None if privileges::is_defined(privilege) => {
                privileges::builtin_group(privilege).and_then(|group| group.first().copied())
            }
            None => return bad(format!("not found the privilege name[{privilege}]")),
        };
        // All of a group stand on one level; a single privilege is checked no further.
        let Some(own) = own else { return Ok(()) };
        match privileges::level(own) {
            Some(Level::Cluster) if database != ANY || collection != ANY => bad(format!(
                "dbName and collectionName should be * for the cluster level privilege: {privilege}"
            )),
            Some(Level::Database) if !["", ANY].contains(&collection) => bad(format!(
                "collectionName should be * for the database level privilege: {privilege}"
            )),
            Some(Level::Collection) if database == ANY && !["", ANY].contains(&collection) => {
                bad(format!(
                    "please specify database name for the collection level privilege: {privilege}"
                ))
            }
            None => bad("not found the privilege level".to_string()),
            Some(_) => Ok(()),
        }
    }

    /// Removes what is allowed on a collection that is gone.
    pub fn forget_collection(&mut self, database: &str, name: &str) {
        for role in self.roles.values_mut() {
            role.grants.retain(|grant| !is_on(grant, database, name));
        }
    }

    /// What was allowed on a collection is allowed under its new name.
    pub fn rename_collection(&mut self, from: (&str, &str), to: (&str, &str)) {
        let grants = self.roles.values_mut().flat_map(|role| &mut role.grants);
        for grant in grants.filter(|grant| is_on(grant, from.0, from.1)) {
            grant.database = to.0.to_string();
            grant.name = to.1.to_string();
        }
    }
}

fn missing(role: &str) -> Failure {
    Failure::parameter(format!("the role {role:?} does not exist"))
}

fn is_on(grant: &Grant, database: &str, name: &str) -> bool {
    grant.object != "User" && grant.database == database && grant.name == name
}

fn with_related(grant: &Grant) -> Vec<Grant> {
    let further = privileges::related(&grant.privilege);
    let names = std::iter::once(grant.privilege.as_str()).chain(further.iter().copied());
    names.map(|name| Grant { privilege: name.to_string(), ..grant.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(privilege: &str, name: &str) -> Grant {
        Grant {
            object: "Collection".into(),
            database: "default".into(),
            name: name.into(),
            privilege: privilege.into(),
            grantor: "root".into(),
        }
    }

    #[test]
    fn related_privileges_come_and_go_together() {
        let mut state = State::default();
        state.create_role("r", String::new(), 10).expect("a role");
        state.grant("r", &grant("Load", "c")).expect("granted");
        state.grant("r", &grant("Load", "c")).expect("granted again");
        assert_eq!(state.roles["r"].grants.len(), 3);
        assert!(
            state.drop_role("r", false).expect_err("it has privileges").reason.contains("REVOKE")
        );
        state.revoke("r", &grant("Load", "c")).expect("revoked");
        assert_eq!(state.roles["r"].grants, []);
        state.drop_role("r", false).expect("dropped");
        assert!(state.drop_role("admin", true).is_err());
    }

    #[test]
    fn grants_follow_their_collection() {
        let mut state = State::default();
        state.create_role("r", String::new(), 10).expect("a role");
        state.grant("r", &grant("Insert", "c")).expect("granted");
        state.grant("r", &grant("Insert", "*")).expect("granted");
        state.rename_collection(("default", "c"), ("other", "d"));
        let found = state.grants("r", "other", None).expect("a role");
        assert_eq!((found.len(), found[0].name.as_str()), (1, "d"));
        state.forget_collection("other", "d");
        assert_eq!(state.grants("r", "*", None).expect("a role").len(), 1);
    }

    #[test]
    fn a_dropped_role_leaves_its_users() {
        let mut state = State::default();
        state.create_role("r", String::new(), 3).expect("a role");
        assert_eq!(
            state.create_role("s", String::new(), 3).expect_err("too many").code,
            code::QUOTA_EXCEEDED
        );
        state.bind("root", "r").expect("bound");
        assert!(state.bind("nobody", "r").is_err());
        state.drop_role("r", false).expect("dropped");
        assert!(state.users["root"].roles.is_empty());
    }
}
