//! Which names users, roles and the like may have; the words are Milvus's.

use crate::status::{Failure, code};

/// Characters that names may have besides letters, digits and underscores.
const ALLOWED: &str = "$";
/// Most bytes of a user's name.
const MAX_USER_BYTES: usize = 32;
/// Most bytes of the words about a user or role.
const MAX_DESCRIPTION_BYTES: usize = 1_024;

/// A user's name.
pub fn user(name: &str) -> Result<(), Failure> {
    let name = name.trim();
    let Some(first) = name.chars().next() else {
        return Err(Failure::parameter("username must be not empty"));
    };
    if name.len() > MAX_USER_BYTES {
        return Err(Failure::parameter(format!(
            "invalid username {name} with length {}, the length of username must be less than {MAX_USER_BYTES}",
            name.len()
        )));
    }
    if !first.is_ascii_alphabetic() {
        return Err(Failure::parameter(format!(
            "invalid user name {name}, the first character must be a letter, but got {first}"
        )));
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || "_-.".contains(*c))) {
        None => Ok(()),
        Some(bad) => Err(Failure::parameter(format!(
            "invalid user name {name}, username must contain only numbers, letters, underscores, \
             dots, and hyphens, but got {bad}"
        ))),
    }
}

/// The words about a user or role.
pub fn description(of: &str, text: &str) -> Result<(), Failure> {
    if text.len() <= MAX_DESCRIPTION_BYTES {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "the length of {of} description must be not greater than limit {MAX_DESCRIPTION_BYTES}, but got {}",
        text.len()
    )))
}

/// The name of a role, an object or a privilege; `what` says which.
pub fn plain(what: &str, name: &str, most: usize) -> Result<(), Failure> {
    let name = name.trim();
    let Some(first) = name.chars().next() else {
        return Err(Failure::expected("not empty", name, &format!("{what} should be not empty")));
    };
    if name.len() > most {
        return Err(Failure::parameter(format!(
            "the length of {what} must be not greater than limit: invalid parameter[{} out of range 0 <= value <= {most}]",
            name.len()
        )));
    }
    if !(first.is_ascii_alphabetic() || first == '_') {
        let why = format!("the first character of {what} must be an underscore or letter");
        return Err(Failure::expected("_", &first.to_string(), &why));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || ALLOWED.contains(c);
    match name.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(()),
        Some((at, bad)) => Err(Failure::parameter(format!(
            "{what} can only contain numbers, letters, underscores, and allowed characters \
             ({ALLOWED}), found {bad} at {at}"
        ))),
    }
}

/// The name of a group of privileges.
pub fn group(name: &str, most: usize) -> Result<(), Failure> {
    let bad = |why: String| {
        let reason = format!("{why}: invalid privilege group name[privilegeGroup={name}]");
        Err(Failure::new(code::PRIVILEGE_GROUP_NAME, reason))
    };
    let Some(first) = name.chars().next() else {
        return bad("privilege group name should not be empty".into());
    };
    if name.len() > most {
        return bad(format!(
            "the length of a privilege group name {name} must be less than {most} characters"
        ));
    }
    if !(first.is_ascii_alphabetic() || first == '_') {
        return bad(format!(
            "the first character of a privilege group name {name} must be an underscore or letter"
        ));
    }
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "privilege group name {name} can only contain numbers, letters and underscores"
    )))
}

/// The name of a resource group.
pub fn resource_group(name: &str, most: usize) -> Result<(), Failure> {
    let Some(first) = name.chars().next() else {
        return Err(Failure::missing("resource group name couldn't be empty"));
    };
    let bad =
        |why: String| Err(Failure::parameter(format!("Invalid resource group name {name}. {why}")));
    if name.len() > most {
        return bad(format!(
            "the length of a resource group name must be less than {most} characters"
        ));
    }
    if !(first.is_ascii_alphabetic() || first == '_') {
        return bad(
            "the first character of a resource group name must be an underscore or letter".into()
        );
    }
    if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Ok(());
    }
    bad("resource group name can only contain numbers, letters and underscores".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_refused_in_milvus_words() {
        for (result, words) in [
            (user("1a"), "the first character must be a letter"),
            (user("a/b"), "but got /"),
            (user(&"a".repeat(33)), "with length 33"),
            (user(" "), "username must be not empty"),
            (plain("role name", "", 255), "role name should be not empty"),
            (plain("role name", "a-b", 255), "found - at 1"),
            (plain("role name", "9", 255), "must be an underscore or letter"),
            (group("", 255), "should not be empty"),
            (group("a-", 255), "can only contain numbers, letters and underscores"),
            (resource_group("ä", 255), "must be an underscore or letter"),
        ] {
            let reason = result.expect_err(words).reason;
            assert!(reason.contains(words), "{reason}");
        }
        for good in [user("a.b-c_1"), plain("role name", "_a$1", 255), group("g1", 255)] {
            assert_eq!(good, Ok(()));
        }
    }
}
