//! Groups of privileges that users make.

use std::collections::BTreeSet;

use super::state::State;
use super::{names, privileges};
use crate::status::Failure;

/// A group's name.
pub fn check_name(name: &str, most: usize) -> Result<(), Failure> {
    names::group(name, most)
}

impl State {
    /// Adds an empty group.
    pub fn create_group(&mut self, name: &str) -> Result<(), Failure> {
        let bad = |why: &str| {
            Err(Failure::parameter(format!("privilege group name [{name}] is defined by {why}")))
        };
        if self.groups.contains_key(name) {
            return bad("users");
        }
        if privileges::is_defined(name) {
            return bad("built in privileges or privilege groups in system");
        }
        self.groups.insert(name.to_string(), BTreeSet::new());
        Ok(())
    }

    /// Removes a group that no role uses; one that is not there is no error.
    pub fn drop_group(&mut self, name: &str) -> Result<(), Failure> {
        let used =
            self.roles.iter().find(|(_, role)| role.grants.iter().any(|g| g.privilege == name));
        if let (true, Some((role, _))) = (self.groups.contains_key(name), used) {
            return Err(Failure::parameter(format!(
                "privilege group [{name}] is used by role [{role}], Use REVOKE API to revoke it first"
            )));
        }
        self.groups.remove(name);
        Ok(())
    }

    /// Puts privileges into a group or takes them out.
    pub fn alter_group(&mut self, name: &str, given: &[String], add: bool) -> Result<(), Failure> {
        let bad = |why: String| Err(Failure::parameter(why));
        let Some(group) = self.groups.get(name) else {
            return bad(format!(
                "there is no privilege group name [{name}] defined in system to operate"
            ));
        };
        if given.is_empty() {
            return bad("privileges is empty when alter the privilege group".into());
        }
        let known = |p: &&String| privileges::is_defined(p) || self.groups.contains_key(*p);
        if let Some(unknown) = given.iter().find(|p| !known(p)) {
            return bad(format!(
                "there is no privilege name or privilege group name [{unknown}] defined in system to operate"
            ));
        }
        let mut next = group.clone();
        if add {
            let mut levels = group.iter().chain(given).map(|p| privileges::level(p));
            let first = levels.next();
            if levels.any(|level| Some(level) != first) {
                return bad("privileges are not the same privilege level".into());
            }
            next.extend(given.iter().cloned());
        } else {
            next.retain(|p| !given.contains(p));
        }
        self.groups.insert(name.to_string(), next);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::Grant;
    use super::*;

    #[test]
    fn groups_hold_privileges_of_one_level() {
        let mut state = State::default();
        state.create_group("g").expect("a group");
        assert!(state.create_group("g").expect_err("twice").reason.contains("defined by users"));
        let error = state.create_group("ClusterAdmin").expect_err("taken");
        assert!(error.reason.contains("built in"), "{error}");
        let two = ["Insert".to_string(), "Search".into()];
        state.alter_group("g", &two, true).expect("added");
        let error =
            state.alter_group("g", &["CreateDatabase".into()], true).expect_err("another level");
        assert!(error.reason.contains("same privilege level"), "{error}");
        assert!(state.alter_group("g", &["Nonsense".into()], true).is_err());
        state.alter_group("g", &two[..1], false).expect("removed");
        assert_eq!(state.groups["g"], ["Search".to_string()].into());
        let grant = Grant {
            object: "Global".into(),
            database: "*".into(),
            name: "*".into(),
            privilege: "g".into(),
            grantor: "root".into(),
        };
        state.grant("public", &grant).expect("granted");
        assert!(
            state.drop_group("g").expect_err("in use").reason.contains("used by role [public]")
        );
        state.revoke("public", &grant).expect("revoked");
        state.drop_group("g").expect("dropped");
        state.drop_group("g").expect("not there");
    }
}
