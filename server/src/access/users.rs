//! Making, changing and removing users.

use elanus_engine::core::settings::AuthSettings;

use super::names;
use super::password::Hashed;
use super::state::{ROOT, State, User};
use crate::status::{Failure, code};

/// A password as the settings want it.
pub fn check_password(password: &str, settings: &AuthSettings) -> Result<(), Failure> {
    let (least, most) = (settings.min_password_bytes, settings.max_password_bytes);
    if (least..=most).contains(&password.len()) {
        return Ok(());
    }
    Err(Failure::parameter(format!(
        "invalid password length: invalid parameter[{} out of range {least} <= value <= {most}]",
        password.len()
    )))
}

/// A user's name and the words about him.
pub fn check(name: &str, description: &str) -> Result<(), Failure> {
    names::user(name)?;
    names::description("user", description)
}

/// The hash of a password, made away from the async threads.
pub async fn hash(password: String) -> Result<Hashed, Failure> {
    Ok(elanus_engine::core::runtime::blocking(move || Hashed::new(&password)).await?)
}

impl State {
    /// Adds a user.
    pub fn create_user(
        &mut self,
        name: &str,
        password: Hashed,
        description: String,
        most: usize,
    ) -> Result<(), Failure> {
        let name = name.trim();
        if self.users.contains_key(name) {
            return Err(Failure::parameter(format!("user already exists: {name}")));
        }
        if self.users.len() >= most {
            return Err(quota(
                "unable to add user because the number of users has reached the limit",
            ));
        }
        let user = User { password: Some(password), description, ..Default::default() };
        self.users.insert(name.to_string(), user);
        Ok(())
    }

    /// Gives a user another password or description.
    pub fn update_user(
        &mut self,
        name: &str,
        password: Option<Hashed>,
        description: Option<String>,
    ) -> Result<(), Failure> {
        let user = self.users.get_mut(name.trim());
        let user = user.ok_or_else(|| Failure::new(code::UNEXPECTED, "user not found"))?;
        if let Some(password) = password {
            user.password = Some(password);
        }
        if let Some(description) = description {
            user.description = description;
        }
        Ok(())
    }

    /// Removes a user; one that is not there is no error.
    pub fn delete_user(&mut self, name: &str) -> Result<(), Failure> {
        if name.trim() == ROOT {
            return Err(not_permitted("root user cannot be deleted"));
        }
        self.users.remove(name.trim());
        Ok(())
    }
}

/// Code 9.
pub fn quota(why: &str) -> Failure {
    Failure::new(code::QUOTA_EXCEEDED, format!("quota exceeded[reason={why}]"))
}

/// Code 1401.
pub fn not_permitted(why: &str) -> Failure {
    Failure::new(code::PRIVILEGE_NOT_PERMITTED, format!("{why}: privilege not permitted"))
}

/// Code 1400.
pub fn not_authenticated(why: &str) -> Failure {
    Failure::new(code::NOT_AUTHENTICATED, format!("{why}: not authenticated"))
}
